//! `backout rollback NAME`: what would be done, before it is asked whether it shall be.

use std::collections::BTreeSet;

use backout_core::machine::{Command, State};
use backout_core::plan::assume::assume;
use backout_core::plan::{Brief, Cause, Choice, Decision, Plan, Residue, residue};
use backout_core::policy::{ApiVersion, External};
use backout_core::snapshot::{Fact, Snapshot};
use owo_colors::Style;
use serde::Serialize;

use crate::render::page::{BAD, Page, STRONG};
use crate::render::plan::{name, until};
use crate::render::text::clean;
use crate::render::words::count;

/// A rollback as it would be done now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Intended {
    pub(crate) api_version: ApiVersion,
    pub(crate) kind: &'static str,
    /// The release that would be taken back.
    pub(crate) release: String,
    pub(crate) version: String,
    pub(crate) environment: String,
    /// What would be decided, and why not otherwise.
    pub(crate) decision: Decision,
    /// The plan; nothing when a person has to decide.
    pub(crate) plan: Option<Plan>,
    /// What cannot be checked now, each with its reason.
    pub(crate) unknown: Vec<String>,
    /// Who would undo it, in words.
    pub(crate) undone_by: Vec<String>,
    /// What would be left behind if all goes well.
    pub(crate) residue: Vec<Residue>,
}

impl Intended {
    /// What a person's `rollback` would do to this run on this snapshot. `undone_by` says in words
    /// who else writes what would be moved.
    pub(crate) fn of(
        brief: &Brief,
        state: &State,
        snapshot: &Snapshot,
        undone_by: Vec<String>,
    ) -> Self {
        let cause = Cause::Operator { command: Command::Rollback.to_string() };
        let (decision, plan) = state.way_back(brief, snapshot, &cause);
        let mut unknown = unknown(brief, snapshot);
        unknown.extend(unknown_of_target(&decision, snapshot));
        let named = |why: &&String| !unknown.iter().any(|line| line.contains(why.as_str()));
        let others: Vec<String> = decision.unchecked.iter().filter(named).cloned().collect();
        unknown.extend(others);
        Self {
            api_version: ApiVersion::V1Alpha1,
            kind: "RollbackPlan",
            release: brief.candidate.metadata.name.to_string(),
            version: brief.candidate.spec.version.clone(),
            environment: brief.environment.to_string(),
            residue: plan
                .as_ref()
                .map(|plan| left(brief, state, snapshot, plan))
                .unwrap_or_default(),
            decision,
            plan,
            unknown,
            undone_by,
        }
    }

    /// The rollback for people.
    pub(crate) fn render(&self) -> String {
        let mut page = Page::default();
        self.verdict(&mut page);
        page.line(
            0,
            &format!("release {} ({}) in {}", self.release, self.version, self.environment),
        );
        page.empty();
        for reason in self.decision.reasons.iter().filter(|reason| reason.chosen) {
            page.labelled(0, "because", &reason.why, Style::new());
        }
        for reason in self.decision.reasons.iter().filter(|reason| !reason.chosen) {
            page.labelled(0, "not", &format!("{}: {}", reason.pattern, reason.why), Style::new());
        }
        if let Some(plan) = &self.plan {
            page.heading("Steps");
            for (number, step) in (1..).zip(&plan.steps) {
                page.numbered(number, &step.action.to_string());
                page.field("until", &until(step));
            }
        }
        list(&mut page, "Cannot be checked now", &self.unknown);
        list(&mut page, "Would undo it", &self.undone_by);
        let residue = self.residue.iter().map(|left| format!("{} {}", left.subject, left.what));
        list(&mut page, "Left behind afterwards", &residue.collect::<Vec<_>>());
        page.text
    }

