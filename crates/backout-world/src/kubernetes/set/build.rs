//! The objects of a release, made from the user's. Pure: the same objects in, the same bytes out.

use std::collections::BTreeMap;

use backout_core::release::Release;
use backout_core::units::Digest;
use serde_json::{Map, Value, json};

use super::super::names;
use super::super::objects::{annotation, name};
use super::references::{self, Source};
use super::selectors::{self, Labels};
use super::tracking;
use crate::failure::{Failure, Kind};

/// The user's objects that a release is made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// The Deployment.
    pub deployment: Value,
    /// The Services that select its pods. Their ports become the ports of the set's Service, the
    /// first one's settings its settings.
    pub services: Vec<Value>,
    /// Its HorizontalPodAutoscaler (`autoscaling/v2`).
    pub autoscaler: Option<Value>,
    /// The PodDisruptionBudget that selects its pods.
    pub disruption_budget: Option<Value>,
    /// ConfigMaps that its pods mount or read, by name.
    pub config_maps: BTreeMap<String, Value>,
    /// Secrets that its pods mount or read, by name.
    pub secrets: BTreeMap<String, Value>,
}

/// The Release resource that a set belongs to. When it goes, Kubernetes removes the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseOwner {
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub uid: String,
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The record.
    pub release: &'a Release,
    /// Name of the policy.
    pub policy: &'a str,
    /// Replicas to begin with.
    pub replicas: u32,
    /// The Release resource, if there is one.
    pub owner: Option<&'a ReleaseOwner>,
}

/// The objects of the set, in the order in which they are to be created. The autoscaler is not
/// among them: it comes with full size, from [`autoscaler`].
///
/// # Errors
///
/// If the record does not fit the template; with what does not, and what to do.
pub fn build(template: &Template, order: &Order<'_>) -> Result<Vec<Value>, Failure> {
    let maker = Maker::new(template, order)?;
    let copies = maker.copies()?;
    let mut objects = Vec::new();
    for (source, user, copy) in [
        (Source::ConfigMap, &template.config_maps, "ConfigMap"),
        (Source::Secret, &template.secrets, "Secret"),
    ] {
        for (original, object) in user {
            if let Some(name) = copies.get(&(source, original.clone())) {
                objects.push(maker.settings(copy, name, object));
            }
        }
    }
    objects.push(maker.service()?);
    let deployment = maker.deployment(&copies)?;
    objects.push(deployment);
    if let Some(budget) = &template.disruption_budget {
        objects.push(maker.disruption_budget(budget));
    }
    objects.iter_mut().for_each(seal);
    Ok(objects)
}

/// The set's autoscaler, from its Deployment: it is the one that the user's workload had when the
/// set was made. `None` if it had none.
///
/// # Errors
///
/// If what is noted on the Deployment cannot be read.
pub fn autoscaler(deployment: &Value) -> Result<Option<Value>, Failure> {
    let Some(noted) = annotation(deployment, names::AUTOSCALER) else { return Ok(None) };
    let object = serde_json::from_str(noted).map_err(|error| {
        let name = name(deployment);
        let message = format!(
            "Deployment {name}: annotation {} is not an autoscaler: {error}",
            names::AUTOSCALER
        );
        Failure::new(Kind::Refused, message)
    })?;
    Ok(Some(object))
}

struct Maker<'a> {
    template: &'a Template,
    order: &'a Order<'a>,
    set: String,
    /// Labels of the user's pods.
    old: Labels,
    /// Labels of the set's pods.
    new: Labels,
    argo_label: bool,
}

