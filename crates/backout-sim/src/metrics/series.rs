//! The series that the virtual world exposes, and which of them a set of matchers selects.
//!
//! Series are not listed one by one. A label's value depends on nothing but the pod, the response
//! code or the bucket, and these vary freely, so each is matched by itself.

use std::collections::{BTreeMap, BTreeSet};

use backout_core::snapshot::Arm;
use backout_promql::{METRIC_NAME, MatchOp, Matcher};

use super::family::{Family, Label};

/// Response codes that the virtual world's services answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// 200: it worked.
    Ok200,
    /// 404: the request was wrong.
    NotFound404,
    /// 500: the service failed.
    Error500,
}

impl Code {
    /// Every code, in rising order.
    pub const ALL: [Self; 3] = [Self::Ok200, Self::NotFound404, Self::Error500];

    /// The code as a label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok200 => "200",
            Self::NotFound404 => "404",
            Self::Error500 => "500",
        }
    }
}

/// What tells the series of one arm from those of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The arm.
    pub arm: Arm,
    /// Name of the release's set: what `$release` stands for.
    pub set: String,
    /// Version of the release.
    pub version: String,
    /// How many pods it has.
    pub pods: u32,
    /// A label that this arm's series carry under another name: the label and the new name. The
    /// name of the metric itself cannot be changed this way.
    pub relabelled: Option<(String, String)>,
}

/// Characters that Kubernetes generates names from.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// How many names of five such characters there are.
const NAMES: u64 = 27_u64.pow(5);

/// Scatters consecutive numbers over all names. It has no factor in common with `NAMES`, which is
/// a power of three, so no two pods get the same name.
const STRIDE: u64 = 8_765_431;

/// Pods that are told apart. A selector that picks out one pod by its full name is a mistake, and
/// to find that takes no more of them.
const PODS: u32 = 1_000;

impl Identity {
    /// Name of one of its pods: the set's name, a dash and five characters.
    #[must_use]
    pub fn pod(&self, index: u32) -> String {
        let start = self.set.bytes().fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % NAMES);
        let mut number = (start + u64::from(index) * STRIDE) % NAMES;
        let mut name = format!("{}-", self.set);
        for _ in 0..5 {
            let letter = usize::try_from(number % 27).ok().and_then(|at| ALPHABET.get(at));
            name.push(letter.map_or('x', |letter| char::from(*letter)));
            number /= 27;
        }
        name
    }

    fn pod_names(&self) -> impl Iterator<Item = String> {
        (0..self.pods.min(PODS)).map(|index| self.pod(index))
    }
}

/// Everything that series are made of.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) families: &'a [Family],
    pub(super) namespace: &'a str,
    pub(super) workload: &'a str,
    pub(super) identities: &'a [Identity],
}

impl<'a> Scene<'a> {
    /// The series of some arms, by family and arm, of the families with certain names.
    pub(super) fn series(self, arms: &[Arm], is_named: impl Fn(&str) -> bool) -> Vec<Exposed<'a>> {
        let families: Vec<_> =
            self.families.iter().filter(|family| is_named(&family.name)).collect();
        let identities = self.identities.iter().filter(|identity| arms.contains(&identity.arm));
        identities
            .flat_map(|identity| {
                families.iter().map(move |family| Exposed::new(self, family, identity))
            })
            .collect()
    }
}

/// All series of one family and one arm.
pub(super) struct Exposed<'a> {
    scene: Scene<'a>,
    pub(super) family: &'a Family,
    pub(super) identity: &'a Identity,
    pub(super) labels: BTreeMap<&'a str, &'a Label>,
}

/// What matchers select of one family and one arm.
pub(super) struct Picked {
    /// Response codes whose requests are counted.
    pub(super) codes: BTreeSet<Code>,
    /// Matchers of the `le` label, which the caller knows the edges for; `None` when there is no
    /// such label.
    pub(super) edges: Option<Vec<Matcher>>,
}

