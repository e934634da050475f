//! `backout explain NAME`: why a run did what it did, from its journal alone.

mod gather;
#[cfg(test)]
mod tests;

use backout_core::journal::{Entry, Header};
use backout_core::plan::{PatternReason, Residue};
use backout_core::policy::ApiVersion;
use backout_core::units::Time;
use jiff::Timestamp;
use owo_colors::{OwoColorize as _, Style};
use serde::Serialize;

use super::times::{moment, utc};
use crate::render::page::{BAD, GOOD, Page, STRONG};
use crate::render::timeline::{Moment, Timeline};
use crate::render::words::{clock, span};

/// Why a run did what it did.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explained {
    pub(crate) api_version: ApiVersion,
    pub(crate) kind: &'static str,
    /// How it ended, or where it is, and why.
    pub(crate) verdict: String,
    /// How the verdict looks.
    #[serde(skip)]
    style: Style,
    /// What the run is about.
    pub(crate) about: About,
    /// Each time that it turned: why, on what evidence, and what was decided.
    pub(crate) turns: Vec<Turn>,
    /// What was verified, and how.
    pub(crate) verified: Vec<Told>,
    /// Commands of people, and what became of them.
    pub(crate) people: Vec<Told>,
    /// What others wrote.
    pub(crate) third_parties: Vec<Told>,
    /// When the engine came back after it was gone.
    pub(crate) restarts: Vec<Told>,
    /// Everything that happened, in order.
    pub(crate) moments: Vec<Moment>,
    /// What is left behind.
    pub(crate) residue: Vec<Residue>,
}

/// What a run is about.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct About {
    pub(crate) release: String,
    pub(crate) policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    pub(crate) environment: String,
    pub(crate) stable: String,
    pub(crate) candidate: String,
    pub(crate) strategy: String,
    /// When it began, in UTC; nothing for a rehearsal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) began: Option<Timestamp>,
    /// When its newest entry was written, since it began.
    #[serde(rename = "newestMs", serialize_with = "super::super::timeline::millis")]
    pub(crate) newest: Time,
}

/// Something that is told, with its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Told {
    /// Since the run began.
    #[serde(rename = "atMs", serialize_with = "super::super::timeline::millis")]
    pub(crate) at: Time,
    pub(crate) what: String,
}

/// A turn of a run: going back, or standing still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Turn {
    #[serde(rename = "atMs", serialize_with = "super::super::timeline::millis")]
    pub(crate) at: Time,
    /// Why.
    pub(crate) why: String,
    /// What it was decided on: value, limit, window, sample size.
    pub(crate) evidence: Vec<String>,
    /// What was asked of the metrics, variables filled in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) queries: Vec<AskedQuery>,
    /// What was decided; nothing when that is still open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decision: Option<String>,
    /// Why this pattern, and why no other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reasons: Vec<PatternReason>,
    /// What could not be checked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unchecked: Vec<String>,
}

/// A query as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AskedQuery {
    /// The field of the signal that it comes from.
    pub(crate) field: &'static str,
    pub(crate) query: String,
}

impl Explained {
    /// Explains a journal. One of a rehearsal has no absolute times and no queries.
    pub(crate) fn of(header: Header, entries: &[Entry]) -> Self {
        let gathered = gather::gather(&header, entries);
        let about = About::of(&header, entries);
        let Timeline { verdict, good, moments, residue, .. } = Timeline::of(header, entries);
        let (verdict, style) = match gather::under_way(entries) {
            // A journal of a cluster that has no end is one of a run under way.
            Some(under_way) if about.began.is_some() => (under_way, STRONG),
            _ => (verdict, if good { GOOD } else { BAD }),
        };
        Self {
            api_version: ApiVersion::V1Alpha1,
            kind: "Explanation",
            verdict,
            style,
            about,
            turns: gathered.turns,
            verified: gathered.verified,
            people: gathered.people,
            third_parties: gathered.third_parties,
            restarts: gathered.restarts,
            moments,
            residue,
        }
    }

