variable "name" {
  description = "What every name begins with."
  type        = string
}

variable "port" {
  description = "The port that the app listens on."
  type        = number
}

variable "tls" {
  description = "Whether the balancer speaks TLS."
  type        = bool
}

variable "ssh_cidrs" {
  description = "IPv4 networks that may reach the hosts by SSH."
  type        = list(string)

  # The root's variable says the same, to who sets it; this is for who uses the module alone.
  validation {
    condition     = alltrue([for cidr in var.ssh_cidrs : tonumber(split("/", cidr)[1]) >= 8])
    error_message = "ssh_cidrs must not open SSH to the world: name networks of /8 or smaller, never 0.0.0.0/0."
  }
}

variable "app_cidrs" {
  description = "IPv4 networks that may reach the balancer."
  type        = list(string)
}
