//! A plan for people: the verdict, every step with its way back, and what was assumed.

use backout_core::plan::{Choice, Condition, Expiry, Inverse, Plan, Step, Verification, WayBack};
use backout_core::policy::Gate;
use backout_core::units::{Limit, Span};

use super::page::{BAD, GOOD, LABEL, Page, STRONG};
use crate::project::Loaded;

/// A plan for people.
pub(crate) fn plan(plan: &Plan, loaded: &Loaded) -> String {
    let mut page = Page::default();
    verdict(&mut page, plan);
    foreseen(&mut page, plan, loaded);
    page.heading("Steps");
    let mut stage = None;
    for (index, step) in plan.steps.iter().enumerate() {
        if stage != Some(step.stage) {
            stage = Some(step.stage);
            page.empty();
            page.styled(2, &step.stage.to_string(), LABEL);
        }
        one_step(&mut page, index + 1, step);
    }
    page.heading("Ways back, if things fail");
    for stretch in stretches(&plan.ways_back) {
        page.empty();
        stretch.show(&mut page);
    }
    assumed(&mut page, plan, loaded);
    page.text
}

/// What matters most, in the first line.
fn verdict(page: &mut Page, plan: &Plan) {
    let crossing = plan.steps.iter().enumerate().find_map(|(index, step)| match &step.inverse {
        Inverse::PointOfNoReturn(why) => Some((index + 1, why)),
        Inverse::Nothing | Inverse::Undo(_) | Inverse::Stays(_) => None,
    });
    let mut held = stretches(&plan.ways_back);
    held.retain(|stretch| matches!(stretch.choice(), Choice::Hold(_)));
    match (crossing, held.is_empty()) {
        (None, true) => page.said(GOOD, "rollbackable at every step", &summary(&plan.ways_back)),
        (None, false) => {}
        (Some((step, why)), _) => {
            page.said(BAD, &format!("point of no return at step {step}"), why);
        }
    }
    for stretch in &held {
        let title = format!("no automatic way back at {}", stretch.range());
        page.said(BAD, &title, &why(stretch.choice()));
    }
    if crossing.is_some() || !held.is_empty() {
        page.line(0, &format!("ways back: {}", summary(&plan.ways_back)));
    }
    page.line(
        0,
        &format!(
            "{} to {}, in place of {} (plan {})",
            plan.candidate.name, plan.environment, plan.stable.name, plan.id
        ),
    );
}

/// What the files already say about the gates.
fn foreseen(page: &mut Page, plan: &Plan, loaded: &Loaded) {
    let missing = &loaded.project.missing_keys;
    if missing.is_empty() {
        return;
    }
    let gated = loaded.policy.value.spec.gates.contains(&Gate::config_drift());
    let then = if gated { "gate config-drift will stop the release" } else { "no gate checks it" };
    let chart = &loaded.project.brief.candidate.spec.config.chart_version;
    page.empty();
    page.said(
        BAD,
        &format!("{} lacks values that chart {chart} needs", plan.environment),
        &format!("{}; {then}", missing.join(", ")),
    );
}

/// Which way back applies from which step to which.
fn summary(ways: &[WayBack]) -> String {
    let mut parts: Vec<(String, usize)> = Vec::new();
    for way in ways {
        let name = name(&way.decision.choice);
        match parts.last_mut() {
            Some((last, to)) if *last == name => *to = way.to,
            _ => parts.push((name, way.to)),
        }
    }
    let last = parts.pop().map(|(name, _)| name).unwrap_or_default();
    if parts.is_empty() {
        return format!("{last} throughout");
    }
    let first: Vec<_> =
        parts.iter().map(|(name, to)| format!("{name} up to step {}", to + 1)).collect();
    format!("{}, then {last}", first.join(", "))
}

pub(super) fn name(choice: &Choice) -> String {
    match choice {
        Choice::Back(pattern) => pattern.to_string(),
        Choice::FlagOff(flag) => format!("data-aware, flag {flag} off"),
        Choice::Hold(_) => "a person decides".to_owned(),
    }
}

