//! An HTTP server that stands in for an API server, where a test needs answers that a real one
//! does not give.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use kube::Client;
use serde_json::Value;
use tokio::net::TcpListener;

/// What came in: the method, and the body if it is JSON.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) body: Value,
}

/// Starts a server that answers with a code and JSON, and a client for it. It ends with the test.
pub(crate) async fn start<F, A>(answer: F) -> Client
where
    F: Fn(Asked) -> A + Send + Sync + 'static,
    A: Future<Output = (u16, Value)> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request| respond(Arc::clone(&answer), request));
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    let config = kube::Config::new(format!("http://{address}").parse().expect("an address"));
    Client::try_from(config).expect("a client")
}

async fn respond<F, A>(
    answer: Arc<F>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible>
where
    F: Fn(Asked) -> A,
    A: Future<Output = (u16, Value)>,
{
    let method = request.method().clone();
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let (code, answer) = answer(Asked { method, body }).await;
    let answer = Full::new(Bytes::from(answer.to_string()));
    Ok(Response::builder().status(code).body(answer).expect("a response"))
}

/// What an API server says when it refuses.
pub(crate) fn refusal(code: u16) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        _ => "InternalError",
    };
    serde_json::json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
                        "reason": reason, "message": "as the test wants it" })
}
