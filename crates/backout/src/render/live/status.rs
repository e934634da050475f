//! `backout status`: one release in full, or one line per release.

use backout_controller::resources::{ConditionStatus, ConditionType, ReleaseStatus};
use backout_controller::status::Standing;
use backout_core::machine::Track;
use backout_core::plan::Stage;
use backout_core::policy::ApiVersion;
use jiff::Timestamp;
use owo_colors::{OwoColorize as _, Style};
use serde::Serialize;

use super::table::{Leans, Table};
use super::times::{ago, since};
use crate::render::page::{BAD, GOOD, LABEL, Page, STRONG, WIDTH};
use crate::render::words::{count, span};

/// What is not decided, or waits for a person, without anything being wrong.
const ASKED: Style = Style::new().yellow().bold();

/// Columns of a line of the list, which says much in little room.
const LIST_WIDTH: usize = 120;

/// Columns of the bar that shows the weight.
const BAR: u32 = 20;

/// One release, with everything that is shown of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    pub(crate) api_version: ApiVersion,
    /// What the document is.
    pub(crate) kind: Overview,
    /// Name of the release.
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// The version that people use.
    pub(crate) version: String,
    /// Name of the policy.
    pub(crate) policy: String,
    /// How traffic is shifted, in words.
    pub(crate) strategy: String,
    /// Name of the release that is known good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) known_good: Option<String>,
    /// Length of a window, as the policy writes it.
    pub(crate) window: String,
    /// Requests that a window needs before it counts.
    pub(crate) min_requests: u64,
    /// The sets of the workload: stable, candidate, then older ones.
    pub(crate) sets: Vec<ShownSet>,
    /// The steps of the plan that runs.
    pub(crate) steps: Vec<ShownStep>,
    /// What the controller says.
    pub(crate) status: ReleaseStatus,
    /// What could not be read, each with its reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<String>,
    /// When this is shown.
    #[serde(skip)]
    pub(crate) now: Timestamp,
}

/// The document's kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) enum Overview {
    #[default]
    ReleaseOverview,
}

/// A release's set of objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownSet {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) role: Role,
    /// Replicas ready; nothing when it is not known.
    pub(crate) ready: Option<u32>,
    /// Replicas asked for.
    pub(crate) desired: u32,
    /// Share of user traffic in percent; nothing when it is not known.
    pub(crate) share: Option<u32>,
    /// Whether it is kept as evidence of a failed release.
    pub(crate) failed: bool,
    /// What keeps its pods from running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
}

/// What a set is to the rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    Stable,
    Candidate,
    Older,
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Candidate => "candidate",
            Self::Older => "older",
        }
    }
}

/// A step of the plan that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownStep {
    pub(crate) name: String,
    pub(crate) stage: Stage,
    /// What it does.
    pub(crate) what: String,
    pub(crate) progress: StepProgress,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StepProgress {
    Done,
    Now,
    ToDo,
}

impl ShownStep {
    /// The steps of the plan that runs. A plan that was left has no step at hand: `ended`.
    pub(crate) fn of(track: &Track, ended: bool) -> Vec<Self> {
        let steps = track.plan.steps.iter().enumerate();
        steps
            .map(|(index, step)| Self {
                name: step.name.clone(),
                stage: step.stage,
                what: step.action.to_string(),
                progress: match index.cmp(&track.cursor) {
                    std::cmp::Ordering::Less => StepProgress::Done,
                    std::cmp::Ordering::Equal if !ended => StepProgress::Now,
                    _ => StepProgress::ToDo,
                },
            })
            .collect()
    }
}

impl Shown {
    /// The release for people.
    pub(crate) fn render(&self) -> String {
        let mut page = Page::default();
        let (look, verdict, reason) = headline(&self.status);
        page.said(look.style(), &verdict, &reason);
        page.empty();
        self.header(&mut page);
        self.sets(&mut page);
        self.steps(&mut page);
        self.signals(&mut page);
        if !self.unreadable.is_empty() {
            page.heading("Could not be read");
            for unreadable in &self.unreadable {
                page.item(unreadable);
            }
        }
        page.text
    }

