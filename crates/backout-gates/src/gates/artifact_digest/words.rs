//! What each cause is reported as.

use backout_core::finding::{Finding, Level, Subject};
use backout_core::policy::gate::ArtifactDigest;
use backout_core::units::Digest;

use super::evidence::{Evidence, Git};
use super::ladder::{Cause, is_mirror, missing_platforms};
use super::{
    BO300, BO301, BO302, BO303, BO304, BO305, BO306, BO307, BO308, BO309, Code, Looked, revision,
};
use crate::oci::{Lookup, Platform};

/// What a cause is reported as.
struct Words {
    code: Code,
    level: Level,
    message: String,
    help: String,
}

/// What is reported of one place that names the image; nothing when all is well.
pub(super) fn findings(
    config: &ArtifactDigest,
    evidence: &Evidence,
    looked: &Looked<'_>,
) -> Vec<Finding> {
    let mut words: Vec<Words> =
        cause(config, evidence, looked, &looked.cause).into_iter().collect();
    // An equivalent image of a repository that nobody expects is still of that repository.
    let is_mirror_row = matches!(looked.cause, Cause::Mirror { .. });
    if looked.cause.is_same_image()
        && !is_mirror_row
        && looked.repository != &evidence.recorded.repository
        && !is_mirror(config, looked.repository)
    {
        words.extend(mirror(evidence, looked));
    }
    let partly = looked.artifact.map(|artifact| missing_platforms(evidence, artifact));
    let is_for_some = |missing: &Vec<Platform>| {
        !missing.is_empty() && missing.len() < evidence.node_platforms.len()
    };
    if let Some(missing) = partly.filter(is_for_some) {
        let found = looked.digest.map_or_else(String::new, short);
        words.push(wrong_platform(&missing, Level::Warning, &found));
    }
    words.into_iter().map(|words| finding(evidence, looked, words)).collect()
}

fn finding(evidence: &Evidence, looked: &Looked<'_>, words: Words) -> Finding {
    let recorded = &evidence.recorded;
    let place = looked.place.or(recorded.place.as_ref());
    let subject = place.cloned().map_or_else(
        || Subject::Object(format!("image {}:{}", recorded.repository, recorded.tag)),
        Subject::File,
    );
    Finding {
        code: words.code,
        level: words.level,
        subject,
        message: words.message,
        label: format!("{}: {}", looked.cause.name(), looked.text),
        help: words.help,
        replay: None,
    }
}

fn cause(
    config: &ArtifactDigest,
    evidence: &Evidence,
    looked: &Looked<'_>,
    cause: &Cause,
) -> Option<Words> {
    let built = short(&evidence.recorded.digest);
    let found = looked.digest.map_or_else(|| "what is there".to_owned(), short);
    match cause {
        Cause::Match | Cause::Unreadable { .. } | Cause::Mirror { listed: true } => None,
        Cause::Mirror { listed: false } => mirror(evidence, looked),
        Cause::TagMoved { to, now } => Some(tag_moved(evidence, looked, to, now)),
        Cause::Unpinned => Some(Words {
            code: BO302,
            level: Level::Warning,
            message: format!(
                "only a tag is deployed: it points to {built}, which was built, until somebody \
                 moves it"
            ),
            help: format!("write the digest too: {}", pinned(evidence)),
        }),
        Cause::StaleNoop { pod, runs, now } => Some(Words {
            code: BO303,
            level: Level::Error,
            message: format!(
                "nothing would be deployed: the text is the one that {pod} runs with, so that \
                 Kubernetes sees no change; the pod runs {}, and the tag points to {} now",
                short(runs),
                short(now)
            ),
            help: format!(
                "write the digest, so that the text changes with the image: {}",
                pinned(evidence)
            ),
        }),
        Cause::IndexVsPlatform { .. }
        | Cause::AttestationOnly
        | Cause::OtherPlatforms
        | Cause::AnnotationsOnly
        | Cause::FormatConversion { .. }
        | Cause::Recompressed => Some(same_image(cause, &built, &found)),
        Cause::MetadataRebuild { origin, behaviour } => {
            Some(metadata_rebuild(&built, &found, origin, behaviour))
        }
        Cause::NonReproducibleRebuild { revision, vouched } => {
            Some(rebuild(config, &built, &found, revision, *vouched))
        }
        Cause::WrongCommit { expected, found: commit, git } => Some(Words {
            code: BO306,
            level: Level::Error,
            message: format!(
                "{found} was built from commit {}, and the release records {} with {built}{}",
                commit_shown(commit),
                commit_shown(expected),
                ancestry(git.as_ref())
            ),
            help: format!("deploy what was built: {}", pinned(evidence)),
        }),
        Cause::LabelUntrusted { why } => Some(Words {
            code: BO307,
            level: Level::Error,
            message: format!(
                "{found} has another content than {built}, and it is not known what it was built \
                 from: {why}"
            ),
            help: format!(
                "deploy what was built: {}; have the build write the full commit into the label \
                 org.opencontainers.image.revision",
                pinned(evidence)
            ),
        }),
        Cause::Missing { what, ran, tag } => Some(gone(evidence, what, *ran, tag.as_ref())),
        Cause::WrongPlatform { missing } => Some(wrong_platform(missing, Level::Error, &found)),
    }
}

