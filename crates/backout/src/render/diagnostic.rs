//! Diagnostics like a compiler's: what is wrong, where, and what to do.
//!
//! ```text
//! error[BO211]: this step can wait for ever
//!   --> fragile.yaml:31:11
//!    |
//! 31 |         - analyse: {}
//!    |           ^^^^^^^ with fault `metrics-absent` it was still progressing after 24h
//!    = help: set `deadlines.step`
//! ```

use std::error::Error as _;
use std::io::ErrorKind;

use backout_core::document::{Document, Location, Problem, Source, Unreadable};
use backout_core::finding::{Finding, Level, Subject};
use backout_core::policy::ReleasePolicy;
use owo_colors::{AnsiColors, OwoColorize as _, Style};

use super::text::{Cell, cells, clean, width, wrap};
use crate::error::Failure;

/// The width that diagnostics keep to, where words allow it.
const WIDTH: usize = 100;
/// A line of source is cut so that at least this much stands before what it points to.
const LEAD: usize = 20;
/// More problems of one document than this help nobody.
const MOST_PROBLEMS: usize = 50;
/// Nor do more documents that cannot be used.
const MOST_DOCUMENTS: usize = 20;

const GUTTER: Style = Style::new().bright_blue().bold();
const CUT: &str = "...";

/// A finding, with its place in the policy. A finding's replay is completed by `replay_prefix`,
/// the command and the arguments that choose the project.
pub(crate) fn finding(
    finding: &Finding,
    document: &Document<ReleasePolicy>,
    replay_prefix: &str,
) -> String {
    let code = finding.code.to_string();
    let mut diagnostic = Diagnostic::new(finding.level, Some(&code), &finding.message);
    match &finding.subject {
        Subject::Policy(path) => {
            let location = document.map.nearest(path);
            diagnostic.at(&document.source.name, Some(location));
            diagnostic.show(Some(&document.source), location, &finding.label);
        }
        Subject::File(place) => {
            diagnostic.at(&place.file, place.location);
            diagnostic.note("found", &finding.label);
        }
        Subject::Object(object) => {
            diagnostic.at(object, None);
            diagnostic.note("found", &finding.label);
        }
    }
    diagnostic.note("help", &finding.help);
    if let Some(replay) = &finding.replay {
        diagnostic.command("replay", &format!("{replay_prefix} {replay}"));
    }
    diagnostic.text
}

/// Everything that is wrong with a document.
pub(crate) fn unreadable(unreadable: &Unreadable) -> String {
    let shown = unreadable.problems.iter().take(MOST_PROBLEMS);
    let mut parts: Vec<String> = shown.map(|problem| one_problem(unreadable, problem)).collect();
    let rest = unreadable.problems.len().saturating_sub(MOST_PROBLEMS);
    if rest > 0 {
        let message = format!("{} has {rest} more problems", unreadable.source_name);
        parts.push(Diagnostic::new(Level::Note, None, &message).text);
    }
    parts.join("\n")
}

fn one_problem(unreadable: &Unreadable, problem: &Problem) -> String {
    let mut diagnostic = Diagnostic::new(Level::Error, None, &problem.message);
    diagnostic.at(&unreadable.source_name, problem.location);
    if let Some(location) = problem.location {
        diagnostic.show(unreadable.source.as_ref(), location, "");
    }
    if let Some(expected) = &problem.expected {
        diagnostic.note("expected", expected);
    }
    if let Some(help) = &problem.help {
        diagnostic.note("help", help);
    }
    diagnostic.text
}

/// Why a command could not do its work: the problems of documents, or the error with its causes,
/// each said once.
pub(crate) fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Document(document) => unreadable(document),
        Failure::Documents(documents) => {
            let shown = documents.iter().take(MOST_DOCUMENTS).map(unreadable);
            let rest = documents.len().saturating_sub(MOST_DOCUMENTS);
            let message = format!("{rest} more files cannot be used");
            let note = (rest > 0).then(|| Diagnostic::new(Level::Note, None, &message).text);
            shown.chain(note).collect::<Vec<_>>().join("\n")
        }
        Failure::File { .. }
        | Failure::Write { .. }
        | Failure::Usage { .. }
        | Failure::Plan(_)
        | Failure::Cluster { .. }
        | Failure::Output(_) => {
            let mut diagnostic = Diagnostic::new(Level::Error, None, &failure.to_string());
            let mut cause = failure.source();
            while let Some(error) = cause {
                diagnostic.note("cause", &error.to_string());
                cause = error.source();
            }
            if let Some(help) = what_to_do(failure) {
                diagnostic.note("help", help);
            }
            diagnostic.text
        }
    }
}

