mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
  }
  mock_resource "aws_security_group" {
    override_during = plan
    defaults        = { id = "sg-0123456789abcdef0" }
  }
}

variables {
  name      = "pegboard-test"
  port      = 5000
  tls       = true
  ssh_cidrs = ["203.0.113.0/24"]
  app_cidrs = ["0.0.0.0/0"]
}

run "ssh_is_never_open" {
  command = plan
  module { source = "./modules/network" }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.ssh : rule.cidr_ipv4]) == toset(["203.0.113.0/24"])
    error_message = "SSH must be open to the named networks alone."
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.ssh : rule.from_port == 22 && rule.to_port == 22])
    error_message = "The rule for SSH must open port 22 and no other."
  }
}

run "the_world_is_no_network_for_ssh" {
  command = plan
  module { source = "./modules/network" }
  variables { ssh_cidrs = ["0.0.0.0/0"] }
  expect_failures = [var.ssh_cidrs]
}

run "without_networks_there_is_no_ssh" {
  command = plan
  module { source = "./modules/network" }
  variables { ssh_cidrs = [] }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.ssh) == 0
    error_message = "No network is named, and SSH is open to one."
  }
}

run "the_app_is_reached_from_the_balancer_alone" {
  command = plan
  module { source = "./modules/network" }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.app.referenced_security_group_id == aws_security_group.balancer.id
    error_message = "The app's port must be open to the balancer's group."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.app.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.app.from_port == 5000
    error_message = "The app's port must be open to no network."
  }
}

run "https_is_open_with_tls_alone" {
  command = plan
  module { source = "./modules/network" }
  variables { tls = false }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.https) == 0 && length(aws_vpc_security_group_ingress_rule.http) == 1
    error_message = "Without TLS, port 80 is all that clients need."
  }
}

run "hosts_reach_the_web_and_nothing_else" {
  command = plan
  module { source = "./modules/network" }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.web : rule.to_port]) == toset([80, 443])
    error_message = "Hosts must reach ports 80 and 443 and no others."
  }
}

run "there_are_two_zones" {
  command = plan
  module { source = "./modules/network" }

  assert {
    condition     = length(toset(aws_subnet.public[*].availability_zone)) == 2
    error_message = "A balancer needs subnets in two zones."
  }
}
