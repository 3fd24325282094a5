output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "subnet_ids" {
  description = "The public subnets, in two zones; usable once their way out is there."
  value       = aws_subnet.public[*].id
  depends_on  = [aws_route.internet, aws_route_table_association.public]
}

output "balancer_group_id" {
  description = "The balancer's security group."
  value       = aws_security_group.balancer.id
}

output "hosts_group_id" {
  description = "The hosts' security group."
  value       = aws_security_group.hosts.id
}
