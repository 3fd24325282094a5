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
  description = "Where images are pushed to and pulled from."
  value       = module.images.url
}

output "bucket" {
  description = "The bucket for the registry: s3://BUCKET/PREFIX is what `pegboard` takes."
  value       = module.bucket.name
}

output "balancer" {
  description = "The balancer's DNS name: what a CNAME or an alias record points at."
  value       = module.balancer.dns_name
}
