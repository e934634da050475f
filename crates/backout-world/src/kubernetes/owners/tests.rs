use serde_json::json;

use super::*;

fn route(metadata: &Value) -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata})
}

fn owner(tool: Tool, automation: Option<Automation>) -> Owner {
    Owner {
        kind: "HTTPRoute".to_owned(),
        group: "gateway.networking.k8s.io".to_owned(),
        name: "checkout".to_owned(),
        tool,
        automation,
        left_alone: false,
    }
}

#[test]
fn each_tool_is_known_by_its_marks() {
    let argo = |application: &str| argo_cd(application);
    let id = "argocd.argoproj.io/tracking-id";
    let tracked = "shop:gateway.networking.k8s.io/HTTPRoute:shop/checkout";
    assert_eq!(tool(&route(&json!({"annotations": {id: tracked}}))), argo("shop"));
    let elsewhere = json!({"annotations": {id: "team_shop:/Service:shop/checkout"}});
    let Tool::ArgoCd { namespace, application } = tool(&route(&elsewhere)) else {
        panic!("it is Argo CD's")
    };
    assert_eq!((namespace.as_str(), application.as_str()), ("team", "shop"));

    let instance = json!({"labels": {"app.kubernetes.io/instance": "shop"}});
    assert_eq!(tool(&route(&instance)), Tool::None, "a label that many charts set says nothing");
    let mut applied = instance;
    applied["managedFields"] = json!([{"manager": "argocd-controller"}]);
    assert_eq!(tool(&route(&applied)), argo("shop"));

    let flux = json!({
        "labels": {"helm.toolkit.fluxcd.io/name": "shop", "helm.toolkit.fluxcd.io/namespace": "ns",
            "app.kubernetes.io/managed-by": "Helm"},
        "annotations": {"meta.helm.sh/release-name": "shop"},
    });
    let expected = Tool::FluxHelmRelease { namespace: "ns".to_owned(), name: "shop".to_owned() };
    assert_eq!(tool(&route(&flux)), expected, "Flux, which runs Helm");
    let helm = json!({"annotations": {"meta.helm.sh/release-name": "shop"}});
    assert_eq!(tool(&route(&helm)), Tool::Helm { release: "shop".to_owned() });
}

#[test]
fn automation_is_read_from_the_tools_object() {
    let argo = argo_cd("shop");
    let heals = json!({"spec": {"syncPolicy": {"automated": {"selfHeal": true}}}});
    let read = automation(&argo, &heals).expect("Argo CD says");
    assert!(read.self_heal && !read.prune && !read.suspended);
    let off = json!({"spec": {"syncPolicy": {"automated": {"selfHeal": true, "enabled": false}}}});
    assert!(automation(&argo, &off).expect("Argo CD says").suspended);
    let flux = Tool::FluxKustomization { namespace: "ns".to_owned(), name: "shop".to_owned() };
    let pruning = json!({"spec": {"prune": true}});
    let read = automation(&flux, &pruning).expect("Flux says");
    assert!(read.self_heal && read.prune, "a Kustomization applies everything again");
}

#[test]
fn words_say_what_to_write_where() {
    let heals = Automation { self_heal: true, prune: false, suspended: false };
    insta::assert_snapshot!(owner(argo_cd("shop"), Some(heals)).in_words());
    let flux = Tool::FluxKustomization { namespace: "flux".to_owned(), name: "shop".to_owned() };
    insta::assert_snapshot!(owner(flux, None).in_words());
    let flux = Tool::FluxHelmRelease { namespace: "flux".to_owned(), name: "shop".to_owned() };
    insta::assert_snapshot!(owner(flux, None).in_words());
    insta::assert_snapshot!(owner(Tool::Helm { release: "shop".to_owned() }, None).in_words());
}

#[test]
fn writers_of_what_we_move_are_named() {
    let rules = json!({"f:spec": {"f:rules": {}}});
    let route = route(&json!({"managedFields": [
        {"manager": "backout", "time": "2026-01-01T00:00:09Z", "fieldsV1": rules},
        {"manager": "kubectl-edit", "time": "2026-01-01T00:00:08Z", "fieldsV1": rules},
        {"manager": "earlier", "time": "2026-01-01T00:00:04Z", "fieldsV1": rules},
        {"manager": "hosts-only", "time": "2026-01-01T00:00:08Z",
            "fieldsV1": {"f:spec": {"f:hostnames": {}}}},
        {"manager": "gateway", "time": "2026-01-01T00:00:08Z", "subresource": "status",
            "fieldsV1": {"f:status": {}}},
    ]}));
    let since: Timestamp = "2026-01-01T00:00:05.7Z".parse().expect("a time");
    let found = third_party(&route, since);
    let managers: Vec<&str> = found.iter().map(|writer| writer.manager.as_str()).collect();
    assert_eq!(managers, ["kubectl-edit"]);
    assert_eq!(found[0].field, "spec.rules");
}

#[test]
fn what_a_tool_leaves_alone_is_not_undone() {
    let object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "checkout", "namespace": "shop"},
    });
    let rule = |change: &Value| {
        let mut rule = json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"});
        rule.as_object_mut().expect("a mapping").extend(change.as_object().expect("one").clone());
        json!({"spec": {"ignoreDifferences": [rule]}})
    };
    let left = |change: Value| is_left_alone(&argo_cd("shop"), &rule(&change), &object);
    assert!(left(json!({"jqPathExpressions": [".spec.rules"]})));
    assert!(left(json!({"jsonPointers": ["/spec"], "name": "checkout"})));
    assert!(left(json!({"managedFieldsManagers": ["backout"]})));
    assert!(!left(json!({"jqPathExpressions": [".spec.rules"], "name": "another"})));
    assert!(!left(json!({"jqPathExpressions": [".spec.rules"], "group": "apps"})));
    assert!(!left(json!({"jqPathExpressions": [".spec.hostnames"]})));
    assert!(!left(json!({"managedFieldsManagers": ["kubectl"]})));
    let helm = Tool::FluxHelmRelease { namespace: "flux".to_owned(), name: "shop".to_owned() };
    let ignores = |path: &str| {
        json!({"spec": {"driftDetection": {"ignore": [
            {"paths": [path], "target": {"kind": "HTTPRoute"}}]}}})
    };
    assert!(is_left_alone(&helm, &ignores("/spec/rules"), &object));
    assert!(!is_left_alone(&helm, &ignores("/spec/hostnames"), &object));
    let heals = Automation { self_heal: true, prune: false, suspended: false };
    let told = Owner { left_alone: true, ..owner(argo_cd("shop"), Some(heals)) };
    assert!(!told.undoes() && told.warning().is_none());
    assert!(owner(argo_cd("shop"), None).warning().is_some(), "what could not be read may undo");
}
