//! Which way back: the decision order, with the reasons for the choice and against the others.
//!
//! 1. No user traffic ever reached the candidate: cancel.
//! 2. Candidate and stable degrade alike: hold, the release is not shown to be the cause.
//! 3. The target must be fit; if it is not, older good releases are tried, then flag off or
//!    forward.
//! 4. A data boundary was crossed: data-aware. Flag off if a flag guards the change; otherwise a
//!    person decides between a fix forward and a restore. Never automatic.
//! 5. Infrastructure changed in the same release: one combined plan, traffic first.
//! 6. Only the configuration changed, or it moved after the release was recorded: config.
//! 7. Otherwise traffic, followed by the commit that makes Git agree.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Brief;
use crate::policy::{External, Gate};
use crate::release::{Migration, ModuleChange, PreviousRelease, ReleaseRef};
use crate::snapshot::{Fact, Snapshot, TargetFacts};
use crate::units::{Name, Span, Weight};

/// A rollback pattern.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Pattern {
    /// Halt before any user traffic was shifted.
    #[serde(rename = "cancel")]
    Cancel,
    /// Point the route back to the previous release.
    #[serde(rename = "traffic")]
    Traffic,
    /// Reapply the last known-good configuration commit.
    #[serde(rename = "config")]
    Config,
    /// Traffic first, then configuration and modules in reverse dependency order.
    #[serde(rename = "traffic+config")]
    Combined,
    /// Flags, a fix forward, or a restore.
    #[serde(rename = "data-aware")]
    DataAware,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cancel => "cancel",
            Self::Traffic => "traffic",
            Self::Config => "config",
            Self::Combined => "traffic+config",
            Self::DataAware => "data-aware",
        })
    }
}

/// Why the way back is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Cause {
    /// Planned in advance: a signal turns bad at this point.
    Planned,
    /// A gate did not pass.
    Gate {
        /// Which one.
        gate: Gate,
        /// What it said.
        message: String,
        /// Whether the image itself is at fault.
        blames_image: bool,
    },
    /// A step can never be done.
    Impossible {
        /// Name of the step.
        step: String,
        /// Why not.
        message: String,
        /// Whether the image itself is at fault.
        blames_image: bool,
    },
    /// A step's time is over.
    Deadline {
        /// Name of the step.
        step: String,
        /// What was still awaited.
        waiting_for: String,
        /// The time that it had.
        within: Span,
    },
    /// Traffic does not show the share that was asked for.
    NotFlipped {
        /// Share that was asked for.
        asked: Weight,
        /// Probes that reached the candidate.
        hits: u64,
        /// All probes.
        probes: u64,
        /// The time that it had.
        within: Span,
    },
    /// A signal is over its limit.
    Signal {
        /// Its name.
        signal: Name,
        /// What was measured, against the limit.
        message: String,
        /// Bad windows in a row.
        windows: u32,
    },
    /// A signal is over its limit on both arms alike.
    SharedCause {
        /// Its name.
        signal: Name,
        /// What was measured, on both arms.
        message: String,
    },
    /// A signal had no data for too long.
    NoData {
        /// Its name.
        signal: Name,
        /// What the query found, as far as known.
        message: String,
        /// How long.
        after: Span,
    },
    /// There was data, but never enough to judge.
    Inconclusive {
        /// Its name.
        signal: Name,
        /// What was missing.
        message: String,
        /// How long.
        after: Span,
    },
    /// Nobody answered in time.
    NotApproved {
        /// The question.
        question: String,
    },
    /// A person asked for it.
    Operator {
        /// The command.
        command: String,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planned => f.write_str("a signal turns bad"),
            Self::Gate { gate, message, .. } => write!(f, "gate {}: {message}", gate.name()),
            Self::Impossible { message, .. } => f.write_str(message),
            Self::Deadline { waiting_for, within, .. } => {
                write!(f, "after {within} still waiting: {waiting_for}")
            }
            Self::NotFlipped { asked, hits, probes, within } => write!(
                f,
                "{hits} of {probes} probes reach the candidate after {within}, {asked} was asked for"
            ),
            Self::Signal { signal, message, windows } => {
                write!(f, "{signal} {message} in {windows} windows")
            }
            Self::SharedCause { signal, message } => {
                write!(f, "{signal} is bad on both releases alike: {message}")
            }
            Self::NoData { signal, message, after } => {
                write!(f, "{signal} has had no data for {after}: {message}")
            }
            Self::Inconclusive { signal, message, after } => {
                write!(f, "{signal} is still inconclusive after {after}: {message}")
            }
            Self::NotApproved { question } => write!(f, "nobody answered: {question}"),
            Self::Operator { command } => write!(f, "a person asked: {command}"),
        }
    }
}

