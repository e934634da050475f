//! Prometheus metrics of the demo application, in the text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.4, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Debug)]
pub(super) struct Metrics {
    /// A code's series is born with its first request, as real clients do.
    requests: BTreeMap<u16, u64>,
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum_s: f64,
    started_s: f64,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let started_s = jiff::Timestamp::now().as_duration().as_secs_f64();
        Self { requests: BTreeMap::new(), buckets: [0; _], count: 0, sum_s: 0.0, started_s }
    }

    pub(super) fn count(&mut self, code: u16, took: Duration) {
        *self.requests.entry(code).or_default() += 1;
        self.count += 1;
        self.sum_s += took.as_secs_f64();
        for (bound, bucket) in BUCKETS.iter().zip(&mut self.buckets) {
            *bucket += u64::from(took.as_secs_f64() <= *bound);
        }
    }

    pub(super) fn text(&self, utilization: f64) -> String {
        let mut text = String::from("# TYPE http_requests_total counter\n");
        // Writing to a string cannot fail.
        for (code, count) in &self.requests {
            let _ = writeln!(text, "http_requests_total{{code=\"{code}\"}} {count}");
        }
        let name = "http_request_duration_seconds";
        let _ = writeln!(text, "# TYPE {name} histogram");
        for (bound, count) in BUCKETS.iter().zip(&self.buckets) {
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {}", self.count);
        let _ = writeln!(text, "{name}_sum {}\n{name}_count {}", self.sum_s, self.count);
        let _ = writeln!(text, "# TYPE app_utilization gauge\napp_utilization {utilization}");
        let _ = writeln!(text, "# TYPE process_start_time_seconds gauge");
        let _ = writeln!(text, "process_start_time_seconds {}", self.started_s);
        text
    }
}
