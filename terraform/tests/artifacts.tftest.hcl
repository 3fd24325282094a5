# Which images and models an environment's hosts use: its own, or those of the environment that has tested them.

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
  mock_data "aws_ecr_repository" {
    defaults = {
      arn            = "arn:aws:ecr:eu-central-1:123456789012:repository/pegboard-staging"
      repository_url = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/pegboard-staging"
    }
  }
  mock_data "aws_s3_bucket" {
    defaults = { id = "pegboard-models-staging-123456789012", arn = "arn:aws:s3:::pegboard-models-staging-123456789012" }
  }
  # What the inventory holds beside: known before an apply, so that its text is.
  mock_resource "aws_instance" {
    override_during = plan
    defaults        = { id = "i-0123456789abcdef0", public_ip = "203.0.113.9" }
  }
  mock_resource "aws_lb_target_group" {
    override_during = plan
    defaults        = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/pegboard-test/0123456789abcdef" }
  }
}

variables {
  environment     = "production"
  region          = "eu-central-1"
  app_cidrs       = ["203.0.113.0/24"]
  ssh_public_key  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample someone@somewhere"
  certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
}

run "production_makes_no_artifacts_of_its_own" {
  command = plan
  variables { artifacts_from = "staging" }

  assert {
    condition     = length(module.images) == 0 && length(module.bucket) == 0
    error_message = "Where another environment's are used, neither a repository nor a bucket is made."
  }
}

run "production_uses_what_staging_has_tested" {
  command = plan
  variables { artifacts_from = "staging" }

  assert {
    condition     = data.aws_ecr_repository.theirs[0].name == "pegboard-staging" && data.aws_s3_bucket.theirs[0].bucket == "pegboard-models-staging-123456789012"
    error_message = "The repository and the bucket that are looked up must be staging's."
  }
  assert {
    condition     = output.repository == "123456789012.dkr.ecr.eu-central-1.amazonaws.com/pegboard-staging" && output.bucket == "pegboard-models-staging-123456789012"
    error_message = "The outputs must name staging's repository and bucket."
  }
  assert {
    condition = alltrue([
      for line in ["pegboard_environment=production", "pegboard_repository=${output.repository}", "pegboard_model_bucket=${output.bucket}"] :
      contains(split("\n", output.hosts_cfg), line)
    ])
    error_message = "The inventory must name staging's repository and bucket, for hosts of production."
  }
}

run "hosts_of_production_read_staging_alone" {
  command = plan
  variables { artifacts_from = "staging" }

  assert {
    condition = {
      for statement in jsondecode(module.hosts.policy).Statement : statement.Sid => statement.Resource if statement.Resource != "*"
      } == {
      PullImages = "arn:aws:ecr:eu-central-1:123456789012:repository/pegboard-staging"
      ListModels = "arn:aws:s3:::pegboard-models-staging-123456789012"
      ReadModels = "arn:aws:s3:::pegboard-models-staging-123456789012/*"
    }
    error_message = "A host may read what staging has tested, and nobody else's images or models."
  }
}

run "a_given_bucket_is_the_other_environments" {
  command = plan
  variables {
    artifacts_from = "staging"
    model_bucket   = "our-models"
  }

  assert {
    condition     = data.aws_s3_bucket.theirs[0].bucket == "our-models"
    error_message = "With artifacts_from, model_bucket names a bucket that is there."
  }
}

run "without_another_environment_it_has_its_own" {
  command = plan

  assert {
    condition     = length(module.images) == 1 && length(module.bucket) == 1
    error_message = "An environment that names no other has a repository and a bucket of its own."
  }
  assert {
    condition     = length(data.aws_ecr_repository.theirs) == 0 && length(data.aws_s3_bucket.theirs) == 0
    error_message = "An environment with artifacts of its own must not need another's."
  }
}
