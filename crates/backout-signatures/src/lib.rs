//! Signatures of images: bytes, keys and a trust root in; whether each signature holds, who made it
//! and what it is for out.
//!
//! Nothing here reads a registry or a file. [`manifest`] says which parts of a manifest are
//! signatures, somebody else fetches them, and [`Verifier`] verifies them. Whether the signer is the
//! right one is for the gate in `backout-gates` to say.
//!
//! The cryptography is that of sigstore-verify. Two forms are verified by code of this crate on its
//! primitives, because the crate does not take them: simple signing, which is older than bundles,
//! and bundles that were signed with a key and carry neither a log entry nor a timestamp, which is
//! what air-gapped and private pipelines make.
//!
//! One thing is not an argument: sigstore-verify asks the clock, to refuse log entries from the
//! future and logs that have not begun. No result depends on the time otherwise.

mod bundle;
mod error;
mod keys;
pub mod limits;
pub mod manifest;
#[cfg(feature = "sign")]
pub mod sign;
mod simple_signing;
mod statement;
mod trust_root;
mod verifier;

pub use error::MaterialError;
pub use keys::PublicKey;
pub use manifest::{SignatureLayer, SignatureManifest};
pub use trust_root::TrustRoot;
pub use verifier::{Verified, Verifier};
