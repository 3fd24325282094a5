output "dns_name" {
  description = "The balancer's DNS name."
  value       = aws_lb.this.dns_name
}

output "target_group_arn" {
  description = "The target group that Ansible drains hosts from; there is a way to it once the listener is there."
  value       = aws_lb_target_group.this.arn
  depends_on  = [aws_lb_listener.http, aws_lb_listener.https]
}
