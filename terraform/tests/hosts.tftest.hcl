mock_provider "aws" {
  mock_data "aws_ssm_parameter" {
    defaults = { value = "ami-0123456789abcdef0" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  name              = "pegboard-test"
  instance_count    = 2
  instance_type     = "t3.small"
  volume_size       = 20
  ssh_public_key    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample"
  subnet_ids        = ["subnet-0a", "subnet-0b"]
  security_group_id = "sg-0123456789abcdef0"
  repository_arn    = "arn:aws:ecr:eu-central-1:123456789012:repository/pegboard-test"
  bucket_arn        = "arn:aws:s3:::pegboard-models-test"
}

run "imdsv2_is_required" {
  command = plan
  module { source = "./modules/hosts" }

  assert {
    condition     = alltrue([for host in aws_instance.host : host.metadata_options[0].http_tokens == "required"])
    error_message = "A host hands its role to whoever asks without a token."
  }
  assert {
    condition     = alltrue([for host in aws_instance.host : host.metadata_options[0].http_put_response_hop_limit == 2])
    error_message = "A container must reach its host's role, over the engine's bridge and no further."
  }
}

run "volumes_are_encrypted" {
  command = plan
  module { source = "./modules/hosts" }

  assert {
    condition     = alltrue([for host in aws_instance.host : host.root_block_device[0].encrypted])
    error_message = "A host's disk is not encrypted."
  }
  assert {
    condition     = alltrue([for host in aws_instance.host : host.root_block_device[0].volume_type == "gp3"])
    error_message = "A host's disk must be gp3."
  }
}

run "hosts_have_names_and_are_spread_over_the_zones" {
  command = plan
  module { source = "./modules/hosts" }

  assert {
    condition     = [for host in aws_instance.host : host.tags.Name] == ["pegboard-test-1", "pegboard-test-2"]
    error_message = "Hosts must be named and numbered from 1."
  }
  assert {
    condition     = aws_instance.host[0].subnet_id != aws_instance.host[1].subnet_id
    error_message = "Two hosts must not be in one zone."
  }
}

run "a_host_may_pull_read_and_nothing_more" {
  command = plan
  module { source = "./modules/hosts" }

  assert {
    condition = toset(flatten([for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Action])) == toset([
      "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:GetAuthorizationToken",
      "s3:GetObject", "s3:ListBucket",
      "ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    ])
    error_message = "A host may do something that it does not need, or not what it needs."
  }
  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid if statement.Resource == "*"
    ] == ["LogIn", "BeReached"]
    error_message = "Only the registry's token and Session Manager have no resource of their own."
  }
}

run "a_hosts_role_has_its_boundary" {
  command = plan
  module { source = "./modules/hosts" }

  assert {
    condition     = aws_iam_role.this.permissions_boundary == "arn:aws:iam::123456789012:policy/pegboard-hosts"
    error_message = "Without its boundary, who may write the role's policy may give it everything."
  }
}

run "a_disk_has_a_name_where_default_tags_reach_it" {
  command = plan
  module { source = "./modules/hosts" }

  assert {
    condition     = [for host in aws_instance.host : host.root_block_device[0].tags.Name] == ["pegboard-test-1", "pegboard-test-2"]
    error_message = "A disk must carry tags of its own, to which the provider puts the project's."
  }
}

run "no_host_is_refused" {
  command = plan
  module { source = "./modules/hosts" }
  variables { instance_count = 0 }
  expect_failures = [var.instance_count]
}

run "a_disk_without_room_for_the_system_is_refused" {
  command = plan
  module { source = "./modules/hosts" }
  variables { volume_size = 7 }
  expect_failures = [var.volume_size]
}

run "hosts_without_a_subnet_are_refused" {
  command = plan
  module { source = "./modules/hosts" }
  variables { subnet_ids = [] }
  expect_failures = [var.subnet_ids]
}

run "an_intel_type_takes_an_intel_system" {
  command = plan
  module { source = "./modules/hosts" }
  variables { instance_type = "g4dn.xlarge" }

  assert {
    condition     = strcontains(data.aws_ssm_parameter.image.name, "/amd64/")
    error_message = "An amd64 type must take the amd64 image."
  }
}

run "a_graviton_type_takes_an_arm_system" {
  command = plan
  module { source = "./modules/hosts" }
  variables { instance_type = "t4g.small" }

  assert {
    condition     = strcontains(data.aws_ssm_parameter.image.name, "/arm64/")
    error_message = "An arm64 type must take the arm64 image."
  }
}