/// How far a rollout has come. Facts that only the machine knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reached {
    /// A weight above zero was asked for. From then on user traffic may have reached the
    /// candidate, whether or not it was seen to.
    pub exposed: bool,
    /// The candidate took all traffic and was recorded as known good.
    pub promoted: bool,
    /// Migrations that were asked for, by id.
    pub migrations: BTreeSet<String>,
    /// Modules that were asked for, by name.
    pub modules: BTreeSet<Name>,
    /// Flags that were asked for, by key.
    pub flags: BTreeSet<Name>,
}

impl Reached {
    /// How far things are before the first step: what a pipeline carried out itself is there
    /// already, and is taken for applied, because unknown is never good.
    #[must_use]
    pub fn at_start(brief: &Brief) -> Self {
        let mut reached = Self::default();
        if brief.policy.leaves_out(External::Migrations) {
            let new = brief.candidate.new_migrations(&brief.stable);
            reached.migrations.extend(new.map(|migration| migration.id.clone()));
        }
        if brief.policy.leaves_out(External::Infrastructure) {
            let changes = brief.candidate.changed_modules(&brief.stable);
            let destroyed =
                changes.iter().filter(|(_, change)| *change == ModuleChange::Destructive);
            reached.modules.extend(destroyed.map(|(module, _)| module.name.clone()));
        }
        reached
    }
}

/// Why nothing is done without a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HoldReason {
    /// Both arms degrade alike.
    SharedCause,
    /// No release is fit to take the traffic.
    NoFitTarget {
        /// Why none is.
        why: Vec<String>,
    },
    /// A data boundary was crossed, and no flag guards it.
    DataBoundary {
        /// Migrations that were crossed.
        migrations: Vec<String>,
        /// How old the verified backup is; writes since then would be lost.
        data_loss: Option<Span>,
        /// How long the tried restore took.
        downtime: Option<Span>,
    },
    /// Infrastructure that bears data was destroyed or recreated.
    Destroyed {
        /// Modules.
        modules: Vec<Name>,
    },
    /// The policy asks for a person.
    Policy,
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SharedCause => f.write_str("the release is not shown to be the cause"),
            Self::NoFitTarget { why } => {
                write!(f, "no release is fit to take the traffic: {}", why.join("; "))
            }
            Self::DataBoundary { migrations, data_loss, downtime } => {
                write!(
                    f,
                    "the previous release cannot run on the data ({}); fix forward, or approve a \
                     restore",
                    migrations.join(", ")
                )?;
                match (data_loss, downtime) {
                    (Some(loss), Some(downtime)) => {
                        write!(f, " that loses {loss} of writes and takes about {downtime}")
                    }
                    _ => f.write_str(" (no verified backup is known)"),
                }
            }
            Self::Destroyed { modules } => {
                let modules: Vec<_> = modules.iter().map(Name::as_str).collect();
                write!(f, "infrastructure that bears data was replaced: {}", modules.join(", "))
            }
            Self::Policy => f.write_str("the policy asks for a person"),
        }
    }
}

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Choice {
    /// Go back with this pattern.
    Back(Pattern),
    /// Turn this flag off; the candidate keeps its traffic.
    FlagOff(Name),
    /// Do nothing without a person.
    Hold(HoldReason),
}

impl Choice {
    /// The pattern, if something is done.
    #[must_use]
    pub const fn pattern(&self) -> Option<Pattern> {
        match self {
            Self::Back(pattern) => Some(*pattern),
            Self::FlagOff(_) => Some(Pattern::DataAware),
            Self::Hold(_) => None,
        }
    }
}

/// Why a pattern was chosen or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PatternReason {
    /// The pattern.
    pub pattern: Pattern,
    /// Whether it was chosen.
    pub chosen: bool,
    /// Why, or why not.
    pub why: String,
}

