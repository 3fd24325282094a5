output "hosts" {
  description = "Name, public address and instance id of each host."
  value = [for host in aws_instance.host : {
    name        = host.tags.Name
    address     = host.public_ip
    instance_id = host.id
  }]
}

output "instance_ids" {
  description = "The instance ids, in the order of the names."
  value       = aws_instance.host[*].id
}

output "user" {
  description = "The user that the machine image lets in."
  value       = "ubuntu"
}

output "policy" {
  description = "What the hosts' role allows, as JSON."
  value       = aws_iam_role_policy.this.policy
}
