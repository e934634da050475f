//! The Helm chart says what `backout install` says.
//!
//! Helm is named by `BACKOUT_HELM`; `cargo xtask helm` gets it and prints where it is. Without it,
//! these tests do nothing on a person's machine, and fail in continuous integration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::project::{run_in, workspace};

/// The only thing that the chart adds: resource definitions outlive an uninstallation.
const KEPT: (&str, &str) = ("helm.sh/resource-policy", "keep");

/// Documents by kind, namespace and name.
type Documents = BTreeMap<(String, String, String), Value>;

#[expect(clippy::print_stderr, reason = "a test that does nothing says so")]
fn helm() -> Option<PathBuf> {
    if let Some(helm) = std::env::var_os("BACKOUT_HELM").filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(helm));
    }
    let missing =
        "BACKOUT_HELM names no Helm: run `BACKOUT_HELM=\"$(cargo xtask helm)\" cargo test`";
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "false"), "{missing}");
    eprintln!("the chart was NOT tested: {missing}");
    None
}

fn template(helm: PathBuf, namespace: &str, args: &[&str]) -> Output {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(helm);
    // Nothing of the person's own Helm plays a part.
    for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(folder, home.path());
    }
    command.args(["template", "backout", "charts/backout"]);
    command.args(["--namespace", namespace]).args(args).current_dir(workspace());
    command.output().expect("Helm can be started")
}

fn documents(read: impl IntoIterator<Item = Value>) -> Documents {
    let mut documents = Documents::new();
    for document in read {
        let text = |pointer| {
            document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let key = (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
        assert!(documents.insert(key.clone(), document).is_none(), "twice: {key:?}");
    }
    documents
}

/// What the chart makes of these values, without what only a chart has to say.
fn rendered(helm: PathBuf, namespace: &str, args: &[&str]) -> Documents {
    let output = template(helm, namespace, args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}");
    let text = String::from_utf8(output.stdout).expect("Helm prints UTF-8");
    let read: Vec<Value> = serde_saphyr::from_multiple(&text).expect("it prints YAML");
    let mut documents = documents(read.into_iter().filter(|document| !document.is_null()));
    for ((kind, ..), document) in &mut documents {
        if kind == "CustomResourceDefinition" {
            let metadata = document["metadata"].as_object_mut().expect("metadata");
            let added = metadata.remove("annotations").expect("it is kept");
            assert_eq!(added, serde_json::json!({ KEPT.0: KEPT.1 }));
        }
    }
    documents
}

fn installed(args: &[&str]) -> Documents {
    let done = run_in(&workspace(), &[&["install", "-o", "json"], args].concat(), "");
    assert_eq!(done.code, 0, "{}", done.stderr);
    let list: Value = serde_json::from_str(&done.stdout).expect("it prints JSON");
    documents(list["items"].as_array().expect("a list").iter().cloned())
}

#[test]
fn the_chart_installs_what_backout_installs() {
    let Some(helm) = helm() else { return };
    let digest = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let image = format!("registry.example/tools/backout@{digest}");
    let set_digest = format!("image.digest={digest}");
    let cases: [(&str, &[&str], &[&str]); 7] = [
        ("backout", &[], &[]),
        ("backout", &["--watch", "shop", "--watch", "pay"], &["--set", "watch={shop,pay}"]),
        (
            "backout",
            &["--watch", "shop", "--watch", "backout", "--watch", "shop"],
            &["--set", "watch={shop,backout,shop}"],
        ),
        ("backout", &["--cluster-wide"], &["--set", "clusterWide=true"]),
        ("backout", &["--without-crds"], &["--set", "crds.install=false"]),
        (
            "release-tools",
            &["--namespace", "release-tools", "--without-admission-policy", "--image", &image],
            &[
                "--set",
                "admissionPolicy.install=false,image.repository=registry.example/tools/backout",
                "--set",
                &set_digest,
            ],
        ),
        (
            "backout",
            &["--image", "registry.example:5000/backout:1.2"],
            &[
                "--set",
                "image.repository=registry.example:5000/backout",
                "--set-string",
                "image.tag=1.2",
            ],
        ),
    ];
    for (namespace, install, values) in cases {
        let (chart, program) = (rendered(helm.clone(), namespace, values), installed(install));
        let keys = |documents: &Documents| documents.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&chart), keys(&program), "{install:?}");
        for (key, document) in &program {
            assert_eq!(&chart[key], document, "{install:?}: {key:?}");
        }
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let Some(helm) = helm() else { return };
    for (values, told) in [
        ("clusterWide=true,watch={shop}", "/watch"),
        ("watch={Shop_1}", "/watch/0"),
        ("image.digest=latest", "/image/digest"),
        ("replicas=3", "replicas"),
    ] {
        let output = template(helm.clone(), "backout", &["--set", values]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(told), "{values}: {error}");
    }
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let path = workspace().join("charts/backout/Chart.yaml");
    let text = std::fs::read_to_string(path).expect("the chart can be read");
    let chart: Value = serde_saphyr::from_str(&text).expect("it is YAML");
    for field in ["version", "appVersion"] {
        assert_eq!(chart[field], env!("CARGO_PKG_VERSION"), "{field}");
    }
}