/// What was decided, and why not otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// What was chosen.
    pub choice: Choice,
    /// The release that takes the traffic, where one does.
    pub target: Option<ReleaseRef>,
    /// A sentence on every pattern.
    pub reasons: Vec<PatternReason>,
    /// What could not be checked.
    pub unchecked: Vec<String>,
}

/// Whether a release could serve again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fitness {
    fit: bool,
    why_not: Vec<String>,
    unchecked: Vec<String>,
}

/// Decides the way back.
#[must_use]
pub fn decide(brief: &Brief, reached: &Reached, snapshot: &Snapshot, cause: &Cause) -> Decision {
    let mut order = Order::default();
    let choice = in_order(brief, reached, snapshot, cause, &mut order);
    order.finish(choice)
}

fn in_order(
    brief: &Brief,
    reached: &Reached,
    snapshot: &Snapshot,
    cause: &Cause,
    order: &mut Order,
) -> Choice {
    if !reached.exposed && !breaks_at_once(brief, snapshot) {
        order.chose(Pattern::Cancel, "no user traffic was ever sent to the candidate");
        return Choice::Back(Pattern::Cancel);
    }
    order.against(
        Pattern::Cancel,
        if reached.exposed {
            "user traffic was sent to the candidate"
        } else {
            "the release that serves cannot run on the new schema"
        },
    );
    if matches!(cause, Cause::SharedCause { .. }) {
        return Choice::Hold(HoldReason::SharedCause);
    }
    let fit = first_fit(brief, snapshot, order);
    if let Some(choice) = across_data(brief, reached, snapshot, order) {
        return choice;
    }
    if let Some(revision) = moved_config(brief, reached, snapshot) {
        order.target = Some(brief.candidate.reference());
        order.chose(
            Pattern::Config,
            format!("the images are the recorded ones, the configuration moved to {revision}"),
        );
        return Choice::Back(Pattern::Config);
    }
    if let Err(why) = fit {
        return without_target(brief, snapshot, why, order);
    }
    if let Some(choice) = across_infrastructure(brief, reached, order) {
        return choice;
    }
    if only_config(brief) {
        order.chose(Pattern::Config, "both releases run the same images");
        return Choice::Back(Pattern::Config);
    }
    order.against(Pattern::Config, "the images differ, configuration alone does not go back");
    order.chose(Pattern::Traffic, "the previous release still stands and is fit to serve");
    Choice::Back(Pattern::Traffic)
}

/// Step 3: the first release that is fit, stable first.
fn first_fit(brief: &Brief, snapshot: &Snapshot, order: &mut Order) -> Result<(), Vec<String>> {
    let mut why = Vec::new();
    for target in &snapshot.targets {
        let fitness = fitness(brief, snapshot, target);
        if fitness.fit && target.is_stable_arm {
            order.target = Some(target.release.clone());
            order.unchecked = fitness.unchecked;
            return Ok(());
        }
        why.push(if fitness.fit {
            format!("{} is fit, but has no set standing: release it again", target.release.version)
        } else {
            format!("{}: {}", target.release.version, fitness.why_not.join(", "))
        });
    }
    if why.is_empty() {
        why.push("no earlier release is known".to_owned());
    }
    Err(why)
}

/// A standing, ready set serves without the registry, so an unknown fact about the registry does
/// not rule it out; it is named instead. Anything that is known to be wrong does.
fn fitness(brief: &Brief, snapshot: &Snapshot, target: &TargetFacts) -> Fitness {
    let set = target.is_stable_arm.then(|| snapshot.set(crate::snapshot::Arm::Stable)).flatten();
    let stands = set.is_some_and(|set| set.ready > 0);
    let mut fitness = Fitness { fit: true, why_not: Vec::new(), unchecked: Vec::new() };
    let mut check = |fact: &Fact<bool>, wrong: &str| match fact {
        Fact::Known { value: true, .. } => {}
        Fact::Known { value: false, .. } => fitness.why_not.push(wrong.to_owned()),
        Fact::Unknown { reason } if stands => fitness.unchecked.push(reason.clone()),
        Fact::Unknown { reason } => fitness.why_not.push(format!("not known: {reason}")),
    };
    if !stands {
        check(&target.in_registry, "its image is not in the registry");
    }
    check(&target.admitted, "today's admission refuses it");
    check(&target.config_restorable, "its configuration cannot be restored");
    check(&target.has_capacity, "there is no room for it");
    match &target.reintroduces {
        Fact::Known { value, .. } if value.is_empty() => {}
        Fact::Known { value, .. } => {
            fitness.why_not.push(format!("it brings back {}", value.join(", ")));
        }
        Fact::Unknown { reason } => fitness.unchecked.push(reason.clone()),
    }
    let quarantined = snapshot.quarantine.value().is_some_and(|held| {
        target.is_stable_arm
            && brief.stable.spec.images.iter().any(|image| held.contains(&image.digest))
    });
    if quarantined {
        fitness.why_not.push("its image is in quarantine".to_owned());
    }
    fitness.fit = fitness.why_not.is_empty();
    fitness
}

