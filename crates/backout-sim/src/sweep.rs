//! Many seeds. Each first draws which faults can occur at all (swarm testing, ISSTA 2012), then
//! draws from those; a failure is shrunk to the fewest faults that still show it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use backout_core::plan::PlanError;
use backout_core::units::Span;

use crate::faults::{ControllerCrash, CrashAt, CrashPoint, Fault, Named};
use crate::rehearse::{AnswerKey, Class, Options, Project, rehearse};
use crate::rng::Stream;
use crate::scenario::{FaultPlan, PlannedFault, Trigger};

/// What a sweep found.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// Seeds that were run.
    pub seeds: u64,
    /// Runs by how they came out.
    pub classes: BTreeMap<Class, u64>,
    /// Runs by the fault that was in them.
    pub exercised: BTreeMap<&'static str, u64>,
    /// The most bad requests that one run cost users.
    pub worst_harm: u64,
    /// Failures, the first ones.
    pub failures: Vec<Failure>,
    /// How many failures there were.
    pub failed: u64,
}

/// A run in which an oracle found something.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// The fewest faults that still show it.
    pub plan: FaultPlan,
    /// What was found.
    pub found: Vec<String>,
}

/// Failures that are kept in full.
const KEPT: usize = 5;

impl Sweep {
    /// Adds another sweep's findings.
    pub fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.failed += other.failed;
        self.worst_harm = self.worst_harm.max(other.worst_harm);
        for (class, count) in other.classes {
            *self.classes.entry(class).or_default() += count;
        }
        for (fault, count) in other.exercised {
            *self.exercised.entry(fault).or_default() += count;
        }
        self.failures.extend(other.failures);
        self.failures.sort_by_key(|failure| failure.seed);
        self.failures.truncate(KEPT);
    }

    /// The rate of failures that n clean runs leave possible at 95 %, in parts per million: 3/n.
    #[must_use]
    pub fn bound_ppm(&self) -> Option<u64> {
        (self.failed == 0 && self.seeds > 0).then(|| 3_000_000_u64.div_ceil(self.seeds))
    }

    /// Named faults that no run had.
    #[must_use]
    pub fn never_exercised(&self, named: &[Named]) -> Vec<&'static str> {
        let had: BTreeSet<_> = self.exercised.keys().copied().collect();
        named.iter().map(|named| named.name).filter(|name| !had.contains(name)).collect()
    }
}

/// The faults of one seed: none or one of those that this seed allows, a little later than its
/// catalogue says, and in half of the seeds a crash of the controller at a drawn effect.
#[must_use]
pub fn draw(seed: u64, named: &[Named]) -> (FaultPlan, Vec<&'static str>) {
    let mut stream = Stream::new(seed, "swarm");
    let allowed: Vec<&Named> = named.iter().filter(|_| stream.chance(300_000)).collect();
    let mut plan = FaultPlan { name: format!("seed {seed}"), faults: Vec::new() };
    let mut names = Vec::new();
    let index = usize::try_from(stream.below(allowed.len() as u64)).unwrap_or(0);
    if let Some(fault) = allowed.get(index).filter(|_| !stream.chance(100_000)) {
        let when = fault.when.later(Span::from_secs(stream.below(300)));
        plan.faults.push(PlannedFault { when, fault: fault.fault.clone() });
        names.push(fault.name);
    }
    let crash = draw_crash(&mut stream);
    if stream.chance(500_000) && !names.contains(&"controller-crash") {
        plan.faults.push(PlannedFault { when: Trigger::Start {}, fault: crash });
        names.push("controller-crash");
    }
    (plan, names)
}

fn draw_crash(stream: &mut Stream) -> Fault {
    let effect = u32::try_from(stream.below(160)).unwrap_or(0);
    let point = match stream.below(3) {
        0 => CrashPoint::BeforeStore,
        1 => CrashPoint::BeforePerform,
        _ => CrashPoint::AfterPerform,
    };
    let down = Span::from_secs(1 + stream.below(20));
    Fault::ControllerCrash(ControllerCrash {
        at: CrashAt::Effect(effect),
        point,
        down,
        bad_release: false,
    })
}

/// Runs the seeds of a range; `progress` is called after each.
///
/// # Errors
/// When no plan can be made.
pub fn sweep(
    project: &Project,
    named: &[Named],
    seeds: Range<u64>,
    progress: &mut dyn FnMut(),
) -> Result<Sweep, PlanError> {
    let mut result = Sweep::default();
    for seed in seeds {
        let (plan, names) = draw(seed, named);
        let found = run_one(project, &plan, seed, &mut result)?;
        for name in names {
            *result.exercised.entry(name).or_default() += 1;
        }
        if !found.is_empty() {
            result.failed += 1;
            if result.failures.len() < KEPT {
                let plan = shrink(project, plan, seed)?;
                result.failures.push(Failure { seed, plan, found });
            }
        }
        progress();
    }
    Ok(result)
}

fn run_one(
    project: &Project,
    plan: &FaultPlan,
    seed: u64,
    result: &mut Sweep,
) -> Result<Vec<String>, PlanError> {
    let options = Options { seed, journal: false, forks: false };
    let run = rehearse(project, plan, &AnswerKey::OraclesOnly, options)?;
    result.seeds += 1;
    *result.classes.entry(run.class).or_default() += 1;
    result.worst_harm = result.worst_harm.max(run.record.bad_requests);
    Ok(run.unexpected)
}

/// Leaves faults out as long as something is still found.
fn shrink(project: &Project, plan: FaultPlan, seed: u64) -> Result<FaultPlan, PlanError> {
    let mut smallest = plan;
    let mut index = 0;
    while index < smallest.faults.len() {
        let mut fewer = smallest.clone();
        fewer.faults.remove(index);
        let mut scratch = Sweep::default();
        if run_one(project, &fewer, seed, &mut scratch)?.is_empty() {
            index += 1;
        } else {
            smallest = fewer;
        }
    }
    Ok(smallest)
}
