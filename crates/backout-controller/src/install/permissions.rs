//! Who may do what.

use serde_json::{Value, json};

use super::{Manifest, Options, labels};

const RBAC: &str = "rbac.authorization.k8s.io";

/// A permission, and why it is needed.
struct Rule {
    groups: &'static [&'static str],
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
}

const READ: &[&str] = &["get", "list", "watch"];
const OURS: &[&str] = &["releasepolicies", "releases", "quarantines"];
const OUR_STATUSES: &[&str] = &["releasepolicies/status", "releases/status", "quarantines/status"];
const ROUTES: &[&str] = &["httproutes", "grpcroutes"];

const CONTROLLER: &[Rule] = &[
    Rule { groups: &["backout.dev"], resources: OURS, verbs: READ, why: "what is asked for" },
    Rule {
        groups: &["backout.dev"],
        resources: &["releasepolicies", "releases"],
        verbs: &["patch"],
        why: "answers to commands, and the finalizer that restores traffic",
    },
    Rule {
        groups: &["backout.dev"],
        resources: OUR_STATUSES,
        verbs: &["patch", "update"],
        why: "what happened",
    },
    Rule {
        groups: &["backout.dev"],
        resources: &["quarantines"],
        verbs: &["create"],
        why: "a bad digest goes into quarantine; lifting it is a person's",
    },
    Rule {
        groups: &["apps"],
        resources: &["deployments"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        why: "sets of a release; deletes only sets of its own whose time is over",
    },
    Rule {
        groups: &["apps"],
        resources: &["replicasets"],
        verbs: READ,
        why: "which pods belong to which set",
    },
    Rule {
        groups: &[""],
        resources: &["pods"],
        verbs: READ,
        why: "readiness, and the digests that really run",
    },
    Rule {
        groups: &[""],
        resources: &["services"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        why: "one Service for each set, and the selector of a Service that is the route",
    },
    Rule {
        groups: &["discovery.k8s.io"],
        resources: &["endpointslices"],
        verbs: READ,
        why: "which pods are ready to serve",
    },
    Rule {
        groups: &[""],
        resources: &["configmaps"],
        verbs: &["get", "list", "watch", "create", "update", "patch", "delete"],
        why: "configuration that belongs to a set, and the state of a run",
    },
    Rule {
        groups: &[""],
        resources: &["secrets"],
        verbs: &["get", "create", "delete"],
        why: "copies by name for a set; never list or watch, which would show every secret",
    },
    Rule {
        groups: &["autoscaling"],
        resources: &["horizontalpodautoscalers"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        why: "the autoscaler follows the set that serves",
    },
    Rule {
        groups: &["policy"],
        resources: &["poddisruptionbudgets"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        why: "each set keeps the budget of the workload",
    },
    Rule {
        groups: &["gateway.networking.k8s.io"],
        resources: ROUTES,
        verbs: &["get", "list", "watch", "patch"],
        why: "weights of the route",
    },
    Rule {
        groups: &["coordination.k8s.io"],
        resources: &["leases"],
        verbs: &["get", "list", "watch", "create", "patch", "update"],
        why: "one driver for each run",
    },
    Rule {
        groups: &["events.k8s.io"],
        resources: &["events"],
        verbs: &["create", "patch"],
        why: "what happened, for `kubectl describe`",
    },
];

/// What the controller must be allowed to do in a namespace that it watches: API group, resource
/// and verb of each.
pub(crate) fn needed() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    CONTROLLER.iter().flat_map(|rule| {
        let pairs = rule
            .groups
            .iter()
            .flat_map(|group| rule.resources.iter().map(move |resource| (*group, *resource)));
        pairs.flat_map(|(group, resource)| {
            rule.verbs.iter().map(move |verb| (group, resource, *verb))
        })
    })
}

const VIEWER: &[Rule] = &[
    Rule { groups: &["backout.dev"], resources: OURS, verbs: READ, why: "plan, status, explain" },
    Rule {
        groups: &["apps"],
        resources: &["deployments", "replicasets"],
        verbs: READ,
        why: "check",
    },
    Rule { groups: &[""], resources: &["pods", "services"], verbs: READ, why: "check" },
    Rule {
        groups: &[""],
        resources: &["configmaps"],
        verbs: &["get"],
        why: "the state of a run, and its journal",
    },
    Rule {
        groups: &["coordination.k8s.io"],
        resources: &["leases"],
        verbs: &["get"],
        why: "who leads",
    },
    Rule {
        groups: &["discovery.k8s.io"],
        resources: &["endpointslices"],
        verbs: READ,
        why: "check",
    },
    Rule {
        groups: &["autoscaling"],
        resources: &["horizontalpodautoscalers"],
        verbs: READ,
        why: "check",
    },
    Rule { groups: &["policy"], resources: &["poddisruptionbudgets"], verbs: READ, why: "check" },
    Rule { groups: &["gateway.networking.k8s.io"], resources: ROUTES, verbs: READ, why: "check" },
];

const OPERATOR: &[Rule] = &[
    Rule { groups: &["backout.dev"], resources: OURS, verbs: READ, why: "what there is" },
    Rule {
        groups: &["backout.dev"],
        resources: &["releasepolicies", "releases"],
        verbs: &["create", "patch", "update"],
        why: "releases, and commands as annotations",
    },
    Rule {
        groups: &["backout.dev"],
        resources: &["quarantines"],
        verbs: &["create", "delete"],
        why: "put a digest into quarantine, and lift it",
    },
];

/// The account of the controller, the roles, and who has them.
pub(super) fn manifests(options: &Options) -> Vec<Manifest> {
    let mut manifests = vec![Manifest {
        why: "Whom the controller acts as.".to_owned(),
        object: json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": "backout", "namespace": options.namespace, "labels": labels() },
        }),
    }];
    for (name, rules, whose) in [
        ("backout-viewer", VIEWER, "For people and programs that only look."),
        ("backout-operator", OPERATOR, "For people who release, command and quarantine."),
    ] {
        manifests.push(Manifest {
            why: told(whose, rules),
            object: role("ClusterRole", name, None, rules),
        });
    }
    let places: Vec<Option<String>> = if options.cluster_wide {
        vec![None]
    } else {
        options.watched().into_iter().map(Some).collect()
    };
    for place in places {
        let kind = if place.is_some() { "Role" } else { "ClusterRole" };
        manifests.push(Manifest {
            why: told("What the controller may do.", CONTROLLER),
            object: role(kind, "backout-controller", place.as_deref(), CONTROLLER),
        });
        manifests.push(binding(options, kind, "backout-controller", place.as_deref()));
    }
    manifests.extend(own_namespace(options));
    manifests
}

/// The leases of leadership are in the controller's own namespace, which it may not watch.
fn own_namespace(options: &Options) -> Vec<Manifest> {
    if options.cluster_wide || options.watched().contains(&options.namespace) {
        return Vec::new();
    }
    let leases = CONTROLLER.iter().filter(|rule| rule.resources.contains(&"leases"));
    let rules: Vec<Value> = leases.map(rendered).collect();
    let mut object = role("Role", "backout-leadership", Some(&options.namespace), &[]);
    object["rules"] = json!(rules);
    vec![
        Manifest {
            why: "Which replica leads is decided where the controller runs.".to_owned(),
            object,
        },
        binding(options, "Role", "backout-leadership", Some(&options.namespace)),
    ]
}

fn told(whose: &str, rules: &[Rule]) -> String {
    rules.iter().fold(whose.to_owned(), |mut told, rule| {
        told.push_str(&format!(
            "\n- {} ({}): {}",
            rule.resources.join(", "),
            rule.verbs.join(", "),
            rule.why
        ));
        told
    })
}

fn rendered(rule: &Rule) -> Value {
    json!({ "apiGroups": rule.groups, "resources": rule.resources, "verbs": rule.verbs })
}

fn role(kind: &str, name: &str, namespace: Option<&str>, rules: &[Rule]) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": kind,
        "metadata": metadata(name, namespace),
        "rules": rules.iter().map(rendered).collect::<Vec<_>>(),
    })
}

fn binding(options: &Options, kind: &str, name: &str, namespace: Option<&str>) -> Manifest {
    Manifest {
        why: "Gives the controller its permissions.".to_owned(),
        object: json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": format!("{kind}Binding"),
            "metadata": metadata(name, namespace),
            "roleRef": { "apiGroup": RBAC, "kind": kind, "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": "backout", "namespace": options.namespace }],
        }),
    }
}

fn metadata(name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({ "name": name, "labels": labels() });
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    metadata
}
