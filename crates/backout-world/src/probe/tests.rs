//! Probes against a server that plays the route.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backout_core::machine::{probes_needed, share_fits};
use backout_core::units::Weight;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

use super::*;
use crate::traffic::endpoints::Count;

/// What the route's server does with the request of this number.
type Answers = fn(usize, &Request<Incoming>) -> Option<&'static str>;

struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A server that names whatever `answers` says, and never answers where that says `silence`.
async fn server(answers: Answers) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&connections);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let requests = Arc::clone(&requests);
            tokio::spawn(async move {
                let answer = service_fn(|request: Request<Incoming>| {
                    let number = requests.fetch_add(1, Ordering::Relaxed);
                    let said = answers(number, &request);
                    async move {
                        let mut response = Response::new(Full::new(Bytes::from_static(b"body")));
                        match said {
                            Some("silence") => std::future::pending().await,
                            Some(name) => {
                                let name = name.parse().expect("a header's value");
                                response.headers_mut().insert("x-release", name);
                            }
                            None => *response.status_mut() = http::StatusCode::BAD_GATEWAY,
                        }
                        Ok::<_, Infallible>(response)
                    }
                });
                let server = auto::Builder::new(TokioExecutor::new());
                let _ended = server.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    Server { address, connections, task }
}

fn setup(address: SocketAddr) -> Setup {
    Setup {
        url: format!("http://{address}/version"),
        host: None,
        header: "X-Release".to_owned(),
        protocol: Protocol::Http,
        stable: vec!["shop-aaaaaaaa".to_owned()],
        candidate: vec!["shop-bbbbbbbb".to_owned()],
        timeout: Duration::from_secs(5),
        most: Duration::from_secs(45),
    }
}

async fn probed(setup: Setup, probes: u32) -> Result<Shared, Failure> {
    Prober::new(setup).expect("a prober").probe(probes).await
}

fn quarter(number: usize, _: &Request<Incoming>) -> Option<&'static str> {
    Some(if number.is_multiple_of(4) { "shop-bbbbbbbb" } else { "shop-aaaaaaaa" })
}

#[tokio::test]
async fn every_request_has_a_connection_of_its_own_and_is_counted() {
    let server = server(quarter).await;
    let shared = probed(setup(server.address), 400).await.expect("a share");
    assert_eq!(shared, Shared { hits: 100, probes: 400, failed: 0 });
    assert_eq!(server.connections.load(Ordering::Relaxed), 400);
    assert_eq!(EffectResult::from(shared), EffectResult::Share { hits: 100, probes: 400 });
}

#[tokio::test]
async fn a_grpc_method_is_called_over_http2() {
    let server = server(|number, request| {
        let is_call = request.version() == http::Version::HTTP_2
            && request.method() == http::Method::POST
            && request.headers()["content-type"] == "application/grpc"
            && request.uri().authority().is_some_and(|host| host == "shop.example")
            && request.uri().path() == "/shop.Cart/Version";
        if is_call { quarter(number, request) } else { None }
    })
    .await;
    let mut setup = setup(server.address);
    setup.protocol = Protocol::Grpc;
    setup.host = Some("shop.example".to_owned());
    setup.url = format!("http://{}/shop.Cart/Version", server.address);
    let shared = probed(setup, 40).await.expect("a share");
    assert_eq!(shared, Shared { hits: 10, probes: 40, failed: 0 });
    assert_eq!(server.connections.load(Ordering::Relaxed), 40);
}

#[tokio::test]
async fn the_host_that_is_asked_for_need_not_be_the_address() {
    let server = server(|number, request| {
        (request.headers()["host"] == "shop.example").then(|| quarter(number, request)).flatten()
    })
    .await;
    let mut setup = setup(server.address);
    assert!(probed(setup.clone(), 8).await.is_err());
    setup.host = Some("shop.example".to_owned());
    assert_eq!(probed(setup, 8).await.expect("a share").probes, 8);
}

#[tokio::test]
async fn an_answer_without_a_name_counts_for_neither() {
    let server = server(|number, _| (number % 4 > 0).then_some("shop-bbbbbbbb")).await;
    let shared = probed(setup(server.address), 400).await.expect("a share");
    assert_eq!(shared, Shared { hits: 300, probes: 300, failed: 100 });
}

#[tokio::test]
async fn less_than_half_of_the_answers_say_nothing() {
    let server = server(|number, _| (number % 4 == 0).then_some("shop-bbbbbbbb")).await;
    let told = probed(setup(server.address), 400).await.expect_err("too few").in_full();
    assert!(told.contains("only 100 of 400 probes"), "{told}");
    assert!(told.contains("the answer (502 Bad Gateway) has no header x-release"), "{told}");
}

