//! Entries of a journal, as moments in words. Steps that pass without incident take one line, and
//! so do long runs of windows and looks that say the same.

use std::collections::BTreeMap;

use backout_core::journal::{Entry, Event, SignalSeen};
use backout_core::machine::{EffectId, Outcome, Request};
use backout_core::plan::{Action, Choice, Decision};
use backout_core::units::{Name, Time};

use super::verdict::in_words;
use super::{Moment, Who, window};
use crate::render::words::{clock, count, span};

/// Runs of windows or looks that are longer than this are told in short.
const TOLD_IN_FULL: usize = 3;

/// Tells every entry.
pub(super) fn tell(entries: &[Entry]) -> Vec<Moment> {
    let mut teller = Teller::default();
    for entry in entries {
        teller.take(entry);
    }
    teller.flush();
    teller.moments
}

/// The step at hand.
struct Open {
    what: String,
    since: Time,
    /// Its line.
    line: usize,
    /// Whether its effect was asked for.
    asked: bool,
}

/// Moments that say the same, as long as nothing else comes in between.
struct Alike {
    class: String,
    /// What follows the number of moments that are left out.
    left_out: String,
    /// Whether all is well in them.
    quiet: bool,
    moments: Vec<(Moment, Time)>,
}

impl Alike {
    const fn new(class: String, left_out: String, quiet: bool) -> Self {
        Self { class, left_out, quiet, moments: Vec::new() }
    }
}

#[derive(Default)]
struct Teller {
    moments: Vec<Moment>,
    step: Option<Open>,
    alike: Option<Alike>,
    asked: BTreeMap<EffectId, Request>,
    /// Why it was last held.
    held: Option<String>,
    /// What the queries of signals found, as it was last told.
    notes: BTreeMap<Name, String>,
}

impl Teller {
    fn take(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.event {
            Event::World { what } | Event::ThirdParty { what } => {
                self.say(at, Who::World, what.clone());
            }
            Event::PlanStarted { plan, direction, steps } => {
                self.step = None;
                let steps = count(u64::try_from(*steps).unwrap_or(u64::MAX), "step");
                self.say(at, Who::Engine, format!("begins plan {plan}, {direction}: {steps}"));
            }
            Event::StepStarted { what, .. } => self.step_started(at, what),
            Event::StepDone { known_by, .. } => self.step_done(at, known_by),
            Event::Waiting { step, for_what } => {
                let moment = self.moment(at, Who::Engine, format!("waits: {for_what}"));
                let left_out = format!("looks in step {step}");
                let alike = Alike::new(format!("wait {step}"), left_out, false);
                self.say_alike(alike, moment, at);
            }
            Event::LeftUndone { step, why } => {
                self.step = None;
                self.say(at, Who::Engine, format!("gives up step {step}, as residue: {why}"));
            }
            Event::Asked { effect, request } => self.asked(at, *effect, request),
            Event::Answered { effect, answer } => self.answered(at, *effect, answer),
            // What the engine made of it follows, in words.
            Event::Took { .. } => {}
            Event::Judged { window: judged, weight, signals } => {
                let words = window::in_words(*judged, *weight, signals);
                let class = window::class(signals);
                let mut moment = self.moment(at, Who::Engine, words);
                moment.details = self.news(signals);
                let (key, quiet) = (format!("{weight} {class}"), class == window::ALL_PASS);
                let alike = Alike::new(key, format!("windows, {class}"), quiet);
                self.say_alike(alike, moment, judged.end);
            }
            Event::Triggered { .. }
            | Event::Decided { .. }
            | Event::Held { .. }
            | Event::Resumed { .. }
            | Event::Commanded { .. }
            | Event::Refused { .. }
            | Event::Restarted { .. }
            | Event::Ended { .. } => self.take_turn(at, &entry.event),
        }
    }

