use backout_core::manifest::{self, Manifest};

use super::{Policies, World};
use crate::cel::Limits;
use crate::{Decided, Decision};

fn read(name: &str, text: &str) -> Vec<Manifest> {
    manifest::read(name, text.as_bytes(), &manifest::limits()).unwrap()
}

/// A policy about pods and deployments with a binding, of the rest of its spec.
fn policy(spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {}\n", line.trim_end())).collect();
    format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n\
         metadata: {{name: p}}\nspec:\n  matchConstraints:\n    resourceRules:\n    \
         - apiGroups: ['', apps, networking.k8s.io]\n      apiVersions: [v1]\n      \
         operations: [CREATE, UPDATE]\n      resources: [pods, deployments, services, ingresses, \
         networkpolicies, namespaces, configmaps]\n{spec}---\n{}",
        binding("validationActions: [Deny]")
    )
}

fn binding(spec: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
         metadata: {{name: b}}\nspec:\n  policyName: p\n  {}\n",
        spec.replace('\n', "\n  ")
    )
}

fn validation(expression: &str) -> String {
    policy(&format!("validations:\n- expression: >-\n    {expression}\n"))
}

fn decide_in(policies: &str, objects: &str, world: &str, complete: bool) -> Vec<Decided> {
    let mut given = read("policies.yaml", policies);
    let (policies, problems) = Policies::read(&given, Limits::default()).unwrap();
    for problem in &problems {
        assert!(problem.at.location.is_some(), "{problem:?}");
    }
    if !world.is_empty() {
        given.extend(read("world.yaml", world));
    }
    let mut world = World::of(&given);
    world.default_namespace = Some("default".to_owned());
    world.has_all_parameters = complete;
    policies.decide(&read("objects.yaml", objects), &world)
}

fn decide(policies: &str, objects: &str) -> Vec<Decided> {
    decide_in(policies, objects, "", true)
}

/// Writes what was decided, for comparison: `pass`, `deny: message` and so on.
fn written(decided: &[Decided]) -> Vec<String> {
    decided
        .iter()
        .map(|decided| match &decided.decision {
            Decision::Pass => "pass".to_owned(),
            Decision::Deny { message } => format!("deny: {message}"),
            Decision::Warn { message } => format!("warn: {message}"),
            Decision::Excepted { by, .. } => format!("excepted: {by}"),
            Decision::NotEvaluated { reason } => format!("unknown: {reason}"),
        })
        .collect()
}

fn pod(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}\n")
}

fn deployment(spec: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d, namespace: shop, \
         labels: {{app: shop}}}}\nspec: {spec}\n"
    )
}

#[track_caller]
fn passes(policies: &str, object: &str) {
    assert_eq!(written(&decide(policies, object)), ["pass"], "{policies}\n{object}");
}

#[track_caller]
fn denies(policies: &str, object: &str) -> String {
    let decided = written(&decide(policies, object));
    assert!(decided.len() == 1 && decided[0].starts_with("deny: "), "{decided:?}\n{policies}");
    decided[0]["deny: ".len()..].to_owned()
}

#[track_caller]
fn unknown(policies: &str, object: &str) -> String {
    let decided = written(&decide(policies, object));
    assert!(decided.len() == 1 && decided[0].starts_with("unknown: "), "{decided:?}\n{policies}");
    decided[0]["unknown: ".len()..].to_owned()
}

#[test]
fn privileged_containers() {
    let policies = validation(
        "object.spec.containers.all(c, !has(c.securityContext) || !has(c.securityContext.privileged) \
         || c.securityContext.privileged == false)",
    );
    passes(&policies, &pod("{containers: [{name: a, image: i}]}"));
    passes(&policies, &pod("{containers: [{name: a, securityContext: {privileged: false}}]}"));
    denies(
        &policies,
        &pod("{containers: [{name: a}, {name: b, securityContext: {privileged: true}}]}"),
    );
}

#[test]
fn run_as_non_root_of_pod_or_container() {
    let policies = validation(
        "object.spec.?securityContext.?runAsNonRoot.orValue(false) || \
         object.spec.containers.all(c, c.?securityContext.?runAsNonRoot.orValue(false))",
    );
    passes(&policies, &pod("{securityContext: {runAsNonRoot: true}, containers: [{name: a}]}"));
    passes(&policies, &pod("{containers: [{name: a, securityContext: {runAsNonRoot: true}}]}"));
    denies(&policies, &pod("{containers: [{name: a}]}"));
}

