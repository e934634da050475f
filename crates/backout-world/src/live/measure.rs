//! Measures signals, and counts who answers through the route.

use std::sync::atomic::Ordering;

use backout_core::judgement::{Measurement, Window};
use backout_core::machine::{EffectResult, SignalMeasured};
use backout_core::policy::{RouteKind, SignalKind};
use backout_core::snapshot::PerArm;
use backout_core::units::Time;
use jiff::Timestamp;

use super::Live;
use crate::driver::UnixWindow;
use crate::failure::{Failure, Kind};
use crate::probe::Shared;
use crate::prometheus::Asked;
use crate::traffic::Arms;
use crate::traffic::endpoints::endpoints;

/// Over how long request counters tell the share of traffic, where nothing probes: at least and at
/// most, in milliseconds. Shorter than the shortest usual scrape interval tells nothing, and longer
/// than a usual one is not needed.
const COUNTED_OVER_MS: (i64, i64) = (2_000, 15_000);

/// What request counters are asked about after a shift of traffic: the second half of the time
/// since, so that requests which were on their way then do not count.
fn counted_over(shifted_ms: i64, now_ms: i64) -> UnixWindow {
    let (least, most) = COUNTED_OVER_MS;
    let length = (now_ms.saturating_sub(shifted_ms) / 2).clamp(least, most);
    UnixWindow { start_ms: now_ms - length, end_ms: now_ms }
}

impl Live {
    /// Every signal over a window, on both arms.
    pub(super) async fn measure(&self, window: UnixWindow) -> Vec<SignalMeasured> {
        let signals = match self.brief.signals() {
            Ok(signals) => signals.into_iter().map(|(_, kind)| kind).collect::<Vec<_>>(),
            // The machine checked the policy when the run began.
            Err(_) => return Vec::new(),
        };
        match &self.prometheus {
            Ok(prometheus) => prometheus.measure(self.asked(&signals, window)).await,
            Err(why) => signals.iter().map(|signal| missing(signal, why)).collect(),
        }
    }

    fn asked<'a>(&'a self, signals: &'a [SignalKind<'a>], window: UnixWindow) -> Asked<'a> {
        Asked {
            signals,
            arms: &self.names,
            namespace: &self.arms.namespace,
            window: Window { start: unix(window.start_ms), end: unix(window.end_ms) },
            run_start: unix(self.started_ms),
        }
    }

    /// Who answers: by requests through the route, or else by the endpoints of a Service that
    /// is the route, or by each release's request counters.
    pub(super) async fn probe(&self, probes: u32) -> EffectResult {
        let counted = match &self.prober {
            Some(prober) => prober.probe(probes).await,
            None if self.brief.policy.spec.traffic.route.kind == RouteKind::Service => {
                self.endpoints(probes).await
            }
            None => self.counted().await,
        };
        match counted {
            Ok(shared) => shared.into(),
            Err(failure) => EffectResult::Failed(failure.in_full()),
        }
    }

    async fn endpoints(&self, probes: u32) -> Result<Shared, Failure> {
        let Arms { namespace, route, .. } = &self.arms;
        let found = endpoints(&self.client, namespace, route).await?;
        let PerArm { stable, candidate } = &self.names;
        Shared::from_endpoints(&found, stable, Some(candidate), probes)
    }

    /// Requests to the candidate, of all, by the first signal that counts requests.
    async fn counted(&self) -> Result<Shared, Failure> {
        let none = |why: &str| {
            Failure::new(Kind::Failed, format!("nothing shows where traffic goes: {why}"))
                .with_help("set `spec.traffic.verify.probe`")
        };
        let prometheus = self.prometheus.as_ref().map_err(|why| none(why))?;
        let signals = self.brief.signals().map_err(|error| none(&error.to_string()))?;
        let counts = signals.into_iter().map(|(_, kind)| kind);
        let ratio = counts.into_iter().find(|kind| matches!(kind, SignalKind::Ratio(..)));
        let ratio = [ratio.ok_or_else(|| none("no signal counts requests"))?];
        let shifted_ms = self.shifted.load(Ordering::Relaxed);
        let window = counted_over(shifted_ms, Timestamp::now().as_millisecond());
        let measured = prometheus.measure(self.asked(&ratio, window)).await;
        let Some(measured) = measured.into_iter().next() else {
            return Err(none("no answer"));
        };
        let total = |measurement: &Measurement| match measurement {
            Measurement::Ratio { total, .. } => *total,
            _ => None,
        };
        match (total(&measured.candidate), total(&measured.stable)) {
            // A release without a series had no requests; that neither has one says nothing.
            (None, None) => Err(none(&measured.note.unwrap_or_else(|| "no requests".to_owned()))),
            (candidate, stable) => {
                let hits = candidate.unwrap_or_default();
                let probes = hits.saturating_add(stable.unwrap_or_default());
                Ok(Shared { hits, probes, failed: 0 })
            }
        }
    }
}

fn unix(ms: i64) -> Time {
    Time::from_millis(u64::try_from(ms).unwrap_or_default())
}

/// A signal without data.
fn missing(signal: &SignalKind<'_>, why: &str) -> SignalMeasured {
    let nothing = || match signal {
        SignalKind::Ratio(..) => Measurement::Ratio { bad: None, total: None },
        SignalKind::Quantile(..) => Measurement::Histogram { buckets: None },
        SignalKind::Gauge(..) => Measurement::Gauge { levels: None },
    };
    SignalMeasured { candidate: nothing(), stable: nothing(), note: Some(why.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_asked_about_the_time_after_the_shift() {
        let window = |since_ms: i64| {
            let window = counted_over(100_000, 100_000 + since_ms);
            (window.start_ms - 100_000, window.end_ms - 100_000)
        };
        assert_eq!(window(6_000), (3_000, 6_000));
        assert_eq!(window(100_000), (85_000, 100_000));
        assert_eq!(window(1_000), (-1_000, 1_000));
    }
}
