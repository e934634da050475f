//! A policy's signals over one window, asked for both releases.
//!
//! Counts are taken from raw samples where a query permits it, because the server's own functions
//! leave out a new series' first requests. A query that fails leaves its signal without data,
//! which is never a pass, and says why.

use std::collections::BTreeMap;

use backout_core::judgement::{Bucket, Measurement, Window};
use backout_core::machine::SignalMeasured;
use backout_core::policy::{BucketUnit, Query, SignalKind};
use backout_core::snapshot::{Arm, PerArm};
use backout_core::units::{Share, Span, Time};
use backout_promql::{Counter, Counting, Expr, counting};
use futures::FutureExt as _;
use futures::future::join_all;
use tokio::sync::Semaphore;

use super::answer::{Answer, Labels, Series};
use super::client::{Client, Remedy};
use super::counters::{self, count};
use super::{explain, histograms};
use crate::failure::{Failure, Kind};

/// Queries of a window that are under way at once.
const AT_ONCE: usize = 4;

/// How far back it is looked, at least and at most, for what a series counted before the samples
/// that are read: as long as scrapes may have failed, and no longer than a server answers quickly.
const EARLIER: (Span, Span) = (Span::from_mins(10), Span::from_hours(6));

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The signals, in the policy's order.
    pub signals: &'a [SignalKind<'a>],
    /// The sets' names: what `$release` stands for.
    pub arms: &'a PerArm<String>,
    /// What `$namespace` stands for.
    pub namespace: &'a str,
    /// The window; its length is what `$window` stands for.
    pub window: Window,
    /// When the run began, before which there was no candidate.
    pub run_start: Time,
}

/// Measures with a Prometheus server.
#[derive(Debug)]
pub struct Prometheus {
    client: Client,
    permits: Semaphore,
}

/// What a query found, or nothing and why.
struct Found<T> {
    value: Option<T>,
    note: Option<String>,
}

impl<T> Found<T> {
    const fn of(value: Option<T>) -> Self {
        Self { value, note: None }
    }

    fn none(note: String) -> Self {
        Self { value: None, note: Some(note) }
    }
}

/// A query for one release.
struct Single<'a> {
    asked: Asked<'a>,
    text: String,
    /// What the query is; why it cannot be read otherwise.
    expr: Result<Expr, String>,
}