#[test]
fn allowed_registries_with_variables_and_a_message() {
    let policies = policy(
        "variables:\n- name: images\n  expression: object.spec.template.spec.containers.map(c, c.image)\n\
         - name: wrong\n  expression: variables.images.filter(i, !i.startsWith('registry.example.com/'))\n\
         validations:\n- expression: size(variables.wrong) == 0\n  message: wrong registry\n  \
         messageExpression: \"'not of the registry: ' + variables.wrong.join(', ')\"\n",
    );
    let of = |images: &[&str]| {
        let containers: Vec<_> =
            images.iter().map(|image| format!("{{name: a, image: '{image}'}}")).collect();
        deployment(&format!("{{template: {{spec: {{containers: [{}]}}}}}}", containers.join(", ")))
    };
    passes(&policies, &of(&["registry.example.com/a:1"]));
    let message = denies(&policies, &of(&["docker.io/b:2", "registry.example.com/a:1", "c"]));
    assert_eq!(message, "not of the registry: docker.io/b:2, c");
}

#[test]
fn limits_are_quantities() {
    let policies = validation(
        "object.spec.containers.all(c, quantity(c.resources.limits.memory)\
         .compareTo(quantity('512Mi')) <= 0)",
    );
    let of = |memory: &str| {
        pod(&format!("{{containers: [{{name: a, resources: {{limits: {{memory: {memory}}}}}}}]}}"))
    };
    passes(&policies, &of("500Mi"));
    // A number in YAML is a quantity in the API.
    passes(&policies, &of("1000000"));
    denies(&policies, &of("1Gi"));
    assert!(denies(&policies, &of("lots")).contains("not a quantity"));
    let message = denies(&policies, &pod("{containers: [{name: a}]}"));
    assert_eq!(message, "the expression ends in an error: no such key: limits");
}

#[test]
fn images_must_not_be_latest() {
    let policies = validation(
        "object.spec.containers.all(c, c.image.matches('^[^:@]+(:[0-9]+/[^:@]+)?(:[^:@]+|@sha256:.+)$') \
         && !c.image.endsWith(':latest'))",
    );
    passes(&policies, &pod("{containers: [{name: a, image: 'r:5000/a:1.2'}]}"));
    denies(&policies, &pod("{containers: [{name: a, image: 'a:latest'}]}"));
    denies(&policies, &pod("{containers: [{name: a, image: a}]}"));
}

#[test]
fn host_paths_capabilities_and_probes() {
    let policies = policy(
        "validations:\n- expression: \"!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.hostPath))\"\n  \
         message: no host paths\n- expression: >-\n    object.spec.containers.all(c, sets.contains(['NET_BIND_SERVICE'], \
         c.?securityContext.?capabilities.?add.orValue([])))\n  message: no capabilities\n- expression: \
         object.spec.containers.all(c, has(c.readinessProbe))\n  message: no probe\n",
    );
    let good = "{containers: [{name: a, readinessProbe: {}, securityContext: {capabilities: {add: [NET_BIND_SERVICE]}}}]}";
    assert_eq!(written(&decide(&policies, &pod(good))), ["pass", "pass", "pass"]);
    let bad = "{volumes: [{name: v, hostPath: {path: /}}], containers: [{name: a, securityContext: {capabilities: {add: [SYS_ADMIN]}}}]}";
    let decided = decide(&policies, &pod(bad));
    assert_eq!(
        written(&decided),
        ["deny: no host paths", "deny: no capabilities", "deny: no probe"]
    );
    let places: Vec<_> = decided.iter().map(|one| one.rule.at.to_string()).collect();
    assert_eq!(places, ["policies.yaml:12:17", "policies.yaml:15:7", "policies.yaml:17:17"]);
    assert_eq!(decided[1].rule.rule, "validations[1]");
}

#[test]
fn replicas_are_limited_by_a_parameter() {
    let policies = policy(
        "paramKind: {apiVersion: v1, kind: ConfigMap}\nvalidations:\n- expression: \
         object.spec.replicas <= int(params.data.max)\n  messageExpression: \"'at most ' + params.data.max\"\n",
    )
    .replace("validationActions: [Deny]", "validationActions: [Deny]\n  paramRef: {name: limits, namespace: policy, parameterNotFoundAction: Deny}");
    let world = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits, namespace: policy}\ndata: {max: '3'}\n";
    let of = |replicas: u32| deployment(&format!("{{replicas: {replicas}}}"));
    assert_eq!(written(&decide_in(&policies, &of(3), world, false)), ["pass"]);
    assert_eq!(written(&decide_in(&policies, &of(4), world, false)), ["deny: at most 3"]);
    // A parameter that is not given may be in the cluster.
    let decided = written(&decide_in(&policies, &of(4), "", false));
    assert_eq!(
        decided,
        ["unknown: its parameter, the ConfigMap limits, is not among the manifests; add it"]
    );
    assert!(denies(&policies, &of(1)).contains("the ConfigMap limits, does not exist"));
    let allowed = policies.replace("Action: Deny", "Action: Allow");
    assert!(decide(&allowed, &of(9)).is_empty());
    let ignored = policies.replace("paramKind", "failurePolicy: Ignore\n  paramKind");
    assert!(decide(&ignored, &of(9)).is_empty());
}