/// Step 3, no release is fit: flag off where one guards the change, otherwise a person.
fn without_target(
    brief: &Brief,
    snapshot: &Snapshot,
    why: Vec<String>,
    order: &mut Order,
) -> Choice {
    order.against(Pattern::Traffic, "no release is fit to take the traffic");
    order.against(Pattern::Combined, "no release is fit to take the traffic");
    order.against(Pattern::Config, "the images differ, configuration alone does not go back");
    let flag = brief
        .candidate
        .new_migrations(&brief.stable)
        .filter_map(|migration| migration.guarded_by.clone())
        .find(|flag| is_on(snapshot, flag));
    if let Some(flag) = flag {
        order.chose(Pattern::DataAware, format!("flag {flag} guards the change"));
        return Choice::FlagOff(flag);
    }
    Choice::Hold(HoldReason::NoFitTarget { why })
}

/// Step 4: whether old code can still run on the data.
fn across_data(
    brief: &Brief,
    reached: &Reached,
    snapshot: &Snapshot,
    order: &mut Order,
) -> Option<Choice> {
    let crossed: Vec<&Migration> = brief
        .candidate
        .new_migrations(&brief.stable)
        .filter(|migration| is_crossed(migration, reached, snapshot))
        .collect();
    if crossed.is_empty() {
        order.against(Pattern::DataAware, "the previous release still runs on the data");
        return None;
    }
    let ids: Vec<_> = crossed.iter().map(|migration| migration.id.clone()).collect();
    let why = format!("{}: {}", crossed[0].id, crossed[0].previous_release);
    for pattern in [Pattern::Traffic, Pattern::Combined, Pattern::Config] {
        order.against(pattern, why.clone());
    }
    let guards: BTreeSet<&Name> =
        crossed.iter().filter_map(|migration| migration.guarded_by.as_ref()).collect();
    let all_guarded = crossed.iter().all(|migration| migration.guarded_by.is_some());
    if let (true, Some(flag), 1) = (all_guarded, guards.first(), guards.len())
        && is_on(snapshot, flag)
    {
        order.target = None;
        order.chose(Pattern::DataAware, format!("{why}; flag {flag} guards the change"));
        return Some(Choice::FlagOff((*flag).clone()));
    }
    let backup = snapshot.database.value().and_then(|db| db.verified_backup.clone());
    Some(Choice::Hold(HoldReason::DataBoundary {
        migrations: ids,
        data_loss: backup.as_ref().map(|backup| backup.age),
        downtime: backup.map(|backup| backup.restore_took),
    }))
}

/// Whether the release that serves is broken by a migration, whoever gets the traffic. Halting the
/// pipeline then takes nothing back.
fn breaks_at_once(brief: &Brief, snapshot: &Snapshot) -> bool {
    let nothing = Reached::at_start(brief);
    brief
        .candidate
        .new_migrations(&brief.stable)
        .any(|migration| is_crossed(migration, &nothing, snapshot))
}

/// Whether a migration keeps the previous release from running.
fn is_crossed(migration: &Migration, reached: &Reached, snapshot: &Snapshot) -> bool {
    let seen = snapshot.database.value().map(|db| db.applied.contains(&migration.id));
    let applied = seen.unwrap_or_else(|| reached.migrations.contains(&migration.id));
    match migration.previous_release {
        PreviousRelease::Works => false,
        PreviousRelease::WorksUntilWritten | PreviousRelease::DependsOnData => {
            applied && reached.exposed
        }
        PreviousRelease::WritesFail
        | PreviousRelease::ReadsFail
        | PreviousRelease::DataDestroyed
        | PreviousRelease::Unknown => applied,
    }
}

