//! A plain request over a connection of its own.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for an answer.
const WITHIN: Duration = Duration::from_secs(5);
/// The part of an answer that is read, in bytes.
const LIMIT: u64 = 64 * 1024;

/// The whole answer to a GET, with its head.
pub(crate) async fn get(address: &str, host: &str, path: &str) -> Result<String> {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await
}

/// The whole answer to a POST, with its head.
pub(super) async fn post(address: &str, path: &str, body: &str) -> Result<String> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}"
    );
    ask(address, &format!("{head}\r\n\r\n{body}")).await
}

async fn ask(address: &str, request: &str) -> Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LIMIT).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(WITHIN, exchange).await;
    let answer = answer.with_context(|| format!("no answer from {address}"))?;
    answer.with_context(|| format!("cannot ask {address}"))
}