#[test]
fn every_selected_custom_parameter_counts() {
    let policies = policy(
        "paramKind: {apiVersion: example.com/v1, kind: Limit}\nvalidations:\n- expression: \
         object.spec.replicas <= params.max\n",
    )
    .replace("validationActions: [Deny]", "validationActions: [Deny]\n  paramRef: {selector: {matchLabels: {env: prod}}, parameterNotFoundAction: Deny}");
    let limit = |name: &str, max: u32, env: &str| {
        format!(
            "apiVersion: example.com/v1\nkind: Limit\nmetadata: {{name: {name}, labels: {{env: {env}}}}}\nmax: {max}\n---\n"
        )
    };
    let world = limit("a", 5, "prod") + &limit("b", 3, "prod") + &limit("c", 1, "dev");
    let decided = decide_in(&policies, &deployment("{replicas: 4}"), &world, false);
    assert_eq!(
        written(&decided),
        ["pass", "deny: failed expression: object.spec.replicas <= params.max"]
    );
}

#[test]
fn ranges_of_network_policies() {
    let policies = validation(
        "object.spec.ingress.all(i, i.from.all(f, !has(f.ipBlock) || \
         (isCIDR(f.ipBlock.cidr) && cidr('10.0.0.0/8').containsCIDR(f.ipBlock.cidr))))",
    );
    let of = |cidr: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: n, namespace: a}}\nspec: {{ingress: [{{from: [{{ipBlock: {{cidr: {cidr}}}}}]}}]}}\n"
        )
    };
    passes(&policies, &of("10.1.0.0/16"));
    denies(&policies, &of("0.0.0.0/0"));
}

#[test]
fn hosts_versions_and_names() {
    let ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: a, annotations: {auth: 'https://login.example.com/x'}, labels: {version: v1.4}}\nspec: {rules: [{host: a.example.com}]}\n";
    passes(&validation("object.spec.rules.all(r, r.host.endsWith('.example.com'))"), ingress);
    passes(
        &validation(
            "url(object.metadata.annotations['auth']).getHostname() == 'login.example.com'",
        ),
        ingress,
    );
    passes(
        &validation("semver(object.metadata.labels.version, true).isGreaterThan(semver('1.3.0'))"),
        ingress,
    );
    denies(
        &validation("!format.dns1123Label().validate(object.spec.rules[0].host).hasValue()"),
        ingress,
    );
    denies(&validation("object.metadata.name.size() > 1"), ingress);
    passes(
        &validation(
            "!(object.metadata.name in ['x', 'y']) && 'auth' in object.metadata.annotations",
        ),
        ingress,
    );
}

#[test]
fn requests_say_what_is_known() {
    let object = pod("{containers: []}");
    passes(
        &validation(
            "request.operation == 'CREATE' && request.kind.kind == 'Pod' && request.namespace == 'shop' \
             && request.resource.resource == 'pods' && oldObject == null",
        ),
        &object,
    );
    let reason = unknown(&validation("request.userInfo.username == 'root'"), &object);
    assert!(reason.contains("request.userInfo is not known before the request"), "{reason}");
    let reason = unknown(
        &validation("authorizer.group('').resource('pods').check('get').allowed()"),
        &object,
    );
    assert!(reason.contains("authorizer"), "{reason}");
    // An unknown part is not hidden by what stands before it, nor forgiven.
    let ignored = validation("true || has(request.userInfo)")
        .replace("spec:\n  matchC", "spec:\n  failurePolicy: Ignore\n  matchC");
    unknown(&ignored, &object);
    unknown(&ignored.replace("has(request.userInfo)", "mystery(object)"), &object);
}