fn tag_moved(evidence: &Evidence, looked: &Looked<'_>, to: &Digest, now: &Cause) -> Words {
    let built = short(&evidence.recorded.digest);
    let level = if looked.is_pinned {
        Level::Note
    } else if now.is_same_image() {
        Level::Warning
    } else {
        Level::Error
    };
    let is = match now {
        Cause::WrongCommit { found, git, .. } => {
            format!("an image of commit {}{}", commit_shown(found), ancestry(git.as_ref()))
        }
        other => meaning(other),
    };
    Words {
        code: BO301,
        level,
        message: format!(
            "the tag was moved: it points to {}, and {built} was built; what it points to is {is}",
            short(to)
        ),
        help: if looked.is_pinned {
            "nothing to do for this release, since the digest is deployed; do not deploy the tag"
                .to_owned()
        } else {
            format!(
                "deploy the digest: {}; and make tags of releases immutable in the registry",
                pinned(evidence)
            )
        },
    }
}

/// What is at the end of a tag, in a few words.
fn meaning(cause: &Cause) -> String {
    match cause {
        Cause::Unreadable { why } => format!("not known, because it cannot be read: {why}"),
        Cause::IndexVsPlatform { .. } => "the same image, index against platform".to_owned(),
        Cause::AttestationOnly => "the same images with other attestations".to_owned(),
        Cause::OtherPlatforms => "the same image for the nodes".to_owned(),
        Cause::AnnotationsOnly => "the same image with other annotations".to_owned(),
        Cause::FormatConversion { .. } => "the same image in another form".to_owned(),
        Cause::Recompressed => "the same image, compressed again".to_owned(),
        Cause::MetadataRebuild { behaviour, .. } if behaviour.is_empty() => {
            "the same files, built again".to_owned()
        }
        Cause::MetadataRebuild { behaviour, .. } => {
            format!("the same files with another {}", listed(behaviour))
        }
        Cause::NonReproducibleRebuild { revision, .. } => {
            format!("a second build of commit {} with other files", commit_shown(revision))
        }
        Cause::LabelUntrusted { why } => format!("another image, and {why}"),
        Cause::Missing { what, .. } => {
            format!("not comparable, because the registry no longer has {what}")
        }
        Cause::WrongPlatform { missing } => format!("no image for {}", platforms(missing)),
        Cause::Match
        | Cause::Unpinned
        | Cause::TagMoved { .. }
        | Cause::StaleNoop { .. }
        | Cause::WrongCommit { .. }
        | Cause::Mirror { .. } => "another image".to_owned(),
    }
}

/// Rows 3 to 6: nodes run the same thing.
fn same_image(cause: &Cause, built: &str, found: &str) -> Words {
    let (level, why) = match cause {
        Cause::IndexVsPlatform { recorded_is_index: true, platform } => {
            let why =
                format!("{built} is the index that was built, {found} its image for {platform}");
            (Level::Note, why)
        }
        Cause::IndexVsPlatform { platform, .. } => {
            let why =
                format!("{found} is an index, and lists {built}, which was built, for {platform}");
            (Level::Note, why)
        }
        Cause::AttestationOnly => {
            let why = format!("{found} and {built} list the same images, with other attestations");
            (Level::Note, why)
        }
        Cause::OtherPlatforms => {
            let why = format!(
                "{found} has the same image as {built} for the nodes, and differs for other platforms"
            );
            (Level::Warning, why)
        }
        Cause::AnnotationsOnly => (
            Level::Note,
            format!("{found} differs from {built} in the manifest's annotations only"),
        ),
        Cause::FormatConversion { from, to } if from == to => {
            let why = format!(
                "{found} is {built} written again by another tool, with the same files and settings"
            );
            (Level::Warning, why)
        }
        Cause::FormatConversion { from, to } => {
            let (from, to) = (format_name(from), format_name(to));
            let why = format!("{found} is {built} converted from {from} format to {to} format");
            (Level::Warning, why)
        }
        _ => {
            let why = format!(
                "{found} is {built} with its layers compressed again, as by saving and loading or by \
                 a mirror"
            );
            (Level::Warning, why)
        }
    };
    Words {
        code: BO300,
        level,
        message: format!("the same image under another digest: {why}"),
        help: format!(
            "nodes run the same; a signature that was made on {built} is not one on {found}, so \
             sign what is deployed or deploy what was signed"
        ),
    }
}

fn metadata_rebuild(built: &str, found: &str, origin: &[String], behaviour: &[String]) -> Words {
    if behaviour.is_empty() {
        return Words {
            code: BO304,
            level: Level::Warning,
            message: format!(
                "{found} has the same files as {built} and was built again: it differs only in {}",
                listed(origin)
            ),
            help: "record the build that is deployed, or deploy the one that was recorded; set \
                   SOURCE_DATE_EPOCH to make builds repeatable"
                .to_owned(),
        };
    }
    Words {
        code: BO304,
        level: Level::Error,
        message: format!(
            "{found} has the same files as {built} and runs otherwise: it differs in {}",
            listed(behaviour)
        ),
        help: "find out who built it again and why; deploy the digest that was recorded".to_owned(),
    }
}

