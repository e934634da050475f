//! Which series of which arm a query selects.

use std::collections::BTreeSet;

use backout_core::snapshot::Arm;
use backout_core::units::Latency;
use backout_promql::{Matcher, Selector};

use super::explain::explain;
use super::family::{Family, Measure, Unit};
use super::series::{Code, Exposed, Identity, Scene, matches_edge};

/// Both arms, in the order in which notes speak of them.
const ARMS: [Arm; 2] = [Arm::Candidate, Arm::Stable];

/// What a query selects.
///
/// The query is not evaluated. What its selectors select is put together as if they stood side by
/// side, so a ratio within one query counts every code that either side counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Names of the families that a selector selects series of.
    pub families: BTreeSet<String>,
    /// What is selected of the candidate's series.
    pub candidate: Selected,
    /// What is selected of the stable release's series.
    pub stable: Selected,
    /// What these families measure; `None` when there are none, or when they disagree.
    pub measure: Option<Measure>,
    /// Unit of their `le` label; that of the first one selected, when they disagree.
    pub unit: Unit,
    /// What is wrong, and which part of the query it is. It may concern only a part that the
    /// query can do without, such as one side of `or`. Never absent when nothing is selected of an
    /// arm whose set the query names or, when it names none, of any arm.
    pub note: Option<String>,
}

impl Resolved {
    /// What is selected of an arm's series.
    #[must_use]
    pub const fn arm(&self, arm: Arm) -> &Selected {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Candidate => &self.candidate,
        }
    }

    /// What is wrong when a histogram has these edges beside the last one: no bucket is selected.
    #[must_use]
    pub fn note_on_edges(&self, edges: &[Latency]) -> Option<String> {
        let arm = [&self.candidate, &self.stable].into_iter().find(|selected| {
            let all = &selected.edges;
            let mut edges = edges.iter().copied().map(Some).chain([None]);
            !all.alternatives.is_empty() && !edges.any(|edge| all.selects(self.unit, edge))
        })?;
        let matchers: Vec<_> =
            arm.edges.alternatives.iter().flatten().map(|matcher| format!("`{matcher}`")).collect();
        let edges: Vec<_> = edges.iter().map(|edge| self.unit.le(Some(*edge))).collect();
        let edges = edges.join(", ");
        Some(format!("no bucket has {}; `le` is one of {edges}, +Inf", matchers.join(" and ")))
    }
}

/// What is selected of one arm's series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// Whether anything is. It is not when the rest of the query makes the answer empty, as in
    /// `a / b` when nothing is selected by `b`.
    pub any: bool,
    /// Response codes whose requests are counted. Where no label tells codes apart, all are.
    pub codes: BTreeSet<Code>,
    /// Which buckets are selected, for the families that have buckets.
    pub edges: Edges,
}

/// Which buckets of a histogram are selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// Matchers of the `le` label. Within an alternative all have to hold.
    alternatives: Vec<Vec<Matcher>>,
}

impl Edges {
    /// Whether the bucket with this upper edge is selected; `None` is the last bucket.
    #[must_use]
    pub fn selects(&self, unit: Unit, edge: Option<Latency>) -> bool {
        let le = unit.le(edge);
        self.alternatives
            .iter()
            .any(|matchers| matchers.iter().all(|matcher| matches_edge(matcher, &le)))
    }

    /// Whether a selector restricts the buckets at all, which the whole histogram must not be.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        !self.alternatives.is_empty() && !self.alternatives.iter().any(Vec::is_empty)
    }
}

/// Finds what a query selects, when each identity exposes the families.
///
/// The query's variables are already filled in. If it has several selectors, what they select is
/// united. Buckets are not known here: [`Edges`] says which of them are selected.
///
/// # Errors
/// When the query is not PromQL, or too large to be handled.
pub fn resolve(
    query: &str,
    families: &[Family],
    namespace: &str,
    workload: &str,
    identities: &[Identity],
) -> Result<Resolved, String> {
    let expr = backout_promql::parse(query)?;
    let scene = Scene { families, namespace, workload, identities };
    let selectors = backout_promql::selectors(&expr);
    let exposed = scene.series(&ARMS, |name| selectors.iter().any(|one| one.is_named(name)));
    let mut union = Union::default();
    let found: Vec<bool> = selectors.iter().map(|selector| union.add(selector, &exposed)).collect();
    let mut each = found.iter();
    let answers = backout_promql::answers(&expr, &mut |_| each.next().copied().unwrap_or(false));
    let mut resolved = union.into_resolved();
    resolved.note = note(&resolved, scene, &selectors, &found, answers);
    if !answers {
        resolved.candidate = Selected::default();
        resolved.stable = Selected::default();
    }
    Ok(resolved)
}

