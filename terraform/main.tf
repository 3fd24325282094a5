data "aws_caller_identity" "current" {}

locals {
  name = "pegboard-${var.environment}"
  port = 5000

  # Whose images and models these hosts use: their own environment's, or those that another one has tested.
  own       = var.artifacts_from == null
  artifacts = coalesce(var.artifacts_from, var.environment)

  # Bucket names are shared by all accounts of AWS, so the account's number is in it.
  model_bucket = coalesce(var.model_bucket, "pegboard-models-${local.artifacts}-${data.aws_caller_identity.current.account_id}")

  repository     = local.own ? module.images[0].url : data.aws_ecr_repository.theirs[0].repository_url
  repository_arn = local.own ? module.images[0].arn : data.aws_ecr_repository.theirs[0].arn
  bucket         = local.own ? module.bucket[0].name : data.aws_s3_bucket.theirs[0].id
  bucket_arn     = local.own ? module.bucket[0].arn : data.aws_s3_bucket.theirs[0].arn
}

module "network" {
  source = "./modules/network"

  name      = local.name
  port      = local.port
  tls       = var.certificate_arn != null
  ssh_cidrs = var.ssh_cidrs
  app_cidrs = var.app_cidrs
}

module "images" {
  source = "./modules/images"
  count  = local.own ? 1 : 0

  name = local.name
}

module "bucket" {
  source = "./modules/bucket"
  count  = local.own ? 1 : 0

  name = local.model_bucket
}

# Looked up rather than put together from names: where one is missing the plan says so, not a host that cannot pull.
data "aws_ecr_repository" "theirs" {
  count = local.own ? 0 : 1

  name = "pegboard-${local.artifacts}"
}

data "aws_s3_bucket" "theirs" {
  count = local.own ? 0 : 1

  bucket = local.model_bucket
}

# Environments that were applied before `artifacts_from` keep what they have.
moved {
  from = module.images
  to   = module.images[0]
}

moved {
  from = module.bucket
  to   = module.bucket[0]
}

module "hosts" {
  source = "./modules/hosts"

  name              = local.name
  instance_count    = var.instance_count
  instance_type     = var.instance_type
  image_parameter   = var.image_parameter
  volume_size       = var.volume_size
  ssh_public_key    = var.ssh_public_key
  subnet_ids        = module.network.subnet_ids
  security_group_id = module.network.hosts_group_id
  repository_arn    = local.repository_arn
  bucket_arn        = local.bucket_arn
}

module "balancer" {
  source = "./modules/balancer"

  name              = local.name
  port              = local.port
  protected         = var.environment == "production"
  certificate_arn   = var.certificate_arn
  vpc_id            = module.network.vpc_id
  subnet_ids        = module.network.subnet_ids
  security_group_id = module.network.balancer_group_id
  instance_ids      = module.hosts.instance_ids
}
