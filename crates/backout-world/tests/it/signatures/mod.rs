//! Signatures of images in registries: Debian's `docker-registry`, which has no referrers API, and
//! one in this process that has. Every verdict of the gate comes about by real images here.

mod bench;
mod in_a_layout;
mod with_referrers_api;
mod without_referrers_api;
