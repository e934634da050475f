//! How much is read of signatures, which anybody who can push may have written.

/// The largest payload, envelope or bundle, in bytes. Bundles with a bill of materials in them reach
/// a few megabytes.
pub const MAX_LAYER_BYTES: usize = 8 << 20;

/// The most layers of one signature manifest that are looked at. cosign adds a layer to the `.sig`
/// manifest with each signature.
pub const MAX_LAYERS: usize = 64;

/// The largest trust root, in bytes. The public one has some 7 kB.
pub const MAX_TRUST_ROOT_BYTES: usize = 1 << 20;

/// The largest file with a public key, in bytes.
pub const MAX_KEY_BYTES: usize = 16 << 10;

/// The most subjects of one statement that are looked at.
pub const MAX_SUBJECTS: usize = 1024;