    fn header(&self, page: &mut Page) {
        let status = &self.status;
        let mut field = |label: &str, text: &str| page.labelled(0, label, text, Style::new());
        field("release", &format!("{} ({}) in {}", self.name, self.version, self.namespace));
        let good = self.known_good.as_ref();
        let good = good.map_or_else(String::new, |good| format!("; known good: {good}"));
        field("policy", &format!("{}, {}{good}", self.policy, self.strategy));
        field("phase", if status.phase.is_empty() { "-" } else { &status.phase });
        if let Some(weight) = status.weight {
            let rest = 100_u32.saturating_sub(weight);
            field("weight", &format!("{} {weight}% candidate, {rest}% stable", bar(weight)));
        }
        if let Some(waiting) = &status.waiting_for {
            let since = status.waiting_since.as_ref();
            let since = since.map_or_else(String::new, |at| {
                let passed = since_in_words(at, self.now);
                format!("; {passed}since {at}")
            });
            field("waiting", &format!("{waiting}{since}"));
        }
        if let Some(outcome) = &status.outcome {
            field("outcome", outcome);
        }
        if let Some(plan) = &status.plan {
            let began = status.started_at.as_ref();
            let began =
                began.map_or_else(String::new, |at| format!(", began {}", ago(at, self.now)));
            field("plan", &format!("{plan}{began}"));
        }
        if let Some(at) = &status.ended_at {
            field("ended", &ago(at, self.now));
        }
        for last in status.last_commands.iter().rev().take(1) {
            field(
                "command",
                &format!("{}: {} ({})", last.command, last.answer, ago(&last.at, self.now)),
            );
        }
        if let Some(driver) = &status.driver {
            field("driver", driver);
        }
    }

    fn sets(&self, page: &mut Page) {
        if self.sets.is_empty() {
            return;
        }
        page.heading("Sets");
        let mut table = Table::new(&[
            ("SET", Leans::Left),
            ("ROLE", Leans::Left),
            ("VERSION", Leans::Left),
            ("READY", Leans::Right),
            ("SHARE", Leans::Right),
            ("", Leans::Left),
        ]);
        for (index, set) in self.sets.iter().enumerate() {
            let branch = if index + 1 == self.sets.len() { "└─" } else { "├─" };
            let ready = set.ready.map_or_else(|| "?".to_owned(), |ready| ready.to_string());
            let (word, style) = set.told();
            table.row(
                vec![
                    format!("{branch} {}", set.name),
                    set.role.word().to_owned(),
                    set.version.clone(),
                    format!("{ready}/{}", set.desired),
                    set.share.map_or_else(|| "?".to_owned(), |share| format!("{share}%")),
                    word,
                ],
                style,
            );
        }
        page.text.push_str(&table.render(WIDTH));
        for set in &self.sets {
            if let Some(trouble) = &set.trouble {
                page.item(&format!("{}: {trouble}", set.name));
            }
        }
    }

    fn steps(&self, page: &mut Page) {
        let now = self.steps.iter().position(|step| step.progress == StepProgress::Now);
        let done = self.steps.iter().filter(|step| step.progress == StepProgress::Done).count();
        if self.steps.is_empty() {
            return;
        }
        let all = self.steps.len();
        page.heading(&match now {
            Some(now) => format!("Steps: at {} of {all}", now + 1),
            None => format!("Steps: {done} of {all} done"),
        });
        let mut stage = None;
        for (number, step) in (1..).zip(&self.steps) {
            if stage != Some(step.stage) {
                stage = Some(step.stage);
                page.styled(0, &step.stage.to_string(), LABEL);
            }
            page.marked(number, step);
        }
    }

