//! Rehearsing a project: one run per fault, each held against its answer key.

use std::fmt;
use std::sync::Arc;

use backout_core::journal::{Entry, Header};
use backout_core::machine::{Machine, Outcome};
use backout_core::plan::{Brief, Choice, Pattern, Plan, PlanError, forward};
use backout_core::policy::ReleasePolicy;
use backout_core::units::{Span, Time, Weight};
use backout_judge::Windows;
use serde::Serialize;

use crate::faults::{Ending, Expected, Named, SeenBy};
use crate::oracles;
use crate::run::{Record, Run, header};
use crate::scenario::{Expectation, ExpectedOutcome, FaultPlan};
use crate::world::{Queries, World, WorldSpec};

/// What is rehearsed.
#[derive(Clone, Debug)]
pub struct Project {
    /// Policy, releases, environment.
    pub brief: Arc<Brief>,
    /// What the world is like.
    pub world: Arc<WorldSpec>,
    /// Values keys that the environment really lacks for the candidate's chart.
    pub missing_keys: Arc<[String]>,
    queries: Arc<Queries>,
}

impl Project {
    /// A project to be rehearsed.
    #[must_use]
    pub fn new(brief: Brief, world: WorldSpec, missing_keys: Vec<String>) -> Self {
        let queries = Arc::new(Queries::new(&world.families));
        Self {
            brief: Arc::new(brief),
            world: Arc::new(world),
            missing_keys: missing_keys.into(),
            queries,
        }
    }

    /// The project's world before a release, healthy.
    #[must_use]
    pub fn healthy_world(&self, brief: Arc<Brief>, seed: u64) -> World {
        World::new(
            brief,
            Arc::clone(&self.world),
            Arc::clone(&self.missing_keys),
            Arc::clone(&self.queries),
            seed,
        )
    }

    /// The same project under another policy.
    #[must_use]
    pub fn with_policy(&self, policy: ReleasePolicy) -> Self {
        let mut brief = (*self.brief).clone();
        brief.policy = Arc::new(policy);
        Self { brief: Arc::new(brief), ..self.clone() }
    }
}

/// What a run is held against.
#[derive(Clone, Debug)]
pub enum AnswerKey {
    /// The run without a fault: promoted.
    Healthy,
    /// A named fault's answer key.
    Fault(Expected),
    /// A scenario file's expectation.
    Scenario(Expectation),
    /// Nothing but the oracles.
    OraclesOnly,
}

/// How a run came out, as classes that can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Promoted, and nobody was harmed.
    Unaffected,
    /// Halted before user traffic.
    Cancelled,
    /// Back, in time.
    RolledBack,
    /// Waits for a person.
    Held,
    /// Back, but later than the policy allows.
    Late,
    /// Never came to an end.
    Wedged,
    /// Users were harmed beyond the policy's budget, or a bad release was promoted.
    HarmedUsers,
    /// A safety property was broken.
    Unsafe,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unaffected => "unaffected",
            Self::Cancelled => "cancelled",
            Self::RolledBack => "rolled back",
            Self::Held => "held",
            Self::Late => "late",
            Self::Wedged => "wedged",
            Self::HarmedUsers => "harmed users",
            Self::Unsafe => "unsafe",
        })
    }
}

/// One rehearsed run.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// Name of the fault or scenario.
    pub name: String,
    /// What was planned.
    pub plan: Arc<Plan>,
    /// What is known about the run.
    pub record: Record,
    /// The header of its journal.
    pub header: Header,
    /// What is not as expected; empty when everything is.
    pub unexpected: Vec<String>,
    /// How it came out.
    pub class: Class,
}

impl Rehearsed {
    /// Whether everything is as expected.
    #[must_use]
    pub const fn is_as_expected(&self) -> bool {
        self.unexpected.is_empty()
    }

    /// From the moment that something was wrong until it was noticed; `None` when nothing was
    /// noticed, or it was noticed before any user traffic.
    #[must_use]
    pub fn noticed_after(&self) -> Option<Span> {
        let triggered = self.record.triggered.filter(|_| self.record.exposed_before)?;
        let struck = self.record.struck?;
        Some(triggered.since(self.since(struck)))
    }

