//! The candidate's series carry another label, so that its queries match nothing.

use backout_core::units::Span;
use backout_promql::{METRIC_NAME, Matcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::World;

/// The candidate's series carry another label, so that its queries match nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricsAbsent {}

impl MetricsAbsent {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "metrics-absent",
            when: Trigger::Start {},
            fault: Fault::MetricsAbsent(Self {}),
            about: About {
                mode: "F5",
                what: "The new version exposes its metrics under another label.",
                stands_for: "A renamed label or metric: the canary query is empty, and a gate that takes empty for good, or waits, lies (fluxcd/flagger#1011, argoproj/argo-rollouts#4479).",
                shown_by: "The candidate's queries return no series, while the stable release's do.",
                expected: Expected {
                    seen_by: &[SeenBy::NoData],
                    ending: Ending::AsPlanned,
                    within: Span::from_mins(2),
                },
            },
        });
    }
}

impl Kind for MetricsAbsent {
    fn strike(&self, world: &mut World) -> String {
        let label = telling_label(world).unwrap_or_else(|| "release".to_owned());
        let renamed = format!("{label}_name");
        world.relabel(&label, &renamed);
        format!("the candidate exposes label `{label}` as `{renamed}`")
    }
}

/// The label by which the first signal tells the releases apart: renaming any other would show
/// nothing.
fn telling_label(world: &World) -> Option<String> {
    const STANDS_FOR_RELEASE: &str = "the-release";
    let signal = world.brief.policy.spec.signals.first()?;
    let kind = signal.kind().ok()?;
    let (_, query) = kind.queries().into_iter().next()?;
    let text = query.fill(STANDS_FOR_RELEASE, "the-namespace", Span::from_mins(1));
    let selectors = backout_promql::selectors(&backout_promql::parse(&text).ok()?);
    let mut matchers = selectors.into_iter().flat_map(|selector| selector.alternatives).flatten();
    let telling = |matcher: &Matcher| {
        matcher.name != METRIC_NAME && matcher.value.contains(STANDS_FOR_RELEASE)
    };
    matchers.find(telling).map(|matcher| matcher.name)
}