    fn signals(&self, page: &mut Page) {
        if self.status.signals.is_empty() {
            return;
        }
        // Without a policy nothing is known of the windows.
        let windows = match self.min_requests {
            0 => String::new(),
            least => format!(" ({}, at least {})", self.window, count(least, "request")),
        };
        page.heading(&format!("Signals in the newest judged window{windows}"));
        let mut table = Table::new(&[
            ("SIGNAL", Leans::Left),
            ("OBSERVED", Leans::Right),
            ("LIMIT", Leans::Right),
            ("STABLE", Leans::Right),
            ("N", Leans::Right),
            ("VERDICT", Leans::Left),
        ]);
        for signal in &self.status.signals {
            let measured = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            // A level is not counted in requests.
            let requests =
                if signal.requests == 0 { "-".to_owned() } else { signal.requests.to_string() };
            let (mark, style) = judged(&signal.verdict);
            table.row(
                vec![
                    signal.name.clone(),
                    measured(&signal.observed),
                    signal.threshold.clone(),
                    measured(&signal.stable),
                    requests,
                    format!("{mark} {}", signal.verdict),
                ],
                style,
            );
        }
        page.text.push_str(&table.render(WIDTH));
    }
}

impl ShownSet {
    /// What there is to say of a set, in words.
    fn told(&self) -> (String, Style) {
        match &self.trouble {
            Some(_) => ("✘ in trouble, see below".to_owned(), BAD),
            None if self.failed => ("✘ failed, kept as evidence".to_owned(), BAD),
            None => match self.ready {
                None => ("? replicas could not be read".to_owned(), ASKED),
                Some(ready) if ready < self.desired => ("… not ready yet".to_owned(), ASKED),
                Some(_) if self.desired == 0 => ("- scaled down".to_owned(), LABEL),
                Some(_) => ("✔ ready".to_owned(), GOOD),
            },
        }
    }
}

impl Page {
    /// A step with how far it is, in a mark and a word.
    fn marked(&mut self, number: usize, step: &ShownStep) {
        let (mark, word, style) = match step.progress {
            StepProgress::Done => ("✔", "done", Style::new()),
            StepProgress::Now => ("▶", "NOW", STRONG),
            StepProgress::ToDo => ("·", "to do", LABEL),
        };
        let text = crate::render::words::cut(&step.what, 80);
        let line = format!("  {mark} {word:<5} {number:>3}  {text}");
        self.text.push_str(&format!("{}\n", line.style(style)));
    }
}

/// How a release is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Good,
    UnderWay,
    Asked,
    Bad,
}

impl Look {
    const fn style(self) -> Style {
        match self {
            Self::Good => GOOD,
            Self::UnderWay => Style::new().cyan().bold(),
            Self::Asked => ASKED,
            Self::Bad => BAD,
        }
    }
}

/// Verdict and reason of a release, and how they look.
fn headline(status: &ReleaseStatus) -> (Look, String, String) {
    let holds = |kind: ConditionType| {
        let mut conditions = status.conditions.iter();
        conditions.any(|one| one.kind == kind && one.status == ConditionStatus::True)
    };
    let message = status.message.clone().unwrap_or_else(|| "nothing is known of it".to_owned());
    if status.conditions.is_empty() {
        let reason = "no controller has taken it up yet; is one running?".to_owned();
        return (Look::Asked, "not begun".to_owned(), reason);
    }
    if holds(ConditionType::Ready) {
        return (Look::Good, "promoted".to_owned(), message);
    }
    let (look, verdict) = match Standing::from_word(&status.phase) {
        Some(Standing::Paused | Standing::AwaitingApproval) => {
            (Look::Asked, "waits for a person".to_owned())
        }
        Some(Standing::Held) => (Look::Bad, "held for a person".to_owned()),
        Some(Standing::RollbackFailed) => (Look::Bad, "rollback FAILED, page a person".to_owned()),
        Some(Standing::RolledBack) => (Look::Bad, "rolled back".to_owned()),
        Some(Standing::Cancelled) => (Look::Bad, "cancelled".to_owned()),
        Some(Standing::Deciding | Standing::RollingBack) => (Look::Bad, "going back".to_owned()),
        Some(Standing::Holding) => (Look::Asked, "holding".to_owned()),
        _ => {
            let weight = status.weight.map_or_else(String::new, |weight| format!(" at {weight}%"));
            let judged = status.verdict.as_ref();
            let judged = judged.map_or_else(String::new, |it| format!(", signals {it}"));
            (Look::UnderWay, format!("under way{weight}{judged}"))
        }
    };
    // The message often begins with the verdict.
    let shorter = [
        "rolled back ",
        "cancelled ",
        "a person is needed: ",
        "the way back FAILED: ",
        "holds still: ",
        "goes back: ",
        "goes back ",
    ];
    let reason = shorter.iter().find_map(|start| message.strip_prefix(start));
    let reason = reason.unwrap_or(&message).to_owned();
    (look, verdict, reason)
}

