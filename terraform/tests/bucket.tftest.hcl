mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    override_during = plan
    defaults        = { id = "pegboard-models-test", arn = "arn:aws:s3:::pegboard-models-test" }
  }
}

variables {
  name = "pegboard-models-test"
}

run "the_bucket_is_private" {
  command = plan
  module { source = "./modules/bucket" }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "The bucket can be made public."
  }
  assert {
    condition     = aws_s3_bucket_ownership_controls.this.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "Access lists must be off."
  }
}

run "models_are_encrypted" {
  command = plan
  module { source = "./modules/bucket" }

  assert {
    condition = alltrue(flatten([
      for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule :
      [for default in rule.apply_server_side_encryption_by_default : default.sse_algorithm == "AES256"]
    ]))
    error_message = "Objects must be encrypted."
  }
  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Effect == "Deny" && jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    error_message = "What comes without TLS must be denied."
  }
}

run "what_is_deleted_can_be_had_back" {
  command = plan
  module { source = "./modules/bucket" }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.this.force_destroy
    error_message = "The bucket must be versioned, and not be destroyed with models in it."
  }
  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[0].noncurrent_version_expiration[0].noncurrent_days == 90
    error_message = "What was deleted must stay for ninety days."
  }
}

run "a_bucket_with_dots_is_refused" {
  command = plan
  module { source = "./modules/bucket" }
  variables { name = "models.example.org" }
  expect_failures = [var.name]
}