impl<'a> Exposed<'a> {
    fn new(scene: Scene<'a>, family: &'a Family, identity: &'a Identity) -> Self {
        let renamed = |name: &'a str| match &identity.relabelled {
            Some((label, new_name)) if label == name => new_name.as_str(),
            _ => name,
        };
        let labels =
            family.labels.iter().map(|(name, label)| (renamed(name.as_str()), label)).collect();
        Self { scene, family, identity, labels }
    }

    /// What is selected by matchers that all have to hold; nothing when no series is.
    pub(super) fn pick(&self, matchers: &[&Matcher]) -> Option<Picked> {
        let mut codes: BTreeSet<Code> = Code::ALL.into();
        let mut of_pods = Vec::new();
        let mut edges = Vec::new();
        for matcher in matchers {
            match self.label(matcher) {
                Some(Label::Pod) => of_pods.push(*matcher),
                Some(Label::Le) => edges.push((*matcher).clone()),
                Some(label @ (Label::Code | Label::ByCode { .. })) => {
                    codes.retain(|code| matcher.is_match(of_code(label, *code)));
                }
                Some(label) if !matcher.is_match(&self.constant(label)) => return None,
                // A series without the label is matched as if the label were empty.
                None if !matcher.is_match(self.absent(matcher)) => return None,
                Some(_) | None => {}
            }
        }
        let buckets = self.labels.values().any(|label| **label == Label::Le);
        (!codes.is_empty() && self.has_pod(&of_pods))
            .then_some(Picked { codes, edges: buckets.then_some(edges) })
    }

    /// The values of a label, as far as they are known here.
    pub(super) fn values(&self, label: &Label) -> BTreeSet<String> {
        match label {
            Label::Pod => self.identity.pod_names().collect(),
            Label::Code | Label::ByCode { .. } => {
                Code::ALL.into_iter().map(|code| of_code(label, code).to_owned()).collect()
            }
            Label::Le => BTreeSet::new(),
            Label::Namespace
            | Label::Workload
            | Label::Set
            | Label::Version
            | Label::Fixed(_)
            | Label::Template(_) => BTreeSet::from([self.constant(label)]),
        }
    }

    /// Whether there is any series at all: a family with a label for the pod has none without pods.
    pub(super) fn exists(&self) -> bool {
        self.has_pod(&[])
    }

    fn label(&self, matcher: &Matcher) -> Option<&'a Label> {
        self.labels.get(matcher.name.as_str()).copied()
    }

    fn absent(&self, matcher: &Matcher) -> &'a str {
        if matcher.name == METRIC_NAME { &self.family.name } else { "" }
    }

    fn has_pod(&self, matchers: &[&Matcher]) -> bool {
        !self.labels.values().any(|label| **label == Label::Pod)
            || self
                .identity
                .pod_names()
                .any(|name| matchers.iter().all(|matcher| matcher.is_match(&name)))
    }

    /// The value of a label that all series of the family and arm share; empty for the others.
    fn constant(&self, label: &Label) -> String {
        match label {
            Label::Namespace => self.scene.namespace.to_owned(),
            Label::Workload => self.scene.workload.to_owned(),
            Label::Set => self.identity.set.clone(),
            Label::Version => self.identity.version.clone(),
            Label::Fixed(value) => value.clone(),
            Label::Template(text) => text
                .replace("$release", &self.identity.set)
                .replace("$namespace", self.scene.namespace)
                .replace("$workload", self.scene.workload)
                .replace("$version", &self.identity.version),
            Label::Pod | Label::Code | Label::ByCode { .. } | Label::Le => String::new(),
        }
    }
}

/// The value of a label that depends on the response code; empty for the others.
fn of_code(label: &Label, code: Code) -> &str {
    match (label, code) {
        (Label::Code, code) => code.as_str(),
        (Label::ByCode { ok, .. }, Code::Ok200) => ok,
        (Label::ByCode { missing, .. }, Code::NotFound404) => missing,
        (Label::ByCode { error, .. }, Code::Error500) => error,
        _ => "",
    }
}

/// Whether a matcher matches a bucket's edge. Equality is that of numbers, because some versions
/// of Prometheus write `1.0` for what others write `1`.
pub(super) fn matches_edge(matcher: &Matcher, le: &str) -> bool {
    let same = || match (matcher.value.parse::<f64>(), le.parse::<f64>()) {
        (Ok(wanted), Ok(edge)) => wanted == edge,
        _ => matcher.value == le,
    };
    match matcher.op {
        MatchOp::Equal => same(),
        MatchOp::NotEqual => !same(),
        MatchOp::Re(_) | MatchOp::NotRe(_) => matcher.is_match(le),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(set: &str) -> Identity {
        Identity {
            arm: Arm::Candidate,
            set: set.to_owned(),
            version: "2.0.0".to_owned(),
            pods: 3,
            relabelled: None,
        }
    }

    #[test]
    fn pod_names_are_distinct_and_stay_the_same() {
        let one = identity("checkout-1a2b3c4d");
        let names: BTreeSet<_> = (0..10_000).map(|index| one.pod(index)).collect();
        assert_eq!(names.len(), 10_000);
        for name in &names {
            let (set, suffix) = name.rsplit_once('-').unwrap();
            assert_eq!((set, suffix.len()), ("checkout-1a2b3c4d", 5));
        }
        assert_eq!(one.pod(2), identity("checkout-1a2b3c4d").pod(2));
        assert_ne!(one.pod(0)[18..], identity("checkout-ffffffff").pod(0)[18..]);
        assert_ne!(STRIDE % 3, 0);
        assert!(!one.pod(u32::MAX).is_empty());
    }

    #[test]
    fn equal_edges_are_equal_numbers() {
        let matcher = |op, value: &str| Matcher::new(op, "le", value);
        assert!(matches_edge(&matcher(MatchOp::Equal, "1.0"), "1"));
        assert!(matches_edge(&matcher(MatchOp::Equal, "+Inf"), "+Inf"));
        assert!(!matches_edge(&matcher(MatchOp::Equal, "0.1"), "1"));
        assert!(!matches_edge(&matcher(MatchOp::NotEqual, "1.0"), "1"));
        assert!(matches_edge(&matcher(MatchOp::NotEqual, "x"), "1"));
    }
}
