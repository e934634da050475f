//! Why a selector selects nothing: which of its matchers, and what there is instead.

use std::collections::BTreeSet;

use backout_core::document::nearest;
use backout_core::snapshot::Arm;
use backout_promql::Selector;
use backout_promql::{METRIC_NAME, MatchOp, Matcher};

use super::family::Family;
use super::series::{Exposed, Scene};

/// Values of a label that are listed.
const LISTED: usize = 6;

/// Characters of a matcher that are repeated.
const SHOWN: usize = 120;

/// Shorter names are part of too many others to be a hint.
const SHORTEST_PART: usize = 5;

/// Explains why a selector selects nothing of these arms. If it has alternatives, the first one is
/// explained.
pub(super) fn explain(selector: &Selector, scene: Scene<'_>, arms: &[Arm]) -> String {
    let matchers = selector.alternatives.first().map(Vec::as_slice).unwrap_or_default();
    let (names, matchers): (Vec<&Matcher>, Vec<&Matcher>) =
        matchers.iter().partition(|matcher| matcher.name == METRIC_NAME);
    let is_named = |name: &str| names.iter().all(|matcher| matcher.is_match(name));
    if !scene.families.iter().any(|family| is_named(&family.name)) {
        return unknown_name(&names, scene.families);
    }
    let mut series = scene.series(arms, is_named);
    series.retain(Exposed::exists);
    let of_whom = of_whom(scene, arms);
    if series.is_empty() {
        return format!("there are no pods{of_whom}, so there are no series");
    }
    let subject = format!("no series of {}{of_whom}", metrics(&series));
    let picks = |matchers: &[&Matcher]| series.iter().any(|series| series.pick(matchers).is_some());
    if let Some(wrong) = matchers.iter().find(|matcher| !picks(&[**matcher])) {
        return format!("{subject} has {}; {}", shown(wrong), instead(wrong, &series));
    }
    // Each matcher by itself selects something, so it is a combination that selects nothing. A
    // matcher has a part in it if the others do without it.
    let without = |index: usize| [&matchers[..index], &matchers[index + 1..]].concat();
    let parts: Vec<_> = (0..matchers.len())
        .filter(|index| picks(&without(*index)))
        .map(|at| matchers[at])
        .collect();
    let parts = if parts.len() > 1 { parts } else { matchers };
    let parts: Vec<_> = parts.into_iter().map(shown).collect();
    format!("{subject} has {} at once", parts.join(" and "))
}

fn unknown_name(names: &[&Matcher], families: &[Family]) -> String {
    let [name] = names else {
        let names: Vec<_> = names.iter().map(|name| shown(name)).collect();
        return format!("no series has {}", names.join(" and "));
    };
    if !matches!(name.op, MatchOp::Equal) {
        return format!("no series has {}", shown(name));
    }
    let known = || families.iter().map(|family| family.name.as_str());
    let wanted = name.value.as_str();
    let overlaps = |known: &&str| {
        let shorter = wanted.len().min(known.len());
        shorter >= SHORTEST_PART && (known.contains(wanted) || wanted.contains(known))
    };
    let close = nearest(wanted, known()).or_else(|| {
        known().filter(overlaps).min_by_key(|known| known.len().abs_diff(wanted.len()))
    });
    let hint = close.map(|close| format!("; did you mean `{close}`?")).unwrap_or_default();
    format!("no series named `{}`{hint}", cut(wanted))
}

/// What there is instead of what a matcher wants.
fn instead(wrong: &Matcher, series: &[Exposed<'_>]) -> String {
    let label = wrong.name.as_str();
    let values: BTreeSet<String> = series
        .iter()
        .filter_map(|series| series.labels.get(label).map(|source| series.values(source)))
        .flatten()
        .collect();
    if !values.is_empty() {
        let more = values.len().saturating_sub(LISTED);
        let listed: Vec<_> = values.iter().take(LISTED).map(|value| format!("{value:?}")).collect();
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let noun = if values.len() == 1 { "value" } else { "values" };
        return format!("label `{label}` has the {noun} {}{rest}", listed.join(", "));
    }
    let labels: BTreeSet<&str> =
        series.iter().flat_map(|series| series.labels.keys()).copied().collect();
    let hint = holders(wrong, series).or_else(|| {
        nearest(label, labels.iter().copied()).map(|close| format!(" (did you mean `{close}`?)"))
    });
    let label = cut(label);
    if let Some(hint) = hint {
        return format!("it has no label `{label}`{hint}");
    }
    let labels: Vec<_> = labels.into_iter().collect();
    format!("it has no label `{label}`; labels are {}", labels.join(", "))
}

/// The labels that have the value which a matcher wants of another label, if they are few enough
/// for that to be no accident.
fn holders(wrong: &Matcher, series: &[Exposed<'_>]) -> Option<String> {
    if matches!(wrong.op, MatchOp::NotEqual | MatchOp::NotRe(_)) || wrong.is_match("") {
        return None;
    }
    let mut holders = BTreeSet::new();
    for series in series {
        for (label, source) in &series.labels {
            if series.values(source).iter().any(|value| wrong.is_match(value)) {
                holders.insert(format!("`{label}`"));
            }
        }
    }
    let verb = if holders.len() == 1 { "has" } else { "have" };
    let names = holders.iter().map(String::as_str).collect::<Vec<_>>().join(" and ");
    (1..=3).contains(&holders.len()).then(|| format!(", but {names} {verb} such a value"))
}

fn metrics(series: &[Exposed<'_>]) -> String {
    let names: BTreeSet<_> =
        series.iter().map(|series| format!("`{}`", series.family.name)).collect();
    let listed: Vec<_> = names.iter().take(LISTED).map(String::as_str).collect();
    let rest = if names.len() > LISTED { " and others" } else { "" };
    format!("{}{rest}", listed.join(" or "))
}

/// Says which arm is meant, unless it is every arm that there is.
fn of_whom(scene: Scene<'_>, arms: &[Arm]) -> String {
    match arms {
        [arm] if scene.identities.iter().any(|identity| identity.arm != *arm) => {
            format!(" of the {arm}{}", if *arm == Arm::Stable { " release" } else { "" })
        }
        _ => String::new(),
    }
}

fn shown(matcher: &Matcher) -> String {
    format!("`{}`", cut(&matcher.to_string()))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
