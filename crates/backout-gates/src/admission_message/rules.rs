//! The messages that are known, and what each may mean. The first rule that fits is taken, so that
//! the special ones stand before the general ones.

use super::{Candidate, Cause, Refuser};

/// A message that is known.
pub(super) struct Rule {
    /// Texts in lower case, all of which it has.
    has: &'static [&'static str],
    /// Who refuses, when the text tells.
    pub(super) refused_by: Option<Refuser>,
    pub(super) cause: Cause,
    pub(super) candidates: &'static [Candidate],
    pub(super) meaning: &'static str,
    pub(super) next: &'static [&'static str],
}

use Candidate::{
    Absent, InvalidSignature, LookupFailed, UnknownFormat, UnreadableBy, WrongIdentity,
    WrongSubject,
};

/// Every cause, where a controller gives none.
const ANY: &[Candidate] = &[
    UnreadableBy,
    Absent,
    WrongIdentity,
    WrongSubject,
    InvalidSignature,
    UnknownFormat,
    LookupFailed,
];

const READ_THE_REGISTRY: &str = "read the registry in every place: `backout check` with the gate \
     artifact-signature and its `controller` says which of them it is";
const COSIGN_3: &str = "look whether cosign 3 made the signature: it writes bundles, and this \
     controller may read `.sig` tags only";

