//! Asks Prometheus over HTTP, within limits of time and size. Only reads.

mod tls;

use std::fmt;
use std::time::Duration;

use backout_core::units::{Span, Time};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::answer::{self, Answer, Unreadable};
use crate::failure::{Failure, Kind};

/// Characters of a query or of a foreign answer that an error repeats.
const SHOWN: usize = 200;

/// A password or token. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret from its text, without the line end that files and Kubernetes Secrets often have.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim_end_matches(['\n', '\r']).to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// How the client says who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// It does not.
    #[default]
    None,
    /// By a bearer token.
    Bearer(Secret),
    /// By user name and password.
    Basic {
        /// The user's name.
        user: String,
        /// The user's password.
        password: Secret,
    },
}

/// Where the server is, and how it is asked.
#[derive(Clone, Debug)]
pub struct Access {
    /// Address of the server, such as `http://prometheus.monitoring:9090`, with the path that it
    /// is served under, if any.
    pub address: String,
    /// How the client says who it is.
    pub auth: Auth,
    /// Certificates that the server's may be signed by, as PEM, instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Whether any certificate is believed.
    pub insecure_skip_verify: bool,
    /// How long one request may take, its answer included.
    pub timeout: Span,
    /// Longest answer that is read, in bytes.
    pub most_bytes: usize,
    /// Most series that an answer may have.
    pub most_series: usize,
}

impl Access {
    /// A server at an address, with the usual limits: 10 seconds, 16 MiB and 10,000 series.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            auth: Auth::None,
            ca_pem: None,
            insecure_skip_verify: false,
            timeout: Span::from_secs(10),
            most_bytes: 16 * 1024 * 1024,
            most_series: 10_000,
        }
    }
}

