//! Answering the policy's queries. PromQL is not evaluated: its selectors are matched against the
//! series that the world exposes, and what they select is counted natively over the window.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use backout_core::judgement::{Bucket, Measurement, Window};
use backout_core::machine::SignalMeasured;
use backout_core::policy::{Query, SignalKind};
use backout_core::snapshot::{Arm, PerArm};
use backout_core::units::{Latency, Share, Time};

use super::World;
use super::traffic::{Counters, Scrape};
use crate::metrics::{Code, Family, Identity, conventional, resolve};

/// What a query selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Response codes of the stable release's series; absent when none is selected.
    stable: Option<BTreeSet<Code>>,
    /// Response codes of the candidate's series; absent when none is selected.
    candidate: Option<BTreeSet<Code>>,
    /// Why nothing is selected.
    pub note: Option<String>,
}

/// A signal's queries, asked for each arm.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// Bad requests over all.
    Ratio {
        /// The numerator's selection, by the arm that was asked for.
        bad: PerArm<Selection>,
        /// The denominator's.
        total: PerArm<Selection>,
    },
    /// Bucket counts.
    Histogram(PerArm<Selection>),
    /// Levels.
    Gauge(PerArm<Selection>),
}

/// A filled-in query, and the label that was renamed on the candidate's series.
type Key = (String, Option<(String, String)>);

/// What each query selects, remembered for all runs of a project: a sweep asks the same few
/// questions thousands of times.
#[derive(Debug)]
pub struct Queries {
    families: Vec<Family>,
    known: RwLock<BTreeMap<Key, Selection>>,
}

impl Queries {
    /// Queries against the conventional metric families and these.
    #[must_use]
    pub fn new(families: &[Family]) -> Self {
        let mut all = conventional();
        all.extend(families.iter().cloned());
        Self { families: all, known: RwLock::default() }
    }

    fn select(&self, key: Key, find: impl FnOnce(&str, &[Family]) -> Selection) -> Selection {
        // A poisoned lock means that another thread panicked; what is remembered is still right.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(selection) = known.get(&key) {
            return selection.clone();
        }
        drop(known);
        let selection = find(&key.0, &self.families);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(key, selection.clone());
        selection
    }
}

impl Selection {
    fn codes(&self, arm: Arm) -> Option<&BTreeSet<Code>> {
        match arm {
            Arm::Stable => self.stable.as_ref(),
            Arm::Candidate => self.candidate.as_ref(),
        }
    }

    /// Whether the query selects series of this arm.
    #[must_use]
    pub const fn selects(&self, arm: Arm) -> bool {
        match arm {
            Arm::Stable => self.stable.is_some(),
            Arm::Candidate => self.candidate.is_some(),
        }
    }
}

/// Requests of an arm with one code.
fn with_code(counters: &Counters, code: Code) -> u64 {
    let not_found = counters.total / 200;
    match code {
        Code::Error500 => counters.errors,
        Code::NotFound404 => not_found.min(counters.total - counters.errors.min(counters.total)),
        Code::Ok200 => counters.total.saturating_sub(counters.errors).saturating_sub(not_found),
    }
}

impl World {
    /// Gives a label of the candidate's series another name.
    pub fn relabel(&mut self, label: &str, name: &str) {
        self.afflictions.relabelled = Some((label.to_owned(), name.to_owned()));
        self.resolve_queries();
    }

    /// Finds out which series each query selects.
    pub(super) fn resolve_queries(&mut self) {
        let brief = Arc::clone(&self.brief);
        let wanted = brief.policy.spec.signals.iter().filter_map(|signal| {
            Some(match signal.kind().ok()? {
                SignalKind::Ratio(ratio, _) => Wanted::Ratio {
                    bad: self.counted_for_both(&ratio.bad),
                    total: self.counted_for_both(&ratio.total),
                },
                SignalKind::Quantile(quantiled, _) => {
                    Wanted::Histogram(self.counted_for_both(&quantiled.histogram))
                }
                SignalKind::Gauge(query, _) => Wanted::Gauge(self.select_for_both(query)),
            })
        });
        self.wanted = wanted.collect();
    }

