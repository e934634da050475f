use backout_core::manifest::{self, Manifest};

use super::*;

const LABELS: &str = "apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: k8srequiredlabels}
spec:
  crd:
    spec:
      names: {kind: K8sRequiredLabels}
      validation:
        openAPIV3Schema:
          type: object
          properties:
            labels: {type: array, items: {type: string}}
            prefix: {type: string, default: missing}
  targets:
  - target: admission.k8s.gatekeeper.sh
    rego: |
      package k8srequiredlabels
      import data.lib.helpers
      violation[{\"msg\": msg, \"details\": {\"missing\": missing}}] {
        provided := {label | input.review.object.metadata.labels[label]}
        required := {label | label := input.parameters.labels[_]}
        missing := required - provided
        count(missing) > 0
        msg := helpers.text(input.parameters.prefix, missing)
      }
    libs:
    - |
      package lib.helpers
      text(prefix, missing) = sprintf(\"%v: %v\", [prefix, missing])
";

const OBJECTS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, namespace: shop, labels: {app: a}}
---
apiVersion: v1
kind: Service
metadata: {name: b, namespace: kube-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {env: prod}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: c}
";

fn read(text: &str) -> Vec<Manifest> {
    manifest::read("gatekeeper.yaml", text.as_bytes(), &manifest::limits()).unwrap()
}

/// Each decision as `object: decision`.
fn decided(policies: &str, objects: &str) -> Vec<String> {
    crate::rego::tests::start_clock();
    let constraints = Constraints::read(&read(policies), None);
    let objects = read(objects);
    let name =
        |index: Option<usize>| index.map_or("-".to_owned(), |at| objects[at].name().to_owned());
    let found = constraints.decide(&objects, &Limits::default());
    found
        .into_iter()
        .map(|one| {
            let said = match one.decision {
                Decision::Pass => "pass".to_owned(),
                Decision::Deny { message } => format!("deny {message}"),
                Decision::Warn { message } => format!("warn {message}"),
                Decision::Excepted { .. } => "excepted".to_owned(),
                Decision::NotEvaluated { reason } => format!("not evaluated {reason}"),
            };
            format!("{}: {said}", name(one.object))
        })
        .collect()
}

fn constraint(spec: &str) -> String {
    format!(
        "{LABELS}---\napiVersion: constraints.gatekeeper.sh/v1beta1\nkind: K8sRequiredLabels\n\
         metadata: {{name: owner}}\nspec: {spec}\n"
    )
}

#[test]
fn parameters_libraries_and_defaults_are_used() {
    let policies = constraint(
        "{match: {kinds: [{apiGroups: [apps], kinds: [Deployment]}]}, parameters: {labels: [app, owner]}}",
    );
    assert_eq!(
        decided(&policies, OBJECTS),
        ["a: deny missing: {\"owner\"}", "c: deny missing: {\"app\", \"owner\"}"]
    );
    let policies =
        constraint("{enforcementAction: dryrun, parameters: {labels: [app]}, match: {name: 'a*'}}");
    assert_eq!(decided(&policies, OBJECTS), ["a: pass"]);
}

#[test]
fn only_what_matches_is_reviewed() {
    let names = |given: &str| {
        let policies = constraint(&format!("{{match: {{{given}}}}}"));
        decided(&policies, OBJECTS).join(", ")
    };
    assert_eq!(names(""), "a: pass, b: pass, shop: pass, c: pass");
    assert_eq!(names("kinds: [{apiGroups: [''], kinds: ['*']}]"), "b: pass, shop: pass");
    assert_eq!(names("labelSelector: {matchLabels: {app: a}}"), "a: pass");
    let unknown =
        "c: not evaluated the namespace of Deployment c is not known: write `metadata.namespace`";
    assert_eq!(names("namespaces: [shop]"), format!("a: pass, shop: pass, {unknown}"));
    assert_eq!(names("excludedNamespaces: ['kube-*']"), format!("a: pass, shop: pass, {unknown}"));
    let selected = names("namespaceSelector: {matchLabels: {env: prod}}");
    assert!(
        selected.starts_with("a: pass, b: not evaluated the labels of the namespace `kube-system`"),
        "{selected}"
    );
    assert!(names("scope: Cluster").starts_with("shop: pass, c: not evaluated"));
    assert_eq!(names("source: Generated"), "");
}

#[test]
fn actions_are_those_of_admission() {
    let said = |spec: &str| {
        let policies =
            constraint(&format!("{{{spec}, match: {{name: b}}, parameters: {{labels: [x]}}}}"));
        decided(&policies, OBJECTS).join(", ")
    };
    assert!(said("enforcementAction: warn").starts_with("b: warn"));
    let scoped = |action: &str, point: &str| {
        said(&format!(
            "enforcementAction: scoped, scopedEnforcementActions: [{{action: {action}, \
             enforcementPoints: [{{name: {point}}}]}}]"
        ))
    };
    assert!(scoped("deny", "validation.gatekeeper.sh").starts_with("b: deny"));
    assert!(scoped("deny", "audit.gatekeeper.sh").starts_with("b: warn"));
    assert!(scoped("explode", "'*'").starts_with("-: not evaluated the enforcement action"));
}

fn template(rego: &str, kind: &str) -> String {
    let rego = rego.replace('\n', "\n      ");
    format!(
        "apiVersion: templates.gatekeeper.sh/v1beta1\nkind: ConstraintTemplate\nmetadata: {{name: x}}\n\
         spec:\n  crd: {{spec: {{names: {{kind: X}}}}}}\n  targets:\n  - target: \
         admission.k8s.gatekeeper.sh\n    {kind}: |\n      {rego}\n---\n\
         apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: X\nmetadata: {{name: x}}\n"
    )
}

#[test]
fn the_inventory_holds_the_other_objects() {
    let rego = "package x\nviolation[{\"msg\": msg}] {\n  input.review.kind.kind == \"Service\"\n  \
                other := data.inventory.namespace[ns][\"apps/v1\"].Deployment[_]\n  \
                data.inventory.cluster[\"v1\"].Namespace[ns]\n  msg := other.metadata.name\n}";
    assert_eq!(
        decided(&template(rego, "rego"), OBJECTS),
        ["a: pass", "b: deny a", "shop: pass", "c: pass"]
    );
}

#[test]
fn what_is_not_known_is_said_with_its_place() {
    let said = |rego: &str| decided(&template(rego, "rego"), OBJECTS).join("\n");
    let external =
        said("package x\nviolation[{\"msg\": \"m\"}] {\n  external_data({\"provider\": \"p\"})\n}");
    assert!(external.starts_with("-: not evaluated gatekeeper.yaml:11:"), "{external}");
    assert!(external.contains("`external_data` is not evaluated"), "{external}");
    let broken = said("package x\nviolation[{\"msg\": \"m\"}] {\n  ]\n}");
    assert!(broken.starts_with("-: not evaluated gatekeeper.yaml:10:25: "), "{broken}");
    let user =
        said("package x\nviolation[{\"msg\": \"m\"}] { input.review.userInfo.username == \"a\" }");
    assert!(user.contains("who makes the request"), "{user}");
    let cel = template("x", "validations");
    assert!(decided(&cel, OBJECTS)[0].contains("holds no Rego"));
    let missing = "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: Y\nmetadata: {name: y}\n";
    assert!(decided(missing, OBJECTS)[0].contains("no ConstraintTemplate makes the kind Y"));
    let expansion =
        "apiVersion: expansion.gatekeeper.sh/v1\nkind: ExpansionTemplate\nmetadata: {name: e}\n";
    assert!(decided(expansion, OBJECTS)[0].contains("are not made here"));
    let unknown = constraint("{match: {moons: [1]}}");
    assert!(decided(&unknown, OBJECTS)[0].contains("spec.match is not understood"));
}

#[test]
fn code_of_either_version_is_read() {
    let code = |version: &str, rego: &str, engine: &str| {
        format!(
            "apiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\nmetadata: {{name: x}}\n\
             spec:\n  crd: {{spec: {{names: {{kind: X}}}}}}\n  targets:\n  - target: t\n    code:\n    \
             - engine: {engine}\n      source:\n        version: {version}\n        rego: |\n          \
             package x\n          {rego}\n---\napiVersion: constraints.gatekeeper.sh/v1beta1\nkind: X\n\
             metadata: {{name: x}}\nspec: {{match: {{name: b}}}}\n"
        )
    };
    let new = "violation contains {\"msg\": \"m\"} if input.review.object";
    assert_eq!(decided(&code("v1", new, "Rego"), OBJECTS), ["b: deny m"]);
    let old = "violation[{\"msg\": \"m\"}] { input.review.object }";
    assert_eq!(decided(&code("v0", old, "Rego"), OBJECTS), ["b: deny m"]);
    let cel = decided(&code("v0", old, "K8sNativeValidation"), OBJECTS);
    assert!(cel[0].contains("for the engine K8sNativeValidation"), "{cel:?}");
}
