use backout_core::judgement::Verdict;
use backout_core::manifest;
use proptest::prelude::*;

use super::*;

fn outcome(text: &str) -> Outcome {
    let manifests = manifest::read("m.yaml", text.as_bytes(), &manifest::limits()).unwrap();
    let readiness = Limit::Within(backout_core::units::Span::from_mins(10));
    judge(&Probes::default(), &Evidence { manifests: Ok(&manifests), readiness })
}

fn shown(outcome: &Outcome) -> String {
    crate::gates::testing::shown(outcome)
}

const GOOD: &str = "\
kind: Deployment
apiVersion: apps/v1
metadata: {name: shop}
spec:
  template:
    metadata: {labels: {app: shop}}
    spec:
      terminationGracePeriodSeconds: 45
      containers:
      - name: web
        ports: [{name: http, containerPort: 8080}]
        startupProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 2, failureThreshold: 30}
        readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 5}
        livenessProbe: {httpGet: {path: /healthz, port: http}}
        lifecycle: {preStop: {sleep: {seconds: 10}}}
      - name: exporter
        ports: [{name: metrics, containerPort: 9090}]
---
kind: Service
apiVersion: v1
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: http}]}
---
kind: CronJob
apiVersion: batch/v1
metadata: {name: report}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: report, ports: [{containerPort: 1}]}]}}}}}
";

#[test]
fn a_well_made_workload_has_no_findings() {
    insta::assert_snapshot!(shown(&outcome(GOOD)));
}

#[test]
fn each_flaw_is_found_at_its_place() {
    insta::assert_snapshot!(shown(&outcome(
        "\
kind: Deployment
apiVersion: apps/v1
metadata: {name: shop, namespace: shop}
spec:
  progressDeadlineSeconds: 60
  template:
    spec:
      containers:
      - name: web
        ports: [{name: http, containerPort: 8080}]
        livenessProbe: {httpGet: {path: /db, port: 8080}, initialDelaySeconds: 90}
      - name: same
        ports: [{containerPort: 1}]
        readinessProbe: {httpGet: {path: /x, port: 1}, initialDelaySeconds: 120}
        livenessProbe: {httpGet: {path: /x, port: 1}, timeoutSeconds: 11}
        lifecycle: {preStop: {exec: {command: [sh, -c, sleep 40]}}}
      - name: slow
        ports: [{containerPort: 2}]
        startupProbe: {tcpSocket: {port: 2}, failureThreshold: 60}
        readinessProbe: {tcpSocket: {port: 2}}
        livenessProbe: {tcpSocket: {port: 2}}
"
    )));
}

#[test]
fn probes_that_kubernetes_refuses_are_found() {
    insta::assert_snapshot!(shown(&outcome(
        "\
kind: StatefulSet
metadata: {name: shop}
spec:
  template:
    spec:
      initContainers:
      - name: prepare
        readinessProbe: {exec: {command: [x]}}
      - name: proxy
        restartPolicy: Always
        ports: [{containerPort: 3}]
      containers:
      - name: web
        ports: [{name: http, containerPort: 8080}]
        startupProbe: {exec: {command: []}, grpc: {port: http}}
        readinessProbe: {httpGet: {port: htpp, scheme: http}, terminationGracePeriodSeconds: 1}
        livenessProbe: {httpGet: {port: \"8080\"}, successThreshold: 2, periodSeconds: -1}
      - name: other
        readinessProbe: {periodSeconds: 1}
        livenessProbe: {tcpSocket: {port: 99999}, failureThreshold: x}
      terminationGracePeriodSeconds: 0
"
    )));
}

#[test]
fn a_service_says_who_serves() {
    let named = outcome(&GOOD.replace("targetPort: http", "targetPort: metrics"));
    assert_eq!(named.verdict, Verdict::Fail);
    assert!(named.message.contains("container exporter"), "{}", named.message);
    let elsewhere = GOOD.replace("{selector: {app: shop}", "{selector: {app: other}");
    assert!(outcome(&elsewhere).message.contains("container exporter"), "no Service is known");
    let undeclared = "kind: DaemonSet\nmetadata: {name: a}\nspec: {template: {metadata: {labels: {a: b}}, \
                      spec: {containers: [{name: c}]}}}\n---\nkind: Service\napiVersion: v1\nspec: \
                      {selector: {a: b}, ports: [{port: 80}]}\n";
    assert!(outcome(undeclared).message.contains("container c of DaemonSet a serves"));
}

#[test]
fn exceptions_are_left_alone() {
    let text = GOOD.replace("targetPort: http", "targetPort: metrics");
    let manifests = manifest::read("m.yaml", text.as_bytes(), &manifest::limits()).unwrap();
    let config = Probes { except: vec!["exporter".to_owned()] };
    let evidence = Evidence { manifests: Ok(&manifests), readiness: Limit::None };
    assert_eq!(judge(&config, &evidence).verdict, Verdict::Pass);
}

#[test]
fn nothing_to_judge_is_no_pass() {
    let evidence = Evidence { manifests: Err("helm is not installed"), readiness: Limit::None };
    let outcome = judge(&Probes::default(), &evidence);
    assert_eq!(
        (outcome.verdict, outcome.message.as_str()),
        (Verdict::NotEvaluated, "no manifests: helm is not installed")
    );
    let empty = Evidence { manifests: Ok(&[]), readiness: Limit::None };
    assert_eq!(judge(&Probes::default(), &empty).verdict, Verdict::NotEvaluated);
}

#[test]
fn what_is_no_pod_template_is_found() {
    for text in
        ["kind: Deployment\n", "kind: Deployment\nspec: {template: {spec: {containers: x}}}\n"]
    {
        assert_eq!(outcome(text).verdict, Verdict::Fail);
    }
}

proptest! {
    #[test]
    fn any_probe_is_judged(
        probe in "(httpGet|exec|grpc|x): (\\{port: (http|-1|70000|x)\\}|\\[\\]|1|null), [a-z]{1,3}: -?[0-9]{1,22}",
        key in "(startup|readiness|liveness)Probe",
    ) {
        let text = GOOD.replace("lifecycle: {", &format!("{key}: {{{probe}}}\n        lifecycle: {{"))
            .replacen(&format!("        {key}: {{h"), "        x: {h", 1);
        if let Ok(manifests) = manifest::read("m.yaml", text.as_bytes(), &manifest::limits()) {
            let evidence = Evidence { manifests: Ok(&manifests), readiness: Limit::None };
            let _ = judge(&Probes::default(), &evidence);
        }
    }
}