#[test]
fn namespaces_are_selected_by_their_labels() {
    let policies =
        policy("validations:\n- expression: \"namespaceObject.metadata.labels.tier == 'web'\"\n");
    let selecting = policies.replace(
        "  matchConstraints:\n",
        "  matchConstraints:\n    namespaceSelector: {matchLabels: {env: prod}}\n",
    );
    let world = |env: &str, tier: &str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{env: {env}, tier: {tier}}}}}\n"
        )
    };
    let object = pod("{}");
    let with = |policies: &str, world: &str| written(&decide_in(policies, &object, world, true));
    assert_eq!(with(&selecting, &world("prod", "web")), ["pass"]);
    assert!(with(&selecting, &world("dev", "web")).is_empty());
    assert!(with(&selecting, &world("prod", "db"))[0].starts_with("deny"));
    assert!(with(&selecting, "")[0].contains("the Namespace shop is not given"));
    assert!(with(&policies, "")[0].contains("the Namespace shop is not among the manifests"));
    // Every namespace has its name as a label.
    let named = selecting.replace("env: prod", "kubernetes.io/metadata.name: kube-system");
    assert!(with(&named, "").is_empty());
    let named = named
        .replace("kube-system}", "shop}")
        .replace("namespaceObject.metadata.labels.tier == 'web'", "true");
    assert_eq!(with(&named, ""), ["pass"]);
}

#[test]
fn objects_are_selected_by_rules_and_labels() {
    let object = deployment("{replicas: 1}");
    let all = validation("false");
    denies(&all, &object);
    let not = |from: &str, to: &str| {
        let changed = all.replacen(from, to, 1);
        assert_ne!(changed, all);
        assert!(decide(&changed, &object).is_empty(), "{to}");
    };
    not("deployments, ", "");
    not("operations: [CREATE, UPDATE]", "operations: [DELETE]");
    not("apiGroups: ['', apps,", "apiGroups: ['',");
    not("apiVersions: [v1]", "apiVersions: [v1]\n      resourceNames: [other]");
    not("apiVersions: [v1]", "apiVersions: [v1]\n      scope: Cluster");
    not(
        "    resourceRules:",
        "    objectSelector: {matchLabels: {app: other}}\n    resourceRules:",
    );
    not(
        "    resourceRules:",
        "    excludeResourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: [deployments], resourceNames: [d]}]\n    resourceRules:",
    );
    not(
        "    resourceRules:",
        "    matchPolicy: Exact\n    resourceRules:\n    - {apiGroups: [apps], apiVersions: [v1beta1], operations: ['*'], resources: ['*']}\n    ignored:",
    );
    not(
        "validationActions: [Deny]",
        "validationActions: [Deny]\n  matchResources: {objectSelector: {matchLabels: {app: x}}}",
    );
    denies(&all.replace("resources: [pods, deployments,", "resources: ['*', "), &object);
    denies(&all.replace("deployments, ", "deployments/*, "), &object);
    let older = all.replace("apiVersions: [v1]", "apiVersions: [v1beta1]");
    assert!(unknown(&older, &object).contains("another version of apps/v1"));
}

#[test]
fn unknown_kinds_are_not_left_out() {
    let all = validation("false")
        .replace("networking.k8s.io]", "example.com]")
        .replace("[pods,", "[widgets,");
    let object = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w, namespace: a}\n";
    let reason = unknown(&all, object);
    assert!(reason.contains("add its CustomResourceDefinition"), "{reason}");
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\nspec: {group: example.com, scope: Namespaced, names: {kind: Widget, plural: widgets}}\n";
    assert!(written(&decide_in(&all, object, definition, true))[0].starts_with("deny"));
    assert!(decide_in(&all, object, &definition.replace("widgets", "others"), true).is_empty());
}

#[test]
fn errors_follow_the_failure_policy_and_unknowns_do_not() {
    let object = pod("{containers: []}");
    let failing = validation("object.spec.missing == 1");
    assert_eq!(denies(&failing, &object), "the expression ends in an error: no such key: missing");
    let ignoring = failing.replace("spec:\n  matchC", "spec:\n  failurePolicy: Ignore\n  matchC");
    passes(&ignoring, &object);
    passes(&validation("true || object.spec.missing == 1"), &object);
    passes(&validation("object.spec.missing == 1 || true"), &object);
    denies(&validation("object.spec.containers"), &object);
    let many = "[0,1,2,3,4,5,6,7,8,9]";
    let looping = (0..8).fold("true".to_owned(), |inner, i| format!("{many}.all(x{i}, {inner})"));
    assert!(unknown(&validation(&looping), &object).contains("stopped after"));
}

