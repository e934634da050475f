//! The timeline of one run in words: what the world did, what the engine believed, and why it
//! acted.

mod tell;
mod verdict;
mod window;

pub(super) use verdict::in_words;

use backout_core::journal::{Entry, Header};
use backout_core::plan::Residue;
use backout_core::policy::ApiVersion;
use backout_core::units::Time;
use owo_colors::OwoColorize as _;
use serde::{Serialize, Serializer};

use super::text::{clean, width, wrap};
use super::words::left;

/// Columns of a line.
const WIDTH: usize = 120;

/// Columns of who did something, and the gaps beside it.
const WHO: usize = 10;

/// A run in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timeline {
    pub(crate) api_version: ApiVersion,
    pub(crate) kind: &'static str,
    /// How it ended, and why.
    pub(crate) verdict: String,
    /// Whether the candidate serves and nothing is open.
    #[serde(skip)]
    pub(super) good: bool,
    /// What the journal is about.
    pub(crate) header: Header,
    /// What happened, in order.
    pub(crate) moments: Vec<Moment>,
    /// What is left behind.
    pub(crate) residue: Vec<Residue>,
}

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Who {
    /// Everything outside the engine.
    World,
    /// The engine.
    Engine,
    /// A person.
    Person,
}

impl Who {
    const fn word(self) -> &'static str {
        match self {
            Self::World => "world",
            Self::Engine => "engine",
            Self::Person => "person",
        }
    }
}

/// Something that happened, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Moment {
    /// When, since the start of the run.
    #[serde(rename = "atMs", serialize_with = "millis")]
    pub(crate) at: Time,
    /// Who.
    pub(crate) who: Who,
    /// What.
    pub(crate) what: String,
    /// More about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) details: Vec<String>,
    /// Whether it belongs to the step above it.
    #[serde(skip)]
    pub(crate) within_step: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
pub(super) fn millis<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_millis())
}

impl Timeline {
    /// Tells a journal.
    pub(crate) fn of(header: Header, entries: &[Entry]) -> Self {
        let (verdict, good) = verdict::verdict(entries);
        Self {
            api_version: ApiVersion::V1Alpha1,
            kind: "Timeline",
            verdict,
            good,
            header,
            moments: tell::tell(entries),
            residue: verdict::residue(entries).to_vec(),
        }
    }

    /// The timeline for people.
    pub(crate) fn render(&self) -> String {
        let verdict = clean(&self.verdict);
        let mut text = if self.good {
            format!("{}\n", verdict.green().bold())
        } else {
            format!("{}\n", verdict.red().bold())
        };
        text.push_str(&format!("{}\n\n", clean(&self.about())));
        text.push_str(&format!("{}\n", "TIME           WHO     WHAT".dimmed()));
        for moment in &self.moments {
            text.push_str(&moment.render(&moment.at.to_string()));
        }
        if !self.residue.is_empty() {
            text.push_str("\nleft behind:\n");
        }
        for residue in &self.residue {
            let line = clean(&format!("{} {}", residue.subject, residue.what));
            text.push_str(&format!("  {line}\n"));
        }
        text
    }

    fn about(&self) -> String {
        let Header { policy, environment, stable, candidate, strategy, rehearsal, .. } =
            &self.header;
        let run = match rehearsal {
            Some(made) => format!("; rehearsal of `{}`, seed {}", made.scenario, made.seed),
            None => String::new(),
        };
        format!("{policy} {stable} -> {candidate} in {environment}, {strategy}{run}")
    }
}

impl Moment {
    /// The moment, with its time in these words.
    pub(super) fn render(&self, time: &str) -> String {
        let who = left(self.who.word(), 6);
        let who = match self.who {
            Who::World => who.yellow().to_string(),
            Who::Engine => who.cyan().to_string(),
            Who::Person => who.magenta().to_string(),
        };
        let indent = if self.within_step { "  " } else { "" };
        let mut text = format!("{time}  {who}  {indent}");
        let before = width(time) + WHO;
        let room = WIDTH - before - indent.len();
        text.push_str(&hanging(&self.what, room, before, indent));
        for detail in &self.details {
            text.push_str(&format!("{:before$}{indent}  ", ""));
            text.push_str(&hanging(detail, room - 2, before, &format!("{indent}  ")));
        }
        text
    }
}

/// A text that goes on below where it began.
fn hanging(text: &str, room: usize, before: usize, indent: &str) -> String {
    let between = format!("\n{:before$}{indent}    ", "");
    format!("{}\n", wrap(&clean(text), room - 4).join(&between))
}

#[cfg(test)]
mod tests;
