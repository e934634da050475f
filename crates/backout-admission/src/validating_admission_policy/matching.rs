//! Which objects a policy is about.

use backout_core::manifest::Manifest;
use serde_json::Value;

use super::resource::Resource;
use super::selector;
use super::world::World;

/// The operation that a release's objects are judged as.
pub const OPERATION: &str = "CREATE";

/// Whether a policy is about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matches {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// Nobody knows, and why not.
    Unknown(String),
}

/// An object with what admission knows about it.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The object.
    pub manifest: &'a Manifest,
    /// Its resource, when its kind is known.
    pub resource: Option<Resource>,
    /// Its namespace; nothing for objects of the whole cluster, or when it names none.
    pub namespace: Option<String>,
}

impl<'a> Subject<'a> {
    /// Finds out what admission would know about an object.
    #[must_use]
    pub fn new(manifest: &'a Manifest, world: &World<'_>) -> Self {
        let resource = world.resources.find(manifest.group(), manifest.kind());
        let is_clusters = resource.as_ref().is_some_and(|resource| !resource.is_namespaced);
        let named = manifest.namespace().map(str::to_owned);
        let namespace =
            if is_clusters { None } else { named.or_else(|| world.default_namespace.clone()) };
        Self { manifest, resource, namespace }
    }

    fn is_of_cluster(&self) -> bool {
        self.resource.as_ref().is_some_and(|resource| !resource.is_namespaced)
    }
}

/// Whether match constraints, or the match resources of a binding, are about an object. Without
/// resource rules they are about every resource.
#[must_use]
pub fn matches(constraints: &Value, subject: &Subject<'_>, world: &World<'_>) -> Matches {
    let is_equivalent = match constraints["matchPolicy"].as_str() {
        None | Some("Equivalent") => true,
        Some("Exact") => false,
        Some(other) => return Matches::Unknown(format!("the matchPolicy {other} is unknown")),
    };
    let rules = match list(constraints, "resourceRules") {
        Ok(rules) => rules,
        Err(reason) => return Matches::Unknown(reason),
    };
    let excluded = match list(constraints, "excludeResourceRules") {
        Ok(rules) => any(rules, subject, is_equivalent),
        Err(reason) => Matches::Unknown(reason),
    };
    let included = if rules.is_empty() { Matches::Yes } else { any(rules, subject, is_equivalent) };
    let selected = [
        included,
        labels_match(constraints, subject),
        namespace_matches(constraints, subject, world),
        match excluded {
            Matches::Yes => Matches::No,
            Matches::No => Matches::Yes,
            unknown => unknown,
        },
    ];
    if selected.contains(&Matches::No) {
        return Matches::No;
    }
    selected
        .into_iter()
        .find(|matches| matches!(matches, Matches::Unknown(_)))
        .unwrap_or(Matches::Yes)
}

fn list<'a>(constraints: &'a Value, field: &str) -> Result<&'a [Value], String> {
    match &constraints[field] {
        Value::Null => Ok(&[]),
        Value::Array(items) => Ok(items),
        _ => Err(format!("{field} is not a list")),
    }
}

fn any(rules: &[Value], subject: &Subject<'_>, is_equivalent: bool) -> Matches {
    let mut unknown = None;
    for rule in rules {
        match rule_matches(rule, subject, is_equivalent) {
            Matches::Yes => return Matches::Yes,
            Matches::No => {}
            Matches::Unknown(reason) => unknown = Some(reason),
        }
    }
    unknown.map_or(Matches::No, Matches::Unknown)
}

fn lists(rule: &Value, field: &str, wanted: &str) -> Result<bool, String> {
    let items = rule[field].as_array().ok_or_else(|| format!("a rule has no list of {field}"))?;
    Ok(items.iter().filter_map(Value::as_str).any(|item| item == "*" || item == wanted))
}

fn rule_matches(rule: &Value, subject: &Subject<'_>, is_equivalent: bool) -> Matches {
    match try_rule(rule, subject, is_equivalent) {
        Ok(matches) => matches,
        Err(reason) => Matches::Unknown(reason),
    }
}

