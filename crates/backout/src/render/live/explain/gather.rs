//! What a journal says, put together by what it is about.

use std::collections::BTreeMap;

use backout_core::journal::{Entry, Event, Header, SignalSeen};
use backout_core::judgement::{Observed, Window};
use backout_core::machine::{EffectId, Request};
use backout_core::plan::{Cause, Choice, Decision};
use backout_core::policy::{Query, SignalKind};
use backout_core::units::{Name, Time, Weight};

use super::{AskedQuery, Told, Turn};
use crate::render::timeline::in_words;
use crate::render::words::{clock, count, span};

/// What a journal says.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) turns: Vec<Turn>,
    pub(super) verified: Vec<Told>,
    pub(super) people: Vec<Told>,
    pub(super) third_parties: Vec<Told>,
    pub(super) restarts: Vec<Told>,
}

/// Puts a journal together.
pub(super) fn gather(header: &Header, entries: &[Entry]) -> Gathered {
    let mut gatherer = Gatherer {
        header,
        gathered: Gathered::default(),
        step: String::new(),
        seen: None,
        asked: BTreeMap::new(),
        answer: None,
        tries: 0,
        observed: Vec::new(),
        observed_at: Time::ZERO,
    };
    for entry in entries {
        gatherer.take(entry);
    }
    gatherer.observed();
    gatherer.gathered
}

/// Where a run is that has no end yet, and why; nothing for one that has ended.
pub(super) fn under_way(entries: &[Entry]) -> Option<String> {
    let (mut doing, mut waiting) = (String::new(), String::new());
    let (mut turn, mut ended) = (None, false);
    for entry in entries {
        match &entry.event {
            Event::StepStarted { what, .. } => {
                doing.clone_from(what);
                waiting.clear();
            }
            Event::Waiting { for_what, .. } => waiting = format!("; waiting: {for_what}"),
            // A release that was promoted may still go back.
            Event::Triggered { cause } => {
                (turn, ended) = (Some(format!("going back: {}", in_words(cause))), false);
            }
            Event::Held { why, .. } => turn = Some(format!("holding still: {why}")),
            Event::Resumed { .. } => turn = None,
            Event::Ended { .. } => ended = true,
            _ => {}
        }
    }
    if ended {
        return None;
    }
    let newest = entries.last().map_or(Time::ZERO, |entry| entry.at);
    let passed = span(newest.since(Time::ZERO));
    let turn = turn.map_or_else(String::new, |turn| format!("{turn}; "));
    let doing = if doing.is_empty() { "not begun".to_owned() } else { doing };
    Some(format!("{turn}under way for {passed}: {doing}{waiting}"))
}

struct Gatherer<'a> {
    header: &'a Header,
    gathered: Gathered,
    /// What the step at hand does.
    step: String,
    /// The newest judged window.
    seen: Option<(Window, Weight, &'a [SignalSeen])>,
    /// Gates and probes that were asked for.
    asked: BTreeMap<EffectId, &'a Request>,
    /// What the newest of them said in the step at hand.
    answer: Option<&'a str>,
    /// How many of them were answered in the step at hand.
    tries: u32,
    /// Steps that were seen to be done by a look alone.
    observed: Vec<String>,
    /// When the last of them was.
    observed_at: Time,
}

