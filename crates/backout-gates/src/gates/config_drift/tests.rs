use backout_core::manifest;
use backout_core::release::Release;
use backout_core::units::Time;

use super::*;
use crate::chart::{File, digest_of_values, values};
use crate::gates::testing::shown;

const CHART: &str = "\
apiVersion: v2
name: shop
version: 0.10.0
appVersion: \"1.42.0\"
";

const DEFAULTS: &str = "\
image: {repository: registry.example/shop, pullPolicy: IfNotPresent}
database: {port: 5432}
resources: {}
";

const SCHEMA: &str = r#"{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "type": "object",
  "required": ["coupons"],
  "properties": {
    "coupons": {"type": "object", "required": ["topic"], "properties": {"topic": {"type": "string"}}},
    "database": {"properties": {"port": {"type": "integer"}}},
    "documented": {"type": "string"}
  }
}"#;

const TEMPLATE: &str = "\
kind: Deployment
image: {{ .Values.image.repository }}
pull: {{ .Values.image.pullPolicy }}
host: {{ .Values.database.host | quote }}
port: {{ .Values.database.port }}
topic: {{ required \"coupons.topic\" .Values.coupons.topic }}
resources: {{- toYaml .Values.resources | nindent 2 }}
";

const GOOD: &str = "\
# Production.
database:
  host: db.production
coupons:
  topic: production-coupons
";

const RELEASE: &str = "\
apiVersion: backout.dev/v1alpha1
kind: Release
metadata: {name: shop-1.42.0, namespace: shop}
spec:
  workload: shop
  version: 1.42.0
  images: []
  config:
    revision: dff0929
    chartVersion: 0.10.0
  context: {gitSha: e1e50b0, gitRef: main, repository: r, buildNumber: 1, builtAt: \"2026-03-10T13:42:07Z\"}
";

fn chart(changes: &[(&str, &str)]) -> Chart {
    let mut files = vec![
        ("Chart.yaml", CHART),
        ("values.yaml", DEFAULTS),
        ("values.schema.json", SCHEMA),
        ("templates/deployment.yaml", TEMPLATE),
    ];
    for (path, text) in changes {
        files.retain(|(known, _)| known != path);
        files.push((path, text));
    }
    let files: Vec<File> = files
        .into_iter()
        .map(|(path, text)| File { path: path.to_owned(), bytes: text.as_bytes().to_vec() })
        .collect();
    Chart::read("deploy/chart", &files).map_err(|error| error.to_string()).unwrap()
}

fn environment(name: &str, text: &str) -> Environment {
    let file = format!("deploy/values/{name}.yaml");
    Environment {
        name: name.to_owned(),
        chart: Ok(chart(&[])),
        values: values::read(&file, text.as_bytes())
            .map(|values| vec![values])
            .map_err(|error| error.to_string()),
        values_digest: Some(digest_of_values([text.as_bytes()])),
        rendered: Rendered { by_helm: Ok(manifests("helm", "1.42.0")), in_files: None },
        chart_changed: Err("not asked".to_owned()),
        values_changed: Err("not asked".to_owned()),
    }
}

fn manifests(file: &str, tag: &str) -> Vec<Manifest> {
    let text = format!(
        "kind: Deployment\napiVersion: apps/v1\nmetadata: {{name: shop}}\nspec:\n  template:\n    spec:\n      \
         containers:\n      - name: web\n        image: registry.example/shop:{tag}\n"
    );
    manifest::read(file, text.as_bytes(), &manifest::limits()).unwrap()
}

fn record(text: &str) -> Recorded {
    let limits = backout_core::document::Limits::default();
    backout_core::document::read::<Release>("r.yaml", text.as_bytes(), &limits)
        .map_err(|error| error.to_string())
        .unwrap()
        .into()
}

fn judged(config: &ConfigDrift, environments: &[Environment]) -> Outcome {
    let record = record(RELEASE);
    let evidence = Evidence {
        environment: "production",
        environments,
        record: &record,
        stable: None,
        now: None,
    };
    judge(config, &evidence)
}

fn of(text: &str) -> String {
    shown(&judged(&ConfigDrift::default(), &[environment("production", text)]))
}

#[test]
fn values_that_fit_pass() {
    assert_eq!(of(GOOD), "pass: values of production fit chart shop 0.10.0\n");
}

#[test]
fn keys_that_are_missing_refused_or_unread_are_found() {
    insta::assert_snapshot!(of("\
database:
  hosst: db.production
  port: \"5432\"
documented: x
leftover:
  of: an older chart
"));
    let failing = "{{ if not .Values.secret }}{{ fail \"secret is needed\" }}{{ end }}";
    let mut production = environment("production", GOOD);
    production.chart = Ok(chart(&[("templates/check.yaml", failing)]));
    insta::assert_snapshot!(shown(&judged(&ConfigDrift::default(), &[production])));
}

#[test]
fn what_may_be_unread_is_left_alone() {
    let text = format!("{GOOD}argo: {{wave: 1}}\n");
    let config = ConfigDrift { unread: vec!["argo.wave".to_owned()], ..ConfigDrift::default() };
    assert_eq!(shown(&judged(&config, &[environment("production", &text)])).lines().count(), 1);
    assert!(of(&text).contains("nobody reads `argo` of production"));
    // A chart that hands its values on may read everything, and a packed one may include anything.
    for (path, template) in [
        ("templates/x.yaml", "{{ range $k, $v := .Values }}{{ end }}"),
        ("charts/library-1.0.0.tgz", "packed"),
        ("charts/argo-1.0.0.tgz", "packed"),
    ] {
        let mut production = environment("production", &text);
        let include = ("templates/y.yaml", "{{ include \"library.all\" . }}");
        production.chart = Ok(chart(&[(path, template), include]));
        let told = shown(&judged(&ConfigDrift::default(), &[production]));
        assert!(!told.contains("nobody reads"), "{told}");
    }
    // The values of subcharts are theirs.
    let mut production = environment("production", &text);
    let about = format!("{CHART}dependencies:\n- {{name: x, alias: argo, version: 1.0.0}}\n");
    production.chart =
        Ok(chart(&[("Chart.yaml", &about), ("charts/x/Chart.yaml", "name: x\nversion: 1.0.0\n")]));
    let told = shown(&judged(&ConfigDrift::default(), &[production]));
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn subcharts_get_their_values_and_need_theirs() {
    let about = format!(
        "{CHART}dependencies:\n- {{name: redis, alias: cache, version: 1.0.0, condition: cache.enabled}}\n"
    );
    let of = |text: &str| {
        let mut production = environment("production", &format!("{GOOD}{text}"));
        production.chart = Ok(chart(&[
            ("Chart.yaml", &about),
            ("charts/redis/Chart.yaml", "name: redis\nversion: 1.0.0\n"),
            ("charts/redis/values.yaml", "port: 6379\n"),
            (
                "charts/redis/values.schema.json",
                "{\"properties\": {\"port\": {\"type\": \"integer\"}}}",
            ),
            (
                "charts/redis/templates/a.yaml",
                "{{ .Values.port }} {{ .Values.host }} {{ .Values.global.zone }}",
            ),
        ]));
        shown(&judged(&ConfigDrift::default(), &[production]))
    };
    assert_eq!(of("cache: {enabled: false}\n").lines().count(), 1);
    assert_eq!(of("cache: {enabled: true, host: a}\nglobal: {zone: b}\n").lines().count(), 1);
    insta::assert_snapshot!(of("cache:\n  port: x\n"));
}

#[test]
fn another_chart_or_other_values_than_recorded_are_found() {
    let mut production = environment("production", GOOD);
    production.chart_changed = Ok(Some(Time::from_millis(20 * 86_400_000)));
    production.values_changed = Ok(Some(Time::from_millis(8 * 86_400_000)));
    let other = "sha256:bb28a2473dc5a2bf65c6fbe91e228ee8eba6677ee6022787a60b005cdfd6676e";
    let of = |change: (&str, &str), stable: Option<&Recorded>| {
        let record = record(&RELEASE.replace(change.0, change.1));
        let environments = [production.clone()];
        let evidence = Evidence {
            environment: "production",
            environments: &environments,
            record: &record,
            stable,
            now: Some(Time::from_millis(30 * 86_400_000)),
        };
        shown(&judge(&ConfigDrift::default(), &evidence))
    };
    let line = "    chartVersion: 0.10.0\n";
    let digest = format!("{line}    chartDigest: {other}\n");
    let values = format!("{line}    environments: [{{name: production, valuesDigest: {other}}}]\n");
    let same = production.values_digest.clone().unwrap();
    let stable = record(&RELEASE.replace(line, &format!(
        "    chartVersion: 0.9.0\n    environments: [{{name: production, valuesDigest: {same}}}]\n"
    )));
    insta::assert_snapshot!(
        [
            of((line, "    chartVersion: 0.9.0\n"), None),
            of((line, &digest), None),
            of((line, &values), None),
            of(("", ""), Some(&stable)),
        ]
        .join("\n")
    );
}

#[test]
fn environments_that_differ_are_found() {
    let mut staging = environment("staging", &format!("{GOOD}image: {{pullPolicy: Always}}\n"));
    let config = ConfigDrift {
        same: vec!["image".to_owned(), "database.port".to_owned(), "nowhere".to_owned()],
        ..ConfigDrift::default()
    };
    staging.chart = Ok(chart(&[("Chart.yaml", "name: shop\nversion: 0.11.0\n")]));
    staging.rendered.by_helm = Ok(manifests("helm", "1.43.0"));
    insta::assert_snapshot!(shown(&judged(&config, &[staging, environment("production", GOOD)])));
}

#[test]
fn files_that_are_out_of_date_are_found() {
    let mut production = environment("production", GOOD);
    let mut files = manifests("rendered.yaml", "1.41.0");
    files.push(Manifest::of_value(
        "x",
        serde_json::json!({"kind": "Service", "metadata": {"name": "old"}}),
    ));
    production.rendered.in_files = Some(Ok(files));
    let Ok(helm) = &mut production.rendered.by_helm else { return };
    helm.push(Manifest::of_value(
        "helm",
        serde_json::json!({"kind": "ConfigMap", "metadata": {"name": "new"}}),
    ));
    insta::assert_snapshot!(shown(&judged(&ConfigDrift::default(), &[production])));
}

#[test]
fn what_was_not_seen_is_said() {
    let mut production = environment("production", GOOD);
    production.rendered.by_helm = Err("helm is not installed".to_owned());
    let about = format!("{CHART}dependencies:\n- {{name: redis, version: 1.0.0}}\n");
    production.chart = Ok(chart(&[
        ("Chart.yaml", &about),
        ("values.schema.json", "{\"dependentRequired\": {}}"),
        ("charts/postgres-1.0.0.tgz", "x"),
    ]));
    insta::assert_snapshot!(shown(&judged(&ConfigDrift::default(), &[production])));
}

#[test]
fn what_cannot_be_read_is_no_pass() {
    let config = ConfigDrift { same: vec!["image".to_owned()], ..ConfigDrift::default() };
    let good = || environment("production", GOOD);
    let broken = |name: &str| Environment {
        values: Err("no such file".to_owned()),
        ..environment(name, GOOD)
    };
    let mut unreadable = good();
    unreadable.rendered.in_files = Some(Err("not YAML".to_owned()));
    let mut undigested = good();
    undigested.chart = Err("no Chart.yaml".to_owned());
    for (environments, reason) in [
        (vec![], "no environment production"),
        (vec![broken("production")], "the values of production cannot be read: no such file"),
        (vec![undigested], "the chart of production cannot be read"),
        (vec![good(), broken("staging")], "environments cannot be compared"),
        (vec![unreadable], "the manifests of production cannot be read: not YAML"),
    ] {
        let outcome = judged(&config, &environments);
        assert_eq!(outcome.verdict, Verdict::NotEvaluated, "{reason}");
        assert!(outcome.message.contains(reason), "{}", outcome.message);
    }
    // Where nothing must be the same, another environment is only not seen.
    let outcome = judged(&ConfigDrift::default(), &[good(), broken("staging")]);
    assert_eq!(outcome.verdict, Verdict::Pass);
    assert!(shown(&outcome).contains("BO349"));
}

#[test]
fn no_value_is_ever_told() {
    let mut staging = environment("staging", &format!("{GOOD}password: hunter3\n"));
    staging.rendered.by_helm = Err("none".to_owned());
    let text = format!("{}password: hunter2\n", GOOD.replace("db.production", "[hunter4]"));
    let config = ConfigDrift { same: vec!["password".to_owned()], ..ConfigDrift::default() };
    let told = shown(&judged(&config, &[staging, environment("production", &text)]));
    assert!(told.contains("BO345") && told.contains("BO344") && !told.contains("hunter"), "{told}");
}
