//! What a sweep found, for people: the verdict, what was seen, and what was not.

use owo_colors::OwoColorize as _;

use super::text::clean;
use super::words::{count, left, listed, right};
use crate::error::Failure;
use crate::report::sweep::{SweepFailure, SweepReport};

/// Columns of the lists.
const WIDTH: usize = 100;

/// The whole of it. Failures come last, where a reader of a long output looks first.
pub(crate) fn render(report: &SweepReport) -> Result<String, Failure> {
    let verdict = &report.verdict;
    let colored = if verdict.failed > 0 {
        verdict.text.red().bold().to_string()
    } else {
        verdict.text.bold().to_string()
    };
    let setting = &report.setting;
    let mut text = format!(
        "{colored}\n\n{}\n",
        clean(&format!("{}   {}", setting.releases(), setting.manner()))
    );
    text.push_str(&format!("{}\n", "OUTCOME       RUNS".dimmed()));
    for counted in &report.classes {
        let class = left(&counted.class.to_string(), 12);
        text.push_str(&format!("{class}{}\n", right(&counted.runs.to_string(), 6)));
    }
    text.push_str(&format!(
        "\nworst harm: {} in one run; the policy's budget is {}\n\n",
        count(report.worst_bad_requests, "bad request"),
        setting.harm_budget
    ));
    text.push_str(&seen(report));
    let kept = u64::try_from(report.failures.len()).unwrap_or(u64::MAX);
    if kept < verdict.failed {
        text.push_str(&format!("\nthe first {kept} of {} failures:\n", verdict.failed));
    }
    for failure in &report.failures {
        text.push_str(&failed(failure)?);
    }
    Ok(text)
}

fn seen(report: &SweepReport) -> String {
    let exercised: Vec<String> =
        report.exercised.iter().map(|(fault, runs)| format!("{fault} {runs}")).collect();
    let never: Vec<String> = report.never_exercised.iter().map(ToString::to_string).collect();
    let not_modelled: Vec<String> = report.not_modelled.iter().map(ToString::to_string).collect();
    [("exercised:", exercised), ("never exercised:", never), ("not modelled:", not_modelled)]
        .into_iter()
        .map(|(title, items)| {
            let items = if items.is_empty() { vec!["nothing".to_owned()] } else { items };
            format!("{}\n", listed(title, &items, 2, WIDTH))
        })
        .collect()
}

fn failed(failure: &SweepFailure) -> Result<String, Failure> {
    let mut text = format!("\n{} {}\n", "seed".red().bold(), failure.seed.red().bold());
    for found in &failure.found {
        text.push_str(&format!("  {}\n", clean(found)));
    }
    if failure.scenario.spec.faults.is_empty() {
        text.push_str("  it fails without any fault\n");
    } else {
        let file = format!("{}.yaml", failure.scenario.metadata.name);
        text.push_str(&format!("  the fewest faults that still fail, to be stored as {file}:\n"));
        for line in failure.scenario_file()?.lines() {
            text.push_str(&format!("    {}\n", clean(line)));
        }
    }
    text.push_str(&format!("  replay: {}\n", clean(&failure.replay)));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sweep::samples;

    fn shown(report: &SweepReport) -> String {
        anstream::adapter::strip_str(&render(report).unwrap()).to_string()
    }

    #[test]
    fn a_clean_sweep_says_what_it_does_not_say() {
        insta::assert_snapshot!(shown(&samples::clean()));
    }

    #[test]
    fn a_failing_sweep_can_be_replayed() {
        insta::assert_snapshot!(shown(&samples::failing()));
    }
}
