//! Whether the controller may do in a namespace what a rollout needs.

use std::collections::BTreeMap;
use std::time::Duration;

use backout_core::policy::RouteKind;
use backout_world::failure::{Failure, Kind};
use backout_world::kubernetes::answer;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
    SelfSubjectRulesReview, SelfSubjectRulesReviewSpec,
};
use kube::api::{Api, PostParams};
use kube::{Client, Error};

use crate::install::needed;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How many single permissions are asked for when the list of all does not name them. An
/// authorizer that lists nothing is asked no more often than this.
const MOST_ASKED: usize = 64;

/// The permissions that are missing in a namespace, each as `patch httproutes`; in the order in
/// which `backout install` names them.
///
/// # Errors
///
/// If the API server does not say.
pub(super) async fn missing(
    client: &Client,
    namespace: &str,
    route: RouteKind,
) -> Result<Vec<String>, Failure> {
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let reviews: Api<SelfSubjectRulesReview> = Api::all(client.clone());
    let told = format!("permissions in namespace {namespace}");
    let answer = limited(&told, reviews.create(&PostParams::default(), &review)).await?;
    let rules = answer.status.map(|status| status.resource_rules).unwrap_or_default();
    let mut missing: BTreeMap<usize, (String, Vec<&str>)> = BTreeMap::new();
    let mut asked = 0;
    for (place, (group, resource, verb)) in needed().enumerate() {
        if is_other_route(resource, route) || grants(&rules, group, resource, verb) {
            continue;
        }
        asked += 1;
        // The list may be incomplete: some authorizers only answer single questions.
        if asked > MOST_ASKED || may(client, namespace, (group, resource, verb)).await? {
            continue;
        }
        let name =
            if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        match missing.values_mut().find(|(known, _)| *known == name) {
            Some((_, verbs)) => verbs.push(verb),
            None => {
                missing.insert(place, (name, vec![verb]));
            }
        }
    }
    let told = missing.into_values().map(|(name, verbs)| format!("{} {name}", verbs.join("/")));
    Ok(told.collect())
}

/// Routes of another kind than the policy's are nothing to it.
fn is_other_route(resource: &str, route: RouteKind) -> bool {
    let own = format!("{}s", route.to_string().to_lowercase());
    resource.ends_with("routes") && resource != own
}

fn grants(rules: &[ResourceRule], group: &str, resource: &str, verb: &str) -> bool {
    let has = |list: Option<&Vec<String>>, wanted: &str| {
        list.is_some_and(|list| list.iter().any(|one| one == wanted || one == "*"))
    };
    rules.iter().any(|rule| {
        has(Some(&rule.verbs), verb)
            && has(rule.api_groups.as_ref(), group)
            && has(rule.resources.as_ref(), resource)
            && rule.resource_names.as_ref().is_none_or(Vec::is_empty)
    })
}

async fn may(
    client: &Client,
    namespace: &str,
    (group, resource, verb): (&str, &str, &str),
) -> Result<bool, Failure> {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    let attributes = ResourceAttributes {
        group: Some(group.to_owned()),
        namespace: Some(namespace.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let told = format!("permission to {verb} {resource} in namespace {namespace}");
    let answer = limited(&told, reviews.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

async fn limited<T>(
    told: &str,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    let mut failure = match tokio::time::timeout(LIMIT, request).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => answer::failure(told, &error),
        Err(_) => {
            let message = format!("{told}: no answer within {} s", LIMIT.as_secs());
            Failure::new(Kind::Failed, message)
        }
    };
    // A question changes nothing, so that one without an answer was simply not asked.
    if failure.kind == Kind::Ambiguous {
        failure.kind = Kind::Failed;
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> ResourceRule {
        let owned = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        ResourceRule {
            api_groups: Some(owned(groups)),
            resources: Some(owned(resources)),
            verbs: owned(verbs),
            ..ResourceRule::default()
        }
    }

    #[test]
    fn a_rule_grants_what_it_names() {
        let rules =
            [rule(&["apps"], &["deployments"], &["get", "patch"]), rule(&[""], &["*"], &["get"])];
        assert!(grants(&rules, "apps", "deployments", "patch"));
        assert!(!grants(&rules, "apps", "deployments", "delete"));
        assert!(!grants(&rules, "apps", "replicasets", "get"));
        assert!(grants(&rules, "", "pods", "get"));
        let named = ResourceRule { resource_names: Some(vec!["a".to_owned()]), ..rules[0].clone() };
        assert!(!grants(&[named], "apps", "deployments", "get"), "one object is not all of them");
    }

    #[test]
    fn only_the_own_kind_of_route_counts() {
        assert!(is_other_route("grpcroutes", RouteKind::HTTPRoute));
        assert!(!is_other_route("httproutes", RouteKind::HTTPRoute));
        assert!(is_other_route("httproutes", RouteKind::Service));
        assert!(!is_other_route("services", RouteKind::HTTPRoute));
    }
}