fn rebuild(
    config: &ArtifactDigest,
    built: &str,
    found: &str,
    revision: &str,
    vouched: bool,
) -> Words {
    let level = if config.accept_rebuilds && vouched { Level::Warning } else { Level::Error };
    let commit = commit_shown(revision);
    let witness = if vouched { "its provenance names it" } else { "only its label says so" };
    Words {
        code: BO305,
        level,
        message: format!(
            "{found} and {built} are two builds of commit {commit} with different files ({witness}): \
             what was tested is not what is deployed"
        ),
        help: if level == Level::Warning {
            "accepted by `acceptRebuilds`; better build once and promote that digest".to_owned()
        } else if config.accept_rebuilds {
            "`acceptRebuilds` needs a provenance that names the commit; or deploy the recorded digest"
                .to_owned()
        } else {
            "build once and promote that digest; `acceptRebuilds` accepts rebuilds whose provenance \
             names the commit"
                .to_owned()
        },
    }
}

fn mirror(evidence: &Evidence, looked: &Looked<'_>) -> Option<Words> {
    let (here, recorded) = (looked.repository, &evidence.recorded);
    Some(Words {
        code: BO308,
        level: Level::Error,
        message: format!(
            "{} was built, and is deployed from {here} instead of {}, which is no mirror of the policy",
            short(&recorded.digest),
            recorded.repository
        ),
        help: format!("list {here} in `artifactDigest.mirrors` if it holds copies on purpose"),
    })
}

fn gone(evidence: &Evidence, what: &str, ran: bool, tag: Option<&Digest>) -> Words {
    let recorded = &evidence.recorded;
    let why = if ran {
        "it ran before, so that it was deleted or garbage collected".to_owned()
    } else {
        match (tag, &evidence.tagged) {
            (Some(tag), _) if *tag != recorded.digest => format!(
                "its tag points to {}, so that it was overwritten and garbage collected, or never \
                 pushed",
                short(tag)
            ),
            (None, Lookup::Absent) => {
                "its tag is not there either, so that it was never pushed or is deleted".to_owned()
            }
            _ => "it was never pushed, or garbage collected".to_owned(),
        }
    };
    Words {
        code: BO309,
        level: Level::Error,
        message: format!(
            "the registry does not have {}: {why}; no node can pull it",
            shorten(what)
        ),
        help:
            "push it again from the build, or release another version; keep releases that you may \
               go back to out of the registry's clean-up"
                .to_owned(),
    }
}

fn wrong_platform(missing: &[Platform], level: Level, found: &str) -> Words {
    Words {
        code: BO309,
        level,
        message: format!("{found} has no image for {}, which nodes have", platforms(missing)),
        help: "deploy the index of all platforms, or correct `registry.platforms` of the policy"
            .to_owned(),
    }
}

fn ancestry(git: Option<&Git>) -> String {
    match git {
        Some(Git::Older) => ", which is older".to_owned(),
        Some(Git::Newer) => ", which is newer".to_owned(),
        Some(Git::Unrelated) => ", which is on another branch".to_owned(),
        Some(Git::Failed(why)) => format!(" (Git could not be asked: {why})"),
        Some(Git::Same | Git::Unknown | Git::Ambiguous) | None => String::new(),
    }
}

fn pinned(evidence: &Evidence) -> String {
    let recorded = &evidence.recorded;
    format!("{}:{}@{}", recorded.repository, recorded.tag, recorded.digest)
}

/// A digest as people compare it by eye.
pub(super) fn short(digest: &Digest) -> String {
    let algorithm = digest.as_str().split(':').next().unwrap_or_default();
    format!("{algorithm}:{}", digest.short())
}

/// A reference with its digest shortened.
fn shorten(text: &str) -> String {
    match text.rsplit_once('@').map(|(name, digest)| (name, digest.parse::<Digest>())) {
        Some((name, Ok(digest))) => format!("{name}@{}", short(&digest)),
        _ => text.to_owned(),
    }
}

fn commit_shown(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

fn format_name(media_type: &str) -> &'static str {
    if media_type.contains("docker") { "Docker's" } else { "OCI" }
}

fn platforms(platforms: &[Platform]) -> String {
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Names of fields, the first few of them.
fn listed(fields: &[String]) -> String {
    const MOST: usize = 6;
    let mut shown: Vec<String> =
        fields.iter().take(MOST).map(|field| format!("`{}`", field.escape_debug())).collect();
    if fields.len() > MOST {
        shown.push(format!("{} more", fields.len() - MOST));
    }
    shown.join(", ")
}

/// Which commit is at the end of what was looked at, for the message of a pass.
pub(super) fn built_from(evidence: &Evidence) -> String {
    let Lookup::Found(built) = &evidence.built else { return String::new() };
    revision::named(built).map_or(String::new(), |commit| {
        format!(", built from commit {}", commit_shown(commit).escape_debug())
    })
}