    /// A fault that struck before user traffic can be noticed by users from the first request on.
    fn since(&self, struck: Time) -> Time {
        self.record.exposed_at.map_or(struck, |exposed| struck.max(exposed))
    }

    /// From the decision to go back until no user was served badly.
    #[must_use]
    pub fn back_in(&self) -> Option<Span> {
        self.record.pattern()?;
        let (triggered, safe) = (self.record.triggered?, self.record.safe?);
        self.record.exposed_before.then(|| safe.since(triggered))
    }

    /// The journal's entries, if it was kept.
    #[must_use]
    pub fn journal(&self) -> &[Entry] {
        self.record.journal.as_deref().unwrap_or_default()
    }
}

/// How a run is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Seed of the world.
    pub seed: u64,
    /// Whether the journal is kept.
    pub journal: bool,
    /// Whether every new step is forked to see that a rollback from there would work (L3).
    pub forks: bool,
}

/// Rehearses one fault plan.
///
/// # Errors
/// When no plan can be made.
pub fn rehearse(
    project: &Project,
    faults: &FaultPlan,
    key: &AnswerKey,
    options: Options,
) -> Result<Rehearsed, PlanError> {
    let mut run = prepare(project, faults, options)?;
    let plan = run.plan();
    let header = header(&project.brief, &faults.name, options.seed);
    if options.journal {
        run = run.with_journal();
    }
    if options.forks {
        run = run.with_forks();
    }
    let record = run.to_end(&mut oracles::all());
    let unexpected = unexpected(&record, &plan, key);
    let class = classify(&record);
    Ok(Rehearsed { name: faults.name.clone(), plan, record, header, unexpected, class })
}

/// A run before its first event.
///
/// # Errors
/// When no plan can be made.
pub fn prepare(
    project: &Project,
    faults: &FaultPlan,
    options: Options,
) -> Result<Run<Machine>, PlanError> {
    let mut brief = (*project.brief).clone();
    for planned in &faults.faults {
        planned.fault.prepare(&mut brief);
    }
    let brief = Arc::new(brief);
    let world = project.healthy_world(Arc::clone(&brief), options.seed);
    let plan = Arc::new(forward::plan(&brief, &world.snapshot())?);
    let machine = Machine::new(brief, Arc::clone(&plan), Arc::new(Windows))?;
    Ok(Run::new(machine, world, plan, Arc::new(faults.clone())))
}

/// Rehearses the healthy run and every named fault.
///
/// # Errors
/// When no plan can be made.
pub fn rehearse_all(
    project: &Project,
    named: &[Named],
    options: Options,
) -> Result<Vec<Rehearsed>, PlanError> {
    let mut rows = vec![rehearse(project, &FaultPlan::none(), &AnswerKey::Healthy, options)?];
    for fault in named {
        let key = AnswerKey::Fault(fault.about.expected);
        rows.push(rehearse(project, &FaultPlan::from(fault), &key, options)?);
    }
    Ok(rows)
}

fn classify(record: &Record) -> Class {
    let broke = |numbers: &[&str]| {
        record.violations.iter().any(|violation| numbers.contains(&violation.oracle))
    };
    let safety = ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "L3"];
    if broke(&safety) || matches!(record.outcome, Some(Outcome::RollbackFailed(_))) {
        return Class::Unsafe;
    }
    if record.cut_off || broke(&["L4"]) {
        return Class::Wedged;
    }
    if broke(&["S11"]) {
        return Class::HarmedUsers;
    }
    if broke(&["L2"]) {
        return Class::Late;
    }
    match &record.outcome {
        Some(Outcome::Cancelled) => Class::Cancelled,
        Some(Outcome::RolledBack(_)) => Class::RolledBack,
        Some(Outcome::Held(_)) => Class::Held,
        Some(Outcome::Promoted | Outcome::RolledForward) if record.bad_requests > 0 => {
            Class::HarmedUsers
        }
        Some(Outcome::Promoted | Outcome::RolledForward) => Class::Unaffected,
        Some(Outcome::RollbackFailed(_)) | None => Class::Wedged,
    }
}

