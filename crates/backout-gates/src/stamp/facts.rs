//! What a workload has to say of a release: one list for what is stamped and for what is checked.

use std::collections::BTreeMap;

use backout_core::release::Release;

use crate::names::{backout, helm, kubernetes, oci, otel};

/// Something that a workload says of the release that it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is, such as `the commit`.
    pub title: &'static str,
    /// The field of the record that it comes from.
    pub field: &'static str,
    /// Whether pods say it too, because it tells what runs in them. Everything else would only
    /// make new pods of what did not change.
    pub on_pods: bool,
    /// Whether a workload without it lacks its context.
    pub is_required: bool,
    /// Every name under which it may stand, with what stands there; the first one is stamped.
    pub ways: Vec<(&'static str, String)>,
}

/// What is written on an object, or on its pod template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Labels, which are changed where they say something else.
    pub labels: BTreeMap<String, String>,
    /// Labels that are added where they are not there. What they say already is the user's: a
    /// selector may be made of it.
    pub labels_if_absent: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Everything that is written on a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// On the object itself.
    pub object: Marks,
    /// On its pod template.
    pub template: Marks,
}

/// What a workload has to say of a release. What the record leaves out is left out here.
#[must_use]
pub fn facts(release: &Release) -> Vec<Fact> {
    let all = what_runs(release).into_iter().chain(where_from(release));
    all.filter(|fact| fact.ways.iter().any(|(_, text)| !text.is_empty())).collect()
}

impl Fact {
    fn required(
        title: &'static str,
        field: &'static str,
        ways: Vec<(&'static str, String)>,
    ) -> Self {
        Self { title, field, on_pods: false, is_required: true, ways }
    }
}

/// The same text under every name.
fn same(names: &[&'static str], text: &str) -> Vec<(&'static str, String)> {
    names.iter().map(|name| (*name, text.to_owned())).collect()
}

/// What tells the pods of two releases apart.
fn what_runs(release: &Release) -> Vec<Fact> {
    let spec = &release.spec;
    let version = same(&[kubernetes::VERSION, oci::VERSION], &spec.version);
    let commit = &spec.context.git_sha;
    let commit = same(&[oci::REVISION, otel::REVISION, backout::GIT_SHA], commit);
    let build = spec.context.build_number.to_string();
    let build = same(&[otel::RUN_ID, backout::BUILD_NUMBER], &build);
    let facts = [
        Fact::required("the version", "spec.version", version),
        Fact::required("the commit", "spec.context.gitSha", commit),
        Fact::required("the build", "spec.context.buildNumber", build),
        Fact::required("the digest", "spec.images", digests(release)),
    ];
    facts.into_iter().map(|fact| Fact { on_pods: true, ..fact }).collect()
}

/// Where the release comes from, and what belongs to it.
fn where_from(release: &Release) -> Vec<Fact> {
    let spec = &release.spec;
    let context = &spec.context;
    let flags = spec.flags.iter().map(|flag| {
        let state = if flag.enabled { "on" } else { "off" };
        format!("{}={state}", flag.key)
    });
    let flags = flags.collect::<Vec<_>>().join(",");
    let migrations: Vec<&str> =
        spec.migrations.iter().map(|migration| migration.id.as_str()).collect();
    let url = context.build_url.as_deref().unwrap_or_default();
    let (config, chart) = (&spec.config.revision, &spec.config.chart_version);
    let reference = same(&[otel::REF_NAME], &context.git_ref);
    let reference = Fact::required("the branch or tag", "spec.context.gitRef", reference);
    let row = |title, field, names: &[&'static str], text: &str| {
        Fact::required(title, field, same(names, text))
    };
    vec![
        row(
            "the repository",
            "spec.context.repository",
            &[oci::SOURCE, otel::REPOSITORY],
            &context.repository,
        ),
        Fact { is_required: false, ..reference },
        row(
            "the page of the build",
            "spec.context.buildUrl",
            &[otel::RUN_URL, backout::BUILD_URL],
            url,
        ),
        row(
            "the commit of the configuration",
            "spec.config.revision",
            &[backout::CONFIG_REVISION],
            config,
        ),
        row(
            "the chart's version",
            "spec.config.chartVersion",
            &[backout::CHART_VERSION, helm::CHART],
            chart,
        ),
        row("the flags", "spec.flags", &[backout::FLAGS], &flags),
        row("the migrations", "spec.migrations", &[backout::MIGRATIONS], &migrations.join(",")),
        row("the record", "metadata.name", &[backout::RECORD], release.metadata.name.as_str()),
    ]
}

/// One image is named by its digest alone, several need their repositories.
fn digests(release: &Release) -> Vec<(&'static str, String)> {
    let images = &release.spec.images;
    let all: Vec<String> =
        images.iter().map(|image| format!("{}@{}", image.repository, image.digest)).collect();
    let named: Vec<String> =
        images.iter().map(|image| format!("{}={}", image.name, image.digest)).collect();
    let mut ways =
        vec![(otel::REPO_DIGESTS, all.join(",")), (backout::IMAGE_DIGESTS, named.join(","))];
    if let [image] = images.as_slice() {
        ways.insert(0, (otel::MANIFEST_DIGEST, image.digest.to_string()));
    }
    ways
}

/// The labels and annotations that a release's workload carries.
#[must_use]
pub fn stamps(release: &Release) -> Stamps {
    let mut stamps = Stamps::default();
    let name = release.spec.workload.as_str();
    // Not on pods: a Service that selects by it would send requests to pods of another workload.
    if is_label_value(name) {
        stamps.object.labels_if_absent.insert(kubernetes::NAME.to_owned(), name.to_owned());
    }
    for fact in facts(release) {
        let Some((name, text)) = fact.ways.into_iter().next() else { continue };
        let places = [Some(&mut stamps.object), fact.on_pods.then_some(&mut stamps.template)];
        for marks in places.into_iter().flatten() {
            // What is no label's value is still said, where any text can stand.
            let is_label = name == kubernetes::VERSION && is_label_value(&text);
            let into = if is_label { &mut marks.labels } else { &mut marks.annotations };
            into.insert(name.to_owned(), text.clone());
        }
    }
    stamps
}

/// Whether a text can be the value of a label: at most 63 letters, digits, `-`, `_` and `.`, with a
/// letter or digit at both ends. From the documentation of Kubernetes on labels.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = text.len() <= 63 && edge(text.chars().next()) && edge(text.chars().last());
    fits && text.chars().all(inside)
}
