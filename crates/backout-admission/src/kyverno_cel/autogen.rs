//! Rules for Pods, applied to what makes Pods, as Kyverno does when a policy is about Pods alone:
//! <https://kyverno.io/docs/policy-types/validating-policy/#autogen>.

use serde_json::{Value, json};

/// What makes Pods, by the name that policies give it.
struct Controller {
    name: &'static str,
    group: &'static str,
    /// Where the Pod's metadata and spec are.
    template: &'static str,
}

const TEMPLATE: &str = "spec.template";
const JOB_TEMPLATE: &str = "spec.jobTemplate.spec.template";

/// All of them, which a policy that names none is applied to.
const CONTROLLERS: &[Controller] = &[
    Controller { name: "cronjobs", group: "batch", template: JOB_TEMPLATE },
    Controller { name: "daemonsets", group: "apps", template: TEMPLATE },
    Controller { name: "deployments", group: "apps", template: TEMPLATE },
    Controller { name: "jobs", group: "batch", template: TEMPLATE },
    Controller { name: "replicasets", group: "apps", template: TEMPLATE },
    Controller { name: "statefulsets", group: "apps", template: TEMPLATE },
];

/// A policy for Pods in the form for a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generated {
    /// The controller's resource, such as `deployments`.
    pub(super) name: &'static str,
    /// The constraints of the form.
    pub(super) constraints: Value,
    template: &'static str,
}

/// Makes the forms of a policy for controllers.
///
/// # Errors
/// When the controllers that the policy names cannot be read.
pub(super) fn generate(spec: &Value) -> Result<Vec<Generated>, String> {
    if !is_about_pods_alone(&spec["matchConstraints"]) {
        return Ok(Vec::new());
    }
    let named = &spec["autogen"]["podControllers"]["controllers"];
    let named: Option<Vec<&str>> = match named {
        Value::Null => None,
        Value::Array(names) => Some(names.iter().filter_map(Value::as_str).collect()),
        _ => return Err("autogen.podControllers.controllers is not a list".to_owned()),
    };
    let wanted = CONTROLLERS
        .iter()
        .filter(|controller| named.as_ref().is_none_or(|named| named.contains(&controller.name)));
    let operations = &spec["matchConstraints"]["resourceRules"][0]["operations"];
    let forms = wanted.map(|controller| Generated {
        name: controller.name,
        constraints: json!({"resourceRules": [{
            "apiGroups": [controller.group],
            "apiVersions": ["v1"],
            "operations": operations,
            "resources": [controller.name],
        }]}),
        template: controller.template,
    });
    Ok(forms.collect())
}

/// Kyverno makes no other forms of a policy that selects by labels or names, or excludes something.
fn is_about_pods_alone(constraints: &Value) -> bool {
    let is_empty = |selector: &Value| {
        let labels = selector["matchLabels"].as_object().is_none_or(serde_json::Map::is_empty);
        labels && selector["matchExpressions"].as_array().is_none_or(Vec::is_empty)
    };
    let none = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let Some([rule]) = constraints["resourceRules"].as_array().map(Vec::as_slice) else {
        return false;
    };
    is_empty(&constraints["namespaceSelector"])
        && is_empty(&constraints["objectSelector"])
        && none(&constraints["excludeResourceRules"])
        && none(&rule["resourceNames"])
        && rule["apiGroups"] == json!([""])
        && rule["apiVersions"] == json!(["v1"])
        && rule["resources"] == json!(["pods"])
}

impl Generated {
    /// Changes an expression about a Pod into one about the controller. Kyverno changes the text and
    /// not the tree, so `object.?spec` stays what it is there too.
    pub(super) fn rewrite(&self, expression: &str) -> String {
        let mut text = expression.to_owned();
        for field in ["spec", "metadata"] {
            for object in ["object", "oldObject"] {
                let from = format!("{object}.{field}");
                let to = format!("{object}.{}.{field}", self.template);
                text = replace(&text, &from, &to);
            }
        }
        text
    }
}

/// Replaces all but what is followed by `.name` or `.namespace`, which a template does not have.
fn replace(text: &str, from: &str, to: &str) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        replaced.push_str(before);
        let is_own = [".namespace", ".name"].iter().any(|suffix| {
            after.strip_prefix(suffix).is_some_and(|next| {
                !next.starts_with(|letter: char| letter == '_' || letter.is_ascii_alphanumeric())
            })
        });
        replaced.push_str(if is_own { from } else { to });
        rest = after;
    }
    replaced.push_str(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Value {
        json!({"matchConstraints": {"resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
        }]}})
    }

    #[test]
    fn a_policy_about_pods_alone_is_for_all_controllers() {
        let names = |spec: &Value| {
            generate(spec).unwrap().iter().map(|form| form.name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&spec()), "cronjobs daemonsets deployments jobs replicasets statefulsets");
        let mut named = spec();
        named["autogen"]["podControllers"]["controllers"] = json!(["deployments", "cronjobs"]);
        assert_eq!(names(&named), "cronjobs deployments");
        named["autogen"]["podControllers"]["controllers"] = json!([]);
        assert_eq!(names(&named), "");
        let without = |change: fn(&mut Value)| {
            let mut spec = spec();
            change(&mut spec["matchConstraints"]);
            names(&spec)
        };
        assert_eq!(
            without(|all| all["resourceRules"][0]["resources"] = json!(["pods", "services"])),
            ""
        );
        assert_eq!(without(|all| all["objectSelector"] = json!({"matchLabels": {"a": "b"}})), "");
        assert_eq!(without(|all| all["excludeResourceRules"] = json!([{}])), "");
        assert_eq!(without(|all| all["resourceRules"][0]["resourceNames"] = json!(["a"])), "");
    }

    #[test]
    fn expressions_are_about_the_template() {
        let forms = generate(&spec()).unwrap();
        let deployments = forms.iter().find(|form| form.name == "deployments").unwrap();
        let rewrite = |text: &str| deployments.rewrite(text);
        assert_eq!(rewrite("object.spec.x"), "object.spec.template.spec.x");
        assert_eq!(
            rewrite("has(object.metadata.labels)"),
            "has(object.spec.template.metadata.labels)"
        );
        assert_eq!(rewrite("object.metadata.name"), "object.metadata.name");
        assert_eq!(
            rewrite("object.metadata.namespaces"),
            "object.spec.template.metadata.namespaces"
        );
        assert_eq!(rewrite("oldObject.spec"), "oldObject.spec.template.spec");
        assert_eq!(rewrite("namespaceObject.metadata.labels"), "namespaceObject.metadata.labels");
        assert_eq!(forms[0].rewrite("object.spec"), "object.spec.jobTemplate.spec.template.spec");
    }
}
