use backout_core::document::FieldPath;
use backout_core::manifest::{self, Manifest};
use serde_json::json;

use super::{CelRule, Native, Policies};
use crate::cel::policy::{Evaluated, Verdict};
use crate::cel::{Environment, Limits};
use crate::validating_admission_policy::World;
use crate::validating_admission_policy::matching::Subject;
use crate::{Decided, Decision};

fn read(name: &str, text: &str) -> Vec<Manifest> {
    manifest::read(name, text.as_bytes(), &manifest::limits()).unwrap()
}

/// A policy about pods, of the rest of its spec.
fn policy(spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {}\n", line.trim_end())).collect();
    format!(
        "apiVersion: policies.kyverno.io/v1\nkind: ValidatingPolicy\nmetadata: {{name: p}}\nspec:\n  \
         matchConstraints:\n    resourceRules:\n    - apiGroups: ['']\n      apiVersions: [v1]\n      \
         operations: [CREATE, UPDATE]\n      resources: [pods]\n{spec}"
    )
}

fn validation(expression: &str) -> String {
    policy(&format!("validations:\n- message: no\n  expression: >-\n    {expression}\n"))
}

fn decide(policies: &str, objects: &str) -> Vec<Decided> {
    let given = read("policies.yaml", policies);
    let (policies, _) = Policies::read(&given, Limits::default()).unwrap();
    policies.decide(&read("objects.yaml", objects), &World::of(&given))
}

fn written(decided: &[Decided]) -> Vec<String> {
    decided
        .iter()
        .map(|decided| match &decided.decision {
            Decision::Pass => "pass".to_owned(),
            Decision::Deny { message } => format!("deny: {message}"),
            Decision::Warn { message } => format!("warn: {message}"),
            Decision::Excepted { by, message } => format!("excepted: {by}: {message}"),
            Decision::NotEvaluated { reason } => format!("unknown: {reason}"),
        })
        .collect()
}

#[track_caller]
fn passes(policies: &str, object: &str) {
    assert_eq!(written(&decide(policies, object)), ["pass"], "{policies}\n{object}");
}

#[track_caller]
fn denies(policies: &str, object: &str) {
    assert_eq!(written(&decide(policies, object)), ["deny: no"], "{policies}\n{object}");
}

#[track_caller]
fn unknown(policies: &str, object: &str) -> String {
    let decided = written(&decide(policies, object));
    assert!(decided.len() == 1 && decided[0].starts_with("unknown: "), "{decided:?}\n{policies}");
    decided[0]["unknown: ".len()..].to_owned()
}

fn pod(spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: shop, labels: {{app: a}}}}\n\
         spec: {spec}\n"
    )
}

/// What makes pods of a spec.
fn workload(version: &str, kind: &str, spec: &str) -> String {
    let template = format!("{{metadata: {{labels: {{app: a}}}}, spec: {spec}}}");
    let spec = match kind {
        "CronJob" => {
            format!("{{schedule: '* * * * *', jobTemplate: {{spec: {{template: {template}}}}}}}")
        }
        _ => format!("{{template: {template}}}"),
    };
    format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: w, namespace: shop}}\nspec: {spec}\n"
    )
}

const PRIVILEGED: &str =
    "{containers: [{name: a, image: 'a:1', securityContext: {privileged: true}}]}";
const PLAIN: &str = "{containers: [{name: a, image: 'a:1'}]}";

fn no_privileged() -> String {
    validation(
        "object.spec.containers.all(c, c.?securityContext.?privileged.orValue(false) == false)",
    )
}

#[test]
fn pods_and_what_makes_them_are_checked() {
    let policies = no_privileged();
    passes(&policies, &pod(PLAIN));
    denies(&policies, &pod(PRIVILEGED));
    for (version, kind) in [
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
    ] {
        passes(&policies, &workload(version, kind, PLAIN));
        denies(&policies, &workload(version, kind, PRIVILEGED));
    }
    let decided = decide(&policies, &workload("apps/v1", "Deployment", PRIVILEGED));
    assert_eq!(decided[0].rule.rule, "autogen-validations[0]");
    assert_eq!(decided[0].rule.at.to_string(), "policies.yaml:14:7");
}

