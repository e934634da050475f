terraform {
  required_version = "~> 1.9"

  # The bucket and the state's key come from the pipeline, per environment.
  backend "s3" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      service     = "checkout"
      environment = var.environment
    }
  }
}