    fn verdict(&self, page: &mut Page) {
        let choice = &self.decision.choice;
        match (choice, &self.plan) {
            (Choice::Hold(why), _) => {
                page.said(BAD, "nothing is done without a person", &why.to_string());
            }
            (_, None) => page.said(BAD, "nothing is done without a person", "no plan leads back"),
            (_, Some(plan)) => {
                let to = self.decision.target.as_ref();
                let to = to.map_or_else(String::new, |to| format!(", to {to}"));
                let steps = count(u64::try_from(plan.steps.len()).unwrap_or(u64::MAX), "step");
                let caveats: Vec<String> = [
                    (self.unknown.len(), "thing cannot be checked", "things cannot be checked"),
                    (self.undone_by.len(), "writer would undo it", "writers would undo it"),
                ]
                .into_iter()
                .filter(|(number, ..)| *number > 0)
                .map(|(number, one, many)| {
                    format!("; {number} {}", if number == 1 { one } else { many })
                })
                .collect();
                let style = if caveats.is_empty() { STRONG } else { BAD };
                let verdict = format!("goes back by {}{to}", name(choice));
                page.said(style, &verdict, &format!("{steps}{}", caveats.concat()));
            }
        }
    }
}

fn list(page: &mut Page, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    page.heading(title);
    for item in items {
        // What follows the first line is to be copied, and keeps its shape.
        let mut lines = item.lines();
        page.item(lines.next().unwrap_or_default());
        for line in lines {
            page.text.push_str(&format!("      {}\n", clean(line)));
        }
    }
}

/// What would differ from before the release if every step went well.
fn left(brief: &Brief, state: &State, snapshot: &Snapshot, plan: &Plan) -> Vec<Residue> {
    let (mut after, mut reached) = (snapshot.clone(), state.reached.clone());
    for step in &plan.steps {
        assume(&step.action, &mut after, &mut reached);
    }
    residue(brief, state.before.as_deref().unwrap_or(snapshot), &after)
}

/// Facts that are not known, with their reasons. What the policy leaves to a pipeline is not asked.
fn unknown(brief: &Brief, snapshot: &Snapshot) -> Vec<String> {
    let asked = |part| !brief.policy.leaves_out(part);
    let facts = [
        ("the route", reason(&snapshot.route), true),
        ("the set of stable", reason(&snapshot.sets.stable), true),
        ("the set of candidate", reason(&snapshot.sets.candidate), true),
        ("the configuration", reason(&snapshot.config), asked(External::Config)),
        ("the database", reason(&snapshot.database), asked(External::Migrations)),
        ("the flags", reason(&snapshot.flags), asked(External::Flags)),
        ("the infrastructure", reason(&snapshot.modules), asked(External::Infrastructure)),
        ("the quarantine", reason(&snapshot.quarantine), true),
        ("the known-good release", reason(&snapshot.known_good), true),
    ];
    let known = facts.into_iter().filter(|(.., asked)| *asked);
    let told: BTreeSet<String> =
        known.filter_map(|(what, why, _)| Some(format!("{what}: {}", why?))).collect();
    told.into_iter().collect()
}

/// What is not known of the release that would take the traffic.
fn unknown_of_target(decision: &Decision, snapshot: &Snapshot) -> Vec<String> {
    let wanted = decision.target.as_ref();
    let target = snapshot.targets.iter().find(|target| Some(&target.release) == wanted);
    let Some(target) = target else { return Vec::new() };
    let facts = [
        ("is still in the registry", reason(&target.in_registry)),
        ("is admitted today", reason(&target.admitted)),
        ("can have its configuration restored", reason(&target.config_restorable)),
        ("has room", reason(&target.has_capacity)),
        ("brings back vulnerabilities", reason(&target.reintroduces)),
    ];
    let told = |(what, why): (&str, Option<&str>)| {
        Some(format!("whether {} {what}: {}", target.release, why?))
    };
    facts.into_iter().filter_map(told).collect()
}

fn reason<T>(fact: &Fact<T>) -> Option<&str> {
    match fact {
        Fact::Known { .. } => None,
        Fact::Unknown { reason } => Some(reason),
    }
}

#[cfg(test)]
mod tests;