#[tokio::test]
async fn another_release_behind_the_route_is_named() {
    let server = server(
        |number, request| {
            if number == 7 { Some("shop-cccccccc") } else { quarter(number, request) }
        },
    )
    .await;
    let told = probed(setup(server.address), 400).await.expect_err("a stranger").in_full();
    assert!(told.contains("1 of 400 probes"), "{told}");
    assert!(told.contains("`shop-cccccccc`, which is none of shop-aaaaaaaa"), "{told}");
}

#[tokio::test]
async fn nobody_there_is_found_out_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let told = probed(setup(address), 1_600).await.expect_err("nobody").in_full();
    assert!(told.contains("only 0 of 1600 probes") && told.contains("no connection"), "{told}");
}

#[tokio::test]
async fn encryption_is_not_done_without() {
    let server = server(quarter).await;
    let mut setup = setup(server.address);
    setup.url = format!("https://{}/version", server.address);
    let told = probed(setup, 8).await.expect_err("the server does not encrypt").in_full();
    assert!(told.contains("no encrypted connection"), "{told}");
}

#[tokio::test]
async fn silence_is_waited_for_only_so_long() {
    let server = server(|_, _| Some("silence")).await;
    let mut setup = setup(server.address);
    setup.timeout = Duration::from_millis(50);
    let told = probed(setup.clone(), 400).await.expect_err("silence").in_full();
    assert!(told.contains("no answer within 0.05 s"), "{told}");
    assert!(server.connections.load(Ordering::Relaxed) <= 40, "it went on without hope");
    setup.timeout = Duration::from_secs(60);
    setup.most = Duration::from_millis(50);
    let told = probed(setup, 400).await.expect_err("silence").in_full();
    assert!(told.contains("all together took longer"), "{told}");
}

#[tokio::test]
async fn versions_count_where_they_differ() {
    let server = server(|_, _| Some("v2")).await;
    let differ = setup(server.address).or_versions("v1", "v2");
    assert_eq!(probed(differ, 8).await.expect("a share").hits, 8);
    let same = setup(server.address).or_versions("v2", "v2");
    assert!(probed(same, 8).await.is_err());
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    let told = |change: fn(&mut Setup)| {
        let mut setup = setup(address);
        change(&mut setup);
        let failure = Prober::new(setup).expect_err("refused");
        assert_eq!(failure.kind, Kind::Refused);
        failure.message
    };
    assert!(told(|setup| setup.url = "shop".to_owned()).contains("verify.probe.url"));
    assert!(told(|setup| setup.url = "ftp://shop".to_owned()).contains("neither http"));
    let secret = told(|setup| setup.url = "http://me:hunter2@shop/".to_owned());
    assert!(secret.contains("user or password") && !secret.contains("hunter2"));
    assert!(told(|setup| setup.host = Some("a b".to_owned())).contains("probe.host"));
    assert!(told(|setup| setup.header = "a b".to_owned()).contains("probe.header"));
    let same = told(|setup| setup.candidate = setup.stable.clone());
    assert!(same.contains("cannot tell apart"), "{same}");
}

#[test]
fn half_of_the_probes_still_tell_a_share_from_none() {
    for percent in 1..=100 {
        let weight = Weight::from_percent(percent).expect("a percentage");
        let half = u64::from(probes_needed(weight)).div_ceil(2);
        assert!(!share_fits(weight, 0, half), "{percent}%");
    }
}

fn endpoints(ready: &[(&str, u32)]) -> Endpoints {
    let by_set = ready
        .iter()
        .map(|(set, ready)| ((*set).to_owned(), Count { ready: *ready, not_ready: 1 }))
        .collect();
    Endpoints { ready: ready.iter().map(|(_, ready)| ready).sum(), not_ready: 1, by_set }
}

#[test]
fn endpoints_show_the_share_of_a_service() {
    let shared = |ready: &[(&str, u32)]| {
        Shared::from_endpoints(&endpoints(ready), "a", Some("b"), 400)
            .map(|shared| (shared.hits, shared.probes))
            .map_err(|failure| failure.message)
    };
    assert_eq!(shared(&[("a", 3)]), Ok((0, 400)));
    assert_eq!(shared(&[("b", 3)]), Ok((400, 400)));
    assert_eq!(shared(&[("a", 3), ("b", 1)]), Ok((100, 400)));
    assert!(shared(&[]).expect_err("none").contains("no ready endpoint"));
    assert!(shared(&[("a", 3), ("c", 1)]).expect_err("a third").starts_with("c gets traffic"));
    assert!(shared(&[("a", 3), ("", 1)]).expect_err("no set").starts_with("pods of no set"));
}
