//! A judged window in one line, and what it has in common with its neighbours.

use backout_core::journal::SignalSeen;
use backout_core::judgement::{Observed, Verdict, Window};
use backout_core::units::Weight;

use crate::render::words::clock;

/// A window in words: first what is bad or missing, in full; then what is not decided yet, and what
/// passes.
pub(super) fn in_words(window: Window, weight: Weight, signals: &[SignalSeen]) -> String {
    let of = |wanted: &[State]| {
        let signals = signals.iter().filter(move |signal| wanted.contains(&state(signal)));
        signals.collect::<Vec<_>>()
    };
    let mut parts: Vec<String> =
        of(&[State::Bad, State::NoData]).into_iter().map(in_full).collect();
    for (wanted, title) in [(State::Open, "not decided yet"), (State::Pass, "pass")] {
        let these: Vec<String> = of(&[wanted]).into_iter().map(in_short).collect();
        match these.len() {
            0 => {}
            all if all == signals.len() => parts.push(format!("all {title}: {}", these.join(", "))),
            _ => parts.push(format!("{title}: {}", these.join(", "))),
        }
    }
    let span = format!("{}-{}", clock(window.start), clock(window.end));
    format!("window {span} at {weight}: {}", parts.join("; "))
}

/// What there is to say of windows in which all is well.
pub(super) const ALL_PASS: &str = "all pass";

/// What windows that can be told in one line have in common.
pub(super) fn class(signals: &[SignalSeen]) -> String {
    let states: Vec<String> = signals
        .iter()
        .filter(|signal| state(signal) != State::Pass)
        .map(|signal| format!("{} {}", signal.signal, state(signal).word()))
        .collect();
    if states.is_empty() { ALL_PASS.to_owned() } else { states.join(", ") }
}

/// What a window says about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pass,
    Bad,
    Open,
    NoData,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Pass => "passes",
            Self::Bad => "bad",
            Self::Open => "not decided",
            Self::NoData => "without data",
        }
    }
}

fn state(signal: &SignalSeen) -> State {
    match signal.verdict {
        _ if signal.bad_run > 0 => State::Bad,
        Verdict::Pass => State::Pass,
        Verdict::Fail => State::Bad,
        Verdict::Inconclusive => State::Open,
        Verdict::NoData | Verdict::NotEvaluated => State::NoData,
    }
}

fn in_short(signal: &SignalSeen) -> String {
    // A level is not counted in requests.
    let counted = state(signal) == State::Open && signal.requests > 0;
    let requests = if counted { format!(" (n={})", signal.requests) } else { String::new() };
    format!("{} {}{requests}", signal.signal, value(signal.candidate))
}

fn in_full(signal: &SignalSeen) -> String {
    let SignalSeen { signal: name, limit, requests, verdict, bad_run, .. } = signal;
    let judged = match bad_run {
        0 => verdict.to_string(),
        1 => format!("{verdict}, 1 bad window"),
        _ => format!("{verdict}, {bad_run} bad windows in a row"),
    };
    let (measured, stable) = (value(signal.candidate), value(signal.stable));
    let counted = if *requests > 0 { format!(", n={requests}") } else { String::new() };
    format!("{name} {measured} (limit {limit}, stable {stable}{counted}) {judged}")
}

fn value(observed: Option<Observed>) -> String {
    observed.map_or_else(|| "not measured".to_owned(), |observed| observed.to_string())
}
