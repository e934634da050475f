//! What is measured of a history that is known.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use backout_core::judgement::{Measurement, Window};
use backout_core::machine::SignalMeasured;
use backout_core::policy::Signal;
use backout_core::snapshot::PerArm;
use backout_core::units::{Latency, Time};
use backout_world::prometheus::{Asked, Prometheus};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::server::{self, BEGIN, History, Setup, ask, is_installed, ready};

/// The window of these tests: a minute, which begins ten minutes into the history.
fn window() -> Window {
    let at = |second: u64| Time::from_millis((BEGIN + second) * 1_000);
    Window { start: at(600), end: at(660) }
}

async fn measured(prometheus: &Prometheus, candidate: &str, signal: Value) -> SignalMeasured {
    measured_in(prometheus, window(), candidate, signal).await
}

async fn measured_in(
    prometheus: &Prometheus,
    window: Window,
    candidate: &str,
    mut signal: Value,
) -> SignalMeasured {
    signal["name"] = json!("tested");
    let signal: Signal = serde_json::from_value(signal).expect("a signal");
    let arms = PerArm { stable: "web-stable".to_owned(), candidate: candidate.to_owned() };
    let asked = Asked {
        signals: &[signal.kind().expect("its fields agree")],
        arms: &arms,
        namespace: "shop",
        window,
        run_start: Time::from_millis(window.start.as_millis() - 100_000),
    };
    let [measured] = <[_; 1]>::try_from(prometheus.measure(asked).await).expect("one signal");
    measured
}

fn errors(metric: &str) -> Value {
    json!({"max": "1%", "ratio": {
        "bad": format!("sum(increase({metric}{{release=\"$release\", code=~\"5..\"}}[$window]))"),
        "total": format!("sum(increase({metric}{{release=\"$release\"}}[$window]))"),
    }})
}

fn counted(total: &str) -> Value {
    json!({"max": "1%", "ratio": {"bad": "vector(0)", "total": total}})
}

fn total(measurement: &Measurement) -> Option<u64> {
    match measurement {
        Measurement::Ratio { total, .. } => *total,
        other => panic!("no ratio: {other:?}"),
    }
}

/// The stable release serves 10 requests per scrape. The candidate begins within the window, and a
/// third set restarts within it.
fn history() -> History {
    let mut history = History::default();
    let steady: Vec<u64> = (0..60).map(|scrape| scrape * 10).collect();
    let series = |metric: &str, release: &str, rest: &str| {
        format!("{metric}{{namespace=\"shop\",release=\"{release}\"{rest}}}")
    };
    let requests = |release: &str, rest: &str| series("http_requests_total", release, rest);
    history.series(&requests("web-cand", ",code=\"200\",pod=\"c\""), 620, &[4, 8, 12, 40]);
    history.series(&requests("web-cand", ",code=\"500\",pod=\"c\""), 635, &[7, 9, 30]);
    history.series(&requests("web-stable", ",code=\"200\",pod=\"s\""), 5, &steady);
    history.series(&requests("web-stable", ",code=\"500\",pod=\"s\""), 5, &[3; 60]);
    let restarted = [100, 110, 120, 5, 15, 25, 35];
    history.series(&requests("web-reset", ",code=\"200\",pod=\"r\""), 575, &restarted);
    for (le, counts) in [("0.1", [2, 6]), ("0.5", [3, 9]), ("+Inf", [4, 12])] {
        let rest = format!(",le=\"{le}\"");
        let buckets = series("http_request_duration_seconds_bucket", "web-cand", &rest);
        history.series(&buckets, 620, &counts);
    }
    history
}

#[tokio::test]
async fn a_known_history_is_counted_exactly() {
    if !is_installed("a_known_history_is_counted_exactly") {
        return;
    }
    let history = history();
    let server = server::start(Setup { history: history.text(), ..Setup::default() }).await;
    let prometheus = Prometheus::new(ready(&server.access()).await);

    // A new pod's first errors, which the server itself leaves out.
    let found = measured(&prometheus, "web-cand", errors("http_requests_total")).await;
    assert_eq!(found.candidate, Measurement::Ratio { bad: Some(9), total: Some(21) });
    assert_eq!(found.stable, Measurement::Ratio { bad: Some(0), total: Some(40) });
    assert_eq!(found.note, None);
    let own = r#"sum(increase(http_requests_total{release="web-cand",code="500"}[60s]))"#;
    let own = ask(prometheus.client(), own).await.expect("the server answers").unwrap_or(0.0);
    assert!(own < 9.0, "the server counts {own}");

    // A restart within the window.
    let found = measured(&prometheus, "web-reset", errors("http_requests_total")).await;
    assert_eq!(total(&found.candidate), Some(10 + 5 + 10 + 10));

    // A classic histogram.
    let buckets =
        "sum by (le) (rate(http_request_duration_seconds_bucket{release=\"$release\"}[$window]))";
    let latency = json!({"max": "400ms", "quantile": {"histogram": buckets, "q": 0.99}});
    let Measurement::Histogram { buckets: Some(buckets) } =
        measured(&prometheus, "web-cand", latency).await.candidate
    else {
        panic!("there is a histogram")
    };
    let counts: Vec<u64> = buckets.iter().map(|bucket| bucket.count).collect();
    assert_eq!(counts, [6, 9, 12]);

    computed_by_the_server(&prometheus).await;
    explained(&prometheus).await;
}

