use backout_core::judgement::Verdict;
use backout_core::manifest;
use backout_core::release::Release;

use super::*;
use crate::gates::testing::shown;
use crate::stamp::{Choice, stamp};

const RELEASE: &str = "\
apiVersion: backout.dev/v1alpha1
kind: Release
metadata: {name: shop-1.42.0, namespace: shop}
spec:
  workload: shop
  version: 1.42.0
  images:
    - name: shop
      repository: registry.example/shop
      tag: 1.42.0
      digest: sha256:bb28a2473dc5a2bf65c6fbe91e228ee8eba6677ee6022787a60b005cdfd6676e
  config: {revision: dff0929, chartVersion: 0.10.0}
  flags: [{key: coupons, enabled: true}, {key: express, enabled: false}]
  migrations: [{id: 0040_orders}]
  context:
    gitSha: e1e50b089da2afafcfa3e1d1ab6602d9caa5e9d4
    gitRef: refs/tags/v1.42.0
    repository: https://git.example/shop
    buildNumber: 4183
    builtAt: \"2026-03-10T13:42:07Z\"
";

const DEPLOYMENT: &str = "\
kind: Deployment
metadata:
  name: shop
  labels:
    helm.sh/chart: shop-0.10.0
spec:
  template:
    metadata:
      labels:
        app: shop
    spec: {containers: [{name: shop}]}
";

fn record() -> Recorded {
    let limits = backout_core::document::Limits::default();
    backout_core::document::read::<Release>("r.yaml", RELEASE.as_bytes(), &limits)
        .map_err(|error| error.to_string())
        .unwrap()
        .into()
}

fn judged(
    text: &str,
    config: &Context,
    images: &[ImageContext],
    git: Option<&GitContext>,
) -> Outcome {
    let manifests = manifest::read("m.yaml", text.as_bytes(), &manifest::limits()).unwrap();
    let record = record();
    let evidence = Evidence {
        manifests: Ok(&manifests),
        kind: "Deployment",
        name: "shop",
        record: &record,
        images,
        git,
    };
    judge(config, &evidence)
}

fn image(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> ImageContext {
    let map = |pairs: &[(&str, &str)]| {
        Ok(pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect())
    };
    ImageContext { name: "shop".to_owned(), labels: map(labels), annotations: map(annotations) }
}

#[test]
fn what_is_stamped_passes() {
    let text = stamp("m.yaml", DEPLOYMENT, Choice::All, &record().release).unwrap().text;
    let revision = "e1e50b089da2afafcfa3e1d1ab6602d9caa5e9d4";
    let images = [image(&[(oci::REVISION, revision)], &[(oci::REVISION, revision)])];
    let git = GitContext {
        commit_exists: Ok(true),
        commit_on_ref: Ok(true),
        remote: Ok("git@git.example:shop.git".to_owned()),
    };
    let outcome = judged(&text, &Context::default(), &images, Some(&git));
    assert_eq!(shown(&outcome), "pass: Deployment shop says where it comes from, as recorded\n");
    // Every single stamp matters: without any one of them, the gate fails.
    let stamped = crate::stamp::stamps(&record().release).object;
    for name in stamped.annotations.keys().chain(stamped.labels.keys()) {
        let optional = [crate::names::otel::REF_NAME, crate::names::backout::CHART_VERSION]
            .contains(&name.as_str());
        let without = text.replacen(&format!("{name}: "), &format!("x-{name}: "), 1);
        let outcome = judged(&without, &Context::default(), &[], None);
        assert_eq!(outcome.verdict == Verdict::Fail, !optional, "{name}: {}", outcome.message);
    }
}

#[test]
fn what_is_missing_or_wrong_is_found() {
    let text = DEPLOYMENT.replace(
        "    helm.sh/chart: shop-0.10.0\n",
        "    helm.sh/chart: shop-0.9.0\n    app.kubernetes.io/version: 1.41.0\n  annotations:\n    \
         org.opencontainers.image.revision: aaaaaaa\n    backout.dev/flags: express=off, coupons=off\n    \
         oci.manifest.digest: sha256:00\n",
    );
    let config = Context { require: vec!["team".to_owned()] };
    let images = [
        image(
            &[(oci::REVISION, "bbbbbbb"), (oci::VERSION, "22.04")],
            &[(oci::REVISION, "e1e50b089da2afafcfa3e1d1ab6602d9caa5e9d4")],
        ),
        ImageContext {
            name: "proxy".to_owned(),
            labels: Ok(BTreeMap::new()),
            annotations: Err("the registry did not answer".to_owned()),
        },
        image(&[], &[]),
    ];
    let git = GitContext {
        commit_exists: Ok(true),
        commit_on_ref: Ok(false),
        remote: Ok("https://git.example/fork".to_owned()),
    };
    insta::assert_snapshot!(shown(&judged(&text, &config, &images, Some(&git))));
}

#[test]
fn what_git_does_not_know_is_told_from_what_was_not_asked() {
    let git = |exists: Result<bool, String>| GitContext {
        commit_exists: exists,
        commit_on_ref: Err("shallow".to_owned()),
        remote: Err("none".to_owned()),
    };
    let text = stamp("m.yaml", DEPLOYMENT, Choice::All, &record().release).unwrap().text;
    let of = |exists| judged(&text, &Context::default(), &[], Some(&git(exists)));
    assert_eq!(of(Ok(false)).verdict, Verdict::Fail);
    assert_eq!(of(Err("git is not installed".to_owned())).verdict, Verdict::Pass);
    assert!(shown(&of(Ok(true))).contains("not looked up in Git: shallow"));
}

#[test]
fn nothing_to_judge_is_no_pass() {
    let other =
        judged("kind: Deployment\nmetadata: {name: cart}\n", &Context::default(), &[], None);
    assert_eq!(other.verdict, Verdict::NotEvaluated);
    let record = record();
    let evidence = Evidence {
        manifests: Err("helm is not installed"),
        kind: "Deployment",
        name: "shop",
        record: &record,
        images: &[],
        git: None,
    };
    assert_eq!(judge(&Context::default(), &evidence).verdict, Verdict::NotEvaluated);
}
