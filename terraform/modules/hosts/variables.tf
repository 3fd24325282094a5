variable "name" {
  description = "What every name begins with."
  type        = string
}

variable "instance_count" {
  description = "How many hosts there are."
  type        = number

  validation {
    condition     = var.instance_count >= 1 && floor(var.instance_count) == var.instance_count
    error_message = "instance_count must be a whole number from 1."
  }
}

variable "instance_type" {
  description = "Their EC2 type."
  type        = string
}

variable "image_parameter" {
  description = "The SSM parameter that names the machine image; Canonical's Ubuntu 24.04 when it is null."
  type        = string
  default     = null
}

variable "volume_size" {
  description = "The size of a host's disk in GiB."
  type        = number

  validation {
    condition     = var.volume_size >= 8 && floor(var.volume_size) == var.volume_size
    error_message = "volume_size must be a whole number of GiB from 8, which is what Ubuntu's image takes."
  }
}

variable "ssh_public_key" {
  description = "The public key that SSH is let in with."
  type        = string
}

variable "subnet_ids" {
  description = "The subnets that hosts are spread over."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 1
    error_message = "subnet_ids must be one subnet at least."
  }
}

variable "security_group_id" {
  description = "The hosts' security group."
  type        = string
}

variable "repository_arn" {
  description = "The repository that hosts may pull from."
  type        = string
}

variable "bucket_arn" {
  description = "The bucket that hosts may read."
  type        = string
}
