# Who is let in from GitHub, and what for: github/ is a configuration of its own.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_resource "aws_iam_openid_connect_provider" {
    override_during = plan
    defaults        = { arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
  }
  mock_data "aws_iam_openid_connect_provider" {
    defaults = {
      arn            = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
      client_id_list = ["sts.amazonaws.com", "another"]
    }
  }
}

variables {
  repository   = "octo-org/octo-repo"
  state_bucket = "our-states"
}

run "a_role_is_for_one_subject_alone" {
  command = plan
  module { source = "./github" }

  assert {
    condition = {
      for name, role in aws_iam_role.github : name => jsondecode(role.assume_role_policy).Statement
      } == {
      for name, subject in {
        plan                      = "environment:plan"
        images                    = "environment:images"
        training                  = "environment:training"
        staging-infrastructure    = "environment:staging-infrastructure"
        production-infrastructure = "environment:production-infrastructure"
        staging                   = "environment:staging"
        production                = "environment:production"
        } : name => [{
          Effect    = "Allow"
          Action    = "sts:AssumeRoleWithWebIdentity"
          Principal = { Federated = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
          Condition = { StringEquals = {
            "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
            "token.actions.githubusercontent.com:sub" = "repo:octo-org/octo-repo:${subject}"
          } }
      }]
    }
    error_message = "A role must be trusted for one kind of job of this repository, and for nothing else."
  }
  assert {
    condition     = alltrue([for role in aws_iam_role.github : role.max_session_duration == 3600])
    error_message = "What a job is handed must be worth nothing after an hour."
  }
}

run "a_plan_only_reads" {
  command = plan
  module { source = "./github" }

  assert {
    condition = alltrue(flatten([
      for statement in jsondecode(aws_iam_role_policy.github["plan"].policy).Statement : [
        for action in statement.Action : anytrue([for verb in ["Describe", "Get", "List"] : startswith(split(":", action)[1], verb)])
      ]
    ]))
    error_message = "A pull request could change something in the account."
  }
}

run "a_plan_reads_the_state_and_no_model" {
  command = plan
  module { source = "./github" }

  # `s3:*`, `s3:Get*` and `s3:GetObject*` read objects too.
  assert {
    condition = flatten([
      for statement in jsondecode(aws_iam_role_policy.github["plan"].policy).Statement : statement.Resource
      if anytrue([for action in statement.Action : can(regex("^(\\*|s3:(G|Ge|Get|GetO[a-z]*)?\\*|s3:GetObject.*)$", action))])
    ]) == ["arn:aws:s3:::our-states/pegboard/*"]
    error_message = "A plan must read the state, and no other object."
  }
}

run "a_job_has_the_rights_of_its_kind" {
  command = plan
  module { source = "./github" }

  assert {
    condition = {
      for name in ["images", "training", "staging", "production"] :
      name => toset(jsondecode(aws_iam_role_policy.github[name].policy).Statement[*].Sid)
      } == {
      images = toset([
        "LogInToTheRepository", "PushImages", "ReadDockerHubsToken", "ListTheRegistry", "ReadAndWriteTheRegistry",
      ])
      training = toset(["ListTheRegistry", "ReadAndWriteTheRegistry"])
      staging = toset([
        "LogInToTheRepository", "LookAtTheBalancerAndTheHosts", "TakeHostsOutAndPutThemBack", "ListTheRegistry",
        "ReadAndWriteTheRegistry", "ReadTheHostsKeys", "ReachTheHosts", "BySshAlone", "UseAndEndTheirOwnSessions",
        "FindTheState", "ReadTheState", "ReadTheKey",
      ])
      production = toset([
        "LogInToTheRepository", "LookAtTheBalancerAndTheHosts", "TakeHostsOutAndPutThemBack", "ListTheRegistry",
        "ReadAndWriteTheRegistry", "ReadTheHostsKeys", "ReachTheHosts", "BySshAlone", "UseAndEndTheirOwnSessions",
        "FindTheState", "ReadTheState", "ReadTheKey",
      ])
    }
    error_message = "A job may do something that it does not need, or not what it needs."
  }
  assert {
    condition = alltrue([
      for name in ["staging-infrastructure", "production-infrastructure"] :
      length(jsondecode(aws_iam_role_policy.github[name].policy).Statement) == length(jsondecode(file("${path.root}/../iam/apply-policy.json")).Statement)
    ])
    error_message = "Who applies needs all of apply-policy.json."
  }
}

run "a_key_is_read_by_its_own_environment_alone" {
  command = plan
  module { source = "./github" }

  assert {
    condition = {
      for name, policy in aws_iam_role_policy.github : name => flatten([
        for statement in jsondecode(policy.policy).Statement : statement.Resource
        if contains(flatten([statement.Action]), "ssm:GetParameter") && startswith(statement.Sid, "Read")
      ])
      } == {
      plan                      = []
      images                    = ["arn:aws:ssm:eu-central-1:123456789012:parameter/pegboard/dockerhub-token"]
      training                  = []
      staging-infrastructure    = []
      production-infrastructure = []
      staging                   = ["arn:aws:ssm:eu-central-1:123456789012:parameter/pegboard/staging/ssh-key"]
      production                = ["arn:aws:ssm:eu-central-1:123456789012:parameter/pegboard/production/ssh-key"]
    }
    error_message = "A key or a token may be read by a job that is not meant to."
  }
}

run "a_host_is_reached_by_its_own_environment_alone" {
  command = plan
  module { source = "./github" }

  assert {
    condition = alltrue([
      for name in ["staging", "production"] : one([
        for statement in jsondecode(aws_iam_role_policy.github[name].policy).Statement :
        statement.Condition.StringEquals if statement.Sid == "ReachTheHosts"
      ]) == { "ssm:resourceTag/Project" = "pegboard", "ssm:resourceTag/Environment" = name }
    ])
    error_message = "Staging's job may open a session on a host of production's."
  }
}

run "nothing_is_left_to_be_filled_in" {
  command = plan
  module { source = "./github" }

  assert {
    condition     = alltrue([for policy in aws_iam_role_policy.github : !can(regex("ACCOUNT|REGION|STATE_BUCKET", policy.policy))])
    error_message = "A policy names a placeholder in place of this account, its region or its bucket."
  }
  assert {
    condition     = strcontains(aws_iam_role_policy.github["staging"].policy, "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/pegboard-*")
    error_message = "A policy must name this account and its region."
  }
}

run "github_is_told_what_it_needs" {
  command = plan
  module { source = "./github" }

  assert {
    condition     = output.variables == { AWS_ACCOUNT_ID = "123456789012", AWS_REGION = "eu-central-1", STATE_BUCKET = "our-states" }
    error_message = "The variables must be those that the workflows read."
  }
}

run "a_repository_with_numbers_is_trusted_with_them" {
  command = plan
  module { source = "./github" }
  variables { repository = "octo-org@123456/octo-repo@456789" }

  assert {
    condition     = alltrue([for role in aws_iam_role.github : strcontains(role.assume_role_policy, "\"repo:octo-org@123456/octo-repo@456789:")])
    error_message = "The subject must be what GitHub's token says, numbers included."
  }
}

run "a_provider_that_is_there_is_used" {
  command = plan
  module { source = "./github" }
  variables { provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0
    error_message = "An account can have one provider for GitHub: where there is one, none must be made."
  }
  assert {
    condition     = jsondecode(aws_iam_role.github["plan"].assume_role_policy).Statement[0].Principal.Federated == "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    error_message = "The roles must trust the provider that is named."
  }
}

run "a_provider_for_others_is_refused" {
  command = plan
  module { source = "./github" }
  variables { provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }

  override_data {
    target = data.aws_iam_openid_connect_provider.theirs
    values = { client_id_list = ["another"] }
  }
  expect_failures = [data.aws_iam_openid_connect_provider.theirs]
}

run "a_provider_of_another_issuer_is_refused" {
  command = plan
  module { source = "./github" }
  variables { provider_arn = "arn:aws:iam::123456789012:oidc-provider/gitlab.example.com" }
  expect_failures = [var.provider_arn]
}

run "every_repository_of_an_owner_is_refused" {
  command = plan
  module { source = "./github" }
  variables { repository = "octo-org/*" }
  expect_failures = [var.repository]
}

run "a_repository_with_half_of_its_numbers_is_refused" {
  command = plan
  module { source = "./github" }
  variables { repository = "octo-org@123456/octo-repo" }
  expect_failures = [var.repository]
}

run "a_branch_in_the_repositorys_name_is_refused" {
  command = plan
  module { source = "./github" }
  variables { repository = "octo-org/octo-repo:ref:refs/heads/main" }
  expect_failures = [var.repository]
}