impl<'a> Maker<'a> {
    fn new(template: &'a Template, order: &'a Order<'a>) -> Result<Self, Failure> {
        let set = order.release.set_name();
        let user = name(&template.deployment);
        let refused =
            |message: String, help: &str| Err(Failure::new(Kind::Refused, message).with_help(help));
        if set.len() > 63 {
            let message = format!("set {set} has a name of {} characters", set.len());
            return refused(message, "Kubernetes allows 63: give the workload a shorter name");
        }
        let spec = &template.deployment["spec"];
        let old = selectors::labels(&spec["template"]["metadata"]["labels"]);
        let mut new = selectors::out_of_reach(&old, &spec["selector"], &template.services, &set);
        if selectors::selects(&spec["selector"], &new) {
            let message = format!("Deployment {user}: spec.selector would select the set's pods");
            return refused(message, "select by a label with a value of its own, such as `app`");
        }
        let still = |service: &&Value| selectors::service_selects(service, &new);
        if let Some(service) = template.services.iter().find(still) {
            let message = format!("Service {} would select the set's pods", name(service));
            return refused(message, "select by a label with a value of its own, such as `app`");
        }
        new.insert(names::RELEASE.to_owned(), set.clone());
        let workload = order.release.spec.workload.as_str();
        new.insert(names::WORKLOAD.to_owned(), workload.to_owned());
        let argo_label = tracking::argo_label(&template.deployment);
        Ok(Self { template, order, set, old, new, argo_label })
    }

    /// Metadata for an object of the set, with the user's labels and annotations, without what
    /// others recognise their own objects by.
    fn metadata(&self, name: &str, user: &Value) -> Value {
        let mut labels = tracking::labels(&user["metadata"]["labels"], self.argo_label);
        for key in [names::RELEASE, names::WORKLOAD] {
            labels.insert(key.to_owned(), json!(self.new.get(key)));
        }
        labels.insert("app.kubernetes.io/managed-by".to_owned(), json!(names::MANAGED_BY));
        let mut annotations = tracking::annotations(&user["metadata"]["annotations"]);
        annotations.extend(context(self.order.release));
        annotations.insert(names::POLICY.to_owned(), json!(self.order.policy));
        if let Some(original) = user["metadata"]["name"].as_str() {
            let original = format!("{}/{original}", user["kind"].as_str().unwrap_or("object"));
            annotations.insert(names::COPIED_FROM.to_owned(), json!(original));
        }
        let namespace = self.order.release.metadata.namespace.as_str();
        let mut metadata = json!({
            "name": name, "namespace": namespace, "labels": labels, "annotations": annotations,
        });
        if let Some(owner) = self.order.owner {
            metadata["ownerReferences"] = json!([{
                "apiVersion": "backout.dev/v1alpha1", "kind": "Release",
                "name": owner.name, "uid": owner.uid,
                "controller": true, "blockOwnerDeletion": false,
            }]);
        }
        metadata
    }

    /// Names of the copies, by what they are copied from.
    fn copies(&self) -> Result<BTreeMap<(Source, String), String>, Failure> {
        let mut copies = BTreeMap::new();
        let mut taken: BTreeMap<(Source, String), String> = BTreeMap::new();
        let user = name(&self.template.deployment);
        for ((source, original), needed_by) in
            references::of(&self.template.deployment["spec"]["template"]["spec"])
        {
            let held = match source {
                Source::ConfigMap => &self.template.config_maps,
                Source::Secret => &self.template.secrets,
            };
            match (held.get(&original), needed_by) {
                (Some(object), _) if is_rotated(object) => {}
                (Some(_), _) => {
                    let copy = names::copy_name(&original, &self.set);
                    if let Some(other) = taken.insert((source, copy.clone()), original.clone()) {
                        let message = format!(
                            "{source:?}s {other} and {original} would both be copied to {copy}"
                        );
                        return Err(Failure::new(Kind::Refused, message)
                            .with_help("give them names that differ in the first 54 characters"));
                    }
                    copies.insert((source, original), copy);
                }
                (None, None) => {}
                (None, Some(place)) => {
                    let message = format!(
                        "{source:?} {original} does not exist; {place} of Deployment {user} needs it"
                    );
                    return Err(Failure::new(Kind::Missing, message)
                        .with_help("create it, or mark the reference as optional"));
                }
            }
        }
        Ok(copies)
    }

    fn settings(&self, kind: &str, copy: &str, user: &Value) -> Value {
        let mut object = json!({"apiVersion": "v1", "kind": kind});
        for key in ["data", "binaryData", "type"] {
            if let Some(value) = user.get(key) {
                object[key] = value.clone();
            }
        }
        object["immutable"] = json!(true);
        object["metadata"] = self.metadata(copy, user);
        object
    }

