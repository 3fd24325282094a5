output "roles" {
  description = "The roles' ARNs, by their names."
  value       = { for role in aws_iam_role.github : role.name => role.arn }
}

output "variables" {
  description = "What to type into GitHub, as variables of the repository: none of it is a secret."
  value = {
    AWS_ACCOUNT_ID = data.aws_caller_identity.current.account_id
    AWS_REGION     = var.region
    STATE_BUCKET   = var.state_bucket
  }
}
