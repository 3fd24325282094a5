terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:The registry's ledger says who published and promoted what; a log of readers would need a bucket too
  #checkov:skip=CKV_AWS_144:A second region is for who must outlive the loss of one; S3 keeps three zones
  #checkov:skip=CKV_AWS_145:AES-256 with S3's own key; a key of one's own has a monthly price and every reader needs it
  #checkov:skip=CKV2_AWS_62:Nothing waits for events of this bucket
  bucket        = var.name
  force_destroy = false

  # Models and states outlive machines: a destroy is refused when it is planned. One that only stopped at a bucket that
  # is not empty would by then have taken its versions, its policy and its encryption away.
  lifecycle { prevent_destroy = true }
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  # No access lists: the policies are all that decides.
  rule { object_ownership = "BucketOwnerEnforced" }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default { sse_algorithm = "AES256" }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  # A registry creates objects and never rewrites them: an older version there is something that was deleted, by
  # `pegboard registry gc` or by mistake. Ninety days are the time to notice.
  rule {
    id     = "older-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration { noncurrent_days = 90 }
    abort_incomplete_multipart_upload { days_after_initiation = 7 }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}
