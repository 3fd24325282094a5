variable "name" {
  description = "What every name begins with."
  type        = string
}

variable "port" {
  description = "The port that the app listens on."
  type        = number

  validation {
    condition     = var.port >= 1 && var.port <= 65535 && floor(var.port) == var.port
    error_message = "port must be a whole number from 1 to 65535."
  }
}

variable "protected" {
  description = "Whether the balancer refuses to be destroyed."
  type        = bool
}

variable "certificate_arn" {
  description = "An ACM certificate; without one there is no TLS."
  type        = string
  default     = null
}

variable "vpc_id" {
  description = "The VPC that the hosts are in."
  type        = string
}

variable "subnet_ids" {
  description = "The balancer's subnets, in two zones at least."
  type        = list(string)

  validation {
    condition     = length(distinct(var.subnet_ids)) >= 2
    error_message = "subnet_ids must be two subnets at least, of two zones: AWS makes no balancer with fewer."
  }
}

variable "security_group_id" {
  description = "The balancer's security group."
  type        = string
}

variable "instance_ids" {
  description = "The hosts behind the balancer."
  type        = list(string)
}
