output "hosts_cfg" {
  description = "Ansible's inventory, as it is written to the file."
  value       = local.hosts_cfg
}

output "addresses" {
  description = "The hosts' public addresses, in the order of their names."
  value       = [for host in module.hosts.hosts : host.address]
}

output "instance_ids" {
  description = "The hosts' instance ids, in the order of their names."
  value       = module.hosts.instance_ids
}

output "repository" {
  description = "Where images are pushed to and pulled from; another environment's with artifacts_from."
  value       = local.repository
}

output "bucket" {
  description = "The bucket for the registry, another environment's with artifacts_from: s3://BUCKET/PREFIX is what `pegboard` takes."
  value       = local.bucket
}

output "balancer" {
  description = "The balancer's DNS name: what a CNAME or an alias record points at."
  value       = module.balancer.dns_name
}