fn try_rule(rule: &Value, subject: &Subject<'_>, is_equivalent: bool) -> Result<Matches, String> {
    let manifest = subject.manifest;
    if !lists(rule, "operations", OPERATION)? || !lists(rule, "apiGroups", manifest.group())? {
        return Ok(Matches::No);
    }
    let names = list(rule, "resourceNames")?;
    if !names.is_empty() && !names.iter().any(|name| name.as_str() == Some(manifest.name())) {
        return Ok(Matches::No);
    }
    let scope = rule["scope"].as_str().unwrap_or("*");
    match (&subject.resource, scope) {
        (_, "*") => {}
        (Some(resource), scope) if resource.is_namespaced != (scope == "Namespaced") => {
            return Ok(Matches::No);
        }
        (Some(_), "Namespaced" | "Cluster") => {}
        (None, _) => return Err(unknown_kind(manifest)),
        (_, scope) => return Err(format!("the scope {scope} of a rule is unknown")),
    }
    let resources =
        rule["resources"].as_array().ok_or_else(|| "a rule has no list of resources".to_owned())?;
    let mut resources = resources.iter().filter_map(Value::as_str);
    let is_everything = resources.clone().any(|resource| resource == "*" || resource == "*/*");
    if !is_everything {
        let Some(own) = &subject.resource else { return Err(unknown_kind(manifest)) };
        // `pods/*` is about the parts of pods, and about pods themselves.
        let is_own = resources.any(|resource| {
            resource == own.plural || resource.strip_suffix("/*") == Some(own.plural.as_str())
        });
        if !is_own {
            return Ok(Matches::No);
        }
    }
    if lists(rule, "apiVersions", manifest.version())? {
        return Ok(Matches::Yes);
    }
    if !is_equivalent {
        return Ok(Matches::No);
    }
    Err(format!(
        "a rule is about another version of {}, to which only the API server can convert it",
        manifest.api_version()
    ))
}

fn unknown_kind(manifest: &Manifest) -> String {
    format!(
        "the resource of the kind {} of {} is not known; add its CustomResourceDefinition",
        manifest.kind(),
        manifest.api_version()
    )
}

fn labels_match(constraints: &Value, subject: &Subject<'_>) -> Matches {
    let labels = &subject.manifest.value["metadata"]["labels"];
    decided(selector::selects(&constraints["objectSelector"], labels), "objectSelector")
}

fn decided(selected: Result<bool, String>, field: &str) -> Matches {
    match selected {
        Ok(true) => Matches::Yes,
        Ok(false) => Matches::No,
        Err(reason) => Matches::Unknown(format!("{field}: {reason}")),
    }
}

fn namespace_matches(constraints: &Value, subject: &Subject<'_>, world: &World<'_>) -> Matches {
    let wanted = &constraints["namespaceSelector"];
    let is_empty = wanted.as_object().is_none_or(serde_json::Map::is_empty) && !wanted.is_string();
    let is_namespace =
        subject.manifest.kind() == "Namespace" && subject.manifest.group().is_empty();
    if is_empty || subject.is_of_cluster() && !is_namespace {
        return Matches::Yes;
    }
    let name =
        if is_namespace { Some(subject.manifest.name()) } else { subject.namespace.as_deref() };
    let Some(name) = name else {
        let reason = "the object names no namespace, and the policy selects namespaces";
        return Matches::Unknown(reason.to_owned());
    };
    let given = if is_namespace { Some(&subject.manifest.value) } else { world.namespace(name) };
    let mut labels = given.map_or(Value::Null, |given| given["metadata"]["labels"].clone());
    if given.is_none() && !is_about_names(wanted) {
        return Matches::Unknown(format!(
            "the policy selects namespaces by their labels, and the Namespace {name} is not given"
        ));
    }
    if !labels.is_object() {
        labels = Value::Object(serde_json::Map::new());
    }
    labels[super::world::NAME_LABEL] = Value::String(name.to_owned());
    decided(selector::selects(wanted, &labels), "namespaceSelector")
}

/// Whether a selector only asks for the label that every namespace has: its name.
fn is_about_names(selector: &Value) -> bool {
    let labels = selector["matchLabels"].as_object();
    let requirements = selector["matchExpressions"].as_array();
    labels.is_none_or(|labels| labels.keys().all(|key| key == super::world::NAME_LABEL))
        && requirements.is_none_or(|requirements| {
            requirements
                .iter()
                .all(|requirement| requirement["key"].as_str() == Some(super::world::NAME_LABEL))
        })
}
