//! What a step does, and how a snapshot shows that it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::policy::Gate;
use crate::snapshot::{Arm, SetFacts, Snapshot};
use crate::units::{Digest, Name, Span, Weight};

/// Why a set is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To be able to serve; done when the replicas are ready.
    Capacity,
    /// To keep a failed release as evidence; done when no more than this many are asked for.
    Evidence,
    /// To free what is no longer needed; done when no more than this many are asked for.
    CleanUp,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Action {
    /// Run a gate.
    Gate {
        /// Which one.
        gate: Gate,
    },
    /// Pin an infrastructure module to a version; `None` takes it away.
    SetModule {
        /// Module.
        name: Name,
        /// Version.
        version: Option<String>,
    },
    /// Apply a schema migration.
    Migrate {
        /// Its id.
        id: String,
    },
    /// Turn a flag on or off.
    SetFlag {
        /// Its key.
        key: Name,
        /// On or off.
        enabled: bool,
    },
    /// Create the candidate's set, out of traffic.
    CreateSet {
        /// Replicas to begin with.
        replicas: u32,
        /// Digests that its containers must run.
        digests: Arc<BTreeMap<Name, Digest>>,
    },
    /// Change the size of a set.
    Scale {
        /// Which set.
        arm: Arm,
        /// Replicas.
        replicas: u32,
        /// Why.
        purpose: Purpose,
    },
    /// Send this share of user traffic to the candidate.
    SetWeight {
        /// The share.
        candidate: Weight,
    },
    /// Judge the signals.
    Analyse {
        /// For at least this long.
        at_least: Span,
    },
    /// Ask a person.
    Approve {
        /// The question.
        question: String,
    },
    /// Watch the candidate at full weight.
    Bake {
        /// For this long.
        length: Span,
    },
    /// Record a release as known good.
    MarkKnownGood {
        /// Name of the release.
        release: Name,
    },
    /// Keep the previous release ready.
    KeepPrevious {
        /// For this long.
        length: Span,
    },
    /// Make Git and the environment hold this commit of the configuration.
    SetConfig {
        /// The commit.
        revision: String,
    },
    /// Keep these digests from being deployed again.
    Quarantine {
        /// The digests.
        digests: Arc<BTreeSet<Digest>>,
    },
    /// Watch that traffic stays where it is.
    Settle {
        /// For this long.
        length: Span,
    },
    /// Judge the signals of the candidate until they pass again.
    ConfirmRecovery,
    /// Tell people.
    Notify {
        /// What.
        message: String,
    },
    /// List what is left behind.
    CheckResidue,
}

/// How far an action is, by a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Done.
    Met,
    /// Not yet.
    NotYet(String),
    /// It never will be.
    Never(String),
    /// Cannot be told.
    Unknown(String),
    /// The action leaves no trace that a snapshot shows.
    NoTrace,
}

fn compare<T: PartialEq + fmt::Display>(what: &str, is: Option<&T>, wanted: &T) -> Progress {
    match is {
        Some(is) if is == wanted => Progress::Met,
        Some(is) => Progress::NotYet(format!("{what} is {is}, not {wanted}")),
        None => Progress::Unknown(format!("{what} could not be read")),
    }
}