    /// Events that change where the run is going.
    fn take_turn(&mut self, at: Time, event: &Event) {
        match event {
            Event::Triggered { cause } => {
                self.step = None;
                self.say(at, Who::Engine, format!("goes back: {}", in_words(cause)));
            }
            Event::Decided { decision } => self.decided(at, decision),
            Event::Held { why, until } => {
                self.step = None;
                let until = until.map_or_else(
                    || "until a person answers".to_owned(),
                    |until| format!("until {}", clock(until)),
                );
                self.say(at, Who::Engine, format!("holds still {until}: {why}"));
                self.held = Some(why.clone());
            }
            Event::Resumed { why } => self.say(at, Who::Engine, format!("goes on: {why}")),
            Event::Commanded { command } => self.say(at, Who::Person, command.to_string()),
            Event::Refused { command, why } => {
                self.say(at, Who::Person, format!("{command}, which the engine refuses: {why}"));
            }
            Event::Restarted { pending } => {
                let open: Vec<_> = pending.iter().map(|effect| self.called(*effect)).collect();
                let open = if open.is_empty() { "nothing".to_owned() } else { open.join(", ") };
                self.say(at, Who::Engine, format!("is back after a crash; not answered: {open}"));
            }
            Event::Ended { outcome, .. } => {
                self.say(at, Who::Engine, format!("ends: {}", ending(outcome)));
            }
            Event::World { .. }
            | Event::PlanStarted { .. }
            | Event::StepStarted { .. }
            | Event::StepDone { .. }
            | Event::Waiting { .. }
            | Event::LeftUndone { .. }
            | Event::Asked { .. }
            | Event::Answered { .. }
            | Event::Took { .. }
            | Event::Judged { .. }
            | Event::ThirdParty { .. } => {}
        }
    }

    fn step_started(&mut self, at: Time, what: &str) {
        self.step = None;
        self.say(at, Who::Engine, what.to_owned());
        let line = self.moments.len() - 1;
        self.step = Some(Open { what: what.to_owned(), since: at, line, asked: false });
    }

    /// Nothing in between: the step's own line says that it is done. Otherwise a line of its own.
    fn step_done(&mut self, at: Time, known_by: &str) {
        self.flush();
        let Some(step) = &self.step else {
            self.say(at, Who::Engine, format!("done: {known_by}"));
            return;
        };
        let took = span(at.since(step.since));
        if step.line + 1 == self.moments.len() {
            self.moments[step.line].what = format!("{}: done in {took}: {known_by}", step.what);
        } else {
            self.say(at, Who::Engine, format!("done in {took}: {known_by}"));
        }
        self.step = None;
    }

    /// A step's own effect is what its line says; everything else is worth a line.
    fn asked(&mut self, at: Time, effect: EffectId, request: &Request) {
        self.asked.insert(effect, request.clone());
        let Request::Apply(action) = request else { return };
        let text = action.to_string();
        match &mut self.step {
            Some(step) if step.what == text && !step.asked => step.asked = true,
            Some(step) if step.what == text => {
                self.say(at, Who::Engine, format!("asks again ({effect}): {text}"));
            }
            _ => {
                if let Action::Notify { message } = action {
                    self.told(at, message);
                } else {
                    self.say(at, Who::Engine, format!("asks ({effect}): {text}"));
                }
            }
        }
    }

    /// People are told what the line above says already; then it is not said again.
    fn told(&mut self, at: Time, message: &str) {
        if self.step.as_ref().is_some_and(|step| step.what.ends_with(message)) {
            return;
        }
        let shorter = self
            .held
            .as_ref()
            .and_then(|why| message.strip_suffix(why.as_str())?.strip_suffix(": "));
        let message = format!("tells people: {}", shorter.unwrap_or(message));
        self.say(at, Who::Engine, message);
    }

    /// What queries found where they found nothing; each is told once.
    fn news(&mut self, signals: &[SignalSeen]) -> Vec<String> {
        let notes =
            signals.iter().filter_map(|signal| Some((&signal.signal, signal.note.as_ref()?)));
        let mut news = Vec::new();
        for (signal, note) in notes {
            if self.notes.get(signal) != Some(note) {
                self.notes.insert(signal.clone(), note.clone());
                news.push(format!("{signal}: {note}"));
            }
        }
        news
    }

