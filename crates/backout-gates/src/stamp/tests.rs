use backout_core::release::Release;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

const RELEASE: &str = r#"{
  "apiVersion": "backout.dev/v1alpha1", "kind": "Release",
  "metadata": {"name": "shop-1.42.0", "namespace": "shop"},
  "spec": {
    "workload": "shop", "version": "1.42.0",
    "images": [{"name": "shop", "repository": "registry.example/shop", "tag": "1.42.0",
      "digest": "sha256:bb28a2473dc5a2bf65c6fbe91e228ee8eba6677ee6022787a60b005cdfd6676e"}],
    "config": {"revision": "dff0929", "chartVersion": "0.10.0"},
    "flags": [{"key": "coupons", "enabled": true}],
    "migrations": [{"id": "0040_orders"}],
    "context": {"gitSha": "e1e50b089da2afafcfa3e1d1ab6602d9caa5e9d4", "gitRef": "main",
      "repository": "https://git.example/shop", "buildNumber": 4183,
      "builtAt": "2026-03-10T13:42:07Z"}
  }
}"#;

fn release() -> Release {
    serde_json::from_str(RELEASE).unwrap()
}

fn stamped(text: &str) -> Stamped {
    let stamped = stamp("m.yaml", text, Choice::All, &release()).unwrap();
    let again = stamp("m.yaml", &stamped.text, Choice::All, &release()).unwrap();
    assert_eq!(again, stamped, "a second stamp changes something");
    stamped
}

fn refused(text: &str) -> String {
    stamp("m.yaml", text, Choice::All, &release()).unwrap_err().to_string()
}

/// Lines that a stamp adds and takes away.
fn changed(before: &str, after: &str) -> (usize, usize) {
    let kept =
        |a: &str, b: &str| a.lines().filter(|line| !b.lines().any(|other| other == *line)).count();
    (kept(after, before), kept(before, after))
}

const DEPLOYMENT: &str = "\
# The shop.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop   # as its Service
  labels:
    app.kubernetes.io/name: storefront
    app.kubernetes.io/version: '1.41.0' # by hand
  # Who to ask.
  annotations:
    team: \"shop\"
spec:
  selector:
    matchLabels: {app.kubernetes.io/name: storefront}
  template:
    metadata:
      labels: {app.kubernetes.io/name: storefront}
    spec:
      containers:
      - {name: shop, image: shop}
---
# A Service is no workload.
apiVersion: v1
kind: Service
metadata: {name: shop}
";

#[test]
fn only_the_lines_that_are_needed_change() {
    let stamped = stamped(DEPLOYMENT);
    assert_eq!(stamped.objects, ["Deployment shop"]);
    insta::assert_snapshot!(stamped.text);
}

#[test]
fn missing_mappings_are_made() {
    let text = "\
kind: Deployment
apiVersion: apps/v1
metadata: {name: shop}
spec:
  template:
    spec: {}
";
    insta::assert_snapshot!(stamped(text).text);
    let text = "kind: CronJob\nmetadata:\n  name: shop\n  labels:\n  annotations: ~\nspec:\n  jobTemplate:\n    spec:\n      template:\n        metadata: {}";
    insta::assert_snapshot!(stamped(text).text);
}

#[test]
fn json_and_lists_keep_their_form() {
    let text = "{\n  \"kind\": \"List\",\n  \"items\": [\n    {\n      \"kind\": \"Pod\",\n      \
                \"metadata\": {\n        \"name\": \"shop\",\n        \"labels\": {}\n      }\n    }\n  ]\n}\n";
    let json = stamped(text).text;
    let _: Value = serde_json::from_str(&json).unwrap();
    insta::assert_snapshot!(json);
    let list = "kind: List\nitems:\n- metadata:\n    name: shop\n  kind: Pod\n-   kind: Service\n";
    insta::assert_snapshot!(stamped(list).text);
}

#[test]
fn line_ends_and_marks_stay() {
    let text = format!("\u{feff}{}", DEPLOYMENT.replace('\n', "\r\n"));
    let after = stamped(&text).text;
    assert!(after.starts_with('\u{feff}'));
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count());
    let plain = stamped(DEPLOYMENT).text;
    assert_eq!(after.replace("\r\n", "\n").trim_start_matches('\u{feff}'), plain);
    assert_eq!(changed(DEPLOYMENT, &plain).1, 2);
}

