variable "environment" {
  description = "Which environment this is; names and tags carry it, and so does the registry's alias."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be staging or production."
  }
}

variable "region" {
  description = "The AWS region that everything is in."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the name of an AWS region, such as eu-central-1."
  }
}

variable "ssh_cidrs" {
  description = "IPv4 networks that may reach the hosts by SSH; with none, only Session Manager leads there."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.ssh_cidrs : can(cidrnetmask(cidr))])
    error_message = "ssh_cidrs must be IPv4 networks, such as 203.0.113.0/24."
  }

  # Two halves of the internet are the internet: no network wider than the widest private one.
  validation {
    condition     = alltrue([for cidr in var.ssh_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, true)])
    error_message = "ssh_cidrs must not open SSH to the world: name networks of /8 or smaller, never 0.0.0.0/0."
  }
}

variable "app_cidrs" {
  description = "IPv4 networks that may ask the balancer for predictions; 0.0.0.0/0 is everybody."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.app_cidrs) > 0 && alltrue([for cidr in var.app_cidrs : can(cidrnetmask(cidr))])
    error_message = "app_cidrs must name at least one IPv4 network, such as 203.0.113.0/24."
  }
}

variable "instance_count" {
  description = "How many hosts serve behind the balancer; a rolling deploy needs two."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains(range(1, 11), var.instance_count)
    error_message = "instance_count must be a whole number from 1 to 10."
  }
}

variable "instance_type" {
  description = "The type of the hosts. A Graviton type (t4g, m7g) takes an arm64 system, and needs an arm64 image."
  type        = string
  default     = "t3.small"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+[0-9]+[a-z0-9-]*\\.[a-z0-9-]+$", var.instance_type))
    error_message = "instance_type must be the name of an EC2 type, such as t3.small."
  }
}

variable "volume_size" {
  description = "The size of a host's disk in GiB: the system, and a few images to go back to."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = contains(range(12, 513), var.volume_size)
    error_message = "volume_size must be a whole number of GiB from 12 to 512: less does not hold two images."
  }
}

variable "ssh_public_key" {
  description = "The public key that Ansible's SSH is let in with, as `ssh-keygen -t ed25519` writes it to a .pub file."
  type        = string

  # AWS makes key pairs of these two kinds only.
  validation {
    condition     = can(regex("^ssh-(ed25519|rsa) [A-Za-z0-9+/]+=*( [^\r\n]*)?[\r\n]*$", var.ssh_public_key))
    error_message = "ssh_public_key must be one line that begins with ssh-ed25519 or ssh-rsa: the .pub file, not the private key."
  }
}

variable "certificate_arn" {
  description = "An ACM certificate for the balancer; without one it speaks plain HTTP, which staging alone may do."
  type        = string
  default     = null

  validation {
    condition     = var.certificate_arn == null || can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.certificate_arn))
    error_message = "certificate_arn must be the ARN of an ACM certificate: arn:aws:acm:REGION:ACCOUNT:certificate/ID."
  }

  validation {
    condition     = var.certificate_arn != null || var.environment != "production"
    error_message = "certificate_arn must be given in production: predictions are not served over plain HTTP there."
  }
}

variable "artifacts_from" {
  description = "The environment whose image repository and model bucket these hosts use; its own when none is given."
  type        = string
  default     = null

  validation {
    condition     = var.artifacts_from == null || contains(["staging", "production"], coalesce(var.artifacts_from, "none"))
    error_message = "artifacts_from must be staging or production, or be left out."
  }

  validation {
    condition     = var.artifacts_from != var.environment
    error_message = "artifacts_from must name another environment than this one: leave it out for a repository and a bucket of its own."
  }
}

variable "model_bucket" {
  description = "The name of the bucket that holds the registry, with artifacts_from the other environment's; pegboard-models-ENVIRONMENT-ACCOUNT when none is given."
  type        = string
  default     = null

  # Dots are legal in a bucket's name, and break TLS to it.
  validation {
    condition     = var.model_bucket == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.model_bucket))
    error_message = "model_bucket must be 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "image_parameter" {
  description = "The SSM parameter that names the hosts' machine image, an Ubuntu; Canonical's 24.04 when none is given."
  type        = string
  default     = null

  validation {
    condition     = var.image_parameter == null || can(regex("^/[A-Za-z0-9_./-]+$", var.image_parameter))
    error_message = "image_parameter must be the path of an SSM parameter, such as /pegboard/images/ubuntu."
  }
}

variable "hosts_cfg" {
  description = "Where Ansible's inventory is written; a relative path begins at this directory."
  type        = string
  default     = "../ansible/hosts.cfg"
  nullable    = false

  validation {
    condition     = endswith(var.hosts_cfg, ".cfg")
    error_message = "hosts_cfg must end in .cfg: it is the path of the inventory file, which is replaced and removed."
  }
}
