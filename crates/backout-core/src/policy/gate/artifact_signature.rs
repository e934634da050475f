//! Configuration of the gate on signatures.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The image carries a signature of a signer that is named here. Everything is verified offline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArtifactSignature {
    /// Public keys as PEM files, relative to the policy; a signature by any of them counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Signers without a key of their own; a certificate for any of them counts. Needs a trust root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<SignerIdentity>,
    /// The trust root as a JSON file (`TrustedRoot` of sigstore), relative to the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_root: Option<String>,
    /// The admission controller of the cluster. It must be able to read the signature that was
    /// found: controllers differ in the places and formats that they read. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<AdmissionController>,
}

/// Who a keyless signature must be from: what the certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignerIdentity {
    /// Who vouched for the signer, such as `https://token.actions.githubusercontent.com`.
    pub issuer: String,
    /// The signer, such as a workflow or an address. `*` stands for any characters.
    pub subject: String,
}

/// A way by which a cluster verifies signatures at admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AdmissionController {
    /// Kyverno `verifyImages` of type `Cosign`: signatures in `.sig` tags.
    KyvernoCosign,
    /// Kyverno `verifyImages` of type `SigstoreBundle`: bundles as referrers.
    KyvernoBundle,
    /// Kyverno `ImageValidatingPolicy` with a cosign attestor.
    KyvernoImageValidating,
    /// sigstore policy-controller with its default: signatures in `.sig` tags.
    PolicyController,
    /// sigstore policy-controller with `signatureFormat: bundle`.
    PolicyControllerBundle,
    /// Connaisseur with a cosign validator.
    Connaisseur,
    /// Ratify behind Gatekeeper, with its cosign verifier.
    Ratify,
    /// A `policy.json` with `sigstoreSigned`, as podman, CRI-O and bootc read it.
    SigstoreSigned,
}

impl fmt::Display for AdmissionController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KyvernoCosign => "Kyverno verifyImages (type Cosign)",
            Self::KyvernoBundle => "Kyverno verifyImages (type SigstoreBundle)",
            Self::KyvernoImageValidating => "Kyverno ImageValidatingPolicy",
            Self::PolicyController => "policy-controller",
            Self::PolicyControllerBundle => "policy-controller (signatureFormat bundle)",
            Self::Connaisseur => "Connaisseur",
            Self::Ratify => "Ratify",
            Self::SigstoreSigned => "policy.json (sigstoreSigned)",
        })
    }
}