#[test]
fn what_cannot_be_changed_by_itself_is_refused_at_its_place() {
    let of = |metadata: &str| format!("kind: Pod\nspec: {{}}\n{metadata}\n");
    insta::assert_snapshot!(
        [
            of("x: &x {name: a}\nmetadata: *x"),
            of("metadata: &x {name: a}\ny: *x"),
            of("metadata:\n  name: a\n  labels: &l {b: c}\nother: *l"),
            of("base: &b {b: c}\nmetadata:\n  name: a\n  labels:\n    <<: *b"),
            of("metadata:\n  name: a\n  labels: [x]"),
            of("metadata:\n  name: a\n  labels: x"),
            of("metadata:\n  name: a\n  labels: {app.kubernetes.io/version: [x]}"),
            of("metadata:\n  name: a\n  annotations:\n    cicd.pipeline.run.id: |\n      12\n"),
            of("metadata:\n  name: {{ .Release.Name }}"),
            "kind: Deployment\nmetadata: {name: a}\nspec:\n  selector:\n    matchLabels:\n      \
         app.kubernetes.io/version: \"1\"\n  template: {}\n"
                .to_owned(),
        ]
        .iter()
        .map(|text| refused(text))
        .collect::<Vec<_>>()
        .join("\n")
    );
}

#[test]
fn anchors_elsewhere_do_no_harm() {
    let text = "kind: Pod\nmetadata:\n  name: a\nspec:\n  x: &x {a: 1}\n  y: *x\n";
    assert!(stamped(text).text.contains("y: *x"));
}

#[test]
fn one_object_can_be_chosen() {
    let text = "kind: Pod\nmetadata: {name: a}\n---\nkind: Pod\nmetadata: {name: b}\n";
    let choice = Choice::One { kind: "Pod", name: "b" };
    let stamped = stamp("m.yaml", text, choice, &release()).unwrap();
    assert_eq!(stamped.objects, ["Pod b"]);
    assert!(stamped.text.starts_with("kind: Pod\nmetadata: {name: a}\n---\n"));
    let none = stamp("m.yaml", text, Choice::One { kind: "Job", name: "b" }, &release()).unwrap();
    assert_eq!((none.text.as_str(), none.objects.len()), (text, 0));
}

#[test]
fn a_version_that_is_no_label_is_an_annotation() {
    let mut release = release();
    release.spec.version = "1.42.0+build.7".to_owned();
    let stamps = stamps(&release);
    assert!(stamps.object.labels.is_empty());
    assert_eq!(stamps.object.annotations[crate::names::kubernetes::VERSION], "1.42.0+build.7");
    assert!(is_label_value(&"a".repeat(63)) && !is_label_value(&"a".repeat(64)));
    assert!(!is_label_value("") && !is_label_value("-a") && !is_label_value("a b"));
}

/// Labels and annotations in every form that people write them in.
fn metadata() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("\"1.0\""),
        Just("'x'"),
        Just("x"),
        Just("1.10"),
        Just(""),
        Just("~"),
        Just("a b # c"),
        Just(">-\n      long\n      text"),
        Just("\"two\n      lines\""),
    ];
    let key = prop_oneof![
        Just("app.kubernetes.io/version"),
        Just("app.kubernetes.io/name"),
        Just("\"cicd.pipeline.run.id\""),
        Just("team"),
        Just("'note'"),
    ];
    let block = prop::collection::btree_map(key.clone(), value, 0..4).prop_map(|fields| {
        let lines: Vec<String> =
            fields.iter().map(|(key, value)| format!("\n    {key}: {value}")).collect();
        if lines.is_empty() { " {}".to_owned() } else { lines.concat() }
    });
    let flow =
        prop::collection::btree_map(key, prop_oneof![Just("x"), Just("'1'"), Just("\"2\"")], 0..3)
            .prop_map(|fields| {
                let fields: Vec<String> =
                    fields.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!(" {{{}}}", fields.join(", "))
            });
    prop_oneof![4 => block, 2 => flow, 1 => Just(String::new()), 1 => Just(" # none".to_owned())]
}