fn what_to_do(failure: &Failure) -> Option<&str> {
    match failure {
        Failure::Usage { help, .. } => Some(help),
        Failure::Cluster { help, .. } => help.as_deref(),
        Failure::File { source, .. } => {
            let helps = [
                (ErrorKind::NotFound, "check the path; it starts at the current directory"),
                (ErrorKind::IsADirectory, "name a file in it"),
                (ErrorKind::InvalidInput, "use `-` to read from standard input"),
                (ErrorKind::PermissionDenied, "check who may read it"),
            ];
            helps.into_iter().find(|(kind, _)| *kind == source.kind()).map(|(_, help)| help)
        }
        Failure::Write { .. } => Some("check that its directory exists and may be written"),
        Failure::Document(_) | Failure::Documents(_) | Failure::Plan(_) | Failure::Output(_) => {
            None
        }
    }
}

/// A diagnostic that is being written. Whatever comes from outside is cleaned on its way in, so
/// that nothing in a file can take over the terminal.
struct Diagnostic {
    text: String,
    level: Level,
    /// How wide line numbers are.
    gutter: usize,
}

impl Diagnostic {
    fn new(level: Level, code: Option<&str>, message: &str) -> Self {
        let code = code.map(|code| format!("[{code}]")).unwrap_or_default();
        let title = format!("{level}{code}");
        let message = format!(": {}", clean(message));
        let text = format!("{}{}\n", title.style(style(level)), message.style(Style::new().bold()));
        Self { text, level, gutter: 1 }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Says where it is.
    fn at(&mut self, name: &str, location: Option<Location>) {
        self.gutter = location.map_or(1, |at| at.line.to_string().len());
        let place = location.map(|at| format!(":{at}")).unwrap_or_default();
        let arrow = format!("{:1$}-->", "", self.gutter);
        self.line(&format!("{} {}{place}", arrow.style(GUTTER), clean(name)));
    }

    /// Shows the line and what is meant on it.
    fn show(&mut self, source: Option<&Source>, location: Location, label: &str) {
        let label = clean(label);
        let Some(line) = source.and_then(|source| source.line(location.line)) else {
            if !label.is_empty() {
                self.note("found", &label);
            }
            return;
        };
        let excerpt = Excerpt::new(line, location, WIDTH.saturating_sub(self.gutter + 3));
        let empty = format!("{:1$} |", "", self.gutter);
        let number = format!("{:>1$} |", location.line, self.gutter);
        self.line(&format!("{}", empty.style(GUTTER)));
        self.line(&format!("{} {}", number.style(GUTTER), excerpt.text));
        let style = style(self.level);
        let carets = "^".repeat(excerpt.length);
        let (beside, below) = excerpt.place(&label, WIDTH.saturating_sub(self.gutter + 3));
        let marks = format!("{carets} {beside}");
        let marks = marks.trim_end();
        self.line(&format!(
            "{} {:2$}{3}",
            empty.style(GUTTER),
            "",
            excerpt.start,
            marks.style(style)
        ));
        for line in below {
            let indent = excerpt.start.min(line.0);
            self.line(&format!(
                "{} {:2$}{3}",
                empty.style(GUTTER),
                "",
                indent,
                line.1.style(style)
            ));
        }
    }

    /// Adds a note, over several lines if it is long.
    fn note(&mut self, title: &str, text: &str) {
        let indent = self.gutter + 3 + title.len() + 2;
        let lines = wrap(&clean(text), WIDTH.saturating_sub(indent));
        for (position, line) in lines.iter().enumerate() {
            if position == 0 {
                self.titled(title, line);
            } else {
                self.line(&format!("{:indent$}{line}", ""));
            }
        }
    }

    /// Adds a command, which stays on one line to be copied.
    fn command(&mut self, title: &str, command: &str) {
        self.titled(title, &clean(command));
    }

    fn titled(&mut self, title: &str, text: &str) {
        let equals = format!("{:1$} =", "", self.gutter);
        let title = format!("{title}:");
        self.line(&format!("{} {} {text}", equals.style(GUTTER), title.bold()));
    }
}

fn style(level: Level) -> Style {
    Style::new().bold().color(match level {
        Level::Note => AnsiColors::Cyan,
        Level::Warning => AnsiColors::Yellow,
        Level::Error => AnsiColors::Red,
    })
}

/// A line of source as a terminal shows it, cut to fit, with the place of what is meant on it.
struct Excerpt {
    text: String,
    start: usize,
    length: usize,
}

impl Excerpt {
    fn new(line: &str, location: Location, most: usize) -> Self {
        let cells: Vec<Cell> = cells(line).collect();
        let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let first = number(location.column.saturating_sub(1)).min(cells.len());
        let last = first.saturating_add(number(location.length)).min(cells.len());
        let measure = |cells: &[Cell]| cells.iter().map(|cell| cell.width).sum::<usize>();
        if measure(&cells) <= most {
            let text = cells.iter().map(|cell| cell.text.as_str()).collect();
            let length = measure(&cells[first..last]).max(1);
            return Self { text, start: measure(&cells[..first]), length };
        }
        let from = cut_front(&cells, first, most);
        let mut text = if from > 0 { CUT.to_owned() } else { String::new() };
        let start = text.len() + measure(&cells[from..first]);
        let mut used = text.len();
        let mut to = from;
        while let Some(cell) = cells.get(to).filter(|cell| used + cell.width + CUT.len() <= most) {
            text.push_str(&cell.text);
            used += cell.width;
            to += 1;
        }
        if to < cells.len() {
            text.push_str(CUT);
        }
        let length = measure(&cells[first..last.min(to).max(first)]).max(1);
        Self { text, start, length }
    }