/// Holds a run against its answer key.
fn unexpected(record: &Record, plan: &Plan, key: &AnswerKey) -> Vec<String> {
    let mut list = Vec::new();
    if record.cut_off {
        let (horizon, waiting_for) = (record.horizon, &record.waiting_for);
        list.push(format!("still progressing after {horizon}, waiting for: {waiting_for}"));
    }
    match key {
        AnswerKey::OraclesOnly => {}
        AnswerKey::Healthy => ended(record, &[Wanted::Promoted], &mut list),
        AnswerKey::Fault(expected) => {
            noticed(record, expected.seen_by, &mut list);
            ended(record, &wanted(expected.ending, record, plan), &mut list);
        }
        AnswerKey::Scenario(expectation) => {
            ended(record, &[from_scenario(expectation)], &mut list);
        }
    }
    // What a person expects comes first; the oracles then say which property broke.
    let wedged = record.cut_off;
    let rest = record.violations.iter().filter(|found| !(wedged && found.oracle == "L4"));
    list.extend(rest.map(ToString::to_string));
    list
}

/// An ending that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Promoted,
    Back(Pattern),
    BackSomehow,
    Held,
    Failed,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promoted => f.write_str("promoted"),
            Self::Back(pattern) => write!(f, "back by {pattern}"),
            Self::BackSomehow => f.write_str("rolled back"),
            Self::Held => f.write_str("held for a person"),
            Self::Failed => f.write_str("rollback failed"),
        }
    }
}

fn from_scenario(expectation: &Expectation) -> Wanted {
    match (expectation.outcome, expectation.pattern) {
        (ExpectedOutcome::Promoted, _) => Wanted::Promoted,
        (ExpectedOutcome::Cancelled, _) => Wanted::Back(Pattern::Cancel),
        (ExpectedOutcome::RolledBack, Some(pattern)) => Wanted::Back(pattern),
        (ExpectedOutcome::RolledBack, None) => Wanted::BackSomehow,
        (ExpectedOutcome::Held, _) => Wanted::Held,
        (ExpectedOutcome::RollbackFailed, _) => Wanted::Failed,
    }
}

/// What the plan said in advance about the step at which the run turned.
fn wanted(ending: Ending, record: &Record, plan: &Plan) -> Vec<Wanted> {
    match ending {
        Ending::Promoted => vec![Wanted::Promoted],
        Ending::Back(pattern) => vec![Wanted::Back(pattern)],
        Ending::Held => vec![Wanted::Held],
        Ending::HeldIfComparable if record.triggered_weight < Weight::FULL => vec![Wanted::Held],
        Ending::AsPlanned | Ending::HeldIfComparable => {
            let step = record.triggered_at_step.unwrap_or(plan.steps.len() - 1);
            let way = plan.ways_back.iter().find(|way| (way.from..=way.to).contains(&step));
            way.map(|way| match &way.decision.choice {
                Choice::Back(pattern) => Wanted::Back(*pattern),
                Choice::FlagOff(_) => Wanted::Back(Pattern::DataAware),
                Choice::Hold(_) => Wanted::Held,
            })
            .into_iter()
            .collect()
        }
    }
}

fn ended(record: &Record, wanted: &[Wanted], list: &mut Vec<String>) {
    let is = match &record.outcome {
        Some(Outcome::Promoted | Outcome::RolledForward) => Wanted::Promoted,
        Some(Outcome::Cancelled) => Wanted::Back(Pattern::Cancel),
        Some(Outcome::RolledBack(pattern)) => Wanted::Back(*pattern),
        Some(Outcome::Held(_)) => Wanted::Held,
        Some(Outcome::RollbackFailed(_)) => Wanted::Failed,
        None => return,
    };
    let fits = wanted.iter().any(|wanted| {
        *wanted == is || (*wanted == Wanted::BackSomehow && matches!(is, Wanted::Back(_)))
    });
    if !fits {
        let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        list.push(format!("it ended {is}, not {}", wanted.join(" or ")));
    }
}

fn noticed(record: &Record, seen_by: &[SeenBy], list: &mut Vec<String>) {
    match record.cause.as_ref().map(|cause| (cause, SeenBy::of(cause))) {
        Some((_, seen)) if seen_by.contains(&seen) => {}
        Some((cause, _)) => {
            let wanted: Vec<_> = seen_by.iter().map(ToString::to_string).collect();
            list.push(format!("it was noticed by: {cause}; not by {}", wanted.join(" or ")));
        }
        None => list.push("nothing noticed it".to_owned()),
    }
}