/// A client for one server.
pub struct Client {
    http: Http<HttpsConnector<HttpConnector>, Full<Bytes>>,
    address: String,
    authorization: Option<HeaderValue>,
    timeout: Span,
    most_bytes: usize,
    most_series: usize,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    /// A client. Nothing is asked yet.
    ///
    /// # Errors
    /// When the address, the credentials or the certificates cannot be used.
    pub fn new(access: &Access) -> Result<Self, Failure> {
        let address = checked_address(&access.address)?;
        let authorization = authorization(&access.auth)?;
        let tls = tls::config(access.ca_pem.as_deref(), access.insecure_skip_verify)?;
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            http: Http::builder(TokioExecutor::new()).build(connector),
            address,
            authorization,
            timeout: access.timeout,
            most_bytes: access.most_bytes,
            most_series: access.most_series,
        })
    }

    /// The server's address, without credentials.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks a query at one time.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, tells an error, takes too long, or answers more
    /// than the limits permit.
    pub async fn query(&self, query: &str, at: Time) -> Result<Answer, Failure> {
        self.ask("query", query, &[("query", query), ("time", &seconds(at))]).await
    }

    /// Asks a query at every step of a range of time, both ends included.
    ///
    /// # Errors
    /// As for [`Client::query`].
    pub async fn query_range(
        &self,
        query: &str,
        start: Time,
        end: Time,
        step: Span,
    ) -> Result<Answer, Failure> {
        let (start, end) = (seconds(start), seconds(end));
        let step = seconds(Time::from_millis(step.as_millis().max(1)));
        let form = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
        self.ask("query_range", query, &form).await
    }

    async fn ask(
        &self,
        endpoint: &str,
        query: &str,
        form: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let (status, body) = self.post(endpoint, query, form).await?;
        let answer = answer::query(&body).map_err(|why| self.refusal(status, query, why))?;
        if answer.series.len() > self.most_series {
            let (found, most) = (answer.series.len(), self.most_series);
            return Err(Failure::new(
                Kind::Refused,
                format!("query `{}` found {found} series, more than {most}", cut(query)),
            )
            .with_help("aggregate with `sum(...)`, or narrow the selector by more labels"));
        }
        Ok(answer)
    }

    async fn post(
        &self,
        endpoint: &str,
        query: &str,
        form: &[(&str, &str)],
    ) -> Result<(StatusCode, Bytes), Failure> {
        let timeout = Duration::from_millis(self.timeout.as_millis());
        match tokio::time::timeout(timeout, self.exchange(endpoint, query, form)).await {
            Ok(answered) => answered,
            Err(_) => Err(self
                .failed(format!("took longer than {} for query `{}`", self.timeout, cut(query)))
                .with_help("narrow the query, or raise `metrics.prometheus.timeout`")),
        }
    }

    async fn exchange(
        &self,
        endpoint: &str,
        query: &str,
        form: &[(&str, &str)],
    ) -> Result<(StatusCode, Bytes), Failure> {
        let mut request = Request::post(format!("{}/api/v1/{endpoint}", self.address))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request
            .body(Full::new(Bytes::from(encoded(form))))
            .map_err(|error| self.failed(format!("cannot be asked: {error}")))?;
        let response = self.http.request(request).await.map_err(|error| {
            self.failed(format!("cannot be reached: {}", chain(&error)))
                .with_help("check `metrics.prometheus.address`, and that the network lets us there")
        })?;
        let status = response.status();
        if status.is_redirection() {
            return Err(self.redirected(response.headers().get(header::LOCATION)));
        }
        let body = Limited::new(response.into_body(), self.most_bytes);
        let body = body.collect().await.map_err(|error| self.unread(query, &*error))?;
        Ok((status, body.to_bytes()))
    }

    fn redirected(&self, location: Option<&HeaderValue>) -> Failure {
        let location = location.and_then(|location| location.to_str().ok()).unwrap_or("nowhere");
        // Credentials may be in what follows the address proper.
        let location = location.split(['?', '#']).next().unwrap_or_default();
        self.failed(format!("redirects to {}, which is not followed", cut(location)))
            .with_help("write the address that answers, the path of a proxy included")
    }

    fn unread(
        &self,
        query: &str,
        error: &(dyn std::error::Error + Send + Sync + 'static),
    ) -> Failure {
        if error.is::<LengthLimitError>() {
            let most = self.most_bytes;
            Failure::new(
                Kind::Refused,
                format!("the answer to query `{}` is longer than {most} bytes", cut(query)),
            )
            .with_help("aggregate with `sum(...)`, or narrow the selector by more labels")
        } else {
            self.failed(format!("broke off: {}", chain(error)))
        }
    }

    /// What an answer says that is not one.
    fn refusal(&self, status: StatusCode, query: &str, why: Unreadable) -> Failure {
        match why {
            Unreadable::Told { kind, message } => {
                let told = format!("{}: query `{}`: {}", self.address, cut(query), cut(&message));
                match kind.as_str() {
                    "bad_data" | "execution" => Failure::new(Kind::Refused, told)
                        .with_help("correct the signal's query; `backout check` reads it too"),
                    _ => Failure::new(Kind::Failed, told),
                }
            }
            Unreadable::Foreign(_) if matches!(status.as_u16(), 401 | 403 | 407) => self
                .failed(format!("refuses us: {status}"))
                .with_help("check the secret named by `bearerTokenSecret` or `basicAuthSecret`"),
            Unreadable::Foreign(_) if status == StatusCode::NOT_FOUND => self
                .failed("has no Prometheus API at this address: 404 Not Found")
                .with_help("write the path that the API is served under into the address"),
            Unreadable::Foreign(_) if !status.is_success() => {
                self.failed(format!("answers {status}"))
            }
            Unreadable::Foreign(why) => {
                self.failed(format!("does not answer as Prometheus does: {}", cut(&why)))
            }
        }
    }

    fn failed(&self, what: impl fmt::Display) -> Failure {
        Failure::new(Kind::Failed, format!("Prometheus at {} {what}", self.address))
    }
}

/// An address that can be asked, without the slash at its end.
fn checked_address(address: &str) -> Result<String, Failure> {
    let refused = |why: &str| {
        Failure::new(Kind::Refused, format!("the address of Prometheus {why}"))
            .with_help("write it as http://prometheus.monitoring:9090")
    };
    let uri: Uri = address.parse().map_err(|_| refused("is not a URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(refused("begins with neither http:// nor https://"));
    }
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err(refused("contains a user or password, which belong into a Secret"));
    }
    if uri.query().is_some() {
        return Err(refused("has a query"));
    }
    Ok(address.trim_end_matches('/').to_owned())
}

fn authorization(auth: &Auth) -> Result<Option<HeaderValue>, Failure> {
    let text = match auth {
        Auth::None => return Ok(None),
        Auth::Bearer(Secret(token)) => format!("Bearer {token}"),
        Auth::Basic { user, password: Secret(password) } => {
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        }
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        Failure::new(Kind::Refused, "the credentials for Prometheus are no text for a header")
            .with_help("the Secret's value must have no line breaks or control characters")
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// A time as seconds, exact to the millisecond.
fn seconds(time: Time) -> String {
    let millis = time.as_millis();
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

/// A form as the body of a request.
fn encoded(form: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, value) in form {
        if !body.is_empty() {
            body.push('&');
        }
        body.push_str(name);
        body.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                body.push(char::from(byte));
            } else {
                body.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    body
}

pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told.push_str(": ");
        told.push_str(&cause.to_string());
        source = cause.source();
    }
    told
}
