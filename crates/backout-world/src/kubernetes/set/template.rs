//! Reads the user's objects that a release is made from.

use serde_json::Value;

use super::Sets;
use super::build::Template;
use super::references::{self, Source};
use super::selectors::{self, Labels};
use crate::failure::Failure;
use crate::kubernetes::names;
use crate::kubernetes::objects::{self, AUTOSCALER, CONFIG_MAP, DEPLOYMENT, SECRET, SERVICE};

impl Sets {
    /// Reads the user's Deployment and what belongs to it.
    pub(in crate::kubernetes) async fn template(&self) -> Result<Template, Failure> {
        let deployment = self.objects.need(DEPLOYMENT, &self.deployment).await?;
        let pods = selectors::labels(&deployment["spec"]["template"]["metadata"]["labels"]);
        let mut template = Template {
            services: self.services(&pods).await?,
            autoscaler: self.autoscaler().await?,
            disruption_budget: self.disruption_budget(&pods).await?,
            deployment,
            ..Template::default()
        };
        let pod_spec = &template.deployment["spec"]["template"]["spec"];
        for (source, name) in references::of(pod_spec).into_keys() {
            let (sort, held) = match source {
                Source::ConfigMap => (CONFIG_MAP, &mut template.config_maps),
                Source::Secret => (SECRET, &mut template.secrets),
            };
            // One that is missing is told by whoever builds, which knows whether it is needed.
            if let Some(object) = self.objects.get(sort, &name).await? {
                held.insert(name, object);
            }
        }
        Ok(template)
    }

    /// The user's Services that select these pods, the one named after the workload first.
    pub(in crate::kubernetes) async fn services(
        &self,
        pods: &Labels,
    ) -> Result<Vec<Value>, Failure> {
        let mut services = self.objects.list(SERVICE, "").await?;
        services.iter_mut().for_each(as_the_user_had_it);
        services.retain(|service| {
            is_users(service)
                && selectors::service_selects(service, pods)
                && self.service.as_deref().is_none_or(|only| only == objects::name(service))
        });
        services.sort_by_key(|service| {
            let name = objects::name(service);
            let headless = service["spec"]["clusterIP"].as_str() == Some("None");
            (headless, name != self.deployment, name.to_owned())
        });
        Ok(services)
    }

    async fn autoscaler(&self) -> Result<Option<Value>, Failure> {
        let autoscalers = self.objects.list(AUTOSCALER, "").await?;
        Ok(autoscalers.into_iter().find(|autoscaler| {
            let target = &autoscaler["spec"]["scaleTargetRef"];
            is_users(autoscaler)
                && target["kind"].as_str() == Some("Deployment")
                && target["name"].as_str() == Some(&self.deployment)
        }))
    }

    async fn disruption_budget(&self, pods: &Labels) -> Result<Option<Value>, Failure> {
        let budgets = self.objects.list(objects::DISRUPTION_BUDGET, "").await?;
        Ok(budgets.into_iter().find(|budget| {
            is_users(budget) && selectors::selects(&budget["spec"]["selector"], pods)
        }))
    }
}

/// Gives a Service that was adopted the selector that the user gave it, which is noted on it: it
/// leads to a set now, and would not be found by the workload's own labels any more.
fn as_the_user_had_it(service: &mut Value) {
    let selector = selectors::labels(&service["spec"]["selector"]);
    let ours = |key: &String| key == names::RELEASE || key == names::WORKLOAD;
    if selector.is_empty() || !selector.keys().all(ours) {
        return;
    }
    let noted = objects::annotation(service, names::ORIGINAL);
    let noted = noted.and_then(|text| serde_json::from_str::<Value>(text).ok());
    if let Some(noted) = noted.filter(Value::is_object) {
        service["spec"]["selector"] = noted;
    }
}

fn is_users(object: &Value) -> bool {
    objects::label(object, names::RELEASE).is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(selector: &Value) -> Value {
        json!({
            "metadata": {"annotations": {names::ORIGINAL: "{\"app\":\"checkout\"}"}},
            "spec": {"selector": selector},
        })
    }

    #[test]
    fn an_adopted_service_is_seen_as_the_users() {
        let mut adopted = service(&json!({names::RELEASE: "checkout-1a2b3c4d"}));
        as_the_user_had_it(&mut adopted);
        assert_eq!(adopted["spec"]["selector"], json!({"app": "checkout"}));
    }

    #[test]
    fn a_selector_that_someone_wrote_since_counts() {
        let mut changed = service(&json!({"app": "till"}));
        as_the_user_had_it(&mut changed);
        assert_eq!(changed["spec"]["selector"], json!({"app": "till"}));
    }
}
