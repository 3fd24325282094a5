data "aws_caller_identity" "current" {}

locals {
  name = "pegboard-${var.environment}"
  port = 5000

  # Bucket names are shared by all accounts of AWS, so the account's number is in it.
  bucket = coalesce(var.model_bucket, "pegboard-models-${var.environment}-${data.aws_caller_identity.current.account_id}")
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

  name = local.name
}

module "bucket" {
  source = "./modules/bucket"

  name = local.bucket
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
  repository_arn    = module.images.arn
  bucket_arn        = module.bucket.arn
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
