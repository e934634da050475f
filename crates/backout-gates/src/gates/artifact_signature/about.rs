//! What the gate's findings mean.

use backout_core::finding::{Code, Level};

use crate::gates::{About, Explained};

/// Every place was read, and holds no signature.
pub const ABSENT: Code = Code("BO310");
/// There is a good signature, and the admission controller does not read it.
pub const UNREADABLE_BY: Code = Code("BO311");
/// There is a signature, and it does not hold.
pub const INVALID_SIG: Code = Code("BO312");
/// There is a signature, of somebody else.
pub const WRONG_IDENTITY: Code = Code("BO313");
/// There is a good signature, for another digest.
pub const WRONG_SUBJECT: Code = Code("BO314");
/// There is something that is not verified here.
pub const UNKNOWN_FORMAT: Code = Code("BO315");
/// A place could not be read.
pub const LOOKUP_FAILED: Code = Code("BO316");
/// There is a good signature, and some versions of the admission controller do not read it.
pub const READ_BY_SOME_VERSIONS: Code = Code("BO317");
/// The trust root is old.
pub const OLD_TRUST_ROOT: Code = Code("BO318");
/// The policy names nobody whose signature would count.
pub const NOBODY_TRUSTED: Code = Code("BO319");

/// What the gate looks at and what its findings mean.
pub const ABOUT: About = About {
    name: "artifact-signature",
    mode: "F2",
    what: "The deployed digest carries a signature of a signer that the policy names, where the cluster's \
           admission controller looks for it.",
    reads: "The tags `sha256-<hex>.sig`, `sha256-<hex>.att` and `sha256-<hex>`, and the referrers of the \
            deployed digest, of the index or platform manifests that belong to it, and of the build \
            tool's attestation manifest. Keys and the trust root come from files: nothing is asked of a \
            transparency log. Of several signatures the best one decides, in this order: verified and \
            readable, unreadable, wrong subject, wrong identity, invalid, unknown format, absent. When \
            none is good and a place could not be read, the answer is that the lookup failed.",
    findings: &[
        Explained {
            code: ABSENT.0,
            level: Level::Error,
            title: "ABSENT",
            means: "Every place was read with success and none holds a signature of the image. \
                    Attestations do not count: they can say bad things too. Signatures that are kept \
                    outside the registry, as GitHub keeps attestations, are not seen.",
            next: "Sign the deployed digest in the pipeline, after the push.",
        },
        Explained {
            code: UNREADABLE_BY.0,
            level: Level::Error,
            title: "UNREADABLE_BY",
            means: "The signature is good, but the admission controller that the policy names does not \
                    read this place or format, and will call the image unsigned. The usual cause is \
                    cosign 3, which writes bundles as referrers, where the controller reads `.sig` tags.",
            next: "Sign in the form that the controller reads, or switch the controller to the form of \
                   the signature; the finding names the flags and the setting.",
        },
        Explained {
            code: INVALID_SIG.0,
            level: Level::Error,
            title: "INVALID_SIG",
            means: "There is a signature and the cryptographic check fails: it was altered, belongs to \
                    another payload, or was made with a key that is none of the policy's.",
            next: "Find out who wrote it. Sign again with the key that the policy names.",
        },
        Explained {
            code: WRONG_IDENTITY.0,
            level: Level::Error,
            title: "WRONG_IDENTITY",
            means: "The signature is by another key, signer or issuer than the policy names.",
            next: "Sign in the pipeline that the policy names, or name this signer in `keys` or \
                   `identities`.",
        },
        Explained {
            code: WRONG_SUBJECT.0,
            level: Level::Error,
            title: "WRONG_SUBJECT",
            means: "The signature is good, but for another digest: for the index when the platform's \
                    manifest is deployed, the other way round, or for the attestation manifest.",
            next: "Sign the digest that is deployed, with `cosign sign --recursive` for an index and \
                   all that it lists, or deploy the digest that was signed.",
        },
        Explained {
            code: UNKNOWN_FORMAT.0,
            level: Level::Error,
            title: "UNKNOWN_FORMAT",
            means: "Something is there that is not verified here, such as a notation signature or a \
                    bundle of an unknown version. It may be good: nobody knows.",
            next: "Verify it with its own tool, or sign with cosign beside it.",
        },
        Explained {
            code: LOOKUP_FAILED.0,
            level: Level::Error,
            title: "LOOKUP_FAILED",
            means: "The registry could not be read at one of the places, and no good signature was found \
                    at the others. This is never taken for an unsigned image.",
            next: "Mend access to the registry and check again.",
        },
        Explained {
            code: READ_BY_SOME_VERSIONS.0,
            level: Level::Warning,
            title: "READ_BY_SOME_VERSIONS",
            means: "The signature is good, and a known fault keeps some versions of the admission \
                    controller from reading it.",
            next: "Check the controller's version against the upstream issue.",
        },
        Explained {
            code: OLD_TRUST_ROOT.0,
            level: Level::Note,
            title: "OLD_TRUST_ROOT",
            means: "The newest key of the trust root began long ago, or its authorities have ended. Trust \
                    roots rotate: signatures made since then may be good and fail here.",
            next: "Fetch the trust root again and review the change.",
        },
        Explained {
            code: NOBODY_TRUSTED.0,
            level: Level::Error,
            title: "NOBODY_TRUSTED",
            means: "The policy names neither a key nor an identity, or identities without a trust root. \
                    A signature of just anybody proves nothing.",
            next: "Name `keys`, or `identities` with a `trustRoot`, in the gate.",
        },
    ],
};
