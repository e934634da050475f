variable "environment" {
  description = "Where this is applied."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production."
  }
}

variable "region" {
  description = "Region of everything below."
  type        = string
  default     = "eu-central-1"
}

variable "database_instance_class" {
  description = "Size of the orders database."
  type        = string
  default     = "db.m7g.large"
}

variable "database_storage_gb" {
  description = "Storage of the orders database. It can grow, but never shrink."
  type        = number
  default     = 200
}

variable "cache_node_type" {
  description = "Size of a cache node."
  type        = string
  default     = "cache.m7g.large"
}