impl<'a> Gatherer<'a> {
    fn take(&mut self, entry: &'a Entry) {
        let at = entry.at;
        match &entry.event {
            Event::StepStarted { what, .. } => {
                self.step.clone_from(what);
                (self.answer, self.tries) = (None, 0);
            }
            Event::Asked {
                effect,
                request: request @ (Request::RunGate(_) | Request::Probe { .. }),
            } => {
                self.asked.insert(*effect, request);
            }
            Event::Answered { effect, answer } if self.asked.remove(effect).is_some() => {
                (self.answer, self.tries) = (Some(answer.as_str()), self.tries + 1);
            }
            Event::StepDone { known_by, .. } => self.step_done(at, known_by),
            Event::LeftUndone { step, why } => {
                self.verified(at, format!("NOT verified, given up as residue: {step}: {why}"));
            }
            Event::Judged { window, weight, signals } => {
                self.seen = Some((*window, *weight, signals));
            }
            Event::Triggered { cause } => self.triggered(at, cause),
            Event::Decided { decision } => self.decided(decision),
            Event::Held { why, until } => self.held(at, why, *until),
            Event::Commanded { command } => {
                self.gathered.people.push(Told { at, what: format!("{command}: taken") });
            }
            Event::Refused { command, why } => {
                let what = format!("{command}: refused, {why}");
                self.gathered.people.push(Told { at, what });
            }
            Event::ThirdParty { what } => {
                self.gathered.third_parties.push(Told { at, what: what.clone() });
            }
            Event::Restarted { pending } => {
                let pending = count(u64::try_from(pending.len()).unwrap_or(u64::MAX), "effect");
                let what = format!("came back; {pending} not answered, so it looked again");
                self.gathered.restarts.push(Told { at, what });
            }
            Event::World { .. }
            | Event::PlanStarted { .. }
            | Event::Waiting { .. }
            | Event::Asked { .. }
            | Event::Answered { .. }
            | Event::Resumed { .. }
            | Event::Took { .. }
            | Event::Ended { .. } => {}
        }
    }

    fn verified(&mut self, at: Time, what: String) {
        self.observed();
        self.gathered.verified.push(Told { at, what });
    }

    /// Steps that a look alone has shown to be done stand together.
    fn observed(&mut self) {
        if !self.observed.is_empty() {
            let steps = std::mem::take(&mut self.observed).join("; ");
            let what = format!("seen in fresh looks at the world: {steps}");
            self.gathered.verified.push(Told { at: self.observed_at, what });
        }
    }

    fn step_done(&mut self, at: Time, known_by: &str) {
        let step = std::mem::take(&mut self.step);
        let how = match self.answer.take() {
            Some(answer) if self.tries > 1 => format!("{answer}, at try {}", self.tries),
            Some(answer) => answer.to_owned(),
            None if known_by == "observed" => {
                self.observed.push(step);
                self.observed_at = at;
                return;
            }
            // Nothing was verified: it was sent, or listed.
            None if matches!(known_by, "sent" | "listed") => return,
            None => match self.seen.filter(|_| known_by == "every signal passes") {
                Some((window, _, signals)) => {
                    let values: Vec<String> = signals.iter().map(value_and_limit).collect();
                    format!(
                        "{known_by}: {} (window until {})",
                        values.join("; "),
                        clock(window.end)
                    )
                }
                None => known_by.to_owned(),
            },
        };
        self.verified(at, format!("{step}: {how}"));
    }

    fn triggered(&mut self, at: Time, cause: &Cause) {
        let mut evidence = Vec::new();
        let mut queries = Vec::new();
        if let Some(signal) = signal_of(cause) {
            evidence = self.evidence(signal);
            queries = self.queries(signal);
        }
        if let Cause::NoData { message, .. } = cause {
            evidence.push(format!("what the query found: {message}"));
        }
        let step = Some(&self.step).filter(|step| !step.is_empty());
        evidence.extend(step.map(|step| format!("in the step: {step}")));
        let why = format!("it went back: {}", in_words(cause));
        self.gathered.turns.push(turn(at, why, evidence, queries));
    }

    fn held(&mut self, at: Time, why: &str, until: Option<Time>) {
        let turns = &mut self.gathered.turns;
        // A decision that holds was told above.
        if let Some(last) = turns.last_mut()
            && last.at == at
        {
            last.evidence.push(format!("held for a person: {why}"));
            return;
        }
        let until = until.map_or_else(
            || "for a person".to_owned(),
            |until| format!("until {} at most", clock(until)),
        );
        let why = format!("it held still {until}: {why}");
        let signal = self.seen.and_then(|(_, _, signals)| {
            signals.iter().find(|seen| why.contains(seen.signal.as_str())).map(|seen| &seen.signal)
        });
        let (evidence, queries) = signal
            .map_or_else(Default::default, |signal| (self.evidence(signal), self.queries(signal)));
        self.gathered.turns.push(turn(at, why, evidence, queries));
    }

