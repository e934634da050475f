//! A query that selects nothing of the candidate, or cannot tell the candidate from the stable
//! release.

use std::sync::Arc;

use backout_core::document::FieldPath;
use backout_core::finding::Code;
use backout_core::policy::{
    BucketUnit, Measures, Preset, Quantiled, Query, Ratio, Signal, SignalKind, Threshold,
};
use backout_core::snapshot::Arm;
use backout_core::units::{Latency, Name, Quantile, Share};

use super::{Weakness, spec};
use crate::rehearse::Project;
use crate::world::Selection;

/// Queries that select what the virtual world exposes, to stand in for a broken one.
const BAD: &str = r#"sum(increase(http_requests_total{release="$release", code=~"5.."}[$window]))"#;
const TOTAL: &str = r#"sum(increase(http_requests_total{release="$release"}[$window]))"#;
const BUCKETS: &str = concat!(
    "sum by (le) (increase(",
    r#"http_request_duration_seconds_bucket{release="$release"}[$window]))"#
);
const LEVEL: &str = r#"max by (pod) (container_cpu_utilization{pod=~"$release-.*"})"#;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    let world = project.healthy_world(Arc::clone(&project.brief), 0);
    for (index, signal) in project.brief.policy.spec.signals.iter().enumerate() {
        let Ok(kind) = signal.kind() else { continue };
        for (field, query) in kind.queries() {
            let path = field_path(index, signal, &kind, field);
            let selection = match kind {
                SignalKind::Gauge(..) => world.select(query, Arm::Candidate),
                SignalKind::Ratio(..) | SignalKind::Quantile(..) => {
                    world.select_counted(query, Arm::Candidate)
                }
            };
            if let Some(weakness) = judge_query(selection, path, index) {
                list.push(weakness);
                break;
            }
        }
    }
}

fn field_path(index: usize, signal: &Signal, kind: &SignalKind<'_>, field: &str) -> FieldPath {
    let preset = signal.preset.is_some();
    let signal = spec(&["signals"]).index(index);
    match kind {
        _ if preset => signal.key("preset"),
        SignalKind::Ratio(..) => signal.key("ratio").key(field),
        SignalKind::Quantile(..) => signal.key("quantile").key(field),
        SignalKind::Gauge(..) => signal.key(field),
    }
}

fn judge_query(selection: Selection, path: FieldPath, index: usize) -> Option<Weakness> {
    let (code, message, help) = if !selection.selects(Arm::Candidate) {
        (
            Code("BO214"),
            "this query matches no series of the candidate".to_owned(),
            selection.note.unwrap_or_else(|| "compare it with the series that exist".to_owned()),
        )
    } else if selection.selects(Arm::Stable) {
        (
            Code("BO215"),
            "this query cannot tell the candidate from the stable release".to_owned(),
            "select on `$release`, for example `release=\"$release\"`".to_owned(),
        )
    } else {
        return None;
    };
    Some(Weakness {
        code,
        path,
        message,
        help,
        mend: Box::new(move |policy| {
            if let Some(signal) = policy.spec.signals.get_mut(index) {
                replace(signal);
            }
        }),
        plant: Box::new(move |policy, original| {
            if let (Some(signal), Some(was)) =
                (policy.spec.signals.get_mut(index), original.spec.signals.get(index))
            {
                signal.ratio.clone_from(&was.ratio);
                signal.quantile.clone_from(&was.quantile);
                signal.gauge.clone_from(&was.gauge);
                signal.preset = was.preset;
            }
        }),
    })
}

/// Puts queries in that select what the world exposes.
fn replace(signal: &mut Signal) {
    // A preset that finds nothing is mended as the signal that it stands for.
    match signal.preset.take() {
        Some(Preset { measures: Measures::Errors, .. }) => signal.ratio = Some(errors()),
        Some(Preset { measures: Measures::Latency, q, .. }) => signal.quantile = q.map(latency),
        None => {}
    }
    if let Some(ratio) = &mut signal.ratio {
        ratio.bad = Query::new(BAD);
        ratio.total = Query::new(TOTAL);
    }
    if let Some(quantiled) = &mut signal.quantile {
        quantiled.histogram = Query::new(BUCKETS);
    }
    if let Some(gauge) = &mut signal.gauge {
        *gauge = Query::new(LEVEL);
    }
}

fn errors() -> Ratio {
    Ratio { bad: Query::new(BAD), total: Query::new(TOTAL) }
}

fn latency(q: Quantile) -> Quantiled {
    Quantiled { histogram: Query::new(BUCKETS), q, unit: BucketUnit::Seconds }
}

/// A working signal of each kind, for a policy that lacks it.
pub(super) fn standard(kind: &str) -> Option<Signal> {
    let mut signal = Signal {
        name: Name::from_static("stand-in"),
        ratio: None,
        quantile: None,
        gauge: None,
        preset: None,
        max: Threshold::Share(Share::from_ppm(10_000)),
    };
    match kind {
        "ratio" => {
            signal.name = Name::from_static("stand-in-errors");
            signal.ratio = Some(errors());
        }
        "quantile" => {
            signal.name = Name::from_static("stand-in-latency");
            let q = Quantile::from_ppm(990_000)?;
            signal.quantile = Some(latency(q));
            signal.max = Threshold::Latency(Latency::from_millis(500));
        }
        _ => {
            signal.name = Name::from_static("stand-in-saturation");
            signal.gauge = Some(Query::new(LEVEL));
            signal.max = Threshold::Share(Share::from_ppm(850_000));
        }
    }
    Some(signal)
}