/// Why nothing is done by itself; empty when something is.
fn why(choice: &Choice) -> String {
    match choice {
        Choice::Hold(reason) => reason.to_string(),
        Choice::Back(_) | Choice::FlagOff(_) => String::new(),
    }
}

fn one_step(page: &mut Page, number: usize, step: &Step) {
    page.numbered(number, &step.action.to_string());
    page.field("why", &step.why);
    if !step.requires.is_empty() {
        let needs: Vec<_> = step.requires.iter().map(condition).collect();
        page.field("needs", &needs.join(", "));
    }
    page.field("until", &until(step));
    match &step.inverse {
        Inverse::Nothing => page.field("back", "nothing to take back"),
        Inverse::Undo(action) => page.field("back", &action.to_string()),
        Inverse::Stays(why) => page.field("back", &format!("it stays: {why}")),
        Inverse::PointOfNoReturn(why) => {
            page.labelled(6, "back", &format!("POINT OF NO RETURN: {why}"), BAD);
        }
    }
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Ready { arm, replicas } => {
            let plural = if *replicas == 1 { "" } else { "s" };
            format!("{replicas} ready replica{plural} of {arm}")
        }
        Condition::RouteAt { candidate } => format!("the route at {candidate}"),
    }
}

pub(super) fn until(step: &Step) -> String {
    let done = match step.verification {
        Verification::GatePasses => "the gate passes",
        Verification::Observed => "a fresh observation shows it",
        Verification::ObservedAndProbed => "a fresh observation shows it and probes find the share",
        Verification::SignalsPass => "every signal passes on enough fresh data",
        Verification::TimePassed => "the time has passed",
        Verification::PersonAnswered => "a person answers",
        Verification::Sent => "it is sent",
    };
    let then = match step.deadline.then {
        Expiry::Rollback => "roll back",
        Expiry::Hold => "hold for a person",
        Expiry::Fail => "page a person",
        Expiry::Continue => "go on and list it as residue",
    };
    match step.deadline.within {
        Limit::Within(within) => format!("{done}; if not within {within}, {then}"),
        Limit::None if step.verification == Verification::TimePassed => done.to_owned(),
        Limit::None => format!("{done}; NO DEADLINE (`{}`)", step.deadline.origin),
    }
}

/// Ways back that differ only in steps that are added as the rollout goes on.
struct Stretch<'a> {
    ways: Vec<&'a WayBack>,
}

fn stretches(ways: &[WayBack]) -> Vec<Stretch<'_>> {
    let mut stretches: Vec<Stretch<'_>> = Vec::new();
    for way in ways {
        match stretches.last_mut() {
            Some(stretch) if stretch.goes_on_with(way) => stretch.ways.push(way),
            _ => stretches.push(Stretch { ways: vec![way] }),
        }
    }
    stretches
}

