//! Requests through the route, as a user would send them, counted by the release that answers.
//!
//! Every request has a connection of its own: a kept connection would stay with the release that it
//! was first sent to, and tell nothing about the weights of today.

mod request;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use backout_core::machine::EffectResult;
use backout_core::policy::{self, RouteKind};
use futures::StreamExt as _;

use crate::failure::{Failure, Kind};
use crate::traffic::endpoints::Endpoints;
use request::Target;

/// Requests that are under way at once.
const AT_ONCE: usize = 8;

/// Unanswered requests, with none answered, after which there is no use in sending more.
const HOPELESS: u64 = 32;

/// Characters of a foreign text that an error repeats.
const SHOWN: usize = 100;

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `GET` over HTTP/1.1.
    Http,
    /// A call with an empty message over HTTP/2. Whether the method takes it does not matter: the
    /// answer's headers say who answered.
    Grpc,
}

/// What is sent where, and how the releases are told apart.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Address behind the route, such as `http://checkout.shop/version`.
    pub url: String,
    /// Host that is asked for, if it is not the address's.
    pub host: Option<String>,
    /// Response header that names the release which answered.
    pub header: String,
    /// How the request is sent.
    pub protocol: Protocol,
    /// What the header may say for the stable release: its set's name, and its version.
    pub stable: Vec<String>,
    /// What the header may say for the candidate, likewise. What both may say tells nothing.
    pub candidate: Vec<String>,
    /// How long one request may take, its connection included.
    pub timeout: Duration,
    /// How long all requests together may take.
    pub most: Duration,
}

impl Setup {
    /// A policy's probe through a route of this kind, which tells apart sets by their names. One
    /// request may take 5 s, all together 45 s.
    #[must_use]
    pub fn new(probe: &policy::Probe, route: RouteKind, stable: &str, candidate: &str) -> Self {
        let protocol = if route == RouteKind::GRPCRoute { Protocol::Grpc } else { Protocol::Http };
        Self {
            url: probe.url.clone(),
            host: probe.host.clone(),
            header: probe.header.clone(),
            protocol,
            stable: vec![stable.to_owned()],
            candidate: vec![candidate.to_owned()],
            timeout: Duration::from_secs(5),
            most: Duration::from_secs(45),
        }
    }

    /// The same, where the header may also say the versions of the releases. Versions that are the
    /// same tell nothing, and only the sets' names count then.
    #[must_use]
    pub fn or_versions(mut self, stable: &str, candidate: &str) -> Self {
        self.stable.push(stable.to_owned());
        self.candidate.push(candidate.to_owned());
        self
    }
}

/// How requests were shared between the two releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// Answered by the candidate.
    pub hits: u64,
    /// Answered by either release.
    pub probes: u64,
    /// Not answered, or not by a release that the answer names.
    pub failed: u64,
}

impl From<Shared> for EffectResult {
    fn from(shared: Shared) -> Self {
        Self::Share { hits: shared.hits, probes: shared.probes }
    }
}

impl Shared {
    /// What so many requests would show if each ready endpoint of a Service answers as many as any
    /// other: the proof for a route that is a Service, where no probe is configured. A route before
    /// the Services has weights that endpoints say nothing about.
    ///
    /// # Errors
    /// When there is no ready endpoint, or one of another set.
    pub fn from_endpoints(
        found: &Endpoints,
        stable: &str,
        candidate: Option<&str>,
        probes: u32,
    ) -> Result<Self, Failure> {
        let sets: Vec<&str> = candidate.into_iter().chain([stable]).collect();
        if let Some(stranger) = found.stranger(&sets) {
            let stranger = if stranger.is_empty() { "pods of no set" } else { stranger };
            let message = format!("{stranger} gets traffic beside {}", sets.join(" and "));
            return Err(Failure::new(Kind::Failed, message));
        }
        let hits = u64::from(candidate.map_or(0, |set| found.ready_of(set)));
        let all = hits + u64::from(found.ready_of(stable));
        if all == 0 {
            let message = format!("the Service has no ready endpoint of {}", sets.join(" or "));
            return Err(Failure::new(Kind::Failed, message));
        }
        let probes = u64::from(probes);
        // Rounded down, a hit more or less is within what `share_fits` allows between the ends,
        // and all and nothing stay exact.
        Ok(Self { hits: probes * hits / all, probes, failed: 0 })
    }
}

/// Sends requests through a route.
#[derive(Debug)]
pub struct Prober {
    target: Target,
    setup: Setup,
}

/// What became of one request.
enum Answer {
    Candidate,
    Stable,
    /// Another release answered.
    Stranger(String),
    /// Nobody answered, or somebody without a name; says why.
    Nobody(String),
}

/// What became of all requests.
#[derive(Default)]
struct Tally {
    shared: Shared,
    strangers: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
}