impl Prometheus {
    /// Measures by this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, permits: Semaphore::new(AT_ONCE) }
    }

    /// The client that is asked.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Measures every signal over a window, on both arms, in the order of the signals. It always
    /// answers: what could not be measured is missing, with a note. The note speaks of the
    /// candidate, and of the stable release if only that has no data.
    pub async fn measure(&self, asked: Asked<'_>) -> Vec<SignalMeasured> {
        join_all(asked.signals.iter().map(|signal| self.signal(asked, signal))).await
    }

    /// Asks every query of a signal for the stable release alone: `None` if all found something,
    /// or else what found nothing, and why. No data is no error: a workload may have no users.
    ///
    /// # Errors
    /// When the server cannot be asked, or a query cannot be answered or counted, with what to do.
    pub async fn answers(
        &self,
        asked: Asked<'_>,
        signal: &SignalKind<'_>,
    ) -> Result<Option<String>, Failure> {
        for (field, query) in signal.queries() {
            let single = Single::new(asked, query, Arm::Stable);
            let has_data = match (signal, single.counting()) {
                (SignalKind::Gauge(..), _) => self.try_levels(&single).await?.is_some(),
                (_, Ok(Counting::Raw(counter))) => !self.raw(&counter, &single).await?.0.is_empty(),
                (_, Ok(Counting::Times(_))) => !self.computed(&single).await?.is_empty(),
                (_, Err(why)) => {
                    return Err(Failure::new(Kind::Refused, format!("query `{field}`: {why}")));
                }
            };
            // A release without an error has no series of errors.
            if !has_data && field != "bad" {
                let nothing: Found<()> = self.noted(&single, Found::of(None)).await;
                return Ok(nothing.note.map(|why| format!("query `{field}`: {why}")));
            }
        }
        Ok(None)
    }

    async fn signal(&self, asked: Asked<'_>, signal: &SignalKind<'_>) -> SignalMeasured {
        let (candidate, stable) = futures::join!(
            self.one_arm(asked, signal, Arm::Candidate),
            self.one_arm(asked, signal, Arm::Stable)
        );
        let note = candidate.1.or_else(|| stable.1.map(|why| format!("the stable release: {why}")));
        SignalMeasured { candidate: candidate.0, stable: stable.0, note }
    }

    async fn one_arm(
        &self,
        asked: Asked<'_>,
        signal: &SignalKind<'_>,
        arm: Arm,
    ) -> (Measurement, Option<String>) {
        let fill = |query: &Query| Single::new(asked, query, arm);
        match signal {
            SignalKind::Ratio(ratio, _) => {
                let (bad, total) = (fill(&ratio.bad), fill(&ratio.total));
                let (bad, total) = futures::join!(self.count(&bad), self.explained(&total));
                ratio_of(bad, total)
            }
            SignalKind::Quantile(quantiled, _) => {
                let single = fill(&quantiled.histogram);
                let found = self.buckets(&single, quantiled.unit).await;
                let found = self.noted(&single, found).await;
                (Measurement::Histogram { buckets: found.value }, found.note)
            }
            SignalKind::Gauge(query, _) => {
                let single = fill(query);
                let found = self.levels(&single).await;
                let found = self.noted(&single, found).await;
                (Measurement::Gauge { levels: found.value }, found.note)
            }
        }
    }

    async fn explained(&self, single: &Single<'_>) -> Found<u64> {
        let found = self.count(single).await;
        self.noted(single, found).await
    }

    /// Adds why nothing was found, where that is not known yet.
    async fn noted<T>(&self, single: &Single<'_>, found: Found<T>) -> Found<T> {
        if found.value.is_some() || found.note.is_some() {
            return found;
        }
        let ask = |query: String, at: Time| {
            async move { self.ask(&query, at, Remedy::Narrow).await }.boxed()
        };
        Found::none(explain::explain(single.expr.as_ref().ok(), single.asked.window, &ask).await)
    }

    async fn ask(&self, query: &str, at: Time, remedy: Remedy) -> Result<Answer, Failure> {
        // The semaphore is never closed, so a permit always comes: every request has a time limit.
        let _permit = self.permits.acquire().await;
        let answer = self.client.query(query, at, remedy).await?;
        for warning in &answer.warnings {
            tracing::warn!(query, warning, "Prometheus warns");
        }
        Ok(answer)
    }

    async fn count(&self, single: &Single<'_>) -> Found<u64> {
        let counting = match single.counting() {
            Ok(counting) => counting,
            Err(why) => return Found::none(why),
        };
        match self.try_count(single, &counting).await {
            Ok(counted) => Found::of(counted),
            Err(failure) => Found::none(failure.in_full()),
        }
    }

    async fn try_count(
        &self,
        single: &Single<'_>,
        counting: &Counting,
    ) -> Result<Option<u64>, Failure> {
        let counter = match counting {
            Counting::Raw(counter) => counter,
            Counting::Times(times) => return Ok(summed(&self.computed(single).await?, *times)),
        };
        let (series, earlier) = self.raw(counter, single).await?;
        let grown = counters::grown(&series, &earlier, single.asked.window);
        let sum = grown.iter().fold(0_u64, |sum, (_, counted)| sum.saturating_add(*counted));
        // A native histogram counts requests as well.
        let native = histograms::native(&series, single.asked.window, BucketUnit::Seconds);
        let natively = native.and_then(|buckets| buckets.last().map(|bucket| bucket.count));
        let found = !grown.is_empty() || natively.is_some() || counter.or_zero;
        Ok(found.then(|| sum.saturating_add(natively.unwrap_or(0))))
    }

    async fn buckets(&self, single: &Single<'_>, unit: BucketUnit) -> Found<Vec<Bucket>> {
        let counting = match single.counting() {
            Ok(counting) => counting,
            Err(why) => return Found::none(why),
        };
        match self.try_buckets(single, &counting, unit).await {
            Ok(Ok(buckets)) => Found::of(buckets),
            Ok(Err(why)) => Found::none(why),
            Err(failure) => Found::none(failure.in_full()),
        }
    }

    async fn try_buckets(
        &self,
        single: &Single<'_>,
        counting: &Counting,
        unit: BucketUnit,
    ) -> Result<Result<Option<Vec<Bucket>>, String>, Failure> {
        let counter = match counting {
            Counting::Raw(counter) => counter,
            Counting::Times(times) => {
                return Ok(computed_buckets(&self.computed(single).await?, *times, unit));
            }
        };
        let (series, earlier) = self.raw(counter, single).await?;
        let window = single.asked.window;
        let grown = counters::grown(&series, &earlier, window);
        if grown.is_empty() {
            return Ok(Ok(histograms::native(&series, window, unit)));
        }
        Ok(histograms::classic(&grown, unit).map(Some))
    }

    /// What the server computes of a query.
    async fn computed(&self, single: &Single<'_>) -> Result<Vec<Series>, Failure> {
        let answer = self.ask(&single.text, single.last_instant(), Remedy::Aggregate).await?;
        Ok(answer.series)
    }

    /// The raw samples of a window, and what new series had counted before them.
    async fn raw(
        &self,
        counter: &Counter,
        single: &Single<'_>,
    ) -> Result<(Vec<Series>, BTreeMap<Labels, f64>), Failure> {
        let window = single.asked.window;
        let lookback = counters::lookback(window);
        let range = window.end.since(window.start).saturating_add(lookback);
        let selector = counter.selector();
        let query = format!("{selector}[{}ms]", range.as_millis());
        let series = self.ask(&query, single.last_instant(), Remedy::Narrow).await?.series;
        let mut earlier = BTreeMap::new();
        let from = Time::from_millis(window.start.as_millis().saturating_sub(lookback.as_millis()));
        if from.as_millis() > 0 && series.iter().any(|series| counters::is_new(series, window)) {
            let wanted = from.since(single.asked.run_start).saturating_add(EARLIER.0);
            let back = wanted.clamp(EARLIER.0, EARLIER.1);
            let query = format!("last_over_time({selector}[{}ms])", back.as_millis());
            for found in self.ask(&query, from, Remedy::Narrow).await?.series {
                if let Some(last) = found.samples.last() {
                    earlier.insert(counters::nameless(&found.labels), last.value);
                }
            }
        }
        Ok((series, earlier))
    }

    async fn levels(&self, single: &Single<'_>) -> Found<Vec<Share>> {
        match self.try_levels(single).await {
            Ok(levels) => Found::of(levels),
            Err(failure) => Found::none(failure.in_full()),
        }
    }

    async fn try_levels(&self, single: &Single<'_>) -> Result<Option<Vec<Share>>, Failure> {
        let length = single.asked.window.end.since(single.asked.window.start);
        // Fine enough to see every scrape of usual intervals, at most a few hundred steps.
        let step = (length.as_millis() / 240).clamp(1_000, 15_000);
        let query = format!("max_over_time(({})[{}ms:{step}ms])", single.text, length.as_millis());
        let answer = self.ask(&query, single.last_instant(), Remedy::Aggregate).await?;
        let values = answer.series.iter().flat_map(|series| &series.samples);
        let levels: Vec<_> = values.filter_map(|sample| level(sample.value)).collect();
        Ok((!levels.is_empty()).then_some(levels))
    }
}