fn bar(weight: u32) -> String {
    // A share that is not nothing shows.
    let full = (weight.min(100) * BAR).div_ceil(100);
    let (full, rest) = (full as usize, (BAR - full) as usize);
    format!("[{}{}]", "#".repeat(full), ".".repeat(rest))
}

fn since_in_words(at: &str, now: Timestamp) -> String {
    since(at, now).map_or_else(String::new, |passed| format!("for {}, ", span(passed)))
}

/// A mark for a verdict; its word stands beside it.
fn judged(verdict: &str) -> (char, Style) {
    match verdict {
        "pass" => ('✔', GOOD),
        "fail" => ('✘', BAD),
        _ => ('?', ASKED),
    }
}

/// A release in a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listed {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// Name of the policy, if one covers it.
    pub(crate) policy: Option<String>,
    pub(crate) status: ReleaseStatus,
}

/// Releases, as one document for programs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List {
    pub(crate) api_version: ApiVersion,
    pub(crate) kind: ListKind,
    pub(crate) items: Vec<Listed>,
    /// When this is shown.
    #[serde(skip)]
    pub(crate) now: Timestamp,
}

/// The list's kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) enum ListKind {
    #[default]
    ReleaseOverviewList,
}

impl List {
    /// One line per release.
    pub(crate) fn render(&self) -> String {
        if self.items.is_empty() {
            return "no releases; record one with a `Release` object\n".to_owned();
        }
        let several = self.items.iter().any(|one| one.namespace != self.items[0].namespace);
        let mut table = Table::new(&[
            ("RELEASE", Leans::Left),
            ("VERSION", Leans::Left),
            ("PHASE", Leans::Left),
            ("WEIGHT", Leans::Right),
            ("SIGNALS", Leans::Left),
            ("AGE", Leans::Right),
            ("VERDICT", Leans::Left),
        ]);
        for one in &self.items {
            let status = &one.status;
            let dash = || "-".to_owned();
            let (look, verdict, reason) = headline(status);
            let told = match &status.waiting_for {
                Some(waiting) if look == Look::UnderWay => format!("waiting: {waiting}"),
                _ => format!("{verdict}: {reason}"),
            };
            let began = status.started_at.as_ref().and_then(|at| since(at, self.now));
            table.row(
                vec![
                    if several {
                        format!("{}/{}", one.namespace, one.name)
                    } else {
                        one.name.clone()
                    },
                    one.version.clone(),
                    if status.phase.is_empty() { dash() } else { status.phase.clone() },
                    status.weight.map_or_else(dash, |weight| format!("{weight}%")),
                    status.verdict.clone().unwrap_or_else(dash),
                    began.map_or_else(dash, span),
                    told,
                ],
                look.style(),
            );
        }
        table.render(LIST_WIDTH)
    }
}

#[cfg(test)]
mod tests;
