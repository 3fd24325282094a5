variable "name" {
  description = "The bucket's name."
  type        = string
}
