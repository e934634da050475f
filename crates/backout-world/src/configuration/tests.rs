use backout_core::document::{self, Limits};
use backout_core::judgement::Verdict;
use backout_core::policy::gate::ConfigDrift;
use backout_gates::Recorded;

use super::*;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/checkout")
}

fn read<T: serde::de::DeserializeOwned>(path: &str) -> T {
    let bytes = std::fs::read(example().join(path)).unwrap();
    document::read(path, &bytes, &Limits::default())
        .map_err(|error| error.to_string())
        .unwrap()
        .value
}

#[tokio::test]
async fn the_example_is_read_as_its_policy_says() {
    let (policy, release): (ReleasePolicy, Release) =
        (read("backout.yaml"), read("releases/1.42.0.yaml"));
    let project = example();
    let git = Repository::of(&project);
    let sources = Sources {
        project: &project,
        policy: &policy,
        release: &release,
        helm: Err("not wanted"),
        kube_version: None,
        git: Ok(&git),
    };
    let mut environments = Vec::new();
    for environment in &policy.spec.environments {
        environments.push(read_environment(&sources, environment).await);
    }
    let production = &environments[1];
    assert_eq!(production.chart.as_ref().map(|chart| chart.version.as_str()), Ok("0.10.0"));
    assert_eq!(production.rendered.manifests().unwrap_err(), "not wanted");
    let record = Recorded::of(release.clone());
    let evidence = config_drift::Evidence {
        environment: "production",
        environments: &environments,
        record: &record,
        stable: None,
        now: None,
    };
    let outcome = config_drift::judge(&ConfigDrift::default(), &evidence);
    assert_eq!(outcome.verdict, Verdict::Pass, "{}", outcome.message);
}

/// A project with one environment, and what its release brings.
fn project(release: &mut Release, brought: &str) -> (tempfile::TempDir, ReleasePolicy) {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("chart/Chart.yaml", "name: a\nversion: 1.0.0\n");
    write("other/values.yaml", "a: 1\n");
    write("live/b/x.yaml", "kind: Service\nmetadata: {name: b}\n");
    write("live/a.yml", "kind: Pod\nmetadata: {name: a}\n---\nkind: Pod\nmetadata: {name: c}\n");
    write("live/README.md", "no manifest: {{");
    let mut policy: ReleasePolicy = read("backout.yaml");
    policy.spec.environments.truncate(1);
    policy.spec.environments[0].config.chart = "chart".to_owned();
    policy.spec.environments[0].config.values = vec!["values.yaml".to_owned()];
    release.spec.config.environments = serde_json::from_str(brought).unwrap();
    (folder, policy)
}

async fn with(brought: &str) -> config_drift::Environment {
    let mut release: Release = read("releases/1.42.0.yaml");
    let (folder, policy) = project(&mut release, brought);
    let sources = Sources {
        project: folder.path(),
        policy: &policy,
        release: &release,
        helm: Err("not wanted"),
        kube_version: None,
        git: Err("not asked"),
    };
    read_environment(&sources, &policy.spec.environments[0]).await
}

#[tokio::test]
async fn a_release_brings_its_own_paths() {
    let environment =
        with(r#"[{"name": "staging", "values": ["other/values.yaml"], "rendered": "live"}]"#).await;
    assert_eq!(environment.values.unwrap()[0].value["a"], 1);
    assert_eq!(environment.chart_changed, Err("not asked".to_owned()));
    let names: Vec<String> =
        environment.rendered.manifests().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["Pod a", "Pod c", "Service b"]);
}

#[tokio::test]
async fn what_cannot_be_read_keeps_its_reason() {
    let absent = with("[]").await;
    assert!(absent.values.unwrap_err().starts_with("`values.yaml`: "));
    assert!(absent.rendered.in_files.is_none() && absent.values_digest.is_none());
    let other = with(
        r#"[{"name": "staging", "chart": "other", "values": ["other"], "rendered": "other/nowhere"}]"#,
    )
    .await;
    assert_eq!(other.chart.unwrap_err(), "`other` is no chart: it has no Chart.yaml");
    assert_eq!(other.values.unwrap_err(), "`other` is not a file");
    assert!(other.rendered.manifests().is_err());
    let outside =
        with(r#"[{"name": "staging", "chart": "/", "values": ["../x/../../etc/hostname"]}]"#).await;
    assert!(outside.chart.unwrap_err().contains("leaves the project's folder"));
    assert!(outside.values.is_err());
}
