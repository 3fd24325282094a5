# Lets GitHub Actions into AWS without a key that somebody would have to keep: GitHub signs what a job is, and each role
# here believes one kind of job. Applied once, by hand; its own state is a local file.
terraform {
  required_version = "~> 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6.0"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { Project = "pegboard", ManagedBy = "terraform" }
  }
}

data "aws_caller_identity" "current" {}

locals {
  issuer   = "token.actions.githubusercontent.com"
  audience = "sts.amazonaws.com"
}

# An account has at most one for each issuer.
resource "aws_iam_openid_connect_provider" "github" {
  count = var.provider_arn == null ? 1 : 0

  url            = "https://${local.issuer}"
  client_id_list = [local.audience]
}

data "aws_iam_openid_connect_provider" "theirs" {
  count = var.provider_arn == null ? 0 : 1

  arn = var.provider_arn

  lifecycle {
    postcondition {
      condition     = contains(self.client_id_list, local.audience)
      error_message = "${self.arn} does not take ${local.audience} as an audience: add it with `aws iam add-client-id-to-open-id-connect-provider`."
    }
  }
}

locals {
  provider_arn = one(concat(
    aws_iam_openid_connect_provider.github[*].arn,
    data.aws_iam_openid_connect_provider.theirs[*].arn,
  ))
}

resource "aws_iam_role" "github" {
  for_each = local.roles

  name                 = "pegboard-github-${each.key}"
  description          = "GitHub Actions, ${each.value.subject}: ${each.value.purpose}"
  max_session_duration = 3600

  # A subject is compared as a whole. With StringLike and a star any branch, or any fork's owner, would be let in.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = local.provider_arn }
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = local.audience
          "${local.issuer}:sub" = "repo:${var.repository}:${each.value.subject}"
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "github" {
  for_each = local.roles

  name = each.key
  role = aws_iam_role.github[each.key].name

  policy = jsonencode({ Version = "2012-10-17", Statement = each.value.statements })

  lifecycle {
    # IAM counts all but white space, of which `jsonencode` writes none between words.
    precondition {
      condition     = length(jsonencode({ Version = "2012-10-17", Statement = each.value.statements })) <= 10240
      error_message = "The policy of pegboard-github-${each.key} is longer than the 10,240 characters that IAM lets a role have: shorten iam/*.json."
    }
  }
}
