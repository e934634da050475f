//! Asks Prometheus over HTTP, within limits of time and size. Only reads.

use std::fmt;
use std::time::Duration;

use backout_core::units::{Span, Time};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::answer::{self, Answer, Unreadable};
use crate::failure::{Failure, Kind, with_causes};
pub use crate::secret::Secret;
use crate::tls;

/// Characters of a query or of a foreign answer that an error repeats.
const SHOWN: usize = 200;

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

/// What makes the answer to a query smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Fewer series must be selected: they are read one by one, however the query sums them.
    Narrow,
    /// The server must answer fewer series.
    Aggregate,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Narrow => {
                "narrow the selector by more labels, such as the namespace and `$release`: each \
                 series that it selects is read by itself, so that summing them does not help"
            }
            Self::Aggregate => "aggregate with `sum(...)`, or narrow the selector by more labels",
        })
    }
}

/// Counts the series of an answer while it is read.
#[derive(Default)]
struct Seen {
    series: usize,
    /// Where it was read up to.
    at: usize,
}

impl Seen {
    /// How many series begin in what was read so far. What begins a series occurs nowhere else:
    /// quotes within a text are escaped, and a label's value is never an object. An answer that is
    /// written with spaces is not recognised, and counted only when it is complete.
    fn count(&mut self, read: &[u8]) -> usize {
        const BEGINNING: &[u8] = b"\"metric\":{";
        let unread = read.get(self.at..).unwrap_or_default();
        self.series += unread.windows(BEGINNING.len()).filter(|part| *part == BEGINNING).count();
        // A beginning may be cut in two by the end of what was read.
        self.at = read.len().saturating_sub(BEGINNING.len() - 1).max(self.at);
        self.series
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
        let tls = tls::config(access.ca_pem.as_deref(), access.insecure_skip_verify)
            .map_err(|why| unusable_certificates(&why))?;
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

    /// Asks a query at one time. An answer that is larger than the limits is not read to its end.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, tells an error, takes too long, or answers more
    /// than the limits permit.
    pub async fn query(&self, query: &str, at: Time, remedy: Remedy) -> Result<Answer, Failure> {
        let timeout = Duration::from_millis(self.timeout.as_millis());
        let asked = tokio::time::timeout(timeout, self.exchange(query, at, remedy)).await;
        let (status, body) = asked.map_err(|_| {
            self.failed(format!("took longer than {} for query `{}`", self.timeout, cut(query)))
                .with_help(format!("{remedy}, or raise `metrics.prometheus.timeout`"))
        })??;
        let answer = answer::query(&body).map_err(|why| self.refusal(status, query, why))?;
        if answer.series.len() > self.most_series {
            return Err(self.too_many(query, remedy));
        }
        Ok(answer)
    }

    async fn exchange(
        &self,
        query: &str,
        at: Time,
        remedy: Remedy,
    ) -> Result<(StatusCode, Vec<u8>), Failure> {
        // Servers that know `limit` stop there themselves. One more than is permitted shows that
        // there were too many.
        let limit = self.most_series.saturating_add(1).to_string();
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("query", query), ("time", &seconds(at)), ("limit", &limit)])
            .finish();
        let mut request = Request::post(format!("{}/api/v1/query", self.address))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request
            .body(Full::new(Bytes::from(form)))
            .map_err(|error| self.failed(format!("cannot be asked: {error}")))?;
        let response = self.http.request(request).await.map_err(|error| {
            self.failed(format!("cannot be reached: {}", with_causes(&error)))
                .with_help("check `metrics.prometheus.address`, and that the network lets us there")
        })?;
        let status = response.status();
        if status.is_redirection() {
            return Err(self.redirected(response.headers().get(header::LOCATION)));
        }
        Ok((status, self.read(response.into_body(), query, remedy).await?))
    }

    /// Reads an answer as far as the limits permit.
    async fn read(
        &self,
        mut body: Incoming,
        query: &str,
        remedy: Remedy,
    ) -> Result<Vec<u8>, Failure> {
        let mut read = Vec::new();
        let mut series = Seen::default();
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| self.failed(format!("broke off: {}", with_causes(&error))))?;
            let Ok(data) = frame.into_data() else { continue };
            if read.len().saturating_add(data.len()) > self.most_bytes {
                return Err(self.too_long(query, remedy));
            }
            read.extend_from_slice(&data);
            if series.count(&read) > self.most_series {
                return Err(self.too_many(query, remedy));
            }
        }
        Ok(read)
    }

    fn too_many(&self, query: &str, remedy: Remedy) -> Failure {
        let most = self.most_series;
        let told = format!("query `{}` found more than {most} series", cut(query));
        Failure::new(Kind::Refused, told).with_help(remedy.to_string())
    }

    fn too_long(&self, query: &str, remedy: Remedy) -> Failure {
        let most = self.most_bytes;
        let told = format!("the answer to query `{}` is longer than {most} bytes", cut(query));
        Failure::new(Kind::Refused, told).with_help(remedy.to_string())
    }

    fn redirected(&self, location: Option<&HeaderValue>) -> Failure {
        let location = location.and_then(|location| location.to_str().ok()).unwrap_or("nowhere");
        // Credentials may be in what follows the address proper.
        let location = location.split(['?', '#']).next().unwrap_or_default();
        self.failed(format!("redirects to {}, which is not followed", cut(location)))
            .with_help("write the address that answers, the path of a proxy included")
    }

    /// What an answer says that is not one.
    fn refusal(&self, status: StatusCode, query: &str, why: Unreadable) -> Failure {
        let (kind, message) = match why {
            _ if matches!(status.as_u16(), 401 | 403 | 407) => return self.stranger(status, &why),
            Unreadable::Told { kind, message } => (kind, message),
            Unreadable::Foreign(_) if status == StatusCode::NOT_FOUND => {
                return self
                    .failed("has no Prometheus API at this address: 404 Not Found")
                    .with_help("write the path that the API is served under into the address");
            }
            Unreadable::Foreign(_) if !status.is_success() => {
                return self.failed(format!("answers {status}"));
            }
            Unreadable::Foreign(why) => {
                return self.failed(format!("does not answer as Prometheus does: {}", cut(&why)));
            }
        };
        let told = format!("{}: query `{}`: {}", self.address, cut(query), cut(&message));
        match kind.as_str() {
            "bad_data" | "execution" => Failure::new(Kind::Refused, told).with_help(
                "correct the signal's query; `backout simulate` reads it too, without a server",
            ),
            _ => Failure::new(Kind::Failed, told),
        }
    }

    /// The server, or a proxy before it, does not let us in.
    fn stranger(&self, status: StatusCode, why: &Unreadable) -> Failure {
        let told = match why {
            Unreadable::Told { message, .. } => format!(": {}", cut(message)),
            Unreadable::Foreign(_) => String::new(),
        };
        self.failed(format!("refuses us: {status}{told}"))
            .with_help("check the secret named by `bearerTokenSecret` or `basicAuthSecret`")
    }

    fn failed(&self, what: impl fmt::Display) -> Failure {
        Failure::new(Kind::Failed, format!("Prometheus at {} {what}", self.address))
    }
}

