//! Why a query found nothing: which of its matchers, and what there is instead.

use std::collections::BTreeSet;

use backout_core::judgement::Window;
use backout_core::units::Time;
use backout_promql::{Expr, METRIC_NAME, Matcher, printed};
use futures::future::BoxFuture;

use super::answer::Answer;
use super::client::cut;
use super::counters::lookback;
use crate::failure::Failure;

/// Most queries that are asked to find out.
const MOST_QUERIES: usize = 6;

/// Values of a label that are listed.
const LISTED: usize = 6;

/// Asks a query at a time.
pub(super) type Ask<'a> =
    dyn Fn(String, Time) -> BoxFuture<'a, Result<Answer, Failure>> + Send + Sync + 'a;

/// Explains why a query found nothing within a window. The first of its selectors that selects
/// nothing is explained. `ask` asks a query at a time; what cannot be asked is left out.
pub(super) async fn explain(expr: Option<&Expr>, window: Window, ask: &Ask<'_>) -> String {
    let selectors = expr.map(backout_promql::selectors).unwrap_or_default();
    let at = Time::from_millis(window.end.as_millis().saturating_sub(1));
    let length = window.end.since(window.start);
    let range = length.saturating_add(lookback(window)).as_millis();
    let seen = |matchers: &[Matcher]| format!("last_over_time({}[{range}ms])", printed(matchers));
    let mut left = MOST_QUERIES;
    for selector in &selectors {
        let [matchers] = &selector.alternatives[..] else { continue };
        if left == 0 {
            break;
        }
        left -= 1;
        match ask(format!("count({})", seen(matchers)), at).await {
            Ok(found) if found.series.is_empty() => {}
            Ok(_) => continue,
            Err(failure) => {
                return format!("no data, and asking why failed: {}", failure.in_full());
            }
        }
        for (place, wrong) in in_order(matchers) {
            if left == 0 {
                break;
            }
            left -= 1;
            let mut others = matchers.clone();
            others.remove(place);
            if !others.iter().any(selects_by_itself) {
                continue;
            }
            let label = &wrong.name;
            let query = format!("topk({}, count by ({label}) ({}))", LISTED + 1, seen(&others));
            if let Some(told) = ask(query, at).await.ok().and_then(|found| instead(wrong, &found)) {
                return told;
            }
        }
        return format!("no series matches {}", cut(&printed(matchers)));
    }
    match selectors.first() {
        None => "no data".to_owned(),
        Some(_) => format!(
            "there are series, but no samples of them within the window of {length}: is the \
             scrape interval longer, or do they come late (`triggers.metricsDelay`)?"
        ),
    }
}

/// Matchers with their places, those first that are most often wrong: of labels, and among these
/// those that ask for one value. The metric's name comes last, as nothing is left without it.
fn in_order(matchers: &[Matcher]) -> Vec<(usize, &Matcher)> {
    let mut matchers: Vec<_> = matchers
        .iter()
        .enumerate()
        .filter(|(_, matcher)| is_plain_label(&matcher.name) || matcher.name == METRIC_NAME)
        .collect();
    matchers.sort_by_key(|(place, matcher)| (matcher.name == METRIC_NAME, *place));
    matchers
}

/// PromQL refuses a selector whose every matcher matches a missing label.
fn selects_by_itself(matcher: &Matcher) -> bool {
    !matcher.is_match("")
}

fn is_plain_label(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What there is instead of what a matcher wants, if relaxing it found anything.
fn instead(wrong: &Matcher, found: &Answer) -> Option<String> {
    if found.series.is_empty() {
        return None;
    }
    let label = wrong.name.as_str();
    let values: BTreeSet<&str> = found
        .series
        .iter()
        .filter_map(|series| series.labels.get(label))
        .map(String::as_str)
        .collect();
    let missed = format!("no series matches {}", cut(&wrong.to_string()));
    let name = if label == METRIC_NAME { "the metric's name" } else { label };
    let Some(first) = values.first() else {
        return Some(format!("{missed}; the series have no label {label}"));
    };
    if values.len() == 1 {
        return Some(format!("{missed}; {name} has the value {}", cut(first)));
    }
    let listed: Vec<_> = values.iter().take(LISTED).map(|value| cut(value)).collect();
    let more = if values.len() > LISTED { " and more" } else { "" };
    Some(format!("{missed}; {name} has the values {}{more}", listed.join(", ")))
}