#[test]
fn controllers_can_be_named() {
    let policies = no_privileged() + "  autogen: {podControllers: {controllers: [deployments]}}\n";
    denies(&policies, &workload("apps/v1", "Deployment", PRIVILEGED));
    assert!(decide(&policies, &workload("batch/v1", "Job", PRIVILEGED)).is_empty());
    let none = policies.replace("[deployments]", "[]");
    assert!(decide(&none, &workload("apps/v1", "Deployment", PRIVILEGED)).is_empty());
    denies(&none, &pod(PRIVILEGED));
    let odd = policies.replace("[deployments]", "deployments");
    assert!(unknown(&odd, &pod(PLAIN)).contains("is not a list"));
}

#[test]
fn labels_are_those_of_the_template() {
    let policies = validation("'app' in object.metadata.?labels.orValue({})");
    passes(&policies, &pod(PLAIN));
    denies(&policies, &pod(PLAIN).replace("{app: a}", "{}"));
    denies(&policies, &pod(PLAIN).replace(", labels: {app: a}", ""));
    passes(&policies, &workload("apps/v1", "Deployment", PLAIN));
    let own = validation("object.metadata.name == 'w'");
    passes(&own, &workload("apps/v1", "Deployment", PLAIN));
}

#[test]
fn a_plain_value_may_be_asked_for_another() {
    // Published policies go on with a plain dot after an optional one.
    passes(&validation("object.spec.?securityContext.runAsNonRoot.orValue(true)"), &pod(PLAIN));
    passes(&validation("object.metadata.labels.orValue({}).app == 'a'"), &pod(PLAIN));
    passes(&validation("object.spec.?hostNetwork.orValue(false) == false"), &pod(PLAIN));
}

#[test]
fn images_registries_resources_and_more() {
    let of = |container: &str| pod(&format!("{{containers: [{container}]}}"));
    let registries =
        validation("object.spec.containers.all(c, c.image.startsWith('r.example.com/'))");
    passes(&registries, &of("{name: a, image: r.example.com/a}"));
    denies(&registries, &of("{name: a, image: a}"));
    let latest = validation(
        "object.spec.containers.all(c, c.image.contains(':') && !c.image.endsWith(':latest'))",
    );
    passes(&latest, &of("{name: a, image: 'a:1'}"));
    denies(&latest, &of("{name: a, image: 'a:latest'}"));
    let memory = validation(
        "object.spec.containers.all(c, quantity(c.?resources.?limits.?memory.orValue('0')).isGreaterThan(quantity('0')))",
    );
    passes(&memory, &of("{name: a, resources: {limits: {memory: 64Mi}}}"));
    denies(&memory, &of("{name: a}"));
    let probes =
        validation("object.spec.containers.all(c, has(c.livenessProbe) && has(c.readinessProbe))");
    passes(&probes, &of("{name: a, livenessProbe: {}, readinessProbe: {}}"));
    denies(&probes, &of("{name: a, livenessProbe: {}}"));
    let paths =
        validation("object.spec.?volumes.orValue([]).all(v, size(v) == 0 || !has(v.hostPath))");
    passes(&paths, &of("{name: a}"));
    denies(&paths, &pod("{volumes: [{name: v, hostPath: {path: /}}]}"));
    let users =
        validation("object.spec.containers.all(c, c.?securityContext.?runAsUser.orValue(1) > 0)");
    passes(&users, &of("{name: a}"));
    denies(&users, &of("{name: a, securityContext: {runAsUser: 0}}"));
    let drops = validation(
        "object.spec.containers.all(c, 'ALL' in c.?securityContext.?capabilities.?drop.orValue([]))",
    );
    passes(&drops, &of("{name: a, securityContext: {capabilities: {drop: [ALL]}}}"));
    denies(&drops, &of("{name: a}"));
    let ports = validation(
        "object.spec.containers.all(c, c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))",
    );
    denies(&ports, &of("{name: a, ports: [{hostPort: 80}]}"));
    let schedule = policy(
        "validations: [{message: 'no', expression: \"object.spec.schedule != '* * * * *'\"}]\n",
    )
    .replace("['']", "[batch]")
    .replace("[pods]", "[cronjobs]");
    denies(&schedule, &workload("batch/v1", "CronJob", PLAIN));
}

