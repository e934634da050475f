//! Plain questions to a Prometheus that asks for no password.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

const ANSWER_LIMIT_BYTES: usize = 4 << 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The body of a page. Another status than 2xx is an error.
pub(super) async fn get(address: SocketAddr, path: &str) -> Result<Bytes> {
    let asked = || format!("Prometheus at http://{address}{path}");
    let uri = format!("http://{address}{path}").parse().with_context(asked)?;
    let client: Client<HttpConnector, Empty<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let read = async {
        let response = client.get(uri).await.with_context(asked)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT_BYTES).collect().await;
        let body = body.map_err(|error| anyhow!("{}: not read: {error}", asked()))?;
        if !status.is_success() {
            bail!("{} answered {status}", asked());
        }
        Ok(body.to_bytes())
    };
    timeout(ANSWER_WITHIN, read).await.with_context(asked)?
}

/// The answer to an instant query.
pub(super) async fn query(address: SocketAddr, query: &str) -> Result<Value> {
    let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let body = get(address, &format!("/api/v1/query?query={escaped}")).await?;
    serde_json::from_slice(&body).with_context(|| format!("answer to {query} is not JSON"))
}
