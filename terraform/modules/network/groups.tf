# A rule is a resource of its own: a change of one network is then a change of one rule, and the plan names it.

resource "aws_security_group" "balancer" {
  #checkov:skip=CKV2_AWS_5:The root gives it to the balancer, which is another module
  # A prefix: a group that is in use can only go when another, of another name, has taken its place.
  name_prefix = "${var.name}-balancer-"
  description = "The balancer: clients in, hosts out"
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${var.name}-balancer" }

  lifecycle { create_before_destroy = true }
}

resource "aws_security_group" "hosts" {
  #checkov:skip=CKV2_AWS_5:The root gives it to the hosts, which are another module
  # Who applies may give a host that runs no other group (iam/): to replace this one, replace the hosts along with it.
  name_prefix = "${var.name}-hosts-"
  description = "The hosts: the balancer and named networks in, the web out"
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${var.name}-hosts" }

  lifecycle { create_before_destroy = true }
}

resource "aws_vpc_security_group_ingress_rule" "http" {
  #checkov:skip=CKV_AWS_260:Who may ask for predictions is the variable app_cidrs; with TLS this port only redirects
  for_each = toset(var.app_cidrs)

  security_group_id = aws_security_group.balancer.id
  description       = "HTTP from ${each.value}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  for_each = toset(var.tls ? var.app_cidrs : [])

  security_group_id = aws_security_group.balancer.id
  description       = "HTTPS from ${each.value}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "balancer_to_hosts" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "The app on the hosts"
  referenced_security_group_id = aws_security_group.hosts.id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
}

resource "aws_vpc_security_group_ingress_rule" "app" {
  security_group_id            = aws_security_group.hosts.id
  description                  = "The app from the balancer"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each = toset(var.ssh_cidrs)

  security_group_id = aws_security_group.hosts.id
  description       = "SSH from ${each.value}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
}

# ECR, S3, Session Manager and package archives; the archives of Ubuntu speak HTTP, and sign what they send. Names
# and time are asked of Amazon's own addresses, which no group stands before.
resource "aws_vpc_security_group_egress_rule" "web" {
  for_each = { http = 80, https = 443 }

  security_group_id = aws_security_group.hosts.id
  description       = "The web (${each.key})"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}