    fn counted_for_both(&self, query: &Query) -> PerArm<Selection> {
        PerArm {
            stable: self.select_counted(query, Arm::Stable),
            candidate: self.select_counted(query, Arm::Candidate),
        }
    }

    /// What a query that has to answer a count selects when it is asked for an arm: nothing, if a
    /// live run could not count its answer.
    #[must_use]
    pub fn select_counted(&self, query: &Query, asked_for: Arm) -> Selection {
        let window = self.brief.policy.spec.triggers.window;
        let text = query.fill("release", "namespace", window);
        let counting = backout_promql::parse(&text)
            .map_err(|why| format!("the query: {why}"))
            .and_then(|expr| backout_promql::counting(&expr, Query::written(window)));
        match counting {
            Ok(_) => self.select(query, asked_for),
            Err(why) => Selection { stable: None, candidate: None, note: Some(why) },
        }
    }

    fn select_for_both(&self, query: &Query) -> PerArm<Selection> {
        PerArm {
            stable: self.select(query, Arm::Stable),
            candidate: self.select(query, Arm::Candidate),
        }
    }

    /// What a query selects when it is asked for an arm.
    #[must_use]
    pub fn select(&self, query: &Query, asked_for: Arm) -> Selection {
        let (brief, policy) = (&self.brief, &self.brief.policy);
        let namespace = policy.metadata.namespace.as_str();
        let window = policy.spec.triggers.window;
        let text = query.fill(&self.names.get(asked_for).set, namespace, window);
        let identities = [
            Identity {
                arm: Arm::Stable,
                set: self.names.stable.set.clone(),
                version: brief.stable.spec.version.clone(),
                pods: self.spec.replicas,
                relabelled: None,
            },
            Identity {
                arm: Arm::Candidate,
                set: self.names.candidate.set.clone(),
                version: brief.candidate.spec.version.clone(),
                pods: self.spec.replicas,
                relabelled: self.afflictions.relabelled.clone(),
            },
        ];
        let workload = policy.spec.workload.name.as_str();
        let key = (text, self.afflictions.relabelled.clone());
        self.queries.select(key, |text, families| {
            match resolve(text, families, namespace, workload, &identities) {
                Ok(resolved) => Selection {
                    stable: resolved.stable.any.then_some(resolved.stable.codes),
                    candidate: resolved.candidate.any.then_some(resolved.candidate.codes),
                    note: resolved.note,
                },
                Err(why) => Selection {
                    stable: None,
                    candidate: None,
                    note: Some(format!("the query: {why}")),
                },
            }
        })
    }

    /// Every signal on both arms over a window.
    pub(super) fn measure(&self, window: Window) -> Vec<SignalMeasured> {
        self.wanted
            .iter()
            .map(|wanted| SignalMeasured {
                candidate: self.measure_one(wanted, Arm::Candidate, window),
                stable: self.measure_one(wanted, Arm::Stable, window),
                note: note(wanted),
            })
            .collect()
    }

    fn measure_one(&self, wanted: &Wanted, asked_for: Arm, window: Window) -> Measurement {
        match wanted {
            Wanted::Ratio { bad, total } => Measurement::Ratio {
                bad: self.count(bad.get(asked_for), window),
                total: self.count(total.get(asked_for), window),
            },
            Wanted::Histogram(selection) => {
                Measurement::Histogram { buckets: self.buckets(selection.get(asked_for), window) }
            }
            Wanted::Gauge(selection) => {
                Measurement::Gauge { levels: self.levels(selection.get(asked_for), window) }
            }
        }
    }

