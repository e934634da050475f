//! What cannot be adopted, and why.

use serde_json::Value;

use crate::kubernetes::objects::{count, label, name};
use crate::kubernetes::set::selectors::{self, Labels};

/// Everything that speaks against adopting this Deployment, each with what to do.
#[must_use]
pub fn obstacles(
    deployment: &Value,
    services: &[Value],
    deployments: &[Value],
    network_policies: &[Value],
) -> Vec<String> {
    let mut found = state(deployment);
    found.extend(others(deployment, services));
    let pods = selectors::labels(&deployment["spec"]["template"]["metadata"]["labels"]);
    for other in deployments.iter().filter(|other| name(other) != name(deployment)) {
        if selectors::selects(&other["spec"]["selector"], &pods) {
            let other = name(other);
            found.push(format!("Deployment {other} selects its pods too; give them labels apart"));
        }
    }
    found.extend(ports(deployment, services));
    let selector = &deployment["spec"]["selector"];
    // Any set will do; its name is never the workload's own.
    let set = format!("{}-00000000", name(deployment));
    let mut new = selectors::out_of_reach(&pods, selector, services, &set);
    let workload = name(deployment).to_owned();
    new.insert(crate::kubernetes::names::WORKLOAD.to_owned(), workload);
    found.extend(network(deployment, network_policies, &pods, &new));
    found
}

/// Whether it runs, all of it, as its template says.
fn state(deployment: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if label(deployment, crate::kubernetes::names::RELEASE).is_some() {
        found.push("it belongs to a release set; name the workload's own Deployment".to_owned());
    }
    if deployment["spec"]["paused"].as_bool() == Some(true) {
        found.push("it is paused; resume its rollout first".to_owned());
    }
    let wanted = count(&deployment["spec"]["replicas"], 1);
    if wanted == 0 {
        found.push("it has no replicas; scale it up first".to_owned());
    }
    let status = &deployment["status"];
    let is_behind =
        status["observedGeneration"].as_u64() != deployment["metadata"]["generation"].as_u64();
    let fewest = ["updatedReplicas", "readyReplicas", "availableReplicas"]
        .into_iter()
        .map(|key| count(&status[key], 0))
        .min()
        .unwrap_or_default();
    if is_behind || fewest < wanted || count(&status["replicas"], 0) > wanted {
        found.push(format!(
            "{fewest} of {wanted} replicas are available and up to date; let its rollout finish"
        ));
    }
    found
}

/// Whether another tool moves its traffic.
fn others(deployment: &Value, services: &[Value]) -> Vec<String> {
    let moved_by = |object: &Value| {
        let metadata = &object["metadata"];
        let keys = |field: &str| metadata[field].as_object().into_iter().flatten();
        let marked = |prefix: &str| {
            keys("annotations").chain(keys("labels")).any(|(key, _)| key.starts_with(prefix))
        };
        let owned = |kind: &str| {
            let owners = metadata["ownerReferences"].as_array();
            owners.into_iter().flatten().any(|owner| owner["kind"].as_str() == Some(kind))
        };
        let selector = &object["spec"]["selector"];
        let manager = label(object, "app.kubernetes.io/managed-by");
        if owned("Rollout")
            || marked("rollout.argoproj.io/")
            || marked("rollouts.argoproj.io/")
            || selector.get("rollouts-pod-template-hash").is_some()
        {
            return Some("Argo Rollouts");
        }
        let flagger = owned("Canary") || marked("flagger.app/") || manager == Some("flagger");
        flagger.then_some("Flagger")
    };
    let objects = std::iter::once(deployment).chain(services);
    let found = objects.filter_map(|object| {
        let tool = moved_by(object)?;
        let kind = object["kind"].as_str().unwrap_or("object");
        Some(format!("{kind} {} is moved by {tool}; take it out of {tool} first", name(object)))
    });
    found.collect()
}

fn ports(deployment: &Value, services: &[Value]) -> Vec<String> {
    if services.is_empty() {
        return vec!["no Service selects its pods; create one".to_owned()];
    }
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array();
    let named = |wanted: &str| {
        containers.into_iter().flatten().any(|container| {
            let ports = container["ports"].as_array();
            ports.into_iter().flatten().any(|port| port["name"].as_str() == Some(wanted))
        })
    };
    let mut found = Vec::new();
    for service in services {
        let ports = service["spec"]["ports"].as_array();
        if ports.is_none_or(Vec::is_empty) {
            found.push(format!("Service {} has no port", name(service)));
        }
        for port in ports.into_iter().flatten() {
            if let Some(wanted) = port["targetPort"].as_str()
                && !named(wanted)
            {
                let service = name(service);
                found.push(format!("Service {service}: no container has a port named {wanted}"));
            }
        }
    }
    found
}

