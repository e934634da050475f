//! One question to a registry: credentials, redirects, retries, and the limits on all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backout_gates::oci::Repository;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use super::Options;
use super::address::{Address, Origin};
use super::challenge::Challenge;
use crate::failure::{Failure, Kind, with_causes};
use crate::registry::credentials::{Credentials, Login};
use crate::tls;

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 5;

/// The longest answer that is read of a server that says no, or that gives tokens.
const MOST_TOLD_BYTES: usize = 256 * 1024;

/// What a registry answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Who was asked, redirects not counted.
    pub(super) asked: Address,
}

impl Answer {
    /// A header as text.
    pub(super) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The registry's own code for what went wrong, such as `MANIFEST_UNKNOWN`. Its words are left
    /// out: they may repeat what was sent.
    pub(super) fn error_code(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<Error>,
        }
        #[derive(Deserialize)]
        struct Error {
            code: String,
        }
        let told: Errors = serde_json::from_slice(&self.body).ok()?;
        let code = told.errors.into_iter().next()?.code;
        let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        ((1..=40).contains(&code.len()) && code.chars().all(fits)).then_some(code)
    }
}

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) repository: &'a Repository,
    pub(super) address: &'a Address,
    pub(super) accept: &'a str,
    /// The longest good answer that is read, in bytes.
    pub(super) most_bytes: usize,
}

/// Asks registries.
pub(super) struct Exchange {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    options: Options,
    credentials: Credentials,
    /// What was sent with success, by registry and repository.
    known: Mutex<BTreeMap<(Origin, String), HeaderValue>>,
    /// Limits how many questions are open at once.
    open: tokio::sync::Semaphore,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Exchange {
    pub(super) fn new(options: Options, credentials: Credentials) -> Result<Self, Failure> {
        let tls = tls::config(options.ca_pem.as_deref(), false).map_err(|why| {
            let told = format!("the certificates for registries cannot be used: {why}");
            Failure::new(Kind::Refused, told)
        })?;
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(options.connect_timeout));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            open: tokio::sync::Semaphore::new(options.most_open.max(1)),
            options,
            credentials,
            known: Mutex::default(),
        })
    }

    pub(super) const fn options(&self) -> &Options {
        &self.options
    }

    /// Asks a registry, within the time for one question, credentials and retries included. Time
    /// spent waiting for other questions is not counted.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Answer, String> {
        let _turn = self.open.acquire().await.map_err(|_| "closed".to_owned())?;
        let timeout = self.options.timeout;
        tokio::time::timeout(timeout, self.ask_again_if_busy(question)).await.unwrap_or_else(|_| {
            let told = question.address.shown();
            Err(format!("{told} took longer than {} s to answer", timeout.as_secs_f32()))
        })
    }

    /// Asks again, a few times, when the registry is busy and says how soon it will not be.
    async fn ask_again_if_busy(&self, question: Question<'_>) -> Result<Answer, String> {
        let mut tries = 0;
        loop {
            let answer = self.ask_with_credentials(question).await?;
            let status = answer.status;
            let is_busy =
                matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            if !is_busy || tries == self.options.retries {
                return Ok(answer);
            }
            let asked = answer.header(header::RETRY_AFTER);
            // A date is as good as no number: the limit decides how long it is worth to wait.
            let seconds = asked.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(1);
            let wait = Duration::from_secs(seconds);
            if wait > self.options.most_retry_wait {
                return Err(format!(
                    "{} answers {status} and wants {seconds} s of patience; ask again later",
                    answer.asked.shown()
                ));
            }
            tries += 1;
            tokio::time::sleep(wait).await;
        }
    }

    async fn ask_with_credentials(&self, question: Question<'_>) -> Result<Answer, String> {
        let origin = &question.address.origin;
        let key = (origin.clone(), question.repository.name().to_owned());
        let known = self.with_known(|known| known.get(&key).cloned());
        let answer = self.follow(question, known.as_ref()).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.with_known(|known| known.remove(&key));
        let headers = answer.headers.get_all(header::WWW_AUTHENTICATE);
        let Some(challenge) = Challenge::read(headers.iter().filter_map(|it| it.to_str().ok()))
        else {
            return Ok(answer);
        };
        let login = self.credentials.login(question.repository).await?;
        let Some(authorization) = self.authorization(question, challenge, login.as_ref()).await?
        else {
            return Ok(answer);
        };
        let answer = self.follow(question, Some(&authorization)).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            self.with_known(|known| known.insert(key, authorization));
        }
        Ok(answer)
    }

    fn with_known<T>(
        &self,
        work: impl FnOnce(&mut BTreeMap<(Origin, String), HeaderValue>) -> T,
    ) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What to send with the question, if anything can be.
    async fn authorization(
        &self,
        question: Question<'_>,
        challenge: Challenge,
        login: Option<&Login>,
    ) -> Result<Option<HeaderValue>, String> {
        if let Some(Login::Access(token)) = login {
            return secret_header(&format!("Bearer {}", token.reveal())).map(Some);
        }
        match (challenge, login) {
            (Challenge::Basic, Some(Login::Password { user, password })) => {
                basic(user, password.reveal()).map(Some)
            }
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service, scope }, login) => {
                let scope = scope
                    .unwrap_or_else(|| format!("repository:{}:pull", question.repository.name()));
                let mut form = vec![("scope", scope)];
                form.extend(service.map(|service| ("service", service)));
                let token = self.token(question, &realm, form, login).await?;
                secret_header(&format!("Bearer {token}")).map(Some)
            }
        }
    }

    /// Gets a token from where the registry said that tokens are given. Redirects are not followed
    /// there.
    async fn token(
        &self,
        question: Question<'_>,
        realm: &str,
        mut form: Vec<(&'static str, String)>,
        login: Option<&Login>,
    ) -> Result<String, String> {
        let registry = &question.address.origin;
        let realm = Address::parse(realm)
            .ok_or_else(|| format!("{registry} names no usable address where tokens are given"))?;
        let shown = realm.shown();
        if login.is_some() && !registry.may_send_credentials_to(&realm.origin) {
            return Err(format!(
                "{registry} wants our credentials at {shown}; they are sent only to the registry \
                 itself, or over https to the address that the registry named over https"
            ));
        }
        if !registry.may_lead_to(&realm.origin, &self.options.plain_http) {
            let why = "which is plain HTTP; name it in `registry.plainHttp` if that is meant";
            return Err(format!("{registry} gives tokens at {shown}, {why}"));
        }
        let mut authorization = None;
        let mut method = Method::GET;
        match login {
            Some(Login::Password { user, password }) => {
                authorization = Some(basic(user, password.reveal())?);
            }
            Some(Login::Identity(token)) => {
                method = Method::POST;
                form.push(("grant_type", "refresh_token".to_owned()));
                form.push(("client_id", "backout".to_owned()));
                form.push(("refresh_token", token.reveal().to_owned()));
            }
            Some(Login::Access(_)) | None => {}
        }
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = token_request(&realm, &method, form, authorization)?;
        let response = self.send(request, &shown).await?;
        let status = response.status();
        let body = read(response.into_body(), MOST_TOLD_BYTES, &shown).await?;
        if !status.is_success() {
            let help = match login {
                Some(_) => "; log in again, as with `docker login`",
                None => "; log in, as with `docker login`, if the repository is not public",
            };
            return Err(format!("{shown}, where {registry} gives tokens, answers {status}{help}"));
        }
        token_in(&body).ok_or_else(|| format!("{shown}, where {registry} gives tokens, gave none"))
    }

    /// Asks, and goes where the answer points. Credentials stay with the registry.
    async fn follow(
        &self,
        question: Question<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, String> {
        let registry = question.address;
        let mut at = registry.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = Request::get(format!("{}{}", at.origin, at.path))
                .header(header::ACCEPT, question.accept)
                .header(header::USER_AGENT, "backout");
            if let Some(authorization) = authorization.filter(|_| at.origin == registry.origin) {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let shown = at.shown();
            let request = request
                .body(Full::default())
                .map_err(|error| format!("{shown} cannot be asked: {error}"))?;
            let response = self.send(request, &shown).await?;
            let status = response.status();
            let location = response.headers().get(header::LOCATION);
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                let headers = response.headers().clone();
                let most = if status.is_success() { question.most_bytes } else { MOST_TOLD_BYTES };
                let body = read(response.into_body(), most, &shown).await?;
                return Ok(Answer { status, headers, body, asked: registry.clone() });
            }
            let next = location
                .and_then(|location| at.join(location.to_str().ok()?))
                .ok_or_else(|| format!("{shown} redirects to no usable address"))?;
            if !registry.origin.may_lead_to(&next.origin, &self.options.plain_http) {
                return Err(format!(
                    "{shown} redirects to {}, which is plain HTTP and not followed; name its host \
                     in `registry.plainHttp` if that is meant",
                    next.shown()
                ));
            }
            at = next;
        }
        let told = registry.shown();
        Err(format!("{told} redirects more than {MOST_REDIRECTS} times, perhaps in a circle"))
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
        shown: &str,
    ) -> Result<Response<Incoming>, String> {
        self.client
            .request(request)
            .await
            .map_err(|error| format!("{shown} cannot be reached: {}", with_causes(&error)))
    }
}

