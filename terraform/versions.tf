terraform {
  # 1.11 is the first that locks a state in S3 by itself (`use_lockfile`), without a table beside it.
  required_version = "~> 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6.0"
    }
  }

  # The rest is in staging.s3.tfbackend and production.s3.tfbackend: a backend can have no variables.
  backend "s3" {}
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Project     = "pegboard"
      Environment = var.environment
      ManagedBy   = "terraform"
    }
  }
}