/// Network policies that reach its pods, and would not reach a set's: the pods would be open where
/// they were closed, or closed where they were open.
fn network(deployment: &Value, policies: &[Value], old: &Labels, new: &Labels) -> Vec<String> {
    let key = crate::kubernetes::names::WORKLOAD;
    let workload = name(deployment);
    let loses =
        |selector: &Value| selectors::selects(selector, old) && !selectors::selects(selector, new);
    let rules =
        |policy: &Value| (policy["spec"]["ingress"].clone(), policy["spec"]["egress"].clone());
    let mut found = Vec::new();
    for policy in policies {
        let replaced = || {
            policies.iter().any(|other| {
                selectors::selects(&other["spec"]["podSelector"], new)
                    && rules(other) == rules(policy)
            })
        };
        if loses(&policy["spec"]["podSelector"]) && !replaced() {
            found.push(format!(
                "NetworkPolicy {} would not select the pods of its sets; add a copy of it with \
                 podSelector {key}: {workload}",
                name(policy)
            ));
        }
        for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
            for rule in policy["spec"][rules].as_array().into_iter().flatten() {
                let peers = rule[peers].as_array().into_iter().flatten();
                let peers: Vec<&Value> = peers.map(|peer| &peer["podSelector"]).collect();
                let kept = peers.iter().any(|peer| selectors::selects(peer, new));
                if peers.iter().any(|peer| loses(peer)) && !kept {
                    found.push(format!(
                        "NetworkPolicy {} has a rule for its pods that would not reach its sets; \
                         add a peer with podSelector {key}: {workload} to the {rules} rule",
                        name(policy)
                    ));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Value {
        json!({
            "kind": "Deployment", "metadata": {"name": "checkout", "generation": 2},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "checkout"}},
                "template": {"metadata": {"labels": {"app": "checkout"}}, "spec": {"containers": [
                    {"name": "api", "ports": [{"name": "http", "containerPort": 8080}]}]}}},
            "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
                "readyReplicas": 2, "availableReplicas": 2},
        })
    }

    fn service(target: &str) -> Value {
        json!({"kind": "Service", "metadata": {"name": "checkout"}, "spec": {
            "selector": {"app": "checkout"}, "ports": [{"port": 80, "targetPort": target}]}})
    }

    fn policy(selected: &Value, from: &Value) -> Value {
        json!({"metadata": {"name": "closed"}, "spec": {
            "podSelector": selected, "ingress": [{"from": [{"podSelector": from}]}]}})
    }

    #[test]
    fn a_healthy_workload_can_be_adopted() {
        let found = obstacles(&deployment(), &[service("http")], &[deployment()], &[]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn every_reason_is_told_at_once() {
        let mut bad = deployment();
        bad["spec"]["paused"] = json!(true);
        bad["status"]["availableReplicas"] = json!(1);
        bad["metadata"]["annotations"] = json!({"rollout.argoproj.io/desired-replicas": "2"});
        let mut twin = deployment();
        twin["metadata"]["name"] = json!("twin");
        let found = obstacles(&bad, &[service("grpc")], &[bad.clone(), twin], &[]);
        insta::assert_snapshot!(found.join("\n"), @r"
        it is paused; resume its rollout first
        1 of 2 replicas are available and up to date; let its rollout finish
        Deployment checkout is moved by Argo Rollouts; take it out of Argo Rollouts first
        Deployment twin selects its pods too; give them labels apart
        Service checkout: no container has a port named grpc
        ");
    }

    #[test]
    fn network_policies_must_reach_the_pods_of_sets_too() {
        let own = json!({"matchLabels": {"app": "checkout"}});
        let sets = json!({"matchLabels": {"backout.dev/workload": "checkout"}});
        let other = json!({"matchLabels": {"app": "web"}});
        let found = |policies: &[Value]| {
            obstacles(&deployment(), &[service("http")], &[deployment()], policies).len()
        };
        assert_eq!(found(&[policy(&own, &other)]), 1, "pods would no longer be closed");
        assert_eq!(found(&[policy(&own, &other), policy(&sets, &other)]), 0);
        assert_eq!(found(&[policy(&other, &own)]), 1, "the other side would not let them in");
        assert_eq!(found(&[policy(&json!({}), &other)]), 0, "it means all pods");
    }
}
