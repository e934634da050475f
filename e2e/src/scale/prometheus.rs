//! A stand-in for Prometheus: it answers queries about a release with counters that it makes up,
//! as if it had scraped them every second since long ago.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Requests per second that every release has, whatever its weight.
const RATE_PER_S: f64 = 20.0;
/// The part of a bad release's requests that fail.
const FAILING: f64 = 0.2;
/// Longest query, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// The stand-in. Dropping it ends it.
#[derive(Debug)]
pub(super) struct StandIn {
    asked: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StandIn {
    /// Listens; the releases of `bad` sets fail requests.
    pub(super) async fn start(address: SocketAddr, bad: BTreeSet<String>) -> Result<Self> {
        let listener = TcpListener::bind(address).await.context("the stand-in for Prometheus")?;
        let (bad, asked) = (Arc::new(bad), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (bad, asked) = (Arc::clone(&bad), Arc::clone(&counted));
                let service = service_fn(move |request| {
                    asked.fetch_add(1, Ordering::Relaxed);
                    answer(request, Arc::clone(&bad))
                });
                let serving = hyper::server::conn::http1::Builder::new();
                tokio::spawn(serving.serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { asked, task: task.abort_handle() })
    }

    /// Queries so far.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn answer(
    request: Request<Incoming>,
    bad: Arc<BTreeSet<String>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let field = |name: &str| {
        let mut fields = form_urlencoded::parse(&body);
        fields.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let at_s = field("time").and_then(|time| time.parse().ok()).unwrap_or_default();
    let found = found(&field("query").unwrap_or_default(), at_s, &bad);
    Ok(Response::new(Full::new(Bytes::from(found.to_string()))))
}

/// What a query finds: a level, or the raw samples of counters.
fn found(query: &str, at_s: f64, bad: &BTreeSet<String>) -> Value {
    let set = between(query, "release=\"", "\"").unwrap_or_default();
    if query.starts_with("max_over_time") {
        let result = json!([{"metric": {}, "value": [at_s, "0.4"]}]);
        return json!({"status": "success", "data": {"resultType": "vector", "result": result}});
    }
    let range_ms = between(query, "[", "ms]").and_then(|text| text.parse().ok());
    let from_s = (at_s - range_ms.unwrap_or(0.0) / 1000.0).max(0.0);
    let failing = if bad.contains(set) { FAILING } else { 0.0 };
    let series = |labels: Value, rate_per_s: f64| {
        let mut values = Vec::new();
        let mut scraped_s = from_s.ceil();
        while scraped_s <= at_s {
            values.push(json!([scraped_s, (scraped_s * rate_per_s).floor().to_string()]));
            scraped_s += 1.0;
        }
        json!({"metric": labels, "values": values})
    };
    let failed = series(json!({"release": set, "code": "500"}), RATE_PER_S * failing);
    let result = if query.contains("_bucket") {
        let bucket = |le: &str| series(json!({"release": set, "le": le}), RATE_PER_S);
        json!([bucket("0.1"), bucket("0.4"), bucket("+Inf")])
    } else if query.contains("5..") {
        json!([failed])
    } else {
        let served = RATE_PER_S * (1.0 - failing);
        json!([series(json!({"release": set, "code": "200"}), served), failed])
    };
    json!({"status": "success", "data": {"resultType": "matrix", "result": result}})
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::found;

    #[test]
    fn bad_releases_fail_a_fifth_of_their_requests() {
        let bad = BTreeSet::from(["b".to_owned()]);
        let grown = |set: &str| {
            let query = format!("http_requests_total{{release=\"{set}\", code=~\"5..\"}}[10000ms]");
            let found = found(&query, 1_000.0, &bad);
            let values = found["data"]["result"][0]["values"].as_array().unwrap().clone();
            let value = |of: &serde_json::Value| of[1].as_str().unwrap().parse::<u32>().unwrap();
            value(values.last().unwrap()) - value(&values[0])
        };
        assert_eq!(grown("b"), 40);
        assert_eq!(grown("a"), 0);
    }
}