    /// The explanation for people.
    pub(crate) fn render(&self) -> String {
        let mut page = Page::default();
        page.styled(0, &self.verdict, self.style);
        self.about.show(&mut page);
        for turn in &self.turns {
            turn.show(&mut page, &self.about);
        }
        self.list(&mut page, "Verified", &self.verified);
        self.list(&mut page, "Commands of people", &self.people);
        self.list(&mut page, "Written by others", &self.third_parties);
        self.list(&mut page, "Restarts of the engine", &self.restarts);
        if !self.residue.is_empty() {
            page.heading("Left behind");
            for residue in &self.residue {
                page.item(&format!("{} {}", residue.subject, residue.what));
            }
        }
        page.heading("What happened");
        page.text.push_str(&format!("{}\n", self.about.titles().dimmed()));
        for moment in &self.moments {
            page.text.push_str(&moment.render(&self.about.time(moment.at)));
        }
        page.text
    }

    fn list(&self, page: &mut Page, title: &str, list: &[Told]) {
        if list.is_empty() {
            return;
        }
        page.heading(title);
        for told in list {
            page.item(&format!("{}  {}", clock(told.at), told.what));
        }
    }
}

impl About {
    fn of(header: &Header, entries: &[Entry]) -> Self {
        let live = header.live.as_deref();
        Self {
            release: header.candidate.name.to_string(),
            policy: header.policy.to_string(),
            namespace: live.map(|live| live.brief.policy.metadata.namespace.to_string()),
            environment: header.environment.to_string(),
            stable: header.stable.version.clone(),
            candidate: header.candidate.version.clone(),
            strategy: header.strategy.clone(),
            began: live.and_then(|live| live.started_at.parse().ok()),
            newest: entries.last().map_or(Time::ZERO, |entry| entry.at),
        }
    }

    fn show(&self, page: &mut Page) {
        let Self { release, policy, environment, stable, candidate, strategy, .. } = self;
        let namespace = self.namespace.as_ref();
        let namespace = namespace.map_or_else(String::new, |it| format!("{it}/"));
        page.line(
            0,
            &format!("{namespace}{release}: {stable} -> {candidate} in {environment}; policy {policy}, {strategy}"),
        );
        let took = span(self.newest.since(Time::ZERO));
        page.line(
            0,
            &match self.began {
                Some(began) => format!(
                    "began {}, newest entry {} ({took} later); other times are since it began",
                    utc(began),
                    utc(moment(began, self.newest))
                ),
                None => format!("a rehearsal of {took}; times are since it began"),
            },
        );
    }

    /// A moment in UTC, if the run has a time of its own, and since it began.
    fn time(&self, at: Time) -> String {
        match self.began {
            Some(began) => format!("{} +{}", utc(moment(began, at)), clock(at)),
            None => at.to_string(),
        }
    }

    const fn titles(&self) -> &'static str {
        match self.began {
            Some(_) => "TIME                 SINCE      WHO     WHAT",
            None => "TIME           WHO     WHAT",
        }
    }
}

impl Turn {
    fn show(&self, page: &mut Page, about: &About) {
        page.heading(&format!("Why, at {}", about.time(self.at)));
        page.styled(2, &self.why, STRONG);
        labelled(page, "on", self.evidence.iter().cloned());
        let queries = self.queries.iter();
        labelled(page, "query", queries.map(|asked| format!("{}: {}", asked.field, asked.query)));
        labelled(page, "decided", self.decision.iter().cloned());
        let reasons = |chosen: bool| {
            let reasons = self.reasons.iter().filter(move |reason| reason.chosen == chosen);
            reasons.map(|reason| format!("{}: {}", reason.pattern, reason.why))
        };
        labelled(page, "because", reasons(true));
        labelled(page, "not", reasons(false));
        labelled(page, "unknown", self.unchecked.iter().cloned());
    }
}

/// Texts of which only the first has the label.
fn labelled(page: &mut Page, label: &str, texts: impl Iterator<Item = String>) {
    for (position, text) in texts.enumerate() {
        page.labelled(2, if position == 0 { label } else { "" }, &text, Style::new());
    }
}
