//! What was measured, as a table.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Size;
use super::figures::{self, Request, Usage, WayBack};
use super::objects::Workload;
use super::stored;

/// Rows of a table, and what stands below it.
#[derive(Debug)]
pub(super) struct Report {
    size: Size,
    rows: Vec<(String, String)>,
    kinds: Vec<(String, usize)>,
    outcomes: BTreeMap<(bool, String), u32>,
    ways_back: Vec<WayBack>,
}

impl Report {
    pub(super) const fn new(size: Size) -> Self {
        Self {
            size,
            rows: Vec::new(),
            kinds: Vec::new(),
            outcomes: BTreeMap::new(),
            ways_back: Vec::new(),
        }
    }

    fn row(&mut self, what: &str, measured: String) {
        self.rows.push((what.to_owned(), measured));
    }

    fn releases(&self) -> f64 {
        f64::from(self.size.releases.max(1))
    }

    pub(super) fn idle(&mut self, over: Duration, before: Usage, after: Usage) {
        self.row("memory with nothing to do", format!("{:.0} MiB", after.resident_mib));
        let share = (after.cpu_s - before.cpu_s) / over.as_secs_f64() * 100.0;
        self.row("processor with nothing to do", format!("{share:.1} % of a core"));
    }

    pub(super) fn idle_requests(&mut self, requests: &[Request]) {
        self.row("requests with nothing to do", format!("{} in 20 s", requests.len()));
    }

    pub(super) fn busy(&mut self, took: Duration, before: Usage, after: Usage) {
        let (took_s, cpu_s) = (took.as_secs_f64(), after.cpu_s - before.cpu_s);
        self.row("wall time until every release had ended", format!("{took_s:.0} s"));
        self.row("peak memory", format!("{:.0} MiB", after.peak_mib));
        let share = cpu_s / took_s * 100.0;
        self.row("processor time", format!("{cpu_s:.1} s ({share:.0} % of a core)"));
        let each_ms = cpu_s / self.releases() * 1000.0;
        self.row("processor time per release", format!("{each_ms:.0} ms"));
    }

    pub(super) fn queries(&mut self, asked: u64) {
        self.row("queries to Prometheus per release", per(asked, self.releases()));
    }

    pub(super) fn stored(&mut self, figures: &stored::Figures) {
        let releases = self.releases();
        self.row("writes of the run per release", per(figures.writes, releases));
        let kib = |bytes: u64| per(bytes / 1024, releases);
        self.row("bytes of these writes per release", format!("{} KiB", kib(figures.written)));
        self.row("bytes kept per release", format!("{} KiB", kib(figures.kept)));
        let objects = u64::try_from(figures.objects).unwrap_or_default();
        self.row("objects kept per release", per(objects, releases));
    }

    pub(super) fn requests(&mut self, requests: &[Request]) {
        let all = u64::try_from(requests.len()).unwrap_or_default();
        self.row("API requests per release", per(all, self.releases()));
        self.kinds = figures::by_kind(requests);
    }

    pub(super) fn outcome(&mut self, workload: Workload, outcome: &str) {
        *self.outcomes.entry((workload.is_bad(), outcome.to_owned())).or_default() += 1;
    }

    pub(super) fn way_back(&mut self, back: WayBack) {
        self.ways_back.push(back);
    }

    /// The controller's own figures of what took how long.
    pub(super) fn metrics(&mut self, text: &str) {
        let name = "backout_decision_to_write_seconds";
        let what = "decision to write, as the controller counts it";
        let value = |suffix: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}{suffix} ")));
            line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or_default()
        };
        let (sum_s, count) = (value("_sum"), value("_count"));
        let mean_ms = if count > 0.0 { sum_s / count * 1000.0 } else { 0.0 };
        self.row(what, format!("mean {mean_ms:.0} ms of {count:.0}"));
    }
}

fn per(count: u64, releases: f64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are small")]
    let each = count as f64 / releases;
    format!("{each:.1}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size { policies, releases } = self.size;
        writeln!(f, "{policies} policies, {releases} releases at once\n")?;
        writeln!(f, "| what | measured |\n|---|---|")?;
        for (what, measured) in &self.rows {
            writeln!(f, "| {what} | {measured} |")?;
        }
        type Of = fn(&WayBack) -> i64;
        let told: [(&str, Of); 2] = [
            ("deciding window closed to traffic written", |back| back.window_to_write_ms),
            ("decision to traffic written", |back| back.decision_to_write_ms),
        ];
        for (what, of) in told {
            let mut values: Vec<i64> = self.ways_back.iter().map(of).collect();
            let mut at = |share: f64| figures::quantile(&mut values, share);
            let (half, most, all) = (at(0.5), at(0.9), at(1.0));
            let count = self.ways_back.len();
            writeln!(
                f,
                "| {what} | median {half} ms, p90 {most} ms, longest {all} ms, of {count} |"
            )?;
        }
        for ((is_bad, outcome), count) in &self.outcomes {
            let which = if *is_bad { "failing" } else { "healthy" };
            writeln!(f, "| {which} releases that ended `{outcome}` | {count} |")?;
        }
        writeln!(f, "\n| request | per release |\n|---|---|")?;
        for (kind, count) in &self.kinds {
            let count = u64::try_from(*count).unwrap_or_default();
            writeln!(f, "| {kind} | {} |", per(count, self.releases()))?;
        }
        Ok(())
    }
}