#[test]
fn match_conditions_leave_objects_out() {
    let with = |condition: &str| {
        policy(&format!(
            "matchConditions:\n- {{name: first, expression: \"{condition}\"}}\n- {{name: second, \
             expression: \"object.metadata.namespace != 'kube-system'\"}}\nvalidations: [{{expression: 'false', message: no}}]\n"
        ))
    };
    let object = pod("{}");
    assert_eq!(denies(&with("true"), &object), "no");
    assert!(decide(&with("object.kind != 'Pod'"), &object).is_empty());
    let message = denies(&with("object.missing"), &object);
    assert_eq!(message, "matchConditions first: no such key: missing");
    let ignoring = with("object.missing")
        .replace("  matchConditions", "  failurePolicy: Ignore\n  matchConditions");
    assert!(decide(&ignoring, &object).is_empty());
    // A condition that is false decides, although another ends in an error.
    let other = object.replace("shop", "kube-system");
    assert!(decide(&with("object.missing"), &other).is_empty());
    assert!(unknown(&with("mystery()"), &object).contains("matchConditions first"));
}

#[test]
fn variables_are_lazy() {
    let policies = policy(
        "variables:\n- {name: broken, expression: object.spec.missing.x}\n- {name: two, expression: '1 + 1'}\n\
         validations:\n- expression: variables.two == 2\n- expression: has(object.spec.missing) && variables.broken == 1 || true\n",
    );
    assert_eq!(written(&decide(&policies, &pod("{}"))), ["pass", "pass"]);
    let wrong = policies.replace("variables.two == 2", "variables.three == 2");
    let decided = written(&decide(&wrong, &pod("{}")));
    assert!(decided[0].contains("no variable before this is called three"), "{decided:?}");
}

#[test]
fn messages_fall_back() {
    let object = pod("{}");
    let with = |message: &str| {
        denies(
            &policy(&format!(
                "validations:\n- expression: 'false'\n  message: plain\n  messageExpression: \"{message}\"\n"
            )),
            &object,
        )
    };
    assert_eq!(with("'pod ' + object.metadata.name"), "pod p");
    assert_eq!(with("object.missing"), "plain");
    assert_eq!(with("string(1 / 0)"), "plain");
    assert_eq!(with("'  '"), "plain");
    assert_eq!(with("'a\\\\nb'"), "plain");
    assert_eq!(denies(&validation("1 == 2"), &object), "failed expression: 1 == 2");
}

#[test]
fn bindings_say_what_a_violation_means() {
    let object = pod("{}");
    let all = validation("false");
    let warns = all.replace("[Deny]", "[Warn, Audit]");
    assert_eq!(written(&decide(&warns, &object)), ["warn: failed expression: false"]);
    let twice = format!(
        "{warns}---\n{}",
        binding("validationActions: [Deny]").replace("name: b", "name: c")
    );
    assert_eq!(written(&decide(&twice, &object)).len(), 2);
    let unbound = all.replace("policyName: p", "policyName: other");
    let (policies, problems) =
        Policies::read(&read("p.yaml", &unbound), Limits::default()).unwrap();
    assert_eq!(problems[0].message, "no policy is called \"other\"");
    assert_eq!(policies.unbound()[0].policy, "p");
    assert!(policies.decide(&read("o.yaml", &object), &World::of(&[])).is_empty());
}

#[test]
fn bad_policies_are_problems_and_never_pass() {
    let object = pod("{}");
    let bad = validation("object.spec. == 1");
    let (_, problems) = Policies::read(&read("p.yaml", &bad), Limits::default()).unwrap();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.starts_with("it cannot be read"), "{problems:?}");
    assert_eq!(problems[0].at.to_string(), "p.yaml:13:7");
    unknown(&bad, &object);
    unknown(&validation("params.x == 1"), &object);
    unknown(&policy("validations: x"), &object);
    unknown(&policy("validations: [{message: x}]"), &object);
    unknown(&policy("failurePolicy: Maybe\nvalidations: [{expression: 'true'}]"), &object);
    let empty = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: p}\n---\n";
    unknown(&format!("{empty}{}", binding("validationActions: [Deny]")), &object);
}

#[test]
fn audit_annotations_count_when_they_fail() {
    let object = pod("{}");
    let with = |value: &str| {
        policy(&format!(
            "auditAnnotations: [{{key: k, valueExpression: \"{value}\"}}]\nvalidations: [{{expression: 'true'}}]\n"
        ))
    };
    passes(&with("'x'"), &object);
    passes(&with("null"), &object);
    let decided = written(&decide(&with("object.missing"), &object));
    assert_eq!(decided, ["pass", "deny: auditAnnotations k: no such key: missing"]);
    let warning = with("object.missing").replace("[Deny]", "[Warn]");
    assert_eq!(written(&decide(&warning, &object))[1][..5], *"deny:");
}
