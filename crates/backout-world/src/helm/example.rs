//! The gates on manifests and configuration, over the example, with and without Helm.

use std::path::{Path, PathBuf};

use backout_core::document::{self, Document, Limits};
use backout_core::finding::{Finding, Level};
use backout_core::judgement::Verdict;
use backout_core::manifest::{self, Manifest};
use backout_core::policy::ReleasePolicy;
use backout_core::policy::gate::{ConfigDrift, Context, Probes};
use backout_core::release::Release;
use backout_gates::chart::{Chart, digest_of_values, values};
use backout_gates::gates::{config_drift, context, probes};
use backout_gates::stamp::{Choice, stamp};
use backout_gates::{Outcome, Recorded};

use super::{Helm, Request, VARIABLE, read_chart};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/checkout")
}

fn read<T: serde::de::DeserializeOwned>(path: &str) -> Document<T> {
    let bytes = std::fs::read(project().join(path)).unwrap();
    document::read(path, &bytes, &Limits::default()).map_err(|error| error.to_string()).unwrap()
}

/// The bytes that Helm renders for an environment; nothing without Helm.
async fn rendered(name: &str) -> Option<Vec<u8>> {
    let program = std::env::var_os(VARIABLE).filter(|named| !named.is_empty())?;
    let helm = Helm::at(PathBuf::from(program)).await.unwrap();
    let request = Request {
        chart: &project().join("deploy/chart"),
        values: &[project().join(format!("deploy/values/{name}.yaml"))],
        release: "checkout",
        namespace: "shop",
        kube_version: Some("1.36.0"),
        hidden: &[],
    };
    Some(helm.template(&request).await.unwrap())
}

fn objects(name: &str, bytes: &[u8]) -> Vec<Manifest> {
    manifest::read(name, bytes, &manifest::limits()).map_err(|error| error.to_string()).unwrap()
}

async fn environment(name: &str) -> config_drift::Environment {
    let file = format!("deploy/values/{name}.yaml");
    let bytes = std::fs::read(project().join(&file)).unwrap();
    let files = read_chart(&project().join("deploy/chart")).unwrap();
    let by_helm = rendered(name).await;
    config_drift::Environment {
        name: name.to_owned(),
        chart: Chart::read("deploy/chart", &files).map_err(|error| error.to_string()),
        values: values::read(&file, &bytes)
            .map(|values| vec![values])
            .map_err(|error| error.to_string()),
        values_digest: Some(digest_of_values([bytes.as_slice()])),
        rendered: config_drift::Rendered {
            by_helm: by_helm
                .map(|bytes| objects("helm template", &bytes))
                .ok_or_else(|| "helm is not installed".to_owned()),
            in_files: None,
        },
        chart_changed: Err("not asked".to_owned()),
        values_changed: Err("not asked".to_owned()),
    }
}

/// Findings that are more than notes.
fn severe(outcome: &Outcome) -> Vec<&Finding> {
    outcome.findings.iter().filter(|finding| finding.level > Level::Note).collect()
}

#[tokio::test]
async fn the_examples_configuration_is_clean() {
    let environments = [environment("staging").await, environment("production").await];
    let record = Recorded::from(read::<Release>("releases/1.42.0.yaml"));
    let same = ["database.sslMode", "http", "image.repository"].map(str::to_owned).to_vec();
    let config = ConfigDrift { same, unread: Vec::new() };
    for environment in ["staging", "production"] {
        let evidence = config_drift::Evidence {
            environment,
            environments: &environments,
            record: &record,
            stable: None,
            now: None,
        };
        let outcome = config_drift::judge(&config, &evidence);
        assert_eq!(outcome.verdict, Verdict::Pass, "{}", outcome.message);
        assert!(severe(&outcome).is_empty(), "{:?}", outcome.findings);
        assert_eq!(outcome.findings.is_empty(), std::env::var_os(VARIABLE).is_some());
    }
}

#[tokio::test]
async fn the_examples_probes_are_sensible_and_its_context_can_be_stamped() {
    let Some(bytes) = rendered("production").await else { return };
    let manifests = objects("helm template", &bytes);
    let policy = read::<ReleasePolicy>("backout.yaml").value;
    let evidence =
        probes::Evidence { manifests: Ok(&manifests), readiness: policy.spec.deadlines.readiness };
    let outcome = probes::judge(&Probes::default(), &evidence);
    assert_eq!((outcome.verdict, outcome.findings), (Verdict::Pass, Vec::new()));

    let record = Recorded::from(read::<Release>("releases/1.42.0.yaml"));
    let text = String::from_utf8(bytes).unwrap();
    let choice = Choice::One { kind: "Deployment", name: "checkout" };
    let stamped = stamp("rendered.yaml", &text, choice, &record.release).unwrap();
    assert_eq!(stamped.objects, ["Deployment shop/checkout"]);
    let judged = |manifests: &[Manifest]| {
        let evidence = context::Evidence {
            manifests: Ok(manifests),
            kind: "Deployment",
            name: "checkout",
            record: &record,
            images: &[],
            git: None,
        };
        context::judge(&Context::default(), &evidence)
    };
    assert_eq!(judged(&manifests).verdict, Verdict::Fail);
    let outcome = judged(&objects("rendered.yaml", stamped.text.as_bytes()));
    assert_eq!((outcome.verdict, outcome.findings), (Verdict::Pass, Vec::new()));
}

/// A chart of which every default is given as the environment's value.
fn with_its_own_values(folder: &Path) -> Outcome {
    let files = read_chart(folder).unwrap();
    let chart = Chart::read("chart", &files).map_err(|error| error.to_string()).unwrap();
    let own = std::fs::read(folder.join("values.yaml")).unwrap();
    let mut record = read::<Release>("releases/1.42.0.yaml").value;
    record.spec.config.chart_version.clone_from(&chart.version);
    let environment = config_drift::Environment {
        name: "production".to_owned(),
        chart: Ok(chart),
        values: values::read("own.yaml", &own)
            .map(|values| vec![values])
            .map_err(|error| error.to_string()),
        values_digest: None,
        rendered: config_drift::Rendered { by_helm: Ok(Vec::new()), in_files: None },
        chart_changed: Ok(None),
        values_changed: Ok(None),
    };
    let evidence = config_drift::Evidence {
        environment: "production",
        environments: &[environment],
        record: &Recorded::of(record),
        stable: None,
        now: None,
    };
    config_drift::judge(&ConfigDrift::default(), &evidence)
}

#[test]
fn charts_as_people_write_them_are_clean() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/backout");
    let outcome = with_its_own_values(&own);
    assert!(severe(&outcome).is_empty(), "{:?}", outcome.findings);
    let Some(program) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let done = std::process::Command::new(program)
        .args(["create", "demo"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(done.status.success());
    let outcome = with_its_own_values(&folder.path().join("demo"));
    assert_eq!((outcome.verdict, outcome.findings), (Verdict::Pass, Vec::new()));
}