impl Stretch<'_> {
    fn first(&self) -> &WayBack {
        self.ways[0]
    }

    fn last(&self) -> &WayBack {
        self.ways[self.ways.len() - 1]
    }

    fn choice(&self) -> &Choice {
        &self.first().decision.choice
    }

    fn goes_on_with(&self, way: &WayBack) -> bool {
        self.first().decision == way.decision
            && places(&self.last().steps, &way.steps).len() == self.last().steps.len()
    }

    fn range(&self) -> String {
        let (from, to) = (self.first().from + 1, self.last().to + 1);
        if from == to { format!("step {from}") } else { format!("steps {from} to {to}") }
    }

    fn show(&self, page: &mut Page) {
        let decision = &self.first().decision;
        let held = matches!(decision.choice, Choice::Hold(_));
        let target = decision.target.as_ref().map(|to| format!(", to {}", to.version));
        let title =
            format!("{}: {}{}", self.range(), name(&decision.choice), target.unwrap_or_default());
        page.styled(2, &title, if held { BAD } else { STRONG });
        if held {
            page.field("because", &why(&decision.choice));
        }
        for reason in decision.reasons.iter().filter(|reason| reason.chosen) {
            page.field("because", &reason.why);
        }
        for (position, (patterns, why)) in self.against().iter().enumerate() {
            let label = if position == 0 { "not" } else { "" };
            page.field(label, &format!("{}: {why}", patterns.join(", ")));
        }
        for unchecked in &decision.unchecked {
            page.field("unknown", unchecked);
        }
        for (position, (title, since)) in self.steps().iter().enumerate() {
            let label = if position == 0 { "then" } else { "" };
            let since = since.map(|step| format!(" (from step {step} on)")).unwrap_or_default();
            page.field(label, &format!("{}. {title}{since}", position + 1));
        }
    }

    /// Why the other patterns were not chosen; patterns with the same reason stand together. What
    /// holds the rollout was said already.
    fn against(&self) -> Vec<(Vec<String>, &str)> {
        let held = why(self.choice());
        let reasons = self.first().decision.reasons.iter();
        let mut list: Vec<(Vec<String>, &str)> = Vec::new();
        for reason in reasons.filter(|reason| !reason.chosen && reason.why != held) {
            match list.iter_mut().find(|(_, why)| *why == reason.why) {
                Some((patterns, _)) => patterns.push(reason.pattern.to_string()),
                None => list.push((vec![reason.pattern.to_string()], &reason.why)),
            }
        }
        list
    }

    /// The steps back, and from which forward step on each belongs to them, if not from the first.
    fn steps(&self) -> Vec<(&str, Option<usize>)> {
        let all = &self.last().steps;
        let mut since = vec![None; all.len()];
        for way in self.ways.iter().rev() {
            for place in places(&way.steps, all) {
                since[place] = Some(way.from);
            }
        }
        let later = |from: &Option<usize>| from.filter(|from| *from > self.first().from);
        let since = since.iter().map(|from| later(from).map(|from| from + 1));
        all.iter().map(String::as_str).zip(since).collect()
    }
}

/// Where the titles of one list are found in another, in the same order.
fn places(part: &[String], whole: &[String]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut next = 0;
    for title in part {
        let rest = whole.get(next..).unwrap_or_default();
        if let Some(found) = rest.iter().position(|other| other == title) {
            places.push(next + found);
            next += found + 1;
        }
    }
    places
}

/// What the plan takes for granted, because only files were read.
fn assumed(page: &mut Page, plan: &Plan, loaded: &Loaded) {
    let (files, world) = (&loaded.files, &loaded.project.world);
    let stable = &plan.stable.version;
    page.heading("Assumed: only files were read, nothing was observed live");
    page.empty();
    let origin = match &files.world {
        Some(file) => format!("says {file}"),
        None => "the default; a `world.yaml` beside the policy can say otherwise".to_owned(),
    };
    page.item(&format!(
        "{} serves {stable} alone, with {} ready replicas ({origin})",
        plan.environment, world.replicas
    ));
    page.item(&format!(
        "its configuration, migrations, flags and modules are those of {}",
        files.stable
    ));
    page.item(&format!(
        "the images of {stable} are in the registry, are admitted, and bring back no vulnerability"
    ));
    page.item(&match world.backup_age {
        Some(age) => backup(age, world.restore_takes),
        None => "there is no backup whose restore was tried".to_owned(),
    });
    page.empty();
    let mut read = vec![&files.policy, &files.candidate, &files.stable, &files.chart];
    read.extend(files.values.iter().chain(&files.world));
    let read: Vec<_> = read.into_iter().map(String::as_str).collect();
    page.line(2, &format!("Read: {}", read.join(", ")));
}

fn backup(age: Span, restore: Span) -> String {
    format!("the newest backup whose restore was tried is {age} old; restoring took {restore}")
}