#[test]
fn variables_conditions_and_actions() {
    let with = |rest: &str| {
        policy(&format!(
            "{rest}variables:\n- {{name: all, expression: 'object.spec.containers + object.spec.?initContainers.orValue([])'}}\n\
             validations:\n- expression: variables.all.all(c, c.image != 'bad')\n  message: plain\n  \
             messageExpression: \"'bad in ' + object.metadata.name\"\n"
        ))
    };
    let bad =
        pod("{containers: [{name: a, image: good}], initContainers: [{name: b, image: bad}]}");
    assert_eq!(written(&decide(&with(""), &bad)), ["deny: bad in p"]);
    assert_eq!(written(&decide(&with("validationActions: [Audit]\n"), &bad)), ["warn: bad in p"]);
    assert_eq!(
        written(&decide(&with("validationActions: [Warn, Deny]\n"), &bad)),
        ["deny: bad in p"]
    );
    let skipped = with(
        "matchConditions: [{name: not-shop, expression: \"object.metadata.namespace != 'shop'\"}]\n",
    );
    assert!(decide(&skipped, &bad).is_empty());
    let namespaced = with("")
        .replace("kind: ValidatingPolicy", "kind: NamespacedValidatingPolicy")
        .replace("{name: p}", "{name: p, namespace: other}");
    assert!(decide(&namespaced, &bad).is_empty());
    assert_eq!(written(&decide(&namespaced.replace("other", "shop"), &bad)), ["deny: bad in p"]);
}

#[test]
fn what_needs_a_cluster_or_a_registry_is_not_evaluated() {
    let object = pod(PLAIN);
    for (expression, reason) in [
        ("resource.Get('v1', 'configmaps', 'a', 'b').data.x == 'y'", "objects of the cluster"),
        ("true || resource.List('v1', 'pods', '').items.size() > 0", "objects of the cluster"),
        ("http.Get('https://x').ok", "asks another server"),
        ("images.containers.all(i, i == 'x')", "taken apart by Kyverno"),
        ("globalContext.Get('x', '').a == 1", "globalContext"),
        ("image('a:1').registry() == 'x'", "the function image"),
        ("parseServiceAccount('x').Name == 'y'", "the function parseServiceAccount"),
        ("user.username == 'x'", "user is not known"),
        ("request.userInfo.groups.exists(g, g == 'x')", "request.userInfo"),
    ] {
        let ignoring = validation(expression)
            .replace("spec:\n  matchC", "spec:\n  failurePolicy: Ignore\n  matchC");
        let said = unknown(&ignoring, &object);
        assert!(said.contains(reason), "{expression}: {said}");
    }
    assert!(unknown(&validation("object.spec. == 1"), &object).contains("cannot be read"));
}

#[test]
fn exceptions_let_objects_pass() {
    let exception = |condition: &str, rest: &str| {
        format!(
            "{}---\napiVersion: policies.kyverno.io/v1\nkind: PolicyException\nmetadata: {{name: e, namespace: shop}}\n\
             spec:\n  policyRefs: [{{name: p, kind: ValidatingPolicy}}]\n  matchConditions: [{{name: c, expression: \"{condition}\"}}]\n{rest}",
            no_privileged()
        )
    };
    let bad = pod(PRIVILEGED);
    let allowed = exception("object.metadata.name == 'p'", "");
    assert_eq!(written(&decide(&allowed, &bad)), ["excepted: PolicyException shop/e: no"]);
    assert_eq!(written(&decide(&allowed, &pod(PLAIN))), ["pass"]);
    denies(&exception("object.metadata.name == 'q'", ""), &bad);
    denies(&allowed.replace("{name: p, kind", "{name: q, kind"), &bad);
    assert!(unknown(&exception("mystery()", ""), &bad).contains("whether an exception allows it"));
    let valued = exception("true", "  allowedValues: [yes]\n")
        .replace("== false)", "== false || 'yes' in exceptions.allowedValues)");
    assert_eq!(written(&decide(&valued, &bad)), ["pass"]);
    denies(&exception("true", "  allowedValues: [yes]\n"), &bad);
}

#[test]
fn other_kinds_are_told() {
    let of = |kind: &str| {
        format!(
            "apiVersion: policies.kyverno.io/v1\nkind: {kind}\nmetadata: {{name: o}}\nspec: {{}}\n"
        )
    };
    let read = |text: &str| Policies::read(&read("p.yaml", text), Limits::default()).unwrap().0;
    for kind in ["MutatingPolicy", "GeneratingPolicy", "DeletingPolicy"] {
        let policies = read(&of(kind));
        assert!(policies.is_empty() && policies.notes()[0].message.contains("validates nothing"));
    }
    let images = of("ImageValidatingPolicy");
    assert!(unknown(&images, &pod(PLAIN)).contains("artifact-signature"));
    unknown(&of("SomethingPolicy"), &pod(PLAIN));
    let background = no_privileged() + "  evaluation: {admission: {enabled: false}}\n";
    assert_eq!(read(&background).notes().len(), 1);
    assert!(decide(&background, &pod(PRIVILEGED)).is_empty());
    assert!(unknown(&of("ValidatingPolicy"), &pod(PLAIN)).contains("matchConstraints is missing"));
}