    /// Value, limit, window and sample size of one signal in the newest judged window.
    fn evidence(&self, signal: &Name) -> Vec<String> {
        let Some((window, weight, signals)) = self.seen else { return Vec::new() };
        let Some(seen) = signals.iter().find(|seen| &seen.signal == signal) else {
            return Vec::new();
        };
        let triggers = self.header.live.as_deref().map(|live| &live.brief.policy.spec.triggers);
        let needed =
            |needed: Option<String>| needed.map_or_else(String::new, |it| format!(" ({it})"));
        let enough = triggers.map(|triggers| format!("{} are needed", triggers.min_requests));
        let in_a_row = triggers.map(|triggers| format!("{} decide", triggers.consecutive));
        let mut evidence = vec![
            format!(
                "{signal} {} for the candidate, {} for stable; limit {}; verdict {}",
                value(seen.candidate),
                value(seen.stable),
                seen.limit,
                seen.verdict
            ),
            format!(
                "window {}-{} ({}) at {weight} of user traffic",
                clock(window.start),
                clock(window.end),
                span(window.end.since(window.start))
            ),
        ];
        // A level is not counted in requests.
        if seen.requests > 0 {
            evidence.push(format!("{}{}", count(seen.requests, "request"), needed(enough)));
        }
        if seen.bad_run > 0 {
            evidence.push(format!(
                "{} in a row{}",
                count(seen.bad_run, "bad window"),
                needed(in_a_row)
            ));
        }
        evidence
    }

    /// The queries of a signal, as they were asked for the candidate.
    fn queries(&self, signal: &Name) -> Vec<AskedQuery> {
        let Some(live) = self.header.live.as_deref() else { return Vec::new() };
        let policy = &live.brief.policy;
        let (set, namespace) = (&self.header.candidate.set, policy.metadata.namespace.as_str());
        let found = policy.spec.signals.iter().find(|found| &found.name == signal);
        let kind = found.and_then(|found| found.kind().ok());
        let queries = kind.as_ref().map(SignalKind::queries).unwrap_or_default();
        let filled = |(field, query): (&'static str, &Query)| AskedQuery {
            field,
            query: query.fill(set, namespace, policy.spec.triggers.window),
        };
        queries.into_iter().map(filled).collect()
    }

    fn decided(&mut self, decision: &Decision) {
        let to = decision.target.as_ref().map_or_else(String::new, |to| format!(", to {to}"));
        let choice = match &decision.choice {
            Choice::Back(pattern) => format!("go back by {pattern}{to}"),
            Choice::FlagOff(flag) => {
                format!("turn flag {flag} off; the candidate keeps its traffic")
            }
            Choice::Hold(why) => format!("do nothing without a person: {why}"),
        };
        if let Some(turn) = self.gathered.turns.last_mut() {
            turn.decision = Some(choice);
            turn.reasons.clone_from(&decision.reasons);
            turn.unchecked.clone_from(&decision.unchecked);
        }
    }
}

const fn turn(at: Time, why: String, evidence: Vec<String>, queries: Vec<AskedQuery>) -> Turn {
    Turn { at, why, evidence, queries, decision: None, reasons: Vec::new(), unchecked: Vec::new() }
}

const fn signal_of(cause: &Cause) -> Option<&Name> {
    match cause {
        Cause::Signal { signal, .. }
        | Cause::SharedCause { signal, .. }
        | Cause::NoData { signal, .. }
        | Cause::Inconclusive { signal, .. } => Some(signal),
        Cause::Planned
        | Cause::Gate { .. }
        | Cause::Impossible { .. }
        | Cause::Deadline { .. }
        | Cause::NotFlipped { .. }
        | Cause::NotApproved { .. }
        | Cause::Operator { .. } => None,
    }
}

fn value(observed: Option<Observed>) -> String {
    observed.map_or_else(|| "not measured".to_owned(), |observed| observed.to_string())
}

fn value_and_limit(seen: &SignalSeen) -> String {
    let value = value(seen.candidate);
    let counted = if seen.requests > 0 { format!(", n={}", seen.requests) } else { String::new() };
    format!("{} {value} of at most {}{counted}", seen.signal, seen.limit)
}