/// Queries that only the server can compute: counted if they answer a count, refused if nobody can
/// tell what they answer.
async fn computed_by_the_server(prometheus: &Prometheus) {
    let stable =
        |code: &str| format!("http_requests_total{{release=\"$release\",code=\"{code}\"}}");
    let (good, bad) = (stable("200"), stable("500"));
    for counted_query in [
        format!("sum(increase({good}[$window])) + sum(increase({bad}[$window]))"),
        format!("sum(rate({good}[$window])) + sum(rate({bad}[$window]))"),
        format!("sum(rate({good}[$window])) * 60"),
    ] {
        let found = measured(prometheus, "web-cand", counted(&counted_query)).await.stable;
        assert!((38..=42).contains(&total(&found).unwrap_or(0)), "{counted_query}: {found:?}");
    }
    for (query, told) in [
        (format!("sum(rate({bad}[$window])) / sum(rate({good}[$window]))"), "answers a share"),
        (format!("sum({good})"), "cannot be told"),
        (format!("sum(increase({good}[5m])) + sum(increase({bad}[5m]))"), "counts over 300s"),
        ("sum(increase(".to_owned(), "the query: "),
    ] {
        let found = measured(prometheus, "web-cand", counted(&query)).await;
        assert_eq!(total(&found.candidate), None, "{query}");
        let note = found.note.expect("it is told why");
        assert!(note.contains(told), "{query}: {note}");
    }
}

async fn explained(prometheus: &Prometheus) {
    let found = measured(prometheus, "web-typo", errors("http_requests_total")).await;
    assert_eq!(total(&found.candidate), None);
    let note = found.note.expect("it is told why");
    for part in ["release=\"web-typo\"", "web-cand", "web-reset", "web-stable"] {
        assert!(note.contains(part), "{note}");
    }
    let found = measured(prometheus, "web-cand", errors("http_request_total")).await;
    let note = found.note.expect("it is told why");
    assert!(note.contains("http_request_total"), "{note}");
}

#[tokio::test]
async fn presets_find_the_metrics_that_they_are_named_after() {
    if !is_installed("presets_find_the_metrics_that_they_are_named_after") {
        return;
    }
    let mut history = History::default();
    for (requests, buckets, release, ok, failed, edge) in [
        (
            "envoy_cluster_upstream_rq_xx",
            "envoy_cluster_upstream_rq_time_bucket",
            "envoy_cluster_name=\"shop/web-cand/80\"",
            "envoy_response_code_class=\"2\"",
            "envoy_response_code_class=\"5\"",
            "100",
        ),
        (
            "istio_requests_total",
            "istio_request_duration_milliseconds_bucket",
            "reporter=\"destination\",destination_workload_namespace=\"shop\",destination_workload=\"web-cand\"",
            "response_code=\"200\"",
            "response_code=\"503\"",
            "100",
        ),
        (
            "response_total",
            "response_latency_ms_bucket",
            "direction=\"inbound\",namespace=\"shop\",deployment=\"web-cand\"",
            "classification=\"success\"",
            "classification=\"failure\"",
            "100",
        ),
        (
            "http_server_request_duration_seconds_count",
            "http_server_request_duration_seconds_bucket",
            "k8s_namespace_name=\"shop\",k8s_deployment_name=\"web-cand\"",
            "http_response_status_code=\"200\"",
            "http_response_status_code=\"500\"",
            "0.1",
        ),
    ] {
        history.series(&format!("{requests}{{{release},{ok}}}"), 620, &[5]);
        history.series(&format!("{requests}{{{release},{failed}}}"), 620, &[2]);
        for (le, count) in [(edge, 6), ("+Inf", 7)] {
            history.series(&format!("{buckets}{{{release},le=\"{le}\"}}"), 620, &[count]);
        }
    }
    // Names that only begin or end alike are of other Services.
    for other in ["shop/web-cand-2/80", "shop/old-web-cand/80", "workshop/web-cand/80"] {
        let series = format!(
            "envoy_cluster_upstream_rq_xx{{envoy_cluster_name=\"{other}\",envoy_response_code_class=\"5\"}}"
        );
        history.series(&series, 620, &[100]);
    }
    let server = server::start(Setup { history: history.text(), ..Setup::default() }).await;
    let prometheus = Prometheus::new(ready(&server.access()).await);
    for source in ["envoy", "istio", "linkerd", "openTelemetry"] {
        let errors = json!({"max": "1%", "preset": {"source": source, "measures": "errors"}});
        let found = measured(&prometheus, "web-cand", errors).await;
        let expected = Measurement::Ratio { bad: Some(2), total: Some(7) };
        assert_eq!(found.candidate, expected, "{source}: {:?}", found.note);
        let preset = json!({"source": source, "measures": "latency", "q": 0.99});
        let found = measured(&prometheus, "web-cand", json!({"max": "1s", "preset": preset})).await;
        let Measurement::Histogram { buckets: Some(buckets) } = found.candidate else {
            panic!("{source}: {:?}", found.note)
        };
        let edges: Vec<_> = buckets
            .iter()
            .map(|bucket| (bucket.le.map(Latency::as_micros), bucket.count))
            .collect();
        assert_eq!(edges, [(Some(100_000), 6), (None, 7)], "{source}");
    }
}