const RULES: &[Rule] = &[
    Rule {
        has: &["failed calling webhook", "no endpoints available for service"],
        refused_by: None,
        cause: Cause::WebhookUnavailable,
        candidates: &[],
        meaning: "no pod of the webhook is ready, and what it cannot judge is refused",
        next: &[
            "look at the pods behind the service that the message names",
            "look whether a rollout of the controller itself, or its namespace, is covered by the webhook",
        ],
    },
    Rule {
        has: &["failed calling webhook", "deadline exceeded"],
        refused_by: None,
        cause: Cause::WebhookUnavailable,
        candidates: &[],
        meaning: "the webhook did not answer in time; controllers that verify signatures wait for the \
                  registry and the log",
        next: &[
            "try again: an answer may be cached by now",
            "look at the controller's logs and at how fast the registry answers it",
            "raise the webhook's `timeoutSeconds`, at most 30",
        ],
    },
    Rule {
        has: &["failed calling webhook"],
        refused_by: None,
        cause: Cause::WebhookUnavailable,
        candidates: &[],
        meaning: "the API server could not reach the webhook, which says nothing about the object",
        next: &[
            "look at the rest of the message: a certificate, a connection, or an address",
            "look at the webhook's service, pods and `caBundle`",
        ],
    },
    Rule {
        has: &["must be an image digest"],
        refused_by: None,
        cause: Cause::TagInsteadOfDigest,
        candidates: &[],
        meaning: "the policy wants the image by digest, and a tag is given",
        next: &[
            "write the digest into the manifest: `backout record` resolves it",
            "look whether the mutating webhook, which replaces tags by digests, covers this namespace",
        ],
    },
    Rule {
        has: &["no matching policies"],
        refused_by: Some(Refuser::PolicyController),
        cause: Cause::NoPolicyMatches,
        candidates: &[],
        meaning: "no ClusterImagePolicy covers the image, and the default for such images is to deny; \
                  this is no fault of the signature",
        next: &[
            "compare the image with the `images[].glob` of the policies, registry and all",
            "look at `no-match-policy` in the ConfigMap config-policy-controller",
        ],
    },
    Rule {
        has: &["no signatures found"],
        refused_by: None,
        cause: Cause::Signature,
        candidates: &[UnreadableBy, Absent, WrongSubject],
        meaning: "the controller found nothing in the places that it reads, which are not all places",
        next: &[COSIGN_3, READ_THE_REGISTRY],
    },
    Rule {
        has: &["no matching attestations"],
        refused_by: None,
        cause: Cause::Signature,
        candidates: &[Absent, UnreadableBy],
        meaning: "no attestation of the wanted type was found where the controller reads; an empty rest \
                  of the message means that it saw none at all",
        next: &[COSIGN_3, READ_THE_REGISTRY],
    },
    Rule {
        has: &["no matching signatures"],
        refused_by: None,
        cause: Cause::Signature,
        candidates: &[InvalidSignature, WrongIdentity, UnreadableBy, Absent],
        meaning: "nothing that the controller read passed its check: another key or identity, a broken \
                  signature, or one that it does not read",
        next: &[
            "compare the key or identity of the policy's authority with the pipeline's",
            READ_THE_REGISTRY,
        ],
    },
    Rule {
        has: &["image verification failed", "signature mismatch"],
        refused_by: Some(Refuser::Kyverno),
        cause: Cause::Signature,
        candidates: ANY,
        meaning: "Kyverno says \"mismatch\" for images that were never signed too \
                  (kyverno/kyverno#3397), so that it may be anything",
        next: &[READ_THE_REGISTRY],
    },
    Rule {
        has: &["subject failed verification"],
        refused_by: Some(Refuser::Ratify),
        cause: Cause::Signature,
        candidates: ANY,
        meaning: "Ratify gives no cause",
        next: &["look at Ratify's logs, which have a report for each verifier", READ_THE_REGISTRY],
    },
    Rule {
        has: &["connaisseur"],
        refused_by: Some(Refuser::Connaisseur),
        cause: Cause::Signature,
        candidates: ANY,
        meaning: "Connaisseur could not validate the image",
        next: &["look which validator its policy chose for the image", READ_THE_REGISTRY],
    },
    Rule {
        has: &["a signature was required, but no signature exists"],
        refused_by: Some(Refuser::Node),
        cause: Cause::Signature,
        candidates: &[UnreadableBy, Absent, WrongSubject],
        meaning: "the node's policy.json reads `.sig` tags only, and of an index's children none",
        next: &[COSIGN_3, READ_THE_REGISTRY],
    },
    Rule {
        has: &["image verification failed"],
        refused_by: None,
        cause: Cause::Signature,
        candidates: ANY,
        meaning: "the image could not be verified; the end of the message has the controller's own words",
        next: &[READ_THE_REGISTRY],
    },
    Rule {
        has: &["failed to verify image"],
        refused_by: None,
        cause: Cause::Signature,
        candidates: ANY,
        meaning: "the image could not be verified; the end of the message has the controller's own words",
        next: &[READ_THE_REGISTRY],
    },
    Rule {
        has: &["signature", "validation failed for authority"],
        refused_by: None,
        cause: Cause::Signature,
        candidates: ANY,
        meaning: "an authority of the ClusterImagePolicy did not accept the image",
        next: &[READ_THE_REGISTRY],
    },
    Rule {
        has: &["violates podsecurity"],
        refused_by: Some(Refuser::PodSecurity),
        cause: Cause::PolicyViolated,
        candidates: &[],
        meaning: "the pod is not within the level of Pod Security that the namespace enforces",
        next: &[
            "mend the fields that the message lists after the level",
            "find such pods before the release: the gate policies evaluates manifests",
        ],
    },
    Rule {
        has: &["validatingadmissionpolicy", "denied request"],
        refused_by: Some(Refuser::ValidatingAdmissionPolicy),
        cause: Cause::PolicyViolated,
        candidates: &[],
        meaning: "an expression of the policy is not true for the object",
        next: &[
            "look at the policy's `validations` and the binding's parameters",
            "find it before the release: name the policy in the gate policies",
        ],
    },
    Rule {
        has: &["exceeded quota"],
        refused_by: Some(Refuser::ResourceQuota),
        cause: Cause::PolicyViolated,
        candidates: &[],
        meaning: "the namespace has no room for the object: both releases need room at the same time",
        next: &[
            "compare `requested`, `used` and `limited` in the message, and raise the quota or the surge",
        ],
    },
    Rule {
        has: &["unauthorized", "denied the request"],
        refused_by: None,
        cause: Cause::RegistryUnavailable,
        candidates: &[LookupFailed],
        meaning: "the controller may not read the registry, so that it cannot know whether there is a \
                  signature",
        next: &["give the controller the pull secret of the repository", READ_THE_REGISTRY],
    },
    Rule {
        has: &["denied the request"],
        refused_by: None,
        cause: Cause::PolicyViolated,
        candidates: &[],
        meaning: "a webhook refused the object by its own rules",
        next: &[
            "look at the policy that the message names",
            "find it before the release: name the policy in the gate policies",
        ],
    },
];

const UNKNOWN: Rule = Rule {
    has: &[],
    refused_by: None,
    cause: Cause::Unknown,
    candidates: &[],
    meaning: "this is no refusal of admission that is known here",
    next: &[
        "give the whole message, as `kubectl get events` or the status of the Deployment or ReplicaSet \
         has it",
    ],
};

/// The first rule that fits.
pub(super) fn matching(lower: &str) -> &'static Rule {
    RULES.iter().find(|rule| rule.has.iter().all(|has| lower.contains(has))).unwrap_or(&UNKNOWN)
}
