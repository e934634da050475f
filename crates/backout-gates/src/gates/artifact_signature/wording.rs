//! The words for each verdict.

use backout_core::finding::{Code, Finding, Level, Subject};
use backout_core::policy::gate::ArtifactSignature;

use super::about;
use super::controller::next_action;
use super::evidence::{Content, ImageEvidence, Lookup, LookupOutcome, SignatureFact};
use super::verdict::{Found, Verdict};

/// More failed lookups than this are counted instead of listed.
const MAX_LISTED: usize = 3;

/// Level, code, message, label and help of a finding.
struct Words(Level, Code, String, String, String);

/// What to say about one image; nothing when all is well.
pub(super) fn finding(
    config: &ArtifactSignature,
    image: &ImageEvidence,
    verdict: &Verdict<'_>,
) -> Option<Finding> {
    let Words(level, code, message, label, help) = words(config, image, verdict)?;
    Some(Finding {
        code,
        level,
        subject: Subject::Object(format!("image {}", reference(image))),
        message,
        label,
        help,
        replay: None,
    })
}

/// What to say of an image whose signature is good.
pub(super) fn verified(image: &ImageEvidence, found: &Found<'_>) -> String {
    let signer = match &found.item.fact {
        SignatureFact::Valid(valid) => valid.signer.to_string(),
        _ => String::new(),
    };
    format!("{} is signed by {signer}, in {} ({})", name(image), found.place, found.item.format)
}

fn words(
    config: &ArtifactSignature,
    image: &ImageEvidence,
    verdict: &Verdict<'_>,
) -> Option<Words> {
    let error = |code, message: String, label: String, help: String| {
        Some(Words(Level::Error, code, message, label, help))
    };
    match verdict {
        Verdict::Verified { doubt: None, .. } => None,
        Verdict::Verified { found, doubt: Some(why) } => {
            let controller = config.controller.map(|c| c.to_string()).unwrap_or_default();
            Some(Words(
                Level::Warning,
                about::READ_BY_SOME_VERSIONS,
                format!("the signature is good, but not every version of {controller} reads it"),
                format!("{why}; {}", seen(found)),
                "compare the controller's version with the upstream issue, or sign in the other form \
                 as well"
                    .to_owned(),
            ))
        }
        Verdict::UnreadableBy { found, controller, why } => error(
            about::UNREADABLE_BY,
            format!("{controller} cannot see the signature: {why}"),
            seen(found),
            format!(
                "the signature itself is good: {}",
                next_action(*controller, found.item, &reference(image))
            ),
        ),
        Verdict::WrongSubject { .. } => wrong_subject(image, verdict),
        Verdict::WrongIdentity { found, signer, is_proved } => {
            let (verb, doubt) = if *is_proved {
                ("is signed by", "")
            } else {
                ("seems to be signed by", ", going by what the signature says of itself")
            };
            error(
                about::WRONG_IDENTITY,
                format!("{} {verb} {signer}, whom the policy does not name{doubt}", name(image)),
                seen(found),
                format!(
                    "sign {} with {}; or, if this signer is right, name it in the gate",
                    reference(image),
                    wanted(config)
                ),
            )
        }
        Verdict::InvalidSignature { found, reason } => error(
            about::INVALID_SIG,
            format!("a signature of {} does not hold: {reason}", name(image)),
            seen(found),
            format!(
                "find out who wrote manifest {}, and sign {} with {}",
                found.item.manifest,
                reference(image),
                wanted(config)
            ),
        ),
        Verdict::UnknownFormat(found) => unknown_format(image, found),
        Verdict::Absent { attestations } => absent(config, image, attestations),
        Verdict::LookupFailed { .. } => lookup_failed(image, verdict),
    }
}

fn wrong_subject(image: &ImageEvidence, verdict: &Verdict<'_>) -> Option<Words> {
    let Verdict::WrongSubject { found, subject, relation } = verdict else { return None };
    let what = relation
        .as_ref()
        .map_or_else(|| "a digest that has nothing to do with it".to_owned(), ToString::to_string);
    let is_misplaced = matches!(&found.item.fact, SignatureFact::Valid(valid)
        if valid.subjects.contains(&image.deployed));
    let message = if is_misplaced {
        format!(
            "the signature of {} is kept under another digest, where admission does not look: {what}",
            name(image)
        )
    } else {
        format!("the signature is not for the deployed digest, but for {subject}: {what}")
    };
    let help = if relation.is_some() {
        format!(
            "sign the digest that is deployed: `cosign sign --recursive {}` signs an index and all \
             that it lists; or deploy the digest that was signed",
            reference(image)
        )
    } else {
        format!("the signature was copied from another image; sign {} itself", reference(image))
    };
    Some(Words(Level::Error, about::WRONG_SUBJECT, message, seen(found), help))
}

