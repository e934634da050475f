//! What was read of the signatures of images.

use std::collections::BTreeMap;
use std::fmt;

use backout_core::units::{Digest, Time};
use serde::Serialize;

/// What was read of the signatures of all images of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// When it was read.
    pub now: Time,
    /// One entry for each image.
    pub images: Vec<ImageEvidence>,
    /// What the trust root says about its own age; nothing when the policy names none.
    pub trust_root: Option<TrustRootAge>,
}

/// What was read of the signatures of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageEvidence {
    /// Registry and repository, without tag, such as `registry.example.com/shop/checkout`.
    pub repository: String,
    /// The digest that is deployed: what a signature must be for.
    pub deployed: Digest,
    /// Other digests of the same image, which people sign by mistake.
    pub related: Vec<Related>,
    /// One result for each place and each digest that was looked at.
    pub lookups: Vec<Lookup>,
}

/// A digest that belongs to the same image as the deployed one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Related {
    /// The digest.
    pub digest: Digest,
    /// What it is to the deployed one.
    pub relation: Relation,
}

/// What another digest is to the deployed one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Relation {
    /// The index that lists the deployed manifest.
    Index,
    /// The manifest of one platform, such as `linux/amd64`, which the deployed index lists.
    Platform(String),
    /// The manifest with the attestations that the build tool put beside the image.
    AttestationManifest,
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index => f.write_str("the index that lists the deployed manifest"),
            Self::Platform(platform) => {
                write!(f, "the manifest of {platform} in the deployed index")
            }
            Self::AttestationManifest => f.write_str("the attestation manifest beside the image"),
        }
    }
}

/// A place where signatures are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// The tag `sha256-<hex>.sig`: where cosign before version 3 puts signatures.
    SigTag,
    /// The tag `sha256-<hex>.att`: where cosign before version 3 puts attestations.
    AttTag,
    /// The referrers API of OCI distribution 1.1.
    Referrers,
    /// The tag `sha256-<hex>` with an index of referrers, for registries without that API.
    FallbackTag,
    /// The manifest with attestations that the build tool lists in the index.
    IndexAttestation,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SigTag => "the .sig tag",
            Self::AttTag => "the .att tag",
            Self::Referrers => "the referrers API",
            Self::FallbackTag => "the referrers fallback tag",
            Self::IndexAttestation => "the attestation manifest of the index",
        })
    }
}

/// What came of looking at one place for one digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lookup {
    /// Where.
    pub place: Place,
    /// The digest whose signatures were looked for.
    pub on: Digest,
    /// What came of it.
    pub outcome: LookupOutcome,
}

/// What came of looking at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LookupOutcome {
    /// The place was read, and this is all that it holds. Empty is an answer: nothing is there.
    Read(Vec<Item>),
    /// The registry does not have this place, such as a registry without the referrers API. That is
    /// an answer too, because the fallback tag stands in for it.
    NotOffered,
    /// The place could not be read. Whether it holds a signature is unknown.
    Failed {
        /// Why, in one line, without credentials.
        reason: String,
    },
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// The manifest that holds it.
    pub manifest: Digest,
    /// The `artifactType` under which a list of referrers shows it, when it shows one.
    pub listed_as: Option<String>,
    /// Its format.
    pub format: Format,
    /// What it says about the image.
    pub content: Content,
    /// Whether it holds, and who made it.
    pub fact: SignatureFact,
}

/// The format of a signature.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// cosign's simple signing: a payload and annotations beside it.
    SimpleSigning,
    /// A sigstore bundle, with its version, such as `0.3`.
    Bundle(String),
    /// A DSSE envelope without a bundle around it.
    Dsse,
    /// A signature of the Notary Project.
    Notation,
    /// Anything else, with its media type.
    Unknown(String),
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SimpleSigning => f.write_str("simple signing"),
            Self::Bundle(version) => write!(f, "sigstore bundle {version}"),
            Self::Dsse => f.write_str("DSSE envelope"),
            Self::Notation => f.write_str("notation signature"),
            Self::Unknown(media_type) => write!(f, "unknown format {media_type}"),
        }
    }
}

/// What a signed thing says about an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// That this is the image: a signature.
    Signature,
    /// Something else about it, such as how it was built. It may say bad things, so that the right
    /// signer's name under it is no approval.
    Attestation {
        /// The predicate type, such as `https://slsa.dev/provenance/v1`; empty when not given.
        predicate: String,
    },
}

/// What cryptography says about a signature. Whether the signer is the right one and the subject
/// is the deployed image is for the gate to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SignatureFact {
    /// It holds.
    Valid(Box<ValidSignature>),
    /// It names a signer whom the policy does not know, so that there is nothing to verify it with.
    OtherSigner {
        /// The signer, as the signature itself says. Nobody vouches for that.
        claim: String,
    },
    /// It does not hold.
    Invalid {
        /// Why, in one line.
        reason: String,
    },
    /// It cannot be verified here.
    Unsupported {
        /// Why, in one line.
        reason: String,
    },
}

/// A signature that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidSignature {
    /// Who made it.
    pub signer: Signer,
    /// What it is for. An in-toto statement can name several.
    pub subjects: Vec<Digest>,
    /// What vouches for when it was made.
    pub time: TimeEvidence,
}

/// Who made a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Signer {
    /// The holder of a key that the policy names.
    Key {
        /// The key's file, as the policy names it.
        name: String,
        /// SHA-256 of the public key, in hexadecimal.
        fingerprint: String,
    },
    /// The holder of a certificate that a trusted authority issued.
    Certificate(CertificateIdentity),
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { name, fingerprint } => {
                let short = fingerprint.get(..12).unwrap_or(fingerprint);
                write!(f, "key {name} (sha256:{short})")
            }
            Self::Certificate(identity) => {
                write!(f, "{} (issuer {})", identity.subject, identity.issuer)
            }
        }
    }
}

/// What a certificate says about its holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateIdentity {
    /// The subject alternative name: an address or a workflow.
    pub subject: String,
    /// Who vouched for the subject.
    pub issuer: String,
    /// What else it says about the build, such as `sourceRepositoryUri`.
    pub claims: BTreeMap<String, String>,
}

/// What vouches for the time of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TimeEvidence {
    /// Nothing. A key needs none, a certificate does.
    None,
    /// A transparency log or a timestamping authority of the trust root.
    Witnessed(Time),
}

/// What a trust root says about its own age. The file carries no date, but its keys do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustRootAge {
    /// When its newest key or authority began to be valid.
    pub newest_since: Option<Time>,
    /// When its last certificate authority stops being valid; nothing when one has no end.
    pub authorities_until: Option<Time>,
}