/// What all selectors select together.
#[derive(Default)]
struct Union {
    families: BTreeSet<String>,
    candidate: Selected,
    stable: Selected,
    measures: BTreeSet<Measure>,
    unit: Option<Unit>,
}

impl Union {
    /// Adds what a selector selects, and returns whether that is anything.
    fn add(&mut self, selector: &Selector, exposed: &[Exposed<'_>]) -> bool {
        let mut any = false;
        for series in exposed {
            for matchers in &selector.alternatives {
                let matchers: Vec<_> = matchers.iter().collect();
                let Some(picked) = series.pick(&matchers) else {
                    continue;
                };
                any = true;
                let selected = match series.identity.arm {
                    Arm::Stable => &mut self.stable,
                    Arm::Candidate => &mut self.candidate,
                };
                selected.any = true;
                selected.codes.extend(picked.codes);
                let known = &mut selected.edges.alternatives;
                if let Some(edges) = picked.edges.filter(|edges| !known.contains(edges)) {
                    known.push(edges);
                }
                let family = series.family;
                self.families.insert(family.name.clone());
                self.measures.insert(family.measure);
                if matches!(family.measure, Measure::DurationBuckets | Measure::DurationCount) {
                    self.unit.get_or_insert(family.unit);
                }
            }
        }
        any
    }

    fn into_resolved(self) -> Resolved {
        let measure = self.measures.first().copied().filter(|_| self.measures.len() == 1);
        Resolved {
            families: self.families,
            candidate: self.candidate,
            stable: self.stable,
            measure,
            unit: self.unit.unwrap_or_default(),
            note: None,
        }
    }
}

/// The first thing that is wrong. A selector that selects nothing comes first, because it is the
/// most precise.
fn note(
    resolved: &Resolved,
    scene: Scene<'_>,
    selectors: &[Selector],
    found: &[bool],
    answers: bool,
) -> Option<String> {
    if selectors.is_empty() {
        return Some("the query selects no series, so it says nothing of any release".to_owned());
    }
    let dead = selectors.iter().zip(found).find(|(_, found)| !**found);
    if let Some((selector, _)) = dead {
        return Some(explain(selector, scene, &arms_or_all(&named(selector, scene))));
    }
    let named_by_any: Vec<_> = selectors.iter().flat_map(|one| named(one, scene)).collect();
    for arm in arms_or_all(&named_by_any) {
        let exposes = scene.identities.iter().any(|identity| identity.arm == arm);
        if exposes && !resolved.arm(arm).any {
            let names_arm = |one: &&Selector| named(one, scene).contains(&arm);
            let selector = selectors.iter().find(names_arm).or(selectors.first())?;
            return Some(explain(selector, scene, &[arm]));
        }
    }
    if !answers {
        return Some("the query answers nothing although its selectors select series".to_owned());
    }
    resolved.measure.is_none().then(|| {
        let families: Vec<_> = resolved.families.iter().map(|name| format!("`{name}`")).collect();
        format!("the query combines metrics of different kinds: {}", families.join(", "))
    })
}

/// The arms whose sets a selector names.
fn named(selector: &Selector, scene: Scene<'_>) -> Vec<Arm> {
    let names = |set: &str| {
        let mut matchers = selector.alternatives.iter().flatten();
        !set.is_empty() && matchers.any(|matcher| matcher.value.contains(set))
    };
    let identities = scene.identities.iter().filter(|identity| names(&identity.set));
    identities.map(|identity| identity.arm).collect()
}

/// These arms, or both if there are none.
fn arms_or_all(arms: &[Arm]) -> Vec<Arm> {
    ARMS.into_iter().filter(|arm| arms.is_empty() || arms.contains(arm)).collect()
}

#[cfg(test)]
mod tests;
