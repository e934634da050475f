//! What is wrong with keys, trust roots and manifests.

/// Something that signatures are verified with, or are found by, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaterialError {
    /// It is larger than anything of its kind.
    #[error("{what} has {found} bytes, and at most {most} are read")]
    TooLarge {
        /// What.
        what: String,
        /// Its size in bytes.
        found: usize,
        /// The limit in bytes.
        most: usize,
    },
    /// It is not a public key that can be used.
    #[error(
        "{name} is not a public key that is known here: expected a PEM file with \"BEGIN PUBLIC \
         KEY\" and a P-256, P-384, RSA or Ed25519 key, as `cosign public-key` prints it ({reason})"
    )]
    Key {
        /// The file, as the policy names it.
        name: String,
        /// What the reader of keys says.
        reason: String,
    },
    /// A secret was given instead of a public key. Nothing of it is repeated here.
    #[error("{name} holds a private key: name the public key, which `cosign public-key` prints")]
    PrivateKey {
        /// The file, as the policy names it.
        name: String,
    },
    /// It is not a trust root that can be used.
    #[error(
        "{name} is not a trust root: expected the `TrustedRoot` JSON of sigstore, as \
         `cosign trusted-root create` writes it ({reason})"
    )]
    TrustRoot {
        /// The file, as the policy names it.
        name: String,
        /// What the reader of trust roots says.
        reason: String,
    },
    /// It is not a manifest of a signature.
    #[error("the manifest cannot be read: {reason}")]
    Manifest {
        /// What is wrong with it.
        reason: String,
    },
}

/// An error of another crate in one line and of bounded length: it may quote what was read.
pub(crate) fn one_line(error: impl std::fmt::Display) -> String {
    const MOST: usize = 300;
    let text = error.to_string();
    let flat: Vec<&str> = text.split_whitespace().collect();
    let flat: String = flat.join(" ").chars().filter(|c| !c.is_control()).collect();
    match flat.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", flat.get(..end).unwrap_or_default()),
        None => flat,
    }
}

/// Refuses what is too large.
pub(crate) fn within(what: &str, found: usize, most: usize) -> Result<(), MaterialError> {
    if found > most {
        return Err(MaterialError::TooLarge { what: what.to_owned(), found, most });
    }
    Ok(())
}