#[tokio::test]
async fn fifty_thousand_series_are_refused_quickly() {
    if !is_installed("fifty_thousand_series_are_refused_quickly") {
        return;
    }
    let mut history = History::default();
    for series in 0..50_000 {
        history.series(&format!("many_total{{release=\"web-cand\",i=\"{series}\"}}"), 620, &[1, 2]);
    }
    let server = server::start(Setup { history: history.text(), ..Setup::default() }).await;
    let access = server.access();
    let prometheus = Prometheus::new(ready(&access).await);
    let many = "sum(increase(many_total{release=\"$release\"}[$window]))";

    let begun = Instant::now();
    let found = measured(&prometheus, "web-cand", counted(many)).await;
    assert!(begun.elapsed() < Duration::from_secs(9), "it took {:?}", begun.elapsed());
    assert_eq!(total(&found.candidate), None);
    let note = found.note.expect("it is told why");
    assert!(note.contains("more than 10000 series"), "{note}");
    assert!(note.contains("narrow the selector") && !note.contains("aggregate"), "{note}");

    // The same is told of the release that serves, before anything is rolled out.
    let mut signal = counted(many);
    signal["name"] = json!("tested");
    let signal: Signal = serde_json::from_value(signal).expect("a signal");
    let kinds = [signal.kind().expect("its fields agree")];
    let arms = PerArm { stable: "web-cand".to_owned(), candidate: "none".to_owned() };
    let run_start = window().start;
    let asked =
        Asked { signals: &kinds, arms: &arms, namespace: "shop", window: window(), run_start };
    let failure = prometheus.answers(asked, &kinds[0]).await.expect_err("there are too many");
    assert!(failure.in_full().contains("more than 10000 series; narrow"), "{failure}");

    // Where the server sums, that is what helps.
    let each = "increase(many_total{release=\"$release\"}[$window]) > 0";
    let note = measured(&prometheus, "web-cand", counted(each)).await.note.expect("told");
    assert!(note.contains("more than 10000 series; aggregate with `sum(...)`"), "{note}");

    // The answer is not read further than permitted, whatever is in it.
    let mut narrow = access.clone();
    narrow.most_bytes = 50_000;
    let prometheus = Prometheus::new(ready(&narrow).await);
    let note = measured(&prometheus, "web-cand", counted(many)).await.note.expect("told");
    assert!(note.contains("longer than 50000 bytes; narrow the selector"), "{note}");
}

/// What a pod exposes, one answer after the other; the last one stays.
async fn pod(bodies: Vec<&'static str>) -> std::net::SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    tokio::spawn(async move {
        let mut scrapes = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _length = stream.read(&mut head).await;
            let body = bodies[bodies.len().min(scrapes + 1) - 1];
            let response = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _gone = stream.write_all(response.as_bytes()).await;
            scrapes += 1;
        }
    });
    address
}

#[tokio::test]
async fn a_scraped_pods_first_errors_count() {
    if !is_installed("a_scraped_pods_first_errors_count") {
        return;
    }
    let address = pod(vec![
        "requests_total{release=\"web-cand\",code=\"200\"} 3\n",
        "requests_total{release=\"web-cand\",code=\"200\"} 5\n\
         requests_total{release=\"web-cand\",code=\"500\"} 4\n",
    ])
    .await;
    let scrape = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: pods, static_configs: [{{targets: ['{address}']}}]}}]\n"
    );
    let now = || Time::from_millis(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap());
    let start = now();
    let server = server::start(Setup { scrape: &scrape, ..Setup::default() }).await;
    let prometheus = Prometheus::new(ready(&server.access()).await);
    let begun = Instant::now();
    loop {
        let window = Window { start, end: now() };
        let found = measured_in(&prometheus, window, "web-cand", errors("requests_total")).await;
        match found.candidate {
            Measurement::Ratio { bad: Some(bad), total: Some(total) } if bad > 0 => {
                assert_eq!((bad, total), (4, 9));
                break;
            }
            _ => assert!(begun.elapsed() < Duration::from_secs(30), "{found:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
