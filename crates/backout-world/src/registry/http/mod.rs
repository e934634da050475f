//! Registries over HTTP, by the OCI distribution specification 1.1.
//!
//! Credentials go to the registry that they are for, never on to where it redirects, and to the
//! address where it gives tokens only when it named that over https (or both are on this machine)
//! and the address is https itself. Plain HTTP is for this machine and for hosts that the policy
//! names. Proxies from the environment are not used.

mod address;
mod challenge;
mod exchange;

use std::time::Duration;

use backout_core::units::Digest;
use backout_gates::oci::{
    Descriptor, Lookup, MOST_MANIFEST_BYTES, Manifest, Repository, Wanted, media_type,
};
use bytes::Bytes;
use http::{StatusCode, header};
use serde::Deserialize;

use super::{
    Credentials, Fetched, Referrers, ReferrersPlace, digest_of, fallback_tag, fetched, once,
};
use crate::failure::Failure;
use address::{Address, Origin};
use exchange::{Answer, Exchange, Question};

/// Pages of a list that are read.
const MOST_PAGES: usize = 100;
/// Entries of a list that are read.
const MOST_ENTRIES: usize = 10_000;

/// Content types that say nothing about what it is.
const GENERIC: [&str; 5] =
    ["", "application/json", "application/octet-stream", "binary/octet-stream", "text/plain"];

/// How registries are asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Registries that speak plain HTTP, as `host:port`. Those on a loopback address always do.
    pub plain_http: Vec<String>,
    /// Certificates that the registries' may be signed by, as PEM, instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long one question may take, its answer, credentials and retries included.
    pub timeout: Duration,
    /// How often a busy registry is asked again.
    pub retries: u32,
    /// The longest wait that a busy registry may ask for.
    pub most_retry_wait: Duration,
    /// Most questions that are open at once.
    pub most_open: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            plain_http: Vec::new(),
            ca_pem: None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            retries: 2,
            most_retry_wait: Duration::from_secs(5),
            most_open: 8,
        }
    }
}

/// Registries over HTTP.
#[derive(Debug)]
pub struct Http {
    exchange: Exchange,
}

impl Http {
    pub(super) fn new(options: Options, credentials: Credentials) -> Result<Self, Failure> {
        Ok(Self { exchange: Exchange::new(options, credentials)? })
    }

    pub(super) async fn manifest(
        &self,
        repository: &Repository,
        wanted: &Wanted,
    ) -> Lookup<Fetched> {
        let address = self.address(repository, &format!("manifests/{wanted}"));
        let accept = media_type::ACCEPTED_MANIFESTS.join(", ");
        let answer = match self.ask(repository, &address, &accept, MOST_MANIFEST_BYTES).await {
            Lookup::Found(answer) => answer,
            Lookup::Absent => return Lookup::Absent,
            Lookup::Failed(why) => return Lookup::Failed(why),
        };
        read_manifest(repository, wanted, &answer).into()
    }

