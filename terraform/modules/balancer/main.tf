terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

resource "aws_lb" "this" {
  #checkov:skip=CKV_AWS_91:The app logs every request with its model's version; a second log would cost a bucket
  #checkov:skip=CKV_AWS_150:Staging is there to be taken down; production is protected
  #checkov:skip=CKV2_AWS_20:Port 80 redirects whenever there is a certificate; staging may do without one
  #checkov:skip=CKV2_AWS_28:A firewall for the web is a choice with a monthly price; the security group names the clients
  name                       = var.name
  load_balancer_type         = "application"
  internal                   = false
  subnets                    = var.subnet_ids
  security_groups            = [var.security_group_id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.protected
}

resource "aws_lb_target_group" "this" {
  #checkov:skip=CKV_AWS_378:TLS ends at the balancer; behind it the port is open to the balancer's group alone
  name        = var.name
  vpc_id      = var.vpc_id
  target_type = "instance"
  protocol    = "HTTP"
  port        = var.port

  # Predictions differ in length: the next one goes to the host that has fewest open.
  load_balancing_algorithm_type = "least_outstanding_requests"
  # The longest that a deploy waits for open requests; five minutes is AWS's default, a prediction takes milliseconds.
  deregistration_delay = 30

  # Readiness, not health: a server that runs and has no model yet must get no request.
  health_check {
    path                = "/ready"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

# Ansible takes a host out and puts it back while it deploys; between deploys every host is in. No port here: it is the
# group's, and a host that was registered with a port of its own would have to be taken out with it.
resource "aws_lb_target_group_attachment" "host" {
  count = length(var.instance_ids)

  target_group_arn = aws_lb_target_group.this.arn
  target_id        = var.instance_ids[count.index]
}

resource "aws_lb_listener" "http" {
  #checkov:skip=CKV_AWS_2:It redirects when there is a certificate; without one there is nothing to redirect to
  #checkov:skip=CKV_AWS_103:It has no TLS; the listener that has asks for 1.2 or newer
  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTP"
  port              = 80

  default_action {
    type             = var.certificate_arn == null ? "forward" : "redirect"
    target_group_arn = var.certificate_arn == null ? aws_lb_target_group.this.arn : null

    # A client that follows turns a POST into a GET, and is refused: who posts has to ask for https:// itself.
    dynamic "redirect" {
      for_each = var.certificate_arn == null ? [] : ["HTTPS"]

      content {
        protocol    = redirect.value
        port        = "443"
        status_code = "HTTP_301"
      }
    }
  }

  # AWS keeps a target group for as long as a listener names it: where it is replaced, they are too.
  lifecycle { replace_triggered_by = [aws_lb_target_group.this.id] }
}

resource "aws_lb_listener" "https" {
  count = var.certificate_arn == null ? 0 : 1

  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTPS"
  port              = 443
  certificate_arn   = var.certificate_arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }

  lifecycle { replace_triggered_by = [aws_lb_target_group.this.id] }
}