    fn service(&self) -> Result<Value, Failure> {
        let workload = name(&self.template.deployment);
        let Some(first) = self.template.services.first() else {
            let message = format!("no Service selects the pods of Deployment {workload}");
            return Err(Failure::new(Kind::Refused, message)
                .with_help("create one with the ports that the route sends requests to"));
        };
        let mut spec = first["spec"].clone();
        // What the server assigns, and what only Services open to the outside have.
        for key in [
            "clusterIP",
            "clusterIPs",
            "ipFamilies",
            "externalIPs",
            "externalName",
            "externalTrafficPolicy",
            "healthCheckNodePort",
            "allocateLoadBalancerNodePorts",
            "loadBalancerClass",
            "loadBalancerIP",
            "loadBalancerSourceRanges",
        ] {
            remove(&mut spec, key);
        }
        spec["type"] = json!("ClusterIP");
        spec["selector"] = json!({names::RELEASE: self.set});
        spec["ports"] = json!(self.ports()?);
        let metadata = self.metadata(&self.set, first);
        Ok(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}))
    }

    /// The ports of all Services, each once.
    fn ports(&self) -> Result<Vec<Value>, Failure> {
        let mut ports: Vec<Value> = Vec::new();
        for service in &self.template.services {
            for port in service["spec"]["ports"].as_array().into_iter().flatten() {
                let mut port = port.clone();
                remove(&mut port, "nodePort");
                let same = |other: &&Value| {
                    other["port"] == port["port"] && protocol(other) == protocol(&port)
                };
                match ports.iter().find(same) {
                    None => ports.push(port),
                    Some(other) if other["targetPort"] == port["targetPort"] => {}
                    Some(other) => {
                        let message = format!(
                            "Service {}: port {} leads to {}, that of another Service to {}",
                            name(service),
                            port["port"],
                            port["targetPort"],
                            other["targetPort"]
                        );
                        return Err(Failure::new(Kind::Refused, message)
                            .with_help("name the Service that the route sends requests to"));
                    }
                }
            }
        }
        // A Service with more than one port must name them all, each differently.
        if ports.len() > 1 {
            let mut seen = std::collections::BTreeSet::new();
            for port in &mut ports {
                let known = port["name"].as_str().filter(|name| !seen.contains(*name));
                let name = match known {
                    Some(name) => name.to_owned(),
                    None => format!("port-{}-{}", port["port"], protocol(port).to_lowercase()),
                };
                seen.insert(name.clone());
                port["name"] = json!(name);
            }
        }
        Ok(ports)
    }

    fn deployment(&self, copies: &BTreeMap<(Source, String), String>) -> Result<Value, Failure> {
        let user = &self.template.deployment;
        let mut spec = user["spec"].clone();
        remove(&mut spec, "paused");
        spec["replicas"] = json!(self.order.replicas);
        spec["revisionHistoryLimit"] = json!(0);
        spec["selector"] = json!({"matchLabels": {names::RELEASE: self.set}});

        let mut labels = self.new.clone();
        let key = names::context::VERSION;
        match label_value(&self.order.release.spec.version) {
            Some(version) => drop(labels.insert(key.to_owned(), version)),
            // The user's label names the release that runs now.
            None => drop(labels.remove(key)),
        }
        let user_annotations = &user["spec"]["template"]["metadata"]["annotations"];
        let mut annotations = tracking::annotations(user_annotations);
        annotations.extend(context(self.order.release));
        let pod_spec = &mut spec["template"]["spec"];
        self.images(pod_spec)?;
        references::rename(pod_spec, copies);
        selectors::retarget(pod_spec, &self.old, &self.new, &self.set);
        spec["template"]["metadata"] = json!({"labels": labels, "annotations": annotations});

        let mut metadata = self.metadata(&self.set, user);
        if let Some(autoscaler) = &self.template.autoscaler {
            let mut copy = self.autoscaler(autoscaler);
            // Its owner is the Deployment's, when it comes to exist.
            remove(&mut copy["metadata"], "ownerReferences");
            metadata["annotations"][names::AUTOSCALER] = json!(copy.to_string());
        }
        Ok(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec,
        }))
    }

    fn images(&self, pod_spec: &mut Value) -> Result<(), Failure> {
        let user = name(&self.template.deployment);
        for image in &self.order.release.spec.images {
            let wanted = Some(image.name.as_str());
            let is = |container: &&mut Value| container["name"].as_str() == wanted;
            let mut containers =
                pod_spec["containers"].as_array_mut().into_iter().flatten().filter(is);
            if let Some(container) = containers.next() {
                container["image"] = json!(format!("{}@{}", image.repository, image.digest));
                continue;
            }
            let names = |list: &str| {
                let list = pod_spec[list].as_array().into_iter().flatten();
                list.filter_map(|container| container["name"].as_str()).collect::<Vec<_>>()
            };
            let release = &self.order.release.metadata.name;
            if names("initContainers").contains(&image.name.as_str()) {
                let message = format!(
                    "Release {release}: image {} belongs to an init container of Deployment \
                     {user}; a release replaces images of containers only",
                    image.name
                );
                return Err(Failure::new(Kind::Refused, message)
                    .with_help("take it out of spec.images of the release"));
            }
            let message = format!(
                "Release {release}: Deployment {user} has no container {}; it has {}",
                image.name,
                names("containers").join(", ")
            );
            return Err(Failure::new(Kind::Refused, message)
                .with_help("name the images in spec.images of the release after its containers"));
        }
        Ok(())
    }

    fn disruption_budget(&self, user: &Value) -> Value {
        let mut spec = user["spec"].clone();
        spec["selector"] = json!({"matchLabels": {names::RELEASE: self.set}});
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": self.metadata(&self.set, user), "spec": spec,
        })
    }

    fn autoscaler(&self, user: &Value) -> Value {
        let mut spec = user["spec"].clone();
        spec["scaleTargetRef"] =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": self.set});
        let mut object = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": self.metadata(&self.set, user), "spec": spec,
        });
        seal(&mut object);
        object
    }
}

