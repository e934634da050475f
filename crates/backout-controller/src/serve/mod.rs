//! What the controller answers over HTTP: whether it lives, whether it is ready, and its metrics.
//!
//! Whoever reaches the port can ask; nothing that is answered is secret, and no request changes
//! anything. Everything has a limit, so that a client cannot keep the controller from its work.

mod health;
mod metrics;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backout_world::failure::{Failure, Kind};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use health::Health;
pub use metrics::Metrics;

/// Most connections at once; probes and scrapes need a handful.
const MOST_CONNECTIONS: usize = 64;

/// Longest time from the first byte of a request to the last of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time that a connection lasts, whatever happens on it.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest time that requests under way have to end when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Most bytes of a request's head. Bodies are never read.
const LARGEST_HEAD: usize = 16 * 1024;

/// Rest after the system refused a connection, for example for want of file descriptors.
const REST: Duration = Duration::from_millis(200);

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Opens the port, so that a wrong address is known before anything else starts.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(Kind::Refused, format!("cannot listen on {address}: {error}"))
            .with_help("choose another address with `--address`, or end what listens there")
    })
}

/// Answers until `stop` is over: `/healthz`, `/readyz` and `/metrics`. Requests that are under way
/// by then get a few seconds to end.
pub async fn serve(
    listener: TcpListener,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let open = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let stream = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            },
        };
        // One too many is closed at once: the others are answered in time.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let connection = connection(stream, Arc::clone(&health), Arc::clone(&metrics));
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off is no concern of the controller's.
            let _ended = timeout(CONNECTION_TIMEOUT, connection).await;
            drop(place);
        });
    }
    drop(listener);
    if timeout(STOP_TIMEOUT, open.shutdown()).await.is_err() {
        tracing::debug!("requests were still under way when the server stopped");
    }
}

type Answer = Response<Full<Bytes>>;

fn connection(
    stream: TcpStream,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
) -> impl GracefulConnection + Send + 'static {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &health, &metrics);
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service)
}

fn answer(method: &Method, path: &str, health: &Health, metrics: &Metrics) -> Answer {
    let known = matches!(path, "/healthz" | "/readyz" | "/metrics");
    if !known {
        return text(
            StatusCode::NOT_FOUND,
            "not found; there are /healthz, /readyz and /metrics\n",
        );
    }
    if method != Method::GET && method != Method::HEAD {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match path {
        "/healthz" => state(health.alive()),
        "/readyz" => state(health.ready()),
        _ => {
            let mut answer = text(StatusCode::OK, metrics.encode());
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
            answer
        }
    }
}

fn state(state: Result<(), String>) -> Answer {
    match state {
        Ok(()) => text(StatusCode::OK, "ok\n"),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    answer
}