impl Action {
    /// How far the action is, by a snapshot. Share of traffic is not part of a snapshot: whoever
    /// needs it probes.
    #[must_use]
    pub fn progress(&self, snapshot: &Snapshot) -> Progress {
        match self {
            Self::SetModule { name, version } => module(snapshot, name, version.as_ref()),
            Self::Migrate { id } => match snapshot.database.value() {
                Some(database) if database.applied.contains(id) => Progress::Met,
                Some(_) => Progress::NotYet(format!("migration {id} is not applied")),
                None => Progress::Unknown("the database could not be read".to_owned()),
            },
            Self::SetFlag { key, enabled } => {
                let is = snapshot.flags.value().map(|flags| flags.get(key).copied());
                let is = is.map(|flag| flag.unwrap_or(false));
                compare(&format!("flag {key}"), is.as_ref(), enabled)
            }
            Self::CreateSet { replicas, digests } => created(snapshot, *replicas, digests),
            Self::Scale { arm, replicas, purpose } => scaled(snapshot, *arm, *replicas, *purpose),
            Self::SetWeight { candidate } => {
                compare("the route's weight", snapshot.weight().as_ref(), candidate)
            }
            Self::MarkKnownGood { release } => {
                compare("the known-good release", snapshot.known_good.value(), release)
            }
            Self::SetConfig { revision } => restored(snapshot, revision),
            Self::Quarantine { digests } => match snapshot.quarantine.value() {
                Some(held) if digests.iter().all(|digest| held.contains(digest)) => Progress::Met,
                Some(_) => Progress::NotYet("the digests are not in quarantine".to_owned()),
                None => Progress::Unknown("the quarantine could not be read".to_owned()),
            },
            Self::Gate { .. }
            | Self::Analyse { .. }
            | Self::Approve { .. }
            | Self::Bake { .. }
            | Self::KeepPrevious { .. }
            | Self::Settle { .. }
            | Self::ConfirmRecovery
            | Self::Notify { .. }
            | Self::CheckResidue => Progress::NoTrace,
        }
    }

    /// Whether an observation shows the action as soon as it was applied. Others take their time.
    #[must_use]
    pub const fn shows_at_once(&self) -> bool {
        matches!(
            self,
            Self::SetWeight { .. }
                | Self::SetFlag { .. }
                | Self::MarkKnownGood { .. }
                | Self::Quarantine { .. }
        )
    }

    /// Whether the action destroys or frees something, so that its request must carry a
    /// precondition.
    #[must_use]
    pub const fn is_destructive(&self) -> bool {
        matches!(self, Self::Scale { purpose: Purpose::Evidence | Purpose::CleanUp, .. })
    }
}

fn module(snapshot: &Snapshot, name: &Name, version: Option<&String>) -> Progress {
    let Some(modules) = snapshot.modules.value() else {
        return Progress::Unknown("the infrastructure could not be read".to_owned());
    };
    match (modules.get(name), version) {
        (None, None) => Progress::Met,
        (Some(is), Some(wanted)) if is == wanted => Progress::Met,
        (is, wanted) => Progress::NotYet(format!(
            "module {name} is at {}, not {}",
            is.map_or("nothing", String::as_str),
            wanted.map_or("nothing", String::as_str)
        )),
    }
}

fn created(snapshot: &Snapshot, replicas: u32, digests: &BTreeMap<Name, Digest>) -> Progress {
    match snapshot.sets.candidate.value() {
        None => Progress::Unknown("the candidate's set could not be read".to_owned()),
        Some(None) => Progress::NotYet("the candidate's set does not exist".to_owned()),
        Some(Some(set)) => {
            if let Some(refused) = &set.refused {
                return Progress::Never(refused.clone());
            }
            for (container, recorded) in digests {
                match set.running.get(container) {
                    Some(running) if running == recorded => {}
                    Some(running) => {
                        return Progress::Never(format!(
                            "container {container} runs {}, the record says {}",
                            running.short(),
                            recorded.short()
                        ));
                    }
                    None => {
                        let told = format!("container {container} has not started");
                        return Progress::NotYet(with_reason(told, set));
                    }
                }
            }
            if set.ready < replicas {
                let told = format!("{} of {replicas} replicas are ready", set.ready);
                return Progress::NotYet(with_reason(told, set));
            }
            Progress::Met
        }
    }
}