impl<'a> Single<'a> {
    fn new(asked: Asked<'a>, query: &Query, arm: Arm) -> Self {
        let text = query.fill(asked.arms.get(arm), asked.namespace, length_of(asked.window));
        let expr = backout_promql::parse(&text);
        Self { asked, text, expr }
    }

    /// How the query is counted, or how it has to be written so that it can be.
    fn counting(&self) -> Result<Counting, String> {
        let expr = self.expr.as_ref().map_err(|why| format!("the query: {why}"))?;
        counting(expr, Query::written(length_of(self.asked.window)))
    }

    /// The last instant that belongs to the window: a server also finds samples at the instant
    /// that it is asked for.
    fn last_instant(&self) -> Time {
        Time::from_millis(self.asked.window.end.as_millis().saturating_sub(1))
    }
}

const fn length_of(window: Window) -> Span {
    window.end.since(window.start)
}

/// Bad requests over all. If the bad ones could not be counted, nothing is known: without them
/// the answer would look like none.
fn ratio_of(bad: Found<u64>, total: Found<u64>) -> (Measurement, Option<String>) {
    match (bad.note, total.note) {
        (Some(why), _) => (Measurement::Ratio { bad: None, total: None }, Some(why)),
        (None, note) => (Measurement::Ratio { bad: bad.value, total: total.value }, note),
    }
}

fn summed(series: &[Series], times: f64) -> Option<u64> {
    let values = series.iter().flat_map(|series| &series.samples).map(|sample| sample.value);
    let natives = series.iter().flat_map(|series| &series.histograms).map(|native| native.count);
    let mut counted = values.chain(natives).filter(|value| value.is_finite()).peekable();
    counted.peek()?;
    count((counted.sum::<f64>() * times).max(0.0))
}

fn computed_buckets(
    series: &[Series],
    times: f64,
    unit: BucketUnit,
) -> Result<Option<Vec<Bucket>>, String> {
    let natives: Vec<_> = series.iter().flat_map(|series| series.histograms.clone()).collect();
    if !natives.is_empty() {
        return Ok(Some(histograms::computed(&natives, times, unit)));
    }
    let counted = series.iter().filter_map(|series| {
        let last = series.samples.last()?;
        Some((series.labels.clone(), count(last.value * times)?))
    });
    let counted: Vec<_> = counted.collect();
    if counted.is_empty() {
        return Ok(None);
    }
    histograms::classic(&counted, unit).map(Some)
}

/// A level as a share; `None` for NaN. What is too large stops at the largest share, and a level
/// below zero is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is clamped to the range of the type"
)]
fn level(value: f64) -> Option<Share> {
    let ppm = (value * 1e6).round().clamp(0.0, f64::from(u32::MAX));
    (!value.is_nan()).then(|| Share::from_ppm(ppm as u32))
}
