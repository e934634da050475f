//! Markdown, for job summaries and comments on pull requests. Short: beside the table of faults,
//! no more lines than a reader of a comment takes in.

use super::simulation::{Found, Row, SimulationReport};
use super::sweep::SweepReport;
use crate::render::text::clean;
use crate::render::words::{count, cut};

/// Reasons, and as many findings, before the rest is only counted.
const SHOWN: usize = 6;

/// Columns of a finding's help.
const LONGEST: usize = 200;

/// A rehearsal.
pub(crate) fn simulation(report: &SimulationReport) -> String {
    let setting = &report.setting;
    let mut lines = vec![
        format!("## {}: {}", escaped(&setting.releases()), report.verdict.text),
        String::new(),
        format!("{}, seed {}", escaped(&setting.manner()), report.seed),
        String::new(),
        "| fault | seen by | after | pattern | back in | bad requests | verdict |".to_owned(),
        "|---|---|---|---|---|---:|---|".to_owned(),
    ];
    lines.extend(report.rows.iter().map(row));
    list("### Findings", report.findings.iter().map(finding).collect(), &mut lines);
    let reasons = report.rows.iter().filter_map(|row| {
        let reason = row.unexpected.first()?;
        Some(format!("- **{}**: {}", escaped(&row.name), escaped(reason)))
    });
    list("### Not as expected", reasons.collect(), &mut lines);
    reproduce(&setting.command, &mut lines);
    ended(&lines)
}

/// A sweep.
pub(crate) fn sweep(report: &SweepReport) -> String {
    let setting = &report.setting;
    let mut lines = vec![
        format!("## {}: {}", escaped(&setting.releases()), report.verdict.text),
        String::new(),
        escaped(&setting.manner()),
        String::new(),
        "| outcome | runs |".to_owned(),
        "|---|---:|".to_owned(),
    ];
    let classes = report.classes.iter();
    lines.extend(classes.map(|counted| format!("| {} | {} |", counted.class, counted.runs)));
    lines.extend([
        String::new(),
        format!(
            "Worst harm: {} in one run; the policy's budget is {}.",
            count(report.worst_bad_requests, "bad request"),
            setting.harm_budget
        ),
        format!("Never exercised: {}.", listed(&report.never_exercised)),
        format!("Not modelled: {}.", listed(report.not_modelled)),
    ]);
    let failures = report.failures.iter().map(|failure| {
        let found = failure.found.first().map_or("", String::as_str);
        format!("- seed {}: {}", failure.seed, escaped(found))
    });
    list("### Failures", failures.collect(), &mut lines);
    reproduce(&setting.command, &mut lines);
    ended(&lines)
}

fn row(row: &Row) -> String {
    let verdict = if row.as_expected { "as expected" } else { "**NOT as expected**" };
    let cells = [
        escaped(&row.name),
        escaped(row.cause.as_deref().unwrap_or("-")),
        row.after(),
        row.ending(),
        row.back_in(),
        row.bad_requests.to_string(),
        verdict.to_owned(),
    ];
    format!("| {} |", cells.join(" | "))
}

fn finding(found: &Found) -> String {
    format!(
        "- {} {} at `{}`: {}. {}",
        found.level,
        found.code,
        clean(&found.place()).replace('`', "'"),
        escaped(&found.message),
        escaped(&cut(&found.help, LONGEST))
    )
}

fn list(title: &str, items: Vec<String>, lines: &mut Vec<String>) {
    if items.is_empty() {
        return;
    }
    let more = items.len().saturating_sub(SHOWN);
    lines.extend([String::new(), title.to_owned(), String::new()]);
    lines.extend(items.into_iter().take(SHOWN));
    if more > 0 {
        lines.push(format!("- and {more} more"));
    }
}

fn listed(items: &[&str]) -> String {
    if items.is_empty() { "nothing".to_owned() } else { escaped(&items.join(", ")) }
}

fn reproduce(command: &str, lines: &mut Vec<String>) {
    let command = clean(command);
    lines.extend([String::new(), "```sh".to_owned(), command, "```".to_owned()]);
}

fn ended(lines: &[String]) -> String {
    format!("{}\n", lines.join("\n"))
}

/// Text that Markdown shows as it is, in a cell as well as in a sentence. Words between backticks
/// stay code, as the messages mean them.
fn escaped(text: &str) -> String {
    let text = clean(text);
    let parts: Vec<&str> = text.split('`').collect();
    let balanced = parts.len() % 2 == 1;
    if !balanced {
        return parts.into_iter().map(outside_code).collect::<Vec<_>>().join("\\`");
    }
    let inside = |part: &str| part.replace('|', "\\|");
    let each = parts.into_iter().enumerate().map(|(index, part)| match index % 2 {
        0 => outside_code(part),
        _ => inside(part),
    });
    each.collect::<Vec<_>>().join("`")
}

fn outside_code(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '[' | ']' | '\\' => {
                shown.push('\\');
                shown.push(c);
            }
            '<' => shown.push_str("&lt;"),
            '&' => shown.push_str("&amp;"),
            _ => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{simulation, sweep as sweeps};

    #[test]
    fn a_rehearsal() {
        insta::assert_snapshot!(simulation(&simulation::samples::mixed()));
    }

    #[test]
    fn a_sweep() {
        insta::assert_snapshot!(sweep(&sweeps::samples::failing()));
    }

    #[test]
    fn is_short_whatever_goes_wrong() {
        let mut report = simulation::samples::mixed();
        report.rows[0].unexpected = vec!["reason".to_owned(); 100];
        report.findings = vec![report.findings[0].clone(); 100];
        let text = simulation(&report);
        assert!(text.lines().count() <= 30 + report.rows.len(), "{text}");
    }

    #[test]
    fn nothing_is_taken_for_markdown() {
        assert_eq!(escaped("a|b <i>*x*</i>\n& `y_|<`"), r"a\|b &lt;i>\*x\*&lt;/i> &amp; `y_\|<`");
        assert_eq!(escaped("a `b_c"), r"a \`b\_c");
    }
}
