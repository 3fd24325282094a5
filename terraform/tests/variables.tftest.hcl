# What the root refuses: one run for each thing that must not get through, named after it. The dangerous ones are first.

# What the mock would make up for these, the provider's own checks refuse.
mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b"] }
  }
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
  environment    = "staging"
  region         = "eu-central-1"
  ssh_cidrs      = ["203.0.113.0/24"]
  app_cidrs      = ["203.0.113.0/24"]
  ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample someone@somewhere"
}

run "ssh_from_the_world_is_refused" {
  command = plan
  variables { ssh_cidrs = ["203.0.113.0/24", "0.0.0.0/0"] }
  expect_failures = [var.ssh_cidrs]
}

run "production_without_tls_is_refused" {
  command = plan
  variables { environment = "production" }
  expect_failures = [var.certificate_arn]
}

run "an_unknown_environment_is_refused" {
  command = plan
  variables { environment = "test" }
  expect_failures = [var.environment]
}

run "an_unknown_region_is_refused" {
  command = plan
  variables { region = "Frankfurt" }
  expect_failures = [var.region]
}

run "ssh_from_half_the_world_is_refused" {
  command = plan
  variables { ssh_cidrs = ["0.0.0.0/1", "128.0.0.0/1"] }
  expect_failures = [var.ssh_cidrs]
}

run "ssh_from_the_world_of_ipv6_is_refused" {
  command = plan
  variables { ssh_cidrs = ["::/0"] }
  expect_failures = [var.ssh_cidrs]
}

run "a_balancer_for_nobody_is_refused" {
  command = plan
  variables { app_cidrs = [] }
  expect_failures = [var.app_cidrs]
}

run "too_many_hosts_are_refused" {
  command = plan
  variables { instance_count = 11 }
  expect_failures = [var.instance_count]
}

run "no_host_at_all_is_refused" {
  command = plan
  variables { instance_count = 0 }
  expect_failures = [var.instance_count]
}

run "an_unknown_instance_type_is_refused" {
  command = plan
  variables { instance_type = "small" }
  expect_failures = [var.instance_type]
}

run "a_disk_without_room_for_a_way_back_is_refused" {
  command = plan
  variables { volume_size = 8 }
  expect_failures = [var.volume_size]
}

run "a_private_key_is_refused" {
  command = plan
  variables { ssh_public_key = "-----BEGIN OPENSSH PRIVATE KEY-----" }
  expect_failures = [var.ssh_public_key]
}

run "a_certificate_of_another_service_is_refused" {
  command = plan
  variables { certificate_arn = "arn:aws:iam::123456789012:server-certificate/old" }
  expect_failures = [var.certificate_arn]
}

run "a_bucket_with_dots_is_refused" {
  command = plan
  variables { model_bucket = "models.example.org" }
  expect_failures = [var.model_bucket]
}

run "an_environments_own_artifacts_are_not_named" {
  command = plan
  variables { artifacts_from = "staging" }
  expect_failures = [var.artifacts_from]
}

run "artifacts_of_an_unknown_environment_are_refused" {
  command = plan
  variables { artifacts_from = "test" }
  expect_failures = [var.artifacts_from]
}

run "an_image_that_is_no_parameter_is_refused" {
  command = plan
  variables { image_parameter = "ami-0123456789abcdef0" }
  expect_failures = [var.image_parameter]
}

run "an_inventory_of_another_kind_is_refused" {
  command = plan
  variables { hosts_cfg = "../ansible/deploy.yml" }
  expect_failures = [var.hosts_cfg]
}
