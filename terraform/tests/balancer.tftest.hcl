mock_provider "aws" {
  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/pegboard-test/0123456789abcdef" }
  }
  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/pegboard-test/0123456789abcdef" }
  }
}

variables {
  name              = "pegboard-test"
  port              = 5000
  protected         = true
  vpc_id            = "vpc-0123456789abcdef0"
  subnet_ids        = ["subnet-0a", "subnet-0b"]
  security_group_id = "sg-0123456789abcdef0"
  instance_ids      = ["i-0a", "i-0b"]
}

run "only_ready_hosts_get_requests" {
  module { source = "./modules/balancer" }

  assert {
    condition     = aws_lb_target_group.this.health_check[0].path == "/ready" && aws_lb_target_group.this.health_check[0].matcher == "200"
    error_message = "The balancer must ask hosts whether they are ready."
  }
  assert {
    condition     = [for target in aws_lb_target_group_attachment.host : target.target_id] == ["i-0a", "i-0b"] && aws_lb_target_group.this.port == 5000
    error_message = "Every host must be behind the balancer, on the app's port."
  }
}

run "without_a_certificate_http_is_served" {
  module { source = "./modules/balancer" }

  assert {
    condition     = aws_lb_listener.http.default_action[0].type == "forward" && length(aws_lb_listener.https) == 0
    error_message = "Without a certificate, port 80 must serve."
  }
}

run "with_a_certificate_http_only_redirects" {
  module { source = "./modules/balancer" }
  variables { certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000" }

  assert {
    condition     = aws_lb_listener.http.default_action[0].type == "redirect" && aws_lb_listener.http.default_action[0].target_group_arn == null
    error_message = "With a certificate, port 80 must only redirect."
  }
  assert {
    condition     = aws_lb_listener.https[0].protocol == "HTTPS" && strcontains(aws_lb_listener.https[0].ssl_policy, "TLS13-1-2")
    error_message = "Port 443 must speak TLS 1.2 or newer."
  }
}

run "strange_headers_are_dropped_and_production_is_protected" {
  module { source = "./modules/balancer" }

  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.enable_deletion_protection
    error_message = "The balancer must drop strange headers, and refuse to be destroyed where it is protected."
  }
}

run "a_balancer_in_one_subnet_is_refused" {
  command = plan
  module { source = "./modules/balancer" }
  variables { subnet_ids = ["subnet-0a", "subnet-0a"] }
  expect_failures = [var.subnet_ids]
}
