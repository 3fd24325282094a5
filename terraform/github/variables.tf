variable "repository" {
  description = "The repository whose jobs are let in, as GitHub's tokens write it: owner/name, or owner@ID/name@ID."
  type        = string

  # GitHub's tokens name a repository that was made, renamed or moved after 15 July 2026 with the numbers of its owner
  # and of itself, and older ones where somebody has switched that on: see README.md for how to find them.
  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]*(@[0-9]+/[A-Za-z0-9._-]+@[0-9]+|/[A-Za-z0-9._-]+)$", var.repository))
    error_message = "repository must be owner/name, or owner@ID/name@ID where GitHub's tokens carry numbers."
  }
}

variable "state_bucket" {
  description = "The bucket of Terraform's states, which ../state made."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.state_bucket))
    error_message = "state_bucket must be 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  description = "The region that the machines are in."
  type        = string
  default     = "eu-central-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the name of an AWS region, such as eu-central-1."
  }
}

variable "provider_arn" {
  description = "The account's OIDC provider for GitHub Actions, if it has one already; made when none is given."
  type        = string
  default     = null

  validation {
    condition     = var.provider_arn == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.provider_arn))
    error_message = "provider_arn must be arn:aws:iam::ACCOUNT:oidc-provider/token.actions.githubusercontent.com."
  }
}
