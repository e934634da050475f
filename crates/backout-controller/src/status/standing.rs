//! Where a run stands, in one word, and what it waits for.

use backout_core::judgement::Verdict;
use backout_core::machine::{At, Outcome, Phase, Request, State, TimerReason, Watch};
use backout_core::plan::{Action, Stage, Step};
use backout_core::units::Time;

/// Where a run stands. The words are stable: `phase` and the reasons of conditions are made of
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not begun.
    Pending,
    /// The world is read before the first step.
    Surveying,
    /// Gates are run.
    CheckingGates,
    /// The candidate is made ready, without user traffic.
    Preparing,
    /// User traffic moves, and is watched.
    Shifting,
    /// A person was asked, and has not answered.
    AwaitingApproval,
    /// A person paused the rollout.
    Paused,
    /// All traffic is on the candidate, and is watched.
    Baking,
    /// Promoted; the previous release is still ready.
    KeepingPrevious,
    /// Both releases degrade alike: stands still and goes on watching.
    Holding,
    /// Waits for a person.
    Held,
    /// The way back is being decided.
    Deciding,
    /// The way back is under way.
    RollingBack,
    /// Ended: the release serves and is known good.
    Promoted,
    /// Ended: mended by going on.
    RolledForward,
    /// Ended: given up before any user traffic.
    Cancelled,
    /// Ended: users are back where they were.
    RolledBack,
    /// Ended: the way back did not work.
    RollbackFailed,
}

impl Standing {
    /// Where the run stands.
    #[must_use]
    pub fn of(state: &State) -> Self {
        match state.phase {
            Phase::Ready => Self::Pending,
            Phase::Surveying => Self::Surveying,
            Phase::Forward => Self::forward(state),
            Phase::Deciding => Self::Deciding,
            Phase::Back => Self::RollingBack,
            Phase::Holding => Self::Holding,
            Phase::Held => Self::Held,
            Phase::Ended => match &state.outcome {
                Some(Outcome::Promoted) | None => Self::Promoted,
                Some(Outcome::RolledForward) => Self::RolledForward,
                Some(Outcome::Cancelled) => Self::Cancelled,
                Some(Outcome::RolledBack(_)) => Self::RolledBack,
                Some(Outcome::Held(_)) => Self::Held,
                Some(Outcome::RollbackFailed(_)) => Self::RollbackFailed,
            },
        }
    }

    fn forward(state: &State) -> Self {
        if state.track.at == At::Paused {
            return Self::Paused;
        }
        match state.track.step() {
            Some(Step { action: Action::Approve { .. }, .. }) => Self::AwaitingApproval,
            Some(step) => match step.stage {
                Stage::Gates => Self::CheckingGates,
                Stage::Prepare => Self::Preparing,
                Stage::Bake => Self::Baking,
                Stage::Keep => Self::KeepingPrevious,
                Stage::Shift | Stage::Ready | Stage::Return | Stage::Stick | Stage::Close => {
                    Self::Shifting
                }
            },
            None => Self::KeepingPrevious,
        }
    }

    /// Every standing, in the order in which a run may go through them.
    pub const ALL: [Self; 18] = [
        Self::Pending,
        Self::Surveying,
        Self::CheckingGates,
        Self::Preparing,
        Self::Shifting,
        Self::AwaitingApproval,
        Self::Paused,
        Self::Baking,
        Self::KeepingPrevious,
        Self::Holding,
        Self::Held,
        Self::Deciding,
        Self::RollingBack,
        Self::Promoted,
        Self::RolledForward,
        Self::Cancelled,
        Self::RolledBack,
        Self::RollbackFailed,
    ];

    /// The standing of this word, as a status has it; `None` for a word of another version.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.word() == word)
    }

    /// The stable word, in upper camel case.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Surveying => "Surveying",
            Self::CheckingGates => "CheckingGates",
            Self::Preparing => "Preparing",
            Self::Shifting => "Shifting",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Paused => "Paused",
            Self::Baking => "Baking",
            Self::KeepingPrevious => "KeepingPrevious",
            Self::Holding => "Holding",
            Self::Held => "Held",
            Self::Deciding => "Deciding",
            Self::RollingBack => "RollingBack",
            Self::Promoted => "Promoted",
            Self::RolledForward => "RolledForward",
            Self::Cancelled => "Cancelled",
            Self::RolledBack => "RolledBack",
            Self::RollbackFailed => "RollbackFailed",
        }
    }
}