fn unusable_certificates(why: &str) -> Failure {
    Failure::new(Kind::Refused, format!("the certificates for Prometheus cannot be used: {why}"))
        .with_help("the Secret named by `caSecret` holds certificates as PEM")
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
        Auth::Bearer(token) => format!("Bearer {}", token.reveal()),
        Auth::Basic { user, password } => {
            format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.reveal())))
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

pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_counted_however_the_answer_is_cut() {
        let answer = br#"{"result":[{"metric":{"metric":"x","a":"\"metric\":{"},"value":[1,"2"]},{"metric":{}}]}"#;
        for size in 1..answer.len() {
            let (mut seen, mut read, mut counted) = (Seen::default(), Vec::new(), 0);
            for part in answer.chunks(size) {
                read.extend_from_slice(part);
                counted = seen.count(&read);
            }
            assert_eq!(counted, 2, "in parts of {size}");
        }
    }

    #[test]
    fn a_refusal_with_a_message_still_names_the_secrets() {
        let client = Client::new(&Access::new("http://127.0.0.1:1")).unwrap();
        let why = Unreadable::Told { kind: "auth".to_owned(), message: "no org id".to_owned() };
        let told = client.refusal(StatusCode::UNAUTHORIZED, "a", why).in_full();
        assert!(told.contains("no org id") && told.contains("bearerTokenSecret"), "{told}");
    }

    #[test]
    fn nothing_that_is_shown_has_a_secret_in_it() {
        let encoded = STANDARD.encode("backout:hush-7f3a");
        let secret = Secret::new("hush-7f3a");
        let bearer = Auth::Bearer(secret.clone());
        let basic = Auth::Basic { user: "backout".to_owned(), password: secret };
        for auth in [bearer, basic] {
            let sent = authorization(&auth).unwrap().unwrap();
            assert!(sent.is_sensitive(), "what logs headers leaves it out");
            let access = Access { auth, ..Access::new("http://127.0.0.1:1") };
            let client = Client::new(&access).unwrap();
            let why = Unreadable::Told { kind: "auth".to_owned(), message: "no".to_owned() };
            let told = client.refusal(StatusCode::UNAUTHORIZED, "a", why).in_full();
            let shown = format!("{access:?} {client:?} {sent:?} {told}");
            assert!(!shown.contains("hush") && !shown.contains(&encoded), "{shown}");
        }
        let refused = Client::new(&Access::new("http://backout:hush-7f3a@prometheus")).unwrap_err();
        assert!(!refused.in_full().contains("hush"), "{}", refused.in_full());
    }
}
