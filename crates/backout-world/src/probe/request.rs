//! One request on a connection of its own.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{Either, select};
use http::header::{HeaderName, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, Response, Uri, Version, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_rustls::ConfigBuilderExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Protocol, Setup};
use crate::failure::{Failure, Kind};

/// Most of an answer's body that is read, in bytes. It is read so that proxies and applications see
/// a request that ended well, and their error counters do not count ours.
const MOST: usize = 64 * 1024;

/// A gRPC message of no bytes: not compressed, length zero.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// Where requests go and what they are.
pub(super) struct Target {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    request: Request<Full<Bytes>>,
    header: HeaderName,
    protocol: Protocol,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn refused(field: &str, why: impl fmt::Display) -> Failure {
    Failure::new(Kind::Refused, format!("spec.traffic.verify.probe.{field}: {why}"))
        .with_help("write it as `{ url: http://checkout.shop/version, header: x-release }`")
}

/// A host without the brackets that an IPv6 address has in a URL.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

impl Target {
    pub(super) fn new(setup: &Setup) -> Result<Self, Failure> {
        let uri: Uri = setup.url.parse().map_err(|error| refused("url", error))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refused("url", "it begins with neither http:// nor https://")),
        };
        let authority = uri.authority().ok_or_else(|| refused("url", "it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("url", "it contains a user or password"));
        }
        let asked: Authority = match &setup.host {
            Some(host) => host.parse().map_err(|error| refused("host", error))?,
            None => authority.clone(),
        };
        let header =
            HeaderName::try_from(&setup.header).map_err(|error| refused("header", error))?;
        let tls = if secure { Some(tls(setup.protocol, asked.host())?) } else { None };
        Ok(Self {
            host: bare(authority.host()).to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            tls,
            request: request(setup.protocol, &uri, &asked)?,
            header,
            protocol: setup.protocol,
        })
    }

    /// What the header of an answer says, or why there is none.
    pub(super) async fn ask(&self) -> Result<String, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port));
        let stream = stream.await.map_err(|error| format!("no connection: {error}"))?;
        match &self.tls {
            Some((tls, name)) => {
                let stream = tls.connect(name.clone(), stream).await;
                self.talk(stream.map_err(|error| format!("no encrypted connection: {error}"))?)
                    .await
            }
            None => self.talk(stream).await,
        }
    }

    async fn talk<S>(&self, stream: S) -> Result<String, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        match self.protocol {
            Protocol::Http => {
                let (mut sender, connection) =
                    http1::handshake(io).await.map_err(|error| told(&error))?;
                let answer = async { sender.send_request(self.request.clone()).await };
                self.answer(answer, connection).await
            }
            Protocol::Grpc => {
                let hands = http2::handshake(TokioExecutor::new(), io);
                let (mut sender, connection) = hands.await.map_err(|error| told(&error))?;
                let answer = async { sender.send_request(self.request.clone()).await };
                self.answer(answer, connection).await
            }
        }
    }

    /// Awaits the answer while the connection does its work.
    async fn answer(
        &self,
        answer: impl Future<Output = hyper::Result<Response<Incoming>>>,
        connection: impl Future<Output = hyper::Result<()>>,
    ) -> Result<String, String> {
        let said = pin!(async {
            let answer = answer.await.map_err(|error| told(&error))?;
            let said = self.said(&answer);
            // Who answered is known by now, whatever becomes of the rest.
            let _rest = Limited::new(answer.into_body(), MOST).collect().await;
            said
        });
        match select(said, pin!(connection)).await {
            Either::Left((said, _)) => said,
            Either::Right((_, said)) => said.await,
        }
    }

    fn said(&self, answer: &Response<Incoming>) -> Result<String, String> {
        let status = answer.status();
        let value = answer
            .headers()
            .get(&self.header)
            .ok_or_else(|| format!("the answer ({status}) has no header {}", self.header))?;
        let text = value.to_str().map_err(|_| format!("the header {} is no text", self.header))?;
        Ok(text.trim().to_owned())
    }
}

fn request(
    protocol: Protocol,
    uri: &Uri,
    asked: &Authority,
) -> Result<Request<Full<Bytes>>, Failure> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = HeaderValue::from_str(asked.as_str()).map_err(|error| refused("host", error))?;
    let request = Request::builder().header(header::USER_AGENT, "backout-probe");
    let request = match protocol {
        Protocol::Http => request
            .uri(path)
            .header(header::HOST, host)
            .header(header::CONNECTION, "close")
            .body(Full::default()),
        Protocol::Grpc => request
            .version(Version::HTTP_2)
            .method(Method::POST)
            .uri(format!("{}://{asked}{path}", uri.scheme_str().unwrap_or("http")))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(Bytes::from_static(EMPTY_MESSAGE))),
    };
    request.map_err(|error| refused("url", error))
}

fn tls(protocol: Protocol, host: &str) -> Result<(TlsConnector, ServerName<'static>), Failure> {
    let name =
        ServerName::try_from(bare(host).to_owned()).map_err(|error| refused("url", error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |error: &dyn fmt::Display| {
        let message = format!("the system's certificates cannot be used for probes: {error}");
        Failure::new(Kind::Refused, message)
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .try_with_platform_verifier()
        .map_err(|error| unusable(&error))?
        .with_no_client_auth();
    let spoken: &[u8] = if protocol == Protocol::Grpc { b"h2" } else { b"http/1.1" };
    config.alpn_protocols = vec![spoken.to_vec()];
    Ok((TlsConnector::from(Arc::new(config)), name))
}

fn told(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("the connection broke off: {error}: {source}"),
        None => format!("the connection broke off: {error}"),
    }
}