    /// The scrapes at the edges of a window.
    fn edges(&self, window: Window) -> Option<(Option<&Scrape>, &Scrape)> {
        let last = self.scrapes.at_or_before(window.end.min(self.now))?;
        let before = Time::from_millis(window.start.as_millis());
        Some((self.scrapes.at_or_before(before), last))
    }

    fn increase(&self, arm: Arm, window: Window) -> Option<Counters> {
        let (first, last) = self.edges(window)?;
        let end = last.arms.get(arm);
        if !end.exposed {
            return None;
        }
        let start = first.map(|scrape| *scrape.arms.get(arm)).unwrap_or_default();
        Some(Counters {
            total: end.total.saturating_sub(start.total),
            errors: end.errors.saturating_sub(start.errors),
            slow: end.slow.saturating_sub(start.slow),
            ..Counters::default()
        })
    }

    fn count(&self, selection: &Selection, window: Window) -> Option<u64> {
        let mut sum = None;
        for arm in [Arm::Stable, Arm::Candidate] {
            let Some(codes) = selection.codes(arm) else { continue };
            let Some(counters) = self.increase(arm, window) else { continue };
            let selected: u64 = codes.iter().map(|code| with_code(&counters, *code)).sum();
            sum = Some(sum.unwrap_or(0) + selected);
        }
        sum
    }

    fn buckets(&self, selection: &Selection, window: Window) -> Option<Vec<Bucket>> {
        let (mut total, mut slow, mut any) = (0, 0, false);
        for arm in [Arm::Stable, Arm::Candidate] {
            if !selection.selects(arm) {
                continue;
            }
            if let Some(counters) = self.increase(arm, window) {
                (total, slow, any) = (total + counters.total, slow + counters.slow, true);
            }
        }
        any.then(|| self.spread(total, slow.min(total)))
    }

    /// Cumulative buckets: healthy requests spread evenly up to the slowest healthy time, slow ones
    /// at the slow time.
    fn spread(&self, total: u64, slow: u64) -> Vec<Bucket> {
        let healthy = total - slow;
        let slowest = self.health.slowest.as_micros().max(1);
        let at_or_below = |edge: Latency| {
            let part = u128::from(edge.as_micros().min(slowest)) * u128::from(healthy);
            let fast = u64::try_from(part / u128::from(slowest)).unwrap_or(healthy);
            if edge >= self.health.slow { fast + slow } else { fast }
        };
        let mut edges = self.spec.buckets.clone();
        edges.sort_unstable();
        edges
            .into_iter()
            .map(|edge| Bucket { le: Some(edge), count: at_or_below(edge) })
            .chain(std::iter::once(Bucket { le: None, count: total }))
            .collect()
    }

    fn levels(&self, selection: &Selection, window: Window) -> Option<Vec<Share>> {
        let mut levels = Vec::new();
        let scrapes = self.scrapes.within(window.start, window.end.min(self.now));
        for arm in [Arm::Stable, Arm::Candidate] {
            if !selection.selects(arm) {
                continue;
            }
            let highest = scrapes
                .iter()
                .map(|scrape| scrape.arms.get(arm))
                .filter(|counters| counters.exposed)
                .map(|counters| counters.level_ppm)
                .max();
            let pods = usize::try_from(self.ready(arm)).unwrap_or(1).max(1);
            if let Some(highest) = highest {
                levels.extend(std::iter::repeat_n(Share::from_ppm(highest), pods));
            }
        }
        (!levels.is_empty()).then_some(levels)
    }
}

/// Why the candidate's query finds nothing.
fn note(wanted: &Wanted) -> Option<String> {
    let selections: &[&Selection] = match wanted {
        Wanted::Ratio { total, .. } => &[&total.candidate],
        Wanted::Histogram(selection) | Wanted::Gauge(selection) => &[&selection.candidate],
    };
    selections
        .iter()
        .find(|selection| !selection.selects(Arm::Candidate))
        .and_then(|selection| selection.note.clone())
}