    /// Where a label goes: beside the carets if it fits there, otherwise below them. Each line
    /// below comes with the largest indent that lets it fit.
    fn place(&self, label: &str, most: usize) -> (String, Vec<(usize, String)>) {
        if self.start + self.length + 1 + width(label) <= most {
            return (label.to_owned(), Vec::new());
        }
        let room = most.saturating_sub(self.start).max(most / 2);
        let lines = wrap(label, room).into_iter();
        (String::new(), lines.map(|line| (most.saturating_sub(room), line)).collect())
    }
}

/// The first cell to show of a line that is too long: far enough before what is meant, and no
/// further than needed to fill the width.
fn cut_front(cells: &[Cell], first: usize, most: usize) -> usize {
    let back = |from: usize, room: usize| {
        let mut used = 0;
        let mut at = from;
        while at > 0 && used + cells[at - 1].width <= room {
            at -= 1;
            used += cells[at].width;
        }
        at
    };
    let lead = back(first, LEAD);
    let filled = back(cells.len(), most.saturating_sub(2 * CUT.len()));
    let whole_front: usize = cells[..first].iter().map(|cell| cell.width).sum();
    if whole_front + LEAD <= most / 2 { 0 } else { lead.min(filled) }
}

#[cfg(test)]
mod tests {
    use backout_core::document::{FieldPath, Limits, read};
    use backout_core::finding::Code;

    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    const FRAGILE: &[u8] = include_bytes!("../../../../examples/checkout/fragile.yaml");

    fn fragile() -> Document<ReleasePolicy> {
        read("fragile.yaml", FRAGILE, &Limits::default()).unwrap()
    }

    fn at(path: &str) -> Subject {
        Subject::Policy(path.parse::<FieldPath>().unwrap())
    }

    fn example(subject: Subject, label: &str) -> Finding {
        Finding {
            code: Code("BO211"),
            level: Level::Error,
            subject,
            message: "this step can wait for ever".to_owned(),
            label: label.to_owned(),
            help: "set `deadlines.step`, or `triggers.noData`".to_owned(),
            replay: Some("--fault metrics-absent --seed 1".to_owned()),
        }
    }

    fn render(subject: Subject, label: &str) -> String {
        plain(&finding(&example(subject, label), &fragile(), "backout simulate fragile.yaml"))
    }

    #[test]
    fn a_finding_points_to_the_policy() {
        let label = "with fault `metrics-absent` it was still progressing after 24h";
        insta::assert_snapshot!(render(at("spec.strategy.canary.steps[3]"), label));
    }

    #[test]
    fn a_long_label_goes_below() {
        let label = "with fault `metrics-absent` the rollout was still progressing after 24h, \
                     waiting for: signal latency-p99 has no data";
        insta::assert_snapshot!(render(at("spec.signals[1].quantile.histogram"), label));
    }