    pub(super) async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        most_bytes: usize,
    ) -> Lookup<Bytes> {
        let address = self.address(repository, &format!("blobs/{digest}"));
        let answer = self.ask(repository, &address, "*/*", most_bytes).await;
        answer.and_then(|answer| verified(&answer, Some(digest)).map(|()| answer.body).into())
    }

    pub(super) async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Lookup<Referrers> {
        match self.referrers_by_api(repository, digest).await {
            Ok(Some(descriptors)) if !descriptors.is_empty() => {
                let descriptors = once(descriptors);
                return Lookup::Found(Referrers { descriptors, place: ReferrersPlace::Api });
            }
            // An API that was added later may not know what was pushed by tag before.
            Ok(_) => {}
            Err(why) => return Lookup::Failed(why),
        }
        let place = ReferrersPlace::FallbackTag;
        match self.manifest(repository, &fallback_tag(digest)).await {
            Lookup::Found(Fetched { manifest: Manifest::Index(index), .. }) => {
                Lookup::Found(Referrers { descriptors: once(index.manifests), place })
            }
            Lookup::Found(_) => Lookup::Failed(format!(
                "{repository}:{} holds no index, so that it is not known what refers to the image",
                fallback_tag(digest)
            )),
            Lookup::Absent => Lookup::Found(Referrers { descriptors: Vec::new(), place }),
            Lookup::Failed(why) => Lookup::Failed(why),
        }
    }

    /// What the referrers API lists; nothing when the registry has no such API.
    async fn referrers_by_api(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, String> {
        let mut next = Some(self.address(repository, &format!("referrers/{digest}")));
        let mut descriptors = Vec::new();
        for page in 0..MOST_PAGES {
            let Some(address) = next else { return Ok(Some(descriptors)) };
            let most_bytes = MOST_MANIFEST_BYTES;
            let accept = media_type::OCI_INDEX;
            let question = Question { repository, address: &address, accept, most_bytes };
            let answer = self.exchange.ask(question).await?;
            let has_no_api = matches!(answer.status.as_u16(), 404 | 405 | 501);
            if page == 0 && has_no_api {
                return Ok(None);
            }
            if answer.status != StatusCode::OK {
                return Err(refusal(&answer, repository));
            }
            let declared = declared(&answer)?;
            let told = answer.asked.shown();
            let manifest = Manifest::read(&answer.body, declared.as_deref());
            match manifest.map_err(|why| format!("{told}: {why}"))? {
                Manifest::Index(index) => descriptors.extend(index.manifests),
                Manifest::Image(_) => return Err(format!("{told} answers one manifest, no list")),
            }
            if descriptors.len() > MOST_ENTRIES {
                return Err(format!("{told} lists more than {MOST_ENTRIES} referrers"));
            }
            next = next_page(&answer)?;
        }
        Err(format!("{repository}@{digest} has more than {MOST_PAGES} pages of referrers"))
    }

    pub(super) async fn tags(&self, repository: &Repository) -> Lookup<Vec<String>> {
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let mut next = Some(self.address(repository, "tags/list"));
        let mut tags = Vec::new();
        for _ in 0..MOST_PAGES {
            let Some(address) = next else { return Lookup::Found(tags) };
            let asked = self.ask(repository, &address, "application/json", MOST_MANIFEST_BYTES);
            let answer = match asked.await {
                Lookup::Found(answer) => answer,
                Lookup::Absent => return Lookup::Absent,
                Lookup::Failed(why) => return Lookup::Failed(why),
            };
            let told = answer.asked.shown();
            match serde_json::from_slice::<List>(&answer.body) {
                Ok(list) => tags.extend(list.tags.unwrap_or_default()),
                Err(error) => return Lookup::Failed(format!("{told} is no list of tags: {error}")),
            }
            if tags.len() > MOST_ENTRIES {
                return Lookup::Failed(format!("{told} lists more than {MOST_ENTRIES} tags"));
            }
            next = match next_page(&answer) {
                Ok(next) => next,
                Err(why) => return Lookup::Failed(why),
            };
        }
        Lookup::Failed(format!("{repository} has more than {MOST_PAGES} pages of tags"))
    }

    fn address(&self, repository: &Repository, rest: &str) -> Address {
        let origin = Origin::of_registry(repository.host(), &self.exchange.options().plain_http);
        Address { origin, path: format!("/v2/{}/{rest}", repository.name()) }
    }

    /// Asks for something that is there, is not there, or cannot be read.
    async fn ask(
        &self,
        repository: &Repository,
        address: &Address,
        accept: &str,
        most_bytes: usize,
    ) -> Lookup<Answer> {
        let question = Question { repository, address, accept, most_bytes };
        match self.exchange.ask(question).await {
            Err(why) => Lookup::Failed(why),
            Ok(answer) if answer.status == StatusCode::OK => Lookup::Found(answer),
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => {
                self.absent(repository, &answer).await
            }
            Ok(answer) => Lookup::Failed(refusal(&answer, repository)),
        }
    }

    /// Something is missing only where a registry says so. A server that knows nothing of the
    /// protocol answers 404 to everything.
    async fn absent(&self, repository: &Repository, answer: &Answer) -> Lookup<Answer> {
        const ABSENT: [&str; 4] = ["MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND"];
        if answer.error_code().is_some_and(|code| ABSENT.contains(&code.as_str())) {
            return Lookup::Absent;
        }
        let address = Address { origin: answer.asked.origin.clone(), path: "/v2/".to_owned() };
        let question =
            Question { repository, address: &address, accept: "*/*", most_bytes: 65_536 };
        match self.exchange.ask(question).await {
            Ok(base) if matches!(base.status.as_u16(), 200 | 401 | 403) => Lookup::Absent,
            Ok(base) => Lookup::Failed(format!(
                "{} answers {}: there is no registry at this address",
                address.shown(),
                base.status
            )),
            Err(why) => Lookup::Failed(why),
        }
    }
}