impl Tally {
    fn add(&mut self, answer: Answer) {
        match answer {
            Answer::Candidate => {
                self.shared.hits += 1;
                self.shared.probes += 1;
            }
            Answer::Stable => self.shared.probes += 1,
            Answer::Stranger(name) => {
                self.shared.failed += 1;
                *self.strangers.entry(name).or_default() += 1;
            }
            Answer::Nobody(why) => {
                self.shared.failed += 1;
                *self.reasons.entry(why).or_default() += 1;
            }
        }
    }

    fn is_hopeless(&self) -> bool {
        self.shared.probes == 0 && self.strangers.is_empty() && self.shared.failed >= HOPELESS
    }
}

/// The commonest of some texts.
fn commonest(counted: &BTreeMap<String, u64>) -> Option<(&str, u64)> {
    counted.iter().max_by_key(|(_, count)| **count).map(|(text, count)| (text.as_str(), *count))
}

impl Prober {
    /// A prober. Nothing is sent yet.
    ///
    /// # Errors
    /// When the address, host or header cannot be sent, or nothing tells the releases apart.
    pub fn new(mut setup: Setup) -> Result<Self, Failure> {
        let both: Vec<String> =
            setup.stable.iter().filter(|name| setup.candidate.contains(name)).cloned().collect();
        setup.stable.retain(|name| !both.contains(name));
        setup.candidate.retain(|name| !both.contains(name));
        if setup.stable.is_empty() || setup.candidate.is_empty() {
            let message = format!("a probe cannot tell apart releases named {}", both.join(", "));
            return Err(Failure::new(Kind::Refused, message));
        }
        Ok(Self { target: Target::new(&setup)?, setup })
    }

    /// Sends so many requests and counts who answers.
    ///
    /// # Errors
    /// When a release answers that is neither, for then it is not the share of these two that is
    /// seen; and when less than half of the requests were answered by either, because fewer do not
    /// tell a share from none at all.
    pub async fn probe(&self, probes: u32) -> Result<Shared, Failure> {
        let mut tally = Tally::default();
        let deadline = Box::pin(tokio::time::sleep(self.setup.most));
        let mut answers = futures::stream::iter(0..probes)
            .map(|_| self.ask())
            .buffer_unordered(AT_ONCE)
            .take_until(deadline);
        while let Some(answer) = answers.next().await {
            tally.add(answer);
            if tally.is_hopeless() {
                break;
            }
        }
        drop(answers);
        let asked = u64::from(probes);
        let missing = asked.saturating_sub(tally.shared.probes + tally.shared.failed);
        tally.shared.failed += missing;
        if missing > 0 && tally.reasons.is_empty() {
            let why = format!("all together took longer than {} s", self.setup.most.as_secs());
            tally.reasons.insert(why, missing);
        }
        self.judged(&tally, asked)
    }

    fn judged(&self, tally: &Tally, asked: u64) -> Result<Shared, Failure> {
        let url = &self.setup.url;
        if let Some((stranger, count)) = commonest(&tally.strangers) {
            let expected: Vec<&str> =
                self.setup.stable.iter().chain(&self.setup.candidate).map(String::as_str).collect();
            let message = format!(
                "{count} of {asked} probes of {url} were answered by `{stranger}`, which is none of {}",
                expected.join(", ")
            );
            return Err(Failure::new(Kind::Failed, message).with_help(format!(
                "find out what else serves behind the route; the header {} is to say the value of \
                 the pod's label backout.dev/release, or the release's version",
                self.setup.header
            )));
        }
        // Probes are as many as tell a share from none twice over: see `probes_needed`.
        if tally.shared.probes * 2 < asked || tally.shared.probes == 0 {
            let why = commonest(&tally.reasons).map_or("nothing was asked", |(why, _)| why);
            let message = format!(
                "only {} of {asked} probes of {url} were answered by a release: {why}",
                tally.shared.probes
            );
            return Err(Failure::new(Kind::Failed, message).with_help(
                "check `spec.traffic.verify.probe`, and that the network lets us there",
            ));
        }
        Ok(tally.shared)
    }

    async fn ask(&self) -> Answer {
        let said = match tokio::time::timeout(self.setup.timeout, self.target.ask()).await {
            Ok(Ok(said)) => said,
            Ok(Err(why)) => return Answer::Nobody(cut(&why)),
            Err(_) => {
                let seconds = self.setup.timeout.as_secs_f64();
                return Answer::Nobody(format!("no answer within {seconds} s"));
            }
        };
        if self.setup.candidate.contains(&said) {
            Answer::Candidate
        } else if self.setup.stable.contains(&said) {
            Answer::Stable
        } else {
            Answer::Stranger(cut(&said))
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