/// What the run waits for: which signal, gate, verification, person or time.
pub(super) fn waiting_for(
    state: &State,
    standing: Standing,
    clock: &dyn Fn(Time) -> String,
) -> Option<String> {
    let until = |reason: TimerReason| {
        let at = state.timers.get(&reason).map(|at| clock(*at));
        at.map_or_else(String::new, |at| format!(", until {at}"))
    };
    match standing {
        Standing::Pending => None,
        Standing::Surveying => Some("a look at the world".to_owned()),
        Standing::Deciding => Some("a look at the world, to decide the way back".to_owned()),
        Standing::Holding => Some(format!(
            "both releases to recover, or a person{}",
            until(TimerReason::HoldDeadline)
        )),
        Standing::Held => Some("a person's decision".to_owned()),
        Standing::RollbackFailed => Some("a person".to_owned()),
        Standing::Paused => {
            Some(format!("a person to resume it{}", until(TimerReason::PauseDeadline)))
        }
        Standing::AwaitingApproval => {
            let question = match state.track.step().map(|step| &step.action) {
                Some(Action::Approve { question }) => question.as_str(),
                _ => "",
            };
            Some(format!("a person's answer: {question}{}", until(TimerReason::StepDeadline)))
        }
        Standing::Promoted
        | Standing::RolledForward
        | Standing::Cancelled
        | Standing::RolledBack => None,
        Standing::CheckingGates
        | Standing::Preparing
        | Standing::Shifting
        | Standing::Baking
        | Standing::KeepingPrevious
        | Standing::RollingBack => in_step(state, clock),
    }
}

fn in_step(state: &State, clock: &dyn Fn(Time) -> String) -> Option<String> {
    let track = &state.track;
    let step = track.step()?;
    let told = Some(track.waiting_for.clone()).filter(|told| !told.is_empty());
    let waiting_for = match track.at {
        At::Start => return None,
        At::Gating(_) => format!("gate {}", gate_of(step)),
        At::Probing(id) => told.unwrap_or_else(|| probes(state.pending.get(&id))),
        // One word for both: whether it is asked for or looked at changes within a moment.
        At::Performing(_) | At::Observing => told.unwrap_or_else(|| to_be_done(&step.action)),
        At::Polling => told.unwrap_or_else(|| "the next look".to_owned()),
        At::Paused => "a person to resume it".to_owned(),
        At::Waiting => match step.action {
            Action::Analyse { .. } | Action::Bake { .. } | Action::ConfirmRecovery => {
                evidence(state, told, clock)
            }
            _ => time(state, clock),
        },
    };
    Some(waiting_for)
}

fn to_be_done(action: &Action) -> String {
    match action {
        Action::Notify { .. } => "people to be told".to_owned(),
        other => format!("it to be seen done: {other}"),
    }
}

fn gate_of(step: &Step) -> String {
    match &step.action {
        Action::Gate { gate } => gate.name().to_owned(),
        other => other.to_string(),
    }
}

fn probes(request: Option<&Request>) -> String {
    match request {
        Some(Request::Probe { expected, probes }) => {
            format!("{probes} probes through the route, to show {expected}")
        }
        _ => "probes through the route".to_owned(),
    }
}

/// What evidence is still missing: which signal, and what its query found.
fn evidence(state: &State, told: Option<String>, clock: &dyn Fn(Time) -> String) -> String {
    let next = state.timers.get(&TimerReason::Window).map(|at| clock(*at));
    let judged = |watch: &Watch| watch.series.iter().all(|series| series.judged.is_some());
    let Some(watch) = state.watch.as_ref().filter(|watch| judged(watch)) else {
        let at = next.map_or_else(String::new, |next| format!(", judged at {next}"));
        return format!("the first window{at}");
    };
    let Some((index, _)) = watch.first_not_passing() else { return time(state, clock) };
    let seen = state.judged.as_ref().and_then(|judged| judged.signals.get(index));
    let missing = seen.map(|seen| match seen.verdict {
        Verdict::NoData | Verdict::NotEvaluated => {
            let note = seen.note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
            format!("data of {}{note}", seen.signal)
        }
        _ if seen.bad_run > 0 => {
            let windows = if seen.bad_run == 1 { "window" } else { "windows in a row" };
            format!(
                "the next window: {} is over its limit in {} {windows}",
                seen.signal, seen.bad_run
            )
        }
        Verdict::Inconclusive | Verdict::Pass => {
            format!("enough windows of {} (n={} in the newest)", seen.signal, seen.requests)
        }
        Verdict::Fail => format!("{} to recover", seen.signal),
    });
    missing.or(told).unwrap_or_else(|| "the next window".to_owned())
}

fn time(state: &State, clock: &dyn Fn(Time) -> String) -> String {
    match state.timers.get(&TimerReason::StepWait) {
        Some(at) => format!("the time to pass, until {}", clock(*at)),
        None => "the next window".to_owned(),
    }
}