proptest! {
    /// Whatever the form, stamping changes labels and annotations only, or nothing at all.
    #[test]
    fn stamps_are_all_that_changes(
        labels in metadata(), annotations in metadata(), order in 0..3_u8, end in prop::bool::ANY,
        crlf in prop::bool::ANY, comment in prop::bool::ANY,
    ) {
        let note = if comment { "  # kept\n" } else { "" };
        let labels = format!("  labels:{labels}\n");
        let annotations = format!("{note}  annotations:{annotations}\n");
        let fields = match order {
            0 => format!("  name: a\n{labels}{annotations}"),
            1 => format!("{labels}  name: a\n{annotations}"),
            _ => format!("{annotations}{labels}  name: a\n"),
        };
        let mut text = format!("kind: Pod\nmetadata:\n{fields}spec: {{a: 1}}");
        if end { text.push('\n'); }
        if crlf { text = text.replace('\n', "\r\n"); }
        let Ok(before) = read("m.yaml", &text) else { return Ok(()) };
        let Ok(stamped) = stamp("m.yaml", &text, Choice::All, &release()) else {
            // Only values over several lines in the place of a stamp are left alone.
            prop_assert!(text.contains(">-"), "{text}");
            return Ok(());
        };
        let mut after = read("m.yaml", &stamped.text).unwrap().remove(0).value;
        let mut wanted = before[0].value.clone();
        let stamps = stamps(&release()).object;
        prop_assert_eq!(
            &after["metadata"]["labels"]["app.kubernetes.io/version"],
            &Value::from(stamps.labels["app.kubernetes.io/version"].clone())
        );
        for (kind, keys) in [("labels", &stamps.labels), ("annotations", &stamps.annotations)] {
            for key in keys.keys().chain(stamps.labels_if_absent.keys()) {
                for value in [&mut after, &mut wanted] {
                    if let Some(fields) = value["metadata"][kind].as_object_mut() { fields.remove(key); }
                }
            }
        }
        for kind in ["labels", "annotations"] {
            if wanted["metadata"][kind].as_object().is_none_or(Map::is_empty) {
                wanted["metadata"][kind] = after["metadata"][kind].clone();
                prop_assert_eq!(after["metadata"][kind].as_object().map(Map::len), Some(0));
            }
        }
        prop_assert_eq!(after, wanted);
        prop_assert_eq!(stamped.text.matches("# kept").count(), usize::from(comment));
        let again = stamp("m.yaml", &stamped.text, Choice::All, &release()).unwrap();
        prop_assert_eq!(again.text, stamped.text);
    }

    /// The same for pod templates, at any depth of indentation and inside of lists.
    #[test]
    fn templates_are_stamped_wherever_they_stand(
        labels in metadata(), annotations in metadata(), own in metadata(),
        in_list in prop::bool::ANY, second in prop::bool::ANY, has_metadata in prop::bool::ANY,
    ) {
        let inner = |text: &str| text.replace('\n', "\n    ");
        let template = if has_metadata {
            let (labels, annotations) = (inner(&labels), inner(&annotations));
            format!("    metadata:\n      labels:{labels}\n      annotations:{annotations}\n")
        } else {
            String::new()
        };
        let mut text = format!(
            "kind: Deployment\nmetadata:\n  name: a\n  annotations:{own}\nspec:\n  replicas: 2 # two\n  \
             template:\n{template}    spec:\n      containers: []\n"
        );
        if in_list {
            text = format!("kind: List\nitems:\n- {}\n", text.trim_end().replace('\n', "\n  "));
        }
        if second {
            text = format!("# first\nkind: Service\n---\n{text}---\nkind: Service # last\n");
        }
        let Ok(before) = read("m.yaml", &text) else { return Ok(()) };
        let Ok(stamped) = stamp("m.yaml", &text, Choice::All, &release()) else {
            prop_assert!(text.contains(">-"), "{text}");
            return Ok(());
        };
        let after = read("m.yaml", &stamped.text).unwrap();
        prop_assert_eq!(before.len(), after.len());
        let stamps = stamps(&release());
        for (before, after) in before.iter().zip(&after) {
            if before.kind() == "Service" {
                prop_assert_eq!(&before.value, &after.value);
                continue;
            }
            for (pointer, marks) in
                [("/metadata", &stamps.object), ("/spec/template/metadata", &stamps.template)]
            {
                let metadata = after.value.pointer(pointer).unwrap();
                for (kind, wanted) in
                    [("labels", &marks.labels), ("annotations", &marks.annotations)]
                {
                    for (key, text) in wanted {
                        prop_assert_eq!(metadata[kind][key].as_str(), Some(text.as_str()));
                    }
                }
            }
            for pointer in ["/spec/replicas", "/spec/template/spec", "/metadata/name", "/kind"] {
                prop_assert_eq!(before.value.pointer(pointer), after.value.pointer(pointer));
            }
        }
        let comments = |text: &str| text.matches(" #").count();
        prop_assert_eq!(comments(&text), comments(&stamped.text));
        let again = stamp("m.yaml", &stamped.text, Choice::All, &release()).unwrap();
        prop_assert_eq!(again.text, stamped.text);
    }

    #[test]
    fn any_text_is_stamped_or_refused(text in "(kind: Pod|metadata:|\n  name: a|\n|  labels:|\\{|\\}|&a |\\*a|- |\"|'|: |#|---|é|,){0,20}") {
        let _ = stamp("m.yaml", &text, Choice::All, &release());
    }
}
