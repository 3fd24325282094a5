variable "name" {
  description = "The repository's name."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", var.name))
    error_message = "name must be lower-case letters and digits, with single dots, slashes, hyphens or underscores between."
  }
}

variable "keep" {
  description = "How many images are kept."
  type        = number
  default     = 30

  validation {
    condition     = var.keep >= 1 && floor(var.keep) == var.keep
    error_message = "keep must be a whole number from 1: hosts go back to what is kept."
  }
}