/// What a registry that says no is reported as.
fn refusal(answer: &Answer, repository: &Repository) -> String {
    let (told, status) = (answer.asked.shown(), answer.status);
    let code = answer.error_code().map_or(String::new(), |code| format!(" ({code})"));
    let help = match status.as_u16() {
        401 | 403 => format!("; log in, as with `docker login {}`", repository.host()),
        429 => "; the registry limits how often it is asked: ask again later, or log in".to_owned(),
        _ => String::new(),
    };
    format!("{told} answers {status}{code}{help}")
}

fn read_manifest(
    repository: &Repository,
    wanted: &Wanted,
    answer: &Answer,
) -> Result<Fetched, String> {
    let asked = match wanted {
        Wanted::Digest(digest) => Some(digest),
        Wanted::Tag(_) => None,
    };
    verified(answer, asked)?;
    fetched(repository, wanted, answer.body.clone(), declared(answer)?.as_deref())
}

/// The media type that an answer came with, unless it says nothing.
fn declared(answer: &Answer) -> Result<Option<String>, String> {
    let content_type = answer.header(header::CONTENT_TYPE).map(media_type::essence);
    match content_type {
        None => Ok(None),
        Some(it) if GENERIC.contains(&it.as_str()) => Ok(None),
        Some(it) if media_type::is_index(&it) || media_type::is_manifest(&it) => Ok(Some(it)),
        Some(it) => {
            let shown: String = it.chars().take(100).flat_map(char::escape_debug).collect();
            let told = answer.asked.shown();
            Err(format!("{told} answers `{shown}`, which is no manifest that Backout reads"))
        }
    }
}

/// Holds what came against what was asked for, and against what the registry says that it is.
fn verified(answer: &Answer, asked: Option<&Digest>) -> Result<(), String> {
    let told = answer.asked.shown();
    let said = match answer.header("docker-content-digest") {
        None => None,
        Some(text) => Some(text.trim().parse::<Digest>().map_err(|why| {
            format!("{told}: the registry's `Docker-Content-Digest` is no digest: {why}")
        })?),
    };
    for (expected, says) in [(asked, "was asked for"), (said.as_ref(), "says that it sent")] {
        let Some(expected) = expected else { continue };
        let found = digest_of(expected, &answer.body)?;
        if found != *expected {
            let who = if asked == Some(expected) { "" } else { "the registry " };
            return Err(format!(
                "{told}: the registry lies about a digest: {who}{expected} {says}, and what came has \
                 {found}; do not use this image, and look at the registry or the proxy before it"
            ));
        }
    }
    Ok(())
}

/// The next page of a list, by the `Link` header (RFC 8288). It must be of the same registry.
fn next_page(answer: &Answer) -> Result<Option<Address>, String> {
    let links = answer.headers.get_all(header::LINK).iter().filter_map(|link| link.to_str().ok());
    for link in links.flat_map(|links| links.split(',')) {
        let Some((address, parameters)) =
            link.trim().strip_prefix('<').and_then(|link| link.split_once('>'))
        else {
            continue;
        };
        let is_next = parameters.split(';').any(|parameter| {
            let parameter = parameter.trim().to_ascii_lowercase();
            matches!(parameter.as_str(), "rel=\"next\"" | "rel=next")
        });
        if !is_next {
            continue;
        }
        let next = answer.asked.join(address).filter(|next| next.origin == answer.asked.origin);
        let told = answer.asked.shown();
        return next.map(Some).ok_or_else(|| format!("{told} has its next page elsewhere"));
    }
    Ok(None)
}
