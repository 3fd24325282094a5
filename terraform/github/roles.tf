# Which job may do what. The rights are those of ../iam/, for people and for jobs alike: nothing is granted here that is
# not written there.
locals {
  filled_in = {
    for name in ["apply", "deploy"] : name => jsondecode(
      replace(replace(replace(file("${path.module}/../iam/${name}-policy.json"),
        "STATE_BUCKET", var.state_bucket),
        "ACCOUNT", data.aws_caller_identity.current.account_id),
      "REGION", var.region)
    ).Statement
  }

  apply  = local.filled_in.apply
  deploy = { for statement in local.filled_in.deploy : statement.Sid => statement }

  # A plan asks and changes nothing: of each statement its reading actions, and of those statements that have any.
  reading = [
    for statement in local.apply : merge(statement, {
      Action = [for action in flatten([statement.Action]) : action if can(regex("^[a-z0-9-]+:(Describe|Get|List)", action))]
    })
  ]

  registry = [local.deploy.ListTheRegistry, local.deploy.ReadAndWriteTheRegistry]

  # Hosts pull with their own role, so that who deploys need not be able to push.
  deploying = {
    for environment in ["staging", "production"] : environment => concat(
      [for sid, statement in local.deploy : statement if !contains(["PushImages", "ReadDockerHubsToken", "ReadTheKey", "ReachTheHosts"], sid)],
      [merge(local.deploy.ReachTheHosts, {
        Condition = merge(local.deploy.ReachTheHosts.Condition, {
          StringEquals = merge(local.deploy.ReachTheHosts.Condition.StringEquals, { "ssm:resourceTag/Environment" = environment })
        })
      })],
      [merge(local.deploy.ReadTheKey, { Resource = replace(local.deploy.ReadTheKey.Resource, "*", environment) })],
    )
  }

  roles = {
    plan = {
      subject    = "environment:plan"
      purpose    = "plans what a change would change"
      statements = [for statement in local.reading : statement if length(statement.Action) > 0]
    }
    images = {
      subject    = "environment:images"
      purpose    = "builds images and pushes them"
      statements = concat([local.deploy.LogInToTheRepository, local.deploy.PushImages, local.deploy.ReadDockerHubsToken], local.registry)
    }
    training = {
      subject    = "environment:training"
      purpose    = "trains and publishes versions"
      statements = local.registry
    }
    staging-infrastructure = {
      subject    = "environment:staging-infrastructure"
      purpose    = "applies the machines of staging"
      statements = local.apply
    }
    production-infrastructure = {
      subject    = "environment:production-infrastructure"
      purpose    = "applies the machines of production"
      statements = local.apply
    }
    staging = {
      subject    = "environment:staging"
      purpose    = "deploys to staging, promotes to it, rolls it back"
      statements = local.deploying.staging
    }
    production = {
      subject    = "environment:production"
      purpose    = "deploys to production, promotes to it, rolls it back"
      statements = local.deploying.production
    }
  }
}
