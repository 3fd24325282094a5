variable "name" {
  description = "The repository's name."
  type        = string
}

variable "keep" {
  description = "How many images are kept."
  type        = number
  default     = 30
}