fn scaled(snapshot: &Snapshot, arm: Arm, replicas: u32, purpose: Purpose) -> Progress {
    let Some(set) = snapshot.sets.get(arm).value() else {
        return Progress::Unknown(format!("the set of {arm} could not be read"));
    };
    match (set, purpose) {
        (None, Purpose::Capacity) => Progress::NotYet(format!("the set of {arm} does not exist")),
        (None, Purpose::Evidence | Purpose::CleanUp) => Progress::Met,
        (Some(set), Purpose::Capacity) if set.desired >= replicas && set.ready >= replicas => {
            Progress::Met
        }
        (Some(set), Purpose::Capacity) => {
            let told = format!("{} of {replicas} replicas of {arm} are ready", set.ready);
            Progress::NotYet(with_reason(told, set))
        }
        (Some(set), Purpose::Evidence) if set.desired <= replicas && !set.evidence => {
            Progress::NotYet(format!("the set of {arm} is not marked as evidence"))
        }
        (Some(set), Purpose::Evidence | Purpose::CleanUp) if set.desired <= replicas => {
            Progress::Met
        }
        (Some(set), Purpose::Evidence | Purpose::CleanUp) => {
            Progress::NotYet(format!("the set of {arm} still has {} replicas", set.desired))
        }
    }
}

/// What is missing, with what the pods wait for, where that is known.
fn with_reason(told: String, set: &SetFacts) -> String {
    match set.refused.as_ref().or(set.waiting.as_ref()) {
        Some(why) => format!("{told}: {why}"),
        None => told,
    }
}

fn restored(snapshot: &Snapshot, revision: &str) -> Progress {
    match snapshot.config.value() {
        None => Progress::Unknown("the configuration repository could not be read".to_owned()),
        Some(config) if config.git_revision != revision => {
            let (is, wanted) = (short(&config.git_revision), short(revision));
            Progress::NotYet(format!("Git holds {is}, not {wanted}"))
        }
        Some(config) if config.live_revision != revision => Progress::NotYet(format!(
            "the environment runs {}, not {}",
            short(&config.live_revision),
            short(revision)
        )),
        Some(_) => Progress::Met,
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate { gate } => write!(f, "gate {}", gate.name()),
            Self::SetModule { name, version: Some(version) } => {
                write!(f, "pin module {name} to {version}")
            }
            Self::SetModule { name, version: None } => write!(f, "remove module {name}"),
            Self::Migrate { id } => write!(f, "apply migration {id}"),
            Self::SetFlag { key, enabled } => {
                write!(f, "turn flag {key} {}", if *enabled { "on" } else { "off" })
            }
            Self::CreateSet { replicas, .. } => {
                write!(f, "create the candidate's set with {}, out of traffic", count(*replicas))
            }
            Self::Scale { arm, replicas, purpose } => match purpose {
                Purpose::Capacity => write!(f, "scale {arm} to {}, ready", count(*replicas)),
                Purpose::Evidence => write!(f, "keep {arm} as evidence with {}", count(*replicas)),
                Purpose::CleanUp => write!(f, "scale {arm} down to {replicas}"),
            },
            Self::SetWeight { candidate } => write!(f, "send {candidate} to the candidate"),
            Self::Analyse { at_least } if at_least.is_zero() => {
                f.write_str("judge the signals until they pass")
            }
            Self::Analyse { at_least } => write!(f, "judge the signals for {at_least}"),
            Self::Approve { question } => write!(f, "ask a person: {question}"),
            Self::Bake { length } => write!(f, "watch the candidate at 100% for {length}"),
            Self::MarkKnownGood { release } => write!(f, "record {release} as known good"),
            Self::KeepPrevious { length } => {
                write!(f, "keep the previous release ready for {length}")
            }
            Self::SetConfig { revision } => {
                write!(f, "make Git and the environment hold {}", short(revision))
            }
            Self::Quarantine { digests } => {
                let digests: Vec<_> = digests.iter().map(Digest::short).collect();
                write!(f, "quarantine {}", digests.join(", "))
            }
            Self::Settle { length } => write!(f, "watch for {length} that traffic stays there"),
            Self::ConfirmRecovery => f.write_str("judge the signals until they have recovered"),
            Self::Notify { message } => write!(f, "notify: {message}"),
            Self::CheckResidue => f.write_str("list what is left behind"),
        }
    }
}

/// So many replicas, in words.
fn count(replicas: u32) -> String {
    if replicas == 1 { "1 replica".to_owned() } else { format!("{replicas} replicas") }
}

/// The first characters of a commit, as people quote it.
fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}
