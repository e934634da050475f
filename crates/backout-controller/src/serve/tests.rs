//! The server as its clients meet it: bytes over TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backout_core::machine::{EffectResult, Outcome, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Health, LARGEST_HEAD, MOST_CONNECTIONS, Metrics, listen, serve};

const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(patience: Duration) -> Server {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = listen(any).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let health = Arc::new(Health::new(patience, &["caches"]));
    let metrics = Arc::new(Metrics::default());
    let (stop, stopped) = oneshot::channel();
    let stopped = async { stopped.await.unwrap_or_default() };
    let task = tokio::spawn(serve(listener, Arc::clone(&health), Arc::clone(&metrics), stopped));
    Server { address, health, metrics, stop, task }
}

/// Sends bytes, and reads until the server closes the connection.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // The server may close it while we still write.
    let _sent = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _closed_or_reset = read.expect("the server closes it");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn request(address: SocketAddr, line: &str) -> String {
    let head = format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    raw(address, head.as_bytes()).await
}

#[tokio::test]
async fn it_is_ready_when_everything_is_there() {
    let server = start(PATIENCE).await;
    let answer = request(server.address, "GET /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("caches: not looked at yet\n"), "{answer}");
    server.health.needs("caches", Ok(()));
    assert!(request(server.address, "GET /readyz").await.starts_with("HTTP/1.1 200 "));
    server.health.needs("resource definitions", Err("not installed".to_owned()));
    let answer = request(server.address, "GET /readyz").await;
    assert!(answer.ends_with("\r\n\r\nresource definitions: not installed\n"), "{answer}");
}

#[tokio::test]
async fn it_lives_while_the_main_loop_beats() {
    let server = start(PATIENCE).await;
    assert!(request(server.address, "HEAD /healthz").await.starts_with("HTTP/1.1 200 "));
    let server = start(Duration::ZERO).await;
    let answer = request(server.address, "GET /healthz").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("stands still"), "{answer}");
}

#[tokio::test]
async fn metrics_are_what_prometheus_reads() {
    let server = start(PATIENCE).await;
    let metrics = &server.metrics;
    metrics.leads(true);
    metrics.active(1);
    metrics.run_ended(&Outcome::Promoted);
    metrics.stepped();
    metrics.effect_ended(&Request::Observe, &EffectResult::Failed("no answer".to_owned()));
    metrics.decision_to_write(Duration::from_millis(30));
    let answer = request(server.address, "GET /metrics").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains("content-type: application/openmetrics-text"), "{head}");
    for line in [
        "# TYPE backout_runs_ended counter",
        "backout_is_leader 1",
        "backout_runs_active 1",
        "backout_runs_ended_total{outcome=\"promoted\"} 1",
        "backout_steps_total 1",
        "backout_effects_total{kind=\"observe\",result=\"failed\"} 1",
        "backout_decision_to_write_seconds_bucket{le=\"0.05\"} 1",
        "# EOF",
    ] {
        assert!(body.lines().any(|it| it == line), "no line {line}:\n{body}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let server = start(PATIENCE).await;
    assert!(request(server.address, "GET /debug").await.starts_with("HTTP/1.1 404 "));
    let answer = request(server.address, "POST /metrics").await;
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD"), "{answer}");
    assert!(
        raw(server.address, b"\x16\x03\x01 nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 ")
    );
    let large = format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(2 * LARGEST_HEAD));
    assert!(!raw(server.address, large.as_bytes()).await.starts_with("HTTP/1.1 200 "));
    let endless = "POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\n";
    let answer = raw(server.address, endless.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "without waiting for the body: {answer}");
}

#[tokio::test]
async fn idle_clients_neither_block_nor_stay() {
    let server = start(PATIENCE).await;
    let mut idle = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        let mut stream = TcpStream::connect(server.address).await.expect("a connection");
        stream.write_all(b"GET /hea").await.expect("half a request");
        idle.push(stream);
    }
    assert_eq!(request(server.address, "GET /healthz").await, "", "one too many is closed");
    // Each is closed for being slow, and then there is room again.
    for stream in &mut idle {
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        let _closed_or_reset = read.expect("it is closed in time");
    }
    let answered = async {
        while !request(server.address, "GET /healthz").await.starts_with("HTTP/1.1 200 ") {}
    };
    timeout(PATIENCE, answered).await.expect("it answers again");
}

#[tokio::test]
async fn it_stops_when_it_is_told() {
    let server = start(PATIENCE).await;
    let _idle = TcpStream::connect(server.address).await.expect("a connection");
    assert!(request(server.address, "GET /healthz").await.starts_with("HTTP/1.1 200 "));
    server.stop.send(()).expect("the server runs");
    timeout(PATIENCE, server.task).await.expect("it ends").expect("without a panic");
    assert!(TcpStream::connect(server.address).await.is_err(), "the port is closed");
    let taken =
        listen(SocketAddr::from(([192, 0, 2, 1], 80))).await.expect_err("not an address of ours");
    assert!(taken.in_full().contains("192.0.2.1:80"), "{taken}");
}