    /// An effect that was applied shows in what follows. One that was not is worth a line.
    fn answered(&mut self, at: Time, effect: EffectId, answer: &str) {
        let what = self.called(effect);
        self.asked.remove(&effect);
        if !["refused:", "failed:", "not known:"].iter().any(|bad| answer.starts_with(bad)) {
            return;
        }
        self.say(at, Who::World, format!("answers to `{what}`: {answer}"));
    }

    /// An effect by what it does.
    fn called(&self, effect: EffectId) -> String {
        match self.asked.get(&effect) {
            Some(Request::Apply(action)) => action.to_string(),
            Some(Request::RunGate(gate)) => format!("gate {}", gate.name()),
            Some(Request::Probe { .. }) => "probes".to_owned(),
            Some(Request::Query(window)) => format!("the query until {}", clock(window.end)),
            Some(Request::Observe) | None => effect.to_string(),
        }
    }

    fn decided(&mut self, at: Time, decision: &Decision) {
        let choice = match &decision.choice {
            Choice::Back(pattern) => format!("decides to go back by {pattern}"),
            Choice::FlagOff(flag) => format!("decides to turn flag {flag} off"),
            Choice::Hold(_) => "decides to do nothing without a person".to_owned(),
        };
        let to = decision.target.as_ref().map_or_else(String::new, |to| format!(", to {to}"));
        self.say(at, Who::Engine, format!("{choice}{to}"));
        let reasons = decision.reasons.iter().map(|reason| {
            let not = if reason.chosen { "" } else { "not " };
            format!("{not}{}: {}", reason.pattern, reason.why)
        });
        let unchecked = decision.unchecked.iter().map(|fact| format!("not checked: {fact}"));
        let details = reasons.chain(unchecked).collect();
        if let Some(moment) = self.moments.last_mut() {
            moment.details = details;
        }
    }

    fn moment(&self, at: Time, who: Who, what: String) -> Moment {
        Moment { at, who, what, details: Vec::new(), within_step: self.step.is_some() }
    }

    fn say(&mut self, at: Time, who: Who, what: String) {
        self.flush();
        let moment = self.moment(at, who, what);
        self.moments.push(moment);
    }

    fn say_alike(&mut self, alike: Alike, moment: Moment, until: Time) {
        if self.alike.as_ref().is_some_and(|before| before.class != alike.class) {
            self.flush();
        }
        self.alike.get_or_insert(alike).moments.push((moment, until));
    }

    /// Writes down what says the same: all of it when it is little; otherwise the first, how many
    /// more there are, and the last, unless all is well in it.
    fn flush(&mut self) {
        let Some(Alike { left_out, quiet, mut moments, .. }) = self.alike.take() else { return };
        if moments.len() <= TOLD_IN_FULL {
            self.moments.extend(moments.into_iter().map(|(moment, _)| moment));
            return;
        }
        let last = if quiet { None } else { moments.pop() };
        let more = moments.len() - 1;
        if let Some((moment, until)) = moments.pop() {
            self.moments.extend(moments.into_iter().next().map(|(first, _)| first));
            let what = format!("... {more} more {left_out}, until {}", clock(until));
            self.moments.push(Moment { what, ..moment });
        }
        self.moments.extend(last.map(|(moment, _)| moment));
    }
}

fn ending(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Promoted => "promoted".to_owned(),
        Outcome::Cancelled => "cancelled".to_owned(),
        Outcome::RolledBack(pattern) => format!("rolled back ({pattern})"),
        Outcome::Held(_) => "held for a person".to_owned(),
        Outcome::RolledForward => "rolled forward".to_owned(),
        Outcome::RollbackFailed(why) => format!("rollback FAILED: {why}"),
    }
}
