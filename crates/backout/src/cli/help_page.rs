//! `backout help-page`: reference pages in Markdown, written from the code.

use std::fmt::Write as _;

use backout_core::plan::Pattern;
use backout_sim::faults::{self, Ending, Named};
use backout_sim::oracles;
use backout_sim::scenario::Trigger;
use clap::ValueEnum;

use crate::error::Failure;
use crate::exit_code::Exit;
use crate::terminal::Terminal;

/// Prints a reference page in Markdown.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The page.
    #[arg(value_enum)]
    page: Page,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Page {
    Faults,
    Oracles,
    ExitCodes,
}

/// Keeps people from editing what the next run of the generator undoes.
const GENERATED: &str = "<!-- Written by `cargo xtask generate` from the code. Do not edit. -->";

pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let text = match arguments.page {
        Page::Faults => faults_page(),
        Page::Oracles => oracles_page(),
        Page::ExitCodes => exit_codes_page(),
    };
    terminal.print(&text)?;
    Ok(Exit::Pass)
}

fn faults_page() -> String {
    let named = faults::catalogue();
    let mut page = format!(
        "{GENERATED}\n\n# Faults\n\n\
         What `backout simulate` lets go wrong, one rehearsal each, and the answer key of each: \
         what must\nnotice it, and how the rollout must end. `--fault NAME` rehearses one alone. \
         Modes F1 to F5 are the\nfailure modes that Backout was made for.\n\n\
         | fault | mode | what happens |\n|---|---|---|\n"
    );
    for fault in &named {
        let (name, about) = (fault.name, fault.about);
        let _ = writeln!(page, "| [`{name}`](#{name}) | {} | {} |", about.mode, cell(about.what));
    }
    for fault in &named {
        page.push_str(&fault_section(fault));
    }
    page
}

fn fault_section(fault: &Named) -> String {
    let about = fault.about;
    let expected = about.expected;
    let seen_by: Vec<_> = expected.seen_by.iter().map(ToString::to_string).collect();
    let mode = if about.mode.is_empty() {
        String::new()
    } else {
        format!("- **Failure mode:** {}\n", about.mode)
    };
    format!(
        "\n## `{}`\n\n{}\n\n{mode}\
         - **Strikes:** {}\n\
         - **Stands for:** {}\n\
         - **Shown by:** {}\n\
         - **Must be noticed by:** {}, within {} (the policy's own deadlines come on top)\n\
         - **Must end:** {}\n",
        fault.name,
        about.what,
        strikes(fault.when),
        about.stands_for,
        about.shown_by,
        seen_by.join(" or "),
        expected.within,
        ends(expected.ending),
    )
}

fn strikes(when: Trigger) -> String {
    match when {
        Trigger::Start {} => "before the first step".to_owned(),
        Trigger::Elapsed { after } => format!("{after} after the start"),
        Trigger::Exposed { after } => format!("{after} after the first user traffic"),
        Trigger::FullWeight { after } => format!("{after} after the candidate got all traffic"),
    }
}

fn ends(ending: Ending) -> String {
    match ending {
        Ending::Promoted => "promoted".to_owned(),
        Ending::Back(Pattern::Cancel) => "cancelled, before any user traffic".to_owned(),
        Ending::Back(pattern) => format!("rolled back by `{pattern}`"),
        Ending::AsPlanned => {
            "as the plan said in advance for the step at which it is noticed".to_owned()
        }
        Ending::Held => "held for a person".to_owned(),
        Ending::HeldIfComparable => {
            "held for a person where both releases have traffic, otherwise as planned".to_owned()
        }
    }
}

fn oracles_page() -> String {
    let mut page = format!(
        "{GENERATED}\n\n# Oracles\n\n\
         Properties that `backout simulate` checks after every event of every run. S are about \
         safety, L\nabout liveness. Each is itself tested by an engine with a planted bug that it \
         must catch.\n\n| oracle | property |\n|---|---|\n"
    );
    for oracle in oracles::all() {
        let about = oracle.about();
        let _ = writeln!(page, "| {} | {} |", about.number, cell(about.property));
    }
    page
}

fn exit_codes_page() -> String {
    let mut page = format!(
        "{GENERATED}\n\n# Exit codes\n\n\
         The same for every command and every output format.\n\n| code | meaning |\n|---|---|\n"
    );
    for exit in Exit::ALL {
        let _ = writeln!(page, "| {} | {} |", exit.code(), cell(exit.meaning()));
    }
    page
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', r"\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_section_and_a_row() {
        let page = faults_page();
        for fault in faults::catalogue() {
            assert!(page.contains(&format!("\n## `{}`\n", fault.name)), "{}", fault.name);
            assert!(page.contains(&format!("| [`{0}`](#{0}) |", fault.name)), "{}", fault.name);
        }
    }

    #[test]
    fn every_oracle_and_every_exit_code_has_a_row() {
        assert_eq!(oracles_page().matches("\n| ").count(), oracles::all().len() + 1);
        assert_eq!(exit_codes_page().matches("\n| ").count(), Exit::ALL.len() + 1);
        assert!(exit_codes_page().contains("\n| 11 | not rollbackable, or blocked |\n"));
    }
}