fn unknown_format(image: &ImageEvidence, found: &Found<'_>) -> Option<Words> {
    let why = match &found.item.fact {
        SignatureFact::Unsupported { reason } => format!(": {reason}"),
        _ => String::new(),
    };
    Some(Words(
        Level::Error,
        about::UNKNOWN_FORMAT,
        format!(
            "{} has a signature that is not verified here ({}){why}",
            name(image),
            found.item.format
        ),
        seen(found),
        format!(
            "it may be good: verify it with the tool that made it, or sign {} with cosign as well",
            reference(image)
        ),
    ))
}

fn absent(
    config: &ArtifactSignature,
    image: &ImageEvidence,
    attestations: &[&str],
) -> Option<Words> {
    let mut label =
        "read and empty: the .sig tag, and the referrers or their fallback tag".to_owned();
    if !attestations.is_empty() {
        label.push_str("; attestations are there, which are no signature of the image: ");
        label.push_str(&attestations.join(", "));
    }
    let mut help = format!("sign it in the pipeline, after the push, with {}", wanted(config));
    if let Some(controller) = config.controller {
        let reads_bundles = super::reading(controller).bundles;
        help.push_str(if reads_bundles {
            "; the controller reads bundles, which cosign 3 makes by default"
        } else {
            "; the controller reads `.sig` tags: add `--new-bundle-format=false \
             --use-signing-config=false` with cosign 3"
        });
    }
    if image.repository.starts_with("ghcr.io/") {
        help.push_str(
            "; attestations in GitHub's own store are not seen: push them to the registry with \
             `push-to-registry: true`",
        );
    }
    Some(Words(
        Level::Error,
        about::ABSENT,
        format!("{} is not signed", reference(image)),
        label,
        help,
    ))
}

fn lookup_failed(image: &ImageEvidence, verdict: &Verdict<'_>) -> Option<Words> {
    let Verdict::LookupFailed { failed, unseen } = verdict else { return None };
    let mut causes: Vec<String> =
        failed.iter().take(MAX_LISTED).map(|l| failure(image, l)).collect();
    if failed.len() > MAX_LISTED {
        causes.push(format!("and {} more", failed.len() - MAX_LISTED));
    }
    causes.extend(unseen.iter().map(|place| format!("nobody looked at {place}")));
    Some(Words(
        Level::Error,
        about::LOOKUP_FAILED,
        format!("whether {} is signed could not be read: {}", name(image), causes.join("; ")),
        "this says nothing about the signature".to_owned(),
        format!(
            "check the registry and the credentials for {}, then check again; \
             `cosign tree {}` reads the same places",
            image.repository,
            reference(image)
        ),
    ))
}

fn failure(image: &ImageEvidence, lookup: &Lookup) -> String {
    let reason = match &lookup.outcome {
        LookupOutcome::Failed { reason } => reason.as_str(),
        _ => "",
    };
    let of = if lookup.on == image.deployed {
        String::new()
    } else {
        format!(" of {}", lookup.on.short())
    };
    format!("{}{of}: {reason}", lookup.place)
}

/// Where the thing was found, and what it is.
fn seen(found: &Found<'_>) -> String {
    let what = match &found.item.content {
        Content::Signature => "found",
        Content::Attestation { .. } => "found attestation",
    };
    format!(
        "{what} in {} of {}: {}, manifest {}",
        found.place,
        found.on.short(),
        found.item.format,
        found.item.manifest.short()
    )
}

/// Whose signature the policy wants, for a sentence that ends in "with ...".
fn wanted(config: &ArtifactSignature) -> String {
    let mut wanted: Vec<String> =
        config.keys.iter().map(|key| format!("the key of {key}")).collect();
    wanted.extend(
        config
            .identities
            .iter()
            .map(|identity| format!("identity {} of {}", identity.subject, identity.issuer)),
    );
    wanted.join(" or ")
}

/// The image as people say it: the last part of the repository and a short digest.
fn name(image: &ImageEvidence) -> String {
    let last = image.repository.rsplit('/').next().unwrap_or(&image.repository);
    format!("{last}@{}", image.deployed.short())
}

fn reference(image: &ImageEvidence) -> String {
    format!("{}@{}", image.repository, image.deployed)
}
