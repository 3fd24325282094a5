terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

locals {
  # Graviton's types have a g after the generation: t4g, m7g, c7gn, im4gn.
  architecture    = can(regex("^[a-z]+[0-9]+g", var.instance_type)) ? "arm64" : "amd64"
  canonical       = "/aws/service/canonical/ubuntu/server/24.04/stable/current/${local.architecture}/hvm/ebs-gp3/ami-id"
  image_parameter = coalesce(var.image_parameter, local.canonical)
}

data "aws_ssm_parameter" "image" {
  name = local.image_parameter
}

resource "aws_key_pair" "this" {
  key_name   = var.name
  public_key = trimspace(var.ssh_public_key)
}

resource "aws_instance" "host" {
  #checkov:skip=CKV_AWS_88:A public address behind a closed group costs less than a NAT gateway; see modules/network
  #checkov:skip=CKV_AWS_126:Five minutes are close enough for the machine; the app has its own metrics
  count = var.instance_count

  ami                         = nonsensitive(data.aws_ssm_parameter.image.value)
  instance_type               = var.instance_type
  subnet_id                   = var.subnet_ids[count.index % length(var.subnet_ids)]
  vpc_security_group_ids      = [var.security_group_id]
  associate_public_ip_address = true
  iam_instance_profile        = aws_iam_instance_profile.this.name
  key_name                    = aws_key_pair.this.key_name
  ebs_optimized               = true
  user_data                   = templatefile("${path.module}/user-data.yaml.tftpl", { hostname = "${var.name}-${count.index + 1}" })

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # Two hops: a container that serves from s3:// asks for the instance's role from behind the engine's bridge.
    http_put_response_hop_limit = 2
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.volume_size
    encrypted   = true
    # Here, and not in volume_tags, because the provider's default tags are put to these: without the project's, the
    # policies in iam/ let nobody change the disk.
    tags = { Name = "${var.name}-${count.index + 1}" }
  }

  tags = { Name = "${var.name}-${count.index + 1}" }

  lifecycle {
    # A machine takes both when it is first started. Canonical publishes a new image every few weeks, and neither that
    # nor another user data must take all hosts away at the next apply. To take them:
    # terraform apply -replace='module.hosts.aws_instance.host[0]', one host after the other.
    ignore_changes = [ami, user_data]
  }
}