fn token_request(
    realm: &Address,
    method: &Method,
    form: String,
    authorization: Option<HeaderValue>,
) -> Result<Request<Full<Bytes>>, String> {
    let separator = if realm.path.contains('?') { '&' } else { '?' };
    let address = format!("{}{}", realm.origin, realm.path);
    let mut request = Request::builder()
        .method(method)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "backout");
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let request = if *method == Method::POST {
        request
            .uri(address)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form))
    } else {
        request.uri(format!("{address}{separator}{form}")).body(Full::default())
    };
    request.map_err(|_| format!("{} cannot be asked for a token", realm.shown()))
}

fn token_in(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Given {
        #[serde(default)]
        token: Option<String>,
        #[serde(default)]
        access_token: Option<String>,
    }
    let given: Given = serde_json::from_slice(body).ok()?;
    given.token.or(given.access_token).filter(|token| !token.is_empty())
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, String> {
    secret_header(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

fn secret_header(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        "the credentials or the token have characters that no header has".to_owned()
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads a body up to a limit, and nothing after it.
async fn read(mut body: Incoming, most_bytes: usize, shown: &str) -> Result<Bytes, String> {
    let too_long = || format!("{shown} answers more than {most_bytes} bytes, which are not read");
    let announced = body.size_hint().lower();
    if usize::try_from(announced).map_or(true, |announced| announced > most_bytes) {
        return Err(too_long());
    }
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let got = read.len();
            format!("{shown} broke off after {got} bytes: {}", with_causes(&error))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len().saturating_add(data.len()) > most_bytes {
            return Err(too_long());
        }
        read.extend_from_slice(&data);
    }
    Ok(Bytes::from(read))
}