#[test]
fn templates_of_gatekeeper() {
    let template = "apiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\nmetadata: {name: t}\nspec:\n  targets:\n  - code:\n    - engine: K8sNativeValidation\n      source:\n        matchCondition: [{name: m, expression: \"object.kind == 'Pod'\"}]\n        variables:\n        - {name: images, expression: 'variables.anyObject.spec.containers.map(c, c.image)'}\n        validations:\n        - expression: variables.images.all(i, variables.params.repos.exists(r, i.startsWith(r)))\n          messageExpression: \"'not allowed: ' + variables.images.join(', ')\"\n";
    let template = read("t.yaml", template).remove(0);
    let path: FieldPath = "spec.targets[0].code[0].source".parse().unwrap();
    let source = template.value["spec"]["targets"][0]["code"][0]["source"].clone();
    let environment = Environment::new(Limits::default()).unwrap();
    let native = Native::read(&environment, &template, &path, &source).unwrap();
    assert_eq!(native.rules().validations[0].at.to_string(), "t.yaml:13:23");
    let evaluate = |repos: &str, object: &str| {
        let objects = read("o.yaml", object);
        let world = World::of(&[]);
        let constraint = json!({"spec": {"parameters": {"repos": [repos]}}});
        native.evaluate(&constraint, &Subject::new(&objects[0], &world), &world)
    };
    let one = |verdict| Evaluated::Validations(vec![(Some(0), verdict)]);
    assert_eq!(evaluate("a", &pod(PLAIN)), one(Verdict::Pass));
    let message = "not allowed: a:1".to_owned();
    assert_eq!(evaluate("b", &pod(PLAIN)), one(Verdict::Fail { message }));
    assert_eq!(evaluate("b", &workload("apps/v1", "Deployment", PLAIN)), Evaluated::Skipped);
    let world = World::of(&[]);
    let objects = read("o.yaml", &pod(PLAIN));
    let verdict = native.evaluate(&json!({}), &Subject::new(&objects[0], &world), &world);
    assert!(
        matches!(verdict, Evaluated::Validations(all) if matches!(all[0].1, Verdict::Fail { .. }))
    );
}

#[test]
fn rules_of_a_cluster_policy() {
    let policy = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: c}\nspec:\n  rules:\n  - name: r\n    celPreconditions: [{name: m, expression: \"object.metadata.name == 'p'\"}]\n    validate:\n      cel:\n        paramKind: {apiVersion: v1, kind: ConfigMap}\n        variables: [{name: n, expression: 'size(object.spec.containers)'}]\n        expressions:\n        - {expression: variables.n <= int(params.data.max), message: too many}\n        - {expression: variables.n > 0}\n";
    let policy = read("c.yaml", policy).remove(0);
    let environment = Environment::new(Limits::default()).unwrap();
    let rule = &policy.value["spec"]["rules"][0];
    let path: FieldPath = "spec.rules[0]".parse().unwrap();
    let rule = CelRule::read(&environment, &policy, &path, rule, &str::to_owned).unwrap();
    assert_eq!(rule.rules().validations.len(), 2);
    let world = World::of(&[]);
    let objects = read("o.yaml", &pod(PLAIN));
    let subject = Subject::new(&objects[0], &world);
    let maximum = |max: &str| json!({"data": {"max": max}});
    let Evaluated::Validations(verdicts) = rule.evaluate(Some(&maximum("0")), &subject, &world)
    else {
        panic!()
    };
    assert_eq!(verdicts[0].1, Verdict::Fail { message: "too many".to_owned() });
    assert_eq!(verdicts[1].1, Verdict::Pass);
    let Evaluated::Validations(verdicts) = rule.evaluate(None, &subject, &world) else { panic!() };
    assert!(matches!(&verdicts[0].1, Verdict::NotEvaluated { .. }));
    assert_eq!(verdicts[1].1, Verdict::Pass);
}