    #[test]
    fn a_finding_can_point_to_an_object() {
        let object = Subject::Object("Deployment shop/checkout".to_owned());
        insta::assert_snapshot!(render(object, "4 of 8 replicas are ready"));
    }

    fn wrong(text: &[u8]) -> String {
        let error = read::<ReleasePolicy>("p.yaml", text, &Limits::default()).unwrap_err();
        plain(&unreadable(&error))
    }

    #[test]
    fn every_problem_of_a_document_is_shown() {
        let text = b"apiVersion: backout.dev/v1alpha1\na: 1\na: 2\n<<: {}\n";
        insta::assert_snapshot!(wrong(text));
        let fields = b"apiVersion: backout.dev/v1alpha1\nkind: ReleasePolicy\nmeta: {}\n";
        insta::assert_snapshot!(wrong(fields));
    }

    #[test]
    fn many_problems_are_cut_short() {
        let shown = plain(&unreadable(&document("a: 1", vec![problem(1, 1); 60])));
        assert_eq!(shown.matches("error:").count(), MOST_PROBLEMS);
        assert!(shown.ends_with("note: p has 10 more problems\n"), "{shown}");
        let documents = vec![document("a: 1", vec![problem(1, 1)]); 25];
        let shown = plain(&failure(&Failure::Documents(documents)));
        assert_eq!(shown.matches("error:").count(), MOST_DOCUMENTS);
        assert!(shown.ends_with("note: 5 more files cannot be used\n"), "{shown}");
    }

    fn problem(column: u32, length: u32) -> Problem {
        Problem {
            path: None,
            location: Some(Location { line: 1, column, length }),
            message: "wrong".to_owned(),
            expected: None,
            help: None,
        }
    }

    fn document(text: &str, problems: Vec<Problem>) -> Unreadable {
        let source = Some(Source::new("p", text));
        Unreadable { source_name: "p".to_owned(), source, problems }
    }

    /// A problem at a place of a line.
    fn on(line: &str, column: u32, length: u32) -> String {
        plain(&unreadable(&document(line, vec![problem(column, length)])))
    }

    #[test]
    fn the_caret_stands_below_wide_characters_and_tabs() {
        insta::assert_snapshot!(
            [
                on("名前: [値, b]", 6, 1),
                on("a:\t\tb", 5, 1),
                on("e\u{301}: b", 5, 1),
                on("", 1, 1),
                on("a: b", 5, 1),
                on("a: b", 99, 99),
            ]
            .concat()
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let long = format!("{}X{}", "a".repeat(300), "b".repeat(300));
        let wide = format!("{}X{}", "値".repeat(300), "値".repeat(300));
        insta::assert_snapshot!(
            [
                on(&long, 301, 1),
                on(&long, 10, 1),
                on(&long, 600, 1),
                on(&long, 250, 300),
                on(&wide, 301, 1),
            ]
            .concat()
        );
        for column in (1..700).step_by(7) {
            for line in on(&wide, column, 3).lines() {
                assert!(width(line) <= WIDTH, "{line}");
            }
        }
    }

    #[test]
    fn nothing_in_a_file_reaches_the_terminal_raw() {
        let hostile = "a: \u{7}\u{1b}[31m\u{9b}x\u{202e}y\u{200b}";
        let problem = Problem {
            message: hostile.to_owned(),
            expected: Some(hostile.to_owned()),
            help: Some("two\nlines".to_owned()),
            ..problem(5, 2)
        };
        let elsewhere = Problem { location: None, ..problem.clone() };
        let name = "p\u{1b}[2J\n.yaml".to_owned();
        let document =
            Unreadable { source_name: name, ..document(hostile, vec![problem, elsewhere]) };
        let shown = plain(&unreadable(&document));
        let raw = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
        assert!(!shown.contains(raw), "{shown:?}");
        assert!(shown.contains("two lines"), "{shown}");
    }

    #[test]
    fn failures_name_each_cause_once() {
        let absent = || std::io::Error::new(ErrorKind::NotFound, "no such file");
        let failures = [
            Failure::File { path: "a.yaml".to_owned(), source: absent() },
            Failure::Write { path: "b.json".to_owned(), source: absent() },
            Failure::usage("two releases are needed", "write another one"),
            Failure::Plan(backout_core::plan::PlanError::Releases("they are the same".to_owned())),
            Failure::Output(absent()),
        ];
        let shown: Vec<_> = failures.iter().map(|error| plain(&failure(error))).collect();
        insta::assert_snapshot!(shown.concat());
    }
}
