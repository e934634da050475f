//! Signatures that are made here are verified, and broken ones are not.

mod broken;
mod bundles;
mod key_kinds;
mod keyless;
mod simple_signing;
mod support;
mod trust_roots;
