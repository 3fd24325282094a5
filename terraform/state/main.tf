# The bucket that the other states are kept in. Its own state is a local file here: it is made once, by hand.
terraform {
  required_version = "~> 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6.0"
    }
  }
}

variable "bucket" {
  description = "The bucket's name; it has to be one that nobody else in AWS has taken."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket must be 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  description = "Its region, the one that staging.s3.tfbackend and production.s3.tfbackend name."
  type        = string
  default     = "eu-central-1"
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { Project = "pegboard", ManagedBy = "terraform" }
  }
}

module "bucket" {
  source = "../modules/bucket"

  name = var.bucket
}

output "bucket" {
  description = "What `terraform init -backend-config=bucket=…` takes."
  value       = module.bucket.name
}