/// Secrets that someone renews while pods run: a copy would go stale. The set reads the original.
fn is_rotated(object: &Value) -> bool {
    object["type"] == json!("kubernetes.io/service-account-token")
        || annotation(object, "cert-manager.io/certificate-name").is_some()
        || (object["kind"] == json!("ConfigMap") && name(object) == "kube-root-ca.crt")
}

/// Where the release comes from, as annotations.
fn context(release: &Release) -> Map<String, Value> {
    use names::context as key;
    let spec = &release.spec;
    let join = |parts: Vec<String>| parts.join(",");
    let images = spec.images.iter().map(|image| format!("{}={}", image.name, image.digest));
    let flags = spec
        .flags
        .iter()
        .map(|flag| format!("{}={}", flag.key, if flag.enabled { "on" } else { "off" }));
    let migrations = spec.migrations.iter().map(|migration| migration.id.clone());
    let entries = [
        (key::GIT_SHA, spec.context.git_sha.clone()),
        (key::BUILD_NUMBER, spec.context.build_number.to_string()),
        (key::BUILD_URL, spec.context.build_url.clone().unwrap_or_default()),
        (key::IMAGE_DIGESTS, join(images.collect())),
        (key::FLAGS, join(flags.collect())),
        (key::MIGRATIONS, join(migrations.collect())),
        (key::CONFIG_REVISION, spec.config.revision.clone()),
        (key::VERSION, spec.version.clone()),
    ];
    let stated = entries.into_iter().filter(|(_, value)| !value.is_empty());
    stated.map(|(key, value)| (key.to_owned(), Value::String(value))).collect()
}

/// The text as the value of a label, if it can be one.
fn label_value(text: &str) -> Option<String> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = text.len() <= 63 && edge(text.chars().next()) && edge(text.chars().last());
    (fits && text.chars().all(inside)).then(|| text.to_owned())
}

/// Notes what the object was made as. Size and owner are left out: the one changes, and the other
/// is new when the record was deleted and made again.
fn seal(object: &mut Value) {
    let mut content = object.clone();
    if object["kind"] == json!("Deployment") {
        remove(&mut content["spec"], "replicas");
    }
    remove(&mut content["metadata"], "ownerReferences");
    let digest = Digest::of_bytes(content.to_string().as_bytes());
    object["metadata"]["annotations"][names::CONTENT] = json!(digest.as_str());
}

fn remove(value: &mut Value, key: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(key);
    }
}

fn protocol(port: &Value) -> &str {
    port["protocol"].as_str().unwrap_or("TCP")
}