fn is_on(snapshot: &Snapshot, flag: &Name) -> bool {
    snapshot.flags.value().and_then(|flags| flags.get(flag)).copied().unwrap_or(false)
}

/// Step 5: what infrastructure needs.
fn across_infrastructure(brief: &Brief, reached: &Reached, order: &mut Order) -> Option<Choice> {
    let changes: Vec<_> = brief
        .candidate
        .changed_modules(&brief.stable)
        .into_iter()
        .filter(|(module, _)| reached.modules.contains(&module.name))
        .collect();
    let destroyed: Vec<_> = changes
        .iter()
        .filter(|(_, change)| *change == ModuleChange::Destructive)
        .map(|(module, _)| module.name.clone())
        .collect();
    if !destroyed.is_empty() {
        for pattern in [Pattern::Traffic, Pattern::Combined, Pattern::Config] {
            order.against(pattern, "infrastructure that bears data was replaced");
        }
        return Some(Choice::Hold(HoldReason::Destroyed { modules: destroyed }));
    }
    let updated: Vec<_> = changes
        .iter()
        .filter(|(_, change)| *change == ModuleChange::Updated)
        .map(|(module, _)| module.name.as_str())
        .collect();
    if updated.is_empty() {
        let why = if changes.is_empty() {
            "no infrastructure changed with the release"
        } else {
            "infrastructure was only added, and stays"
        };
        order.against(Pattern::Combined, why);
        return None;
    }
    order.against(Pattern::Traffic, "infrastructure changed in the same release");
    order.against(Pattern::Config, "the images differ, configuration alone does not go back");
    order.chose(
        Pattern::Combined,
        format!("modules changed in the same release: {}", updated.join(", ")),
    );
    Some(Choice::Back(Pattern::Combined))
}

/// Step 6, second half: the configuration moved after the candidate had proved itself with the
/// configuration that was recorded for it.
fn moved_config(brief: &Brief, reached: &Reached, snapshot: &Snapshot) -> Option<String> {
    let config = snapshot.config.value()?;
    let recorded = &brief.candidate.spec.config.revision;
    let serves_all = snapshot.weight() == Some(Weight::FULL) || reached.promoted;
    (serves_all && &config.live_revision != recorded).then(|| config.live_revision.clone())
}

/// Step 6, first half: nothing but configuration and flags differs.
fn only_config(brief: &Brief) -> bool {
    brief.candidate.same_images(&brief.stable)
        && brief.candidate.new_migrations(&brief.stable).next().is_none()
}

/// Collects the reasons while the order is walked.
#[derive(Default)]
struct Order {
    reasons: Vec<PatternReason>,
    target: Option<ReleaseRef>,
    unchecked: Vec<String>,
}

impl Order {
    fn against(&mut self, pattern: Pattern, why: impl Into<String>) {
        if !self.reasons.iter().any(|reason| reason.pattern == pattern) {
            self.reasons.push(PatternReason { pattern, chosen: false, why: why.into() });
        }
    }

    fn chose(&mut self, pattern: Pattern, why: impl Into<String>) {
        self.reasons.retain(|reason| reason.pattern != pattern);
        self.reasons.push(PatternReason { pattern, chosen: true, why: why.into() });
    }

    fn finish(mut self, choice: Choice) -> Decision {
        let rest = match &choice {
            Choice::Back(Pattern::Cancel) => "nothing has to be taken back from users".to_owned(),
            Choice::Back(pattern) => format!("{pattern} is enough"),
            Choice::FlagOff(flag) => format!("turning flag {flag} off is enough"),
            Choice::Hold(reason) => reason.to_string(),
        };
        for pattern in [
            Pattern::Cancel,
            Pattern::Traffic,
            Pattern::Config,
            Pattern::Combined,
            Pattern::DataAware,
        ] {
            self.against(pattern, rest.clone());
        }
        self.reasons.sort_by_key(|reason| (!reason.chosen, reason.pattern));
        let target = match &choice {
            Choice::Back(Pattern::Cancel) | Choice::FlagOff(_) | Choice::Hold(_) => None,
            Choice::Back(_) => self.target,
        };
        Decision { choice, target, reasons: self.reasons, unchecked: self.unchecked }
    }
}

#[cfg(test)]
mod tests;
