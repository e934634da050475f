# Versions are pinned exactly, and are the ones in releases/<version>.yaml. Going back to an older
# release pins its versions again. It never restores an older state file.

locals {
  is_production = var.environment == "production"
}

module "orders-db" {
  source  = "terraform.shop.example/modules/orders-db/aws"
  version = "3.4.0"

  name                = "orders-db"
  environment         = var.environment
  instance_class      = var.database_instance_class
  storage_gb          = var.database_storage_gb
  multi_az            = local.is_production
  deletion_protection = true

  # A revert that would replace the database must still leave a copy behind.
  skip_final_snapshot     = false
  backup_retention_period = local.is_production ? 35 : 7
}

module "orders-cache" {
  source  = "terraform.shop.example/modules/orders-cache/aws"
  version = "2.0.1"

  name        = "orders-cache"
  environment = var.environment
  node_type   = var.cache_node_type
  replicas    = local.is_production ? 2 : 0
}

# New with release 1.42.0. Nothing older uses it, so going back leaves it where it is.
module "coupon-events" {
  source  = "terraform.shop.example/modules/coupon-events/aws"
  version = "1.2.0"

  name              = "shop-${var.environment}-coupon-events"
  environment       = var.environment
  message_retention = "4d"
}
