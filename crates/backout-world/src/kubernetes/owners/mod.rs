//! Who else writes an object, and what would undo a way back: a tool that makes the cluster be
//! what Git says does so seconds after traffic has moved.

mod words;

use jiff::Timestamp;
use serde_json::Value;

use super::names;
use super::objects::{APPLICATION, HELM_RELEASE, KUSTOMIZATION, Objects, annotation, label};
use crate::failure::{Failure, Kind};

/// Where Argo CD keeps its Applications, unless it says otherwise.
const ARGO_CD_NAMESPACE: &str = "argocd";

/// The tool that an object belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Argo CD.
    ArgoCd {
        /// Namespace of the Application.
        namespace: String,
        /// Its name.
        application: String,
    },
    /// Flux, through a Kustomization.
    FluxKustomization {
        /// Namespace of the Kustomization.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Flux, through a HelmRelease.
    FluxHelmRelease {
        /// Namespace of the HelmRelease.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Helm, run by a person or a pipeline.
    Helm {
        /// Name of Helm's release.
        release: String,
    },
    /// None that is known.
    None,
}

/// What a GitOps tool does without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Automation {
    /// It undoes changes that were made in the cluster.
    pub self_heal: bool,
    /// It deletes what Git does not know.
    pub prune: bool,
    /// It does nothing for now.
    pub suspended: bool,
}

/// Who an object belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The object's kind.
    pub kind: String,
    /// The object's API group.
    pub group: String,
    /// The object's name.
    pub name: String,
    /// The tool.
    pub tool: Tool,
    /// What the tool does by itself, if that could be read.
    pub automation: Option<Automation>,
    /// Whether the tool was told to leave alone what we move on the object.
    pub left_alone: bool,
}

/// Someone else who wrote what we move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The field manager.
    pub manager: String,
    /// When it wrote the object last, if the API server says so.
    pub at: Option<Timestamp>,
    /// What it wrote, such as `spec.rules`.
    pub field: String,
}

/// The tool that the object's labels, annotations and managers name.
#[must_use]
pub fn tool(object: &Value) -> Tool {
    let own = object["metadata"]["namespace"].as_str().unwrap_or("default");
    let flux = |group: &str| {
        let (name, namespace) = (format!("{group}/name"), format!("{group}/namespace"));
        let name = label(object, &name)?.to_owned();
        Some((label(object, &namespace).unwrap_or(own).to_owned(), name))
    };
    if let Some((namespace, name)) = flux("kustomize.toolkit.fluxcd.io") {
        return Tool::FluxKustomization { namespace, name };
    }
    if let Some((namespace, name)) = flux("helm.toolkit.fluxcd.io") {
        return Tool::FluxHelmRelease { namespace, name };
    }
    if let Some(id) = annotation(object, "argocd.argoproj.io/tracking-id") {
        let application = id.split(':').next().unwrap_or(id);
        return argo_cd(application);
    }
    if let Some(instance) = label(object, "argocd.argoproj.io/instance") {
        return argo_cd(instance);
    }
    if let Some(instance) = label(object, "app.kubernetes.io/instance")
        && managers(object).any(|entry| entry["manager"].as_str() == Some("argocd-controller"))
    {
        return argo_cd(instance);
    }
    if let Some(release) = annotation(object, "meta.helm.sh/release-name") {
        return Tool::Helm { release: release.to_owned() };
    }
    if label(object, "app.kubernetes.io/managed-by") == Some("Helm") {
        let release = label(object, "app.kubernetes.io/instance").unwrap_or("unknown");
        return Tool::Helm { release: release.to_owned() };
    }
    Tool::None
}

/// An Application outside of Argo CD's own namespace is named with its namespace.
fn argo_cd(application: &str) -> Tool {
    let (namespace, application) =
        application.split_once('_').unwrap_or((ARGO_CD_NAMESPACE, application));
    Tool::ArgoCd { namespace: namespace.to_owned(), application: application.to_owned() }
}

/// Who the object belongs to, with what its tool does by itself, as far as that may be read: most
/// service accounts may not read the objects of a GitOps tool, which is no failure.
///
/// # Errors
///
/// If the tool's object should be readable, and is not.
pub async fn owner(objects: &Objects, object: &Value) -> Result<Owner, Failure> {
    let tool = tool(object);
    let read = match &tool {
        Tool::ArgoCd { namespace, application } => {
            Some((objects.within(namespace), APPLICATION, application))
        }
        Tool::FluxKustomization { namespace, name } => {
            Some((objects.within(namespace), KUSTOMIZATION, name))
        }
        Tool::FluxHelmRelease { namespace, name } => {
            Some((objects.within(namespace), HELM_RELEASE, name))
        }
        Tool::Helm { .. } | Tool::None => None,
    };
    let mut found = None;
    if let Some((objects, sort, name)) = read {
        found = match objects.get(sort, name).await {
            Err(failure) if failure.kind == Kind::Missing => None,
            read => read?,
        };
    }
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let left_alone = found.as_ref().is_some_and(|found| is_left_alone(&tool, found, object))
        || is_exempt(&tool, object);
    Ok(Owner {
        left_alone,
        kind: text(&object["kind"]),
        group: version.split_once('/').map_or("", |(group, _)| group).to_owned(),
        name: text(&object["metadata"]["name"]),
        automation: found.and_then(|found| automation(&tool, &found)),
        tool,
    })
}

/// What the tool's object says that the tool does by itself.
#[must_use]
pub fn automation(tool: &Tool, object: &Value) -> Option<Automation> {
    let spec = &object["spec"];
    let is = |value: &Value| value.as_bool() == Some(true);
    match tool {
        Tool::ArgoCd { .. } => {
            let automated = &spec["syncPolicy"]["automated"];
            let acts = automated.is_object() && automated["enabled"].as_bool() != Some(false);
            Some(Automation {
                self_heal: acts && is(&automated["selfHeal"]),
                prune: acts && is(&automated["prune"]),
                suspended: !acts,
            })
        }
        // A Kustomization applies everything again at each interval.
        Tool::FluxKustomization { .. } => Some(Automation {
            self_heal: !is(&spec["suspend"]),
            prune: is(&spec["prune"]) && !is(&spec["suspend"]),
            suspended: is(&spec["suspend"]),
        }),
        Tool::FluxHelmRelease { .. } => {
            let corrects = spec["driftDetection"]["mode"].as_str() == Some("enabled");
            Some(Automation {
                self_heal: corrects && !is(&spec["suspend"]),
                prune: false,
                suspended: is(&spec["suspend"]),
            })
        }
        Tool::Helm { .. } | Tool::None => None,
    }
}

/// Whether the tool's object says that all that we move on this object is left alone.
#[must_use]
pub fn is_left_alone(tool: &Tool, found: &Value, object: &Value) -> bool {
    let kind = object["kind"].as_str().unwrap_or_default();
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    // A rule holds for everything that it does not tell apart.
    let fits = |value: &Value, is: &Value| match value.as_str() {
        None | Some("" | "*") => true,
        wanted => wanted == is.as_str(),
    };
    let all = |paths: Vec<&str>, separator: &str| {
        moved(kind).iter().all(|path| {
            // Whoever leaves a whole branch alone leaves its parts alone.
            (1..=path.len()).any(|length| {
                let prefix = path[..length].join(separator);
                paths.contains(&format!("{separator}{prefix}").as_str())
            })
        })
    };
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        list.map(str::to_owned).collect()
    };
    let (name, namespace) = (&object["metadata"]["name"], &object["metadata"]["namespace"]);
    match tool {
        Tool::ArgoCd { .. } => {
            let rules = found["spec"]["ignoreDifferences"].as_array().into_iter().flatten();
            let rules = rules.filter(|rule| {
                matches!(rule["kind"].as_str(), Some(is) if is == kind || is == "*")
                    && matches!(rule["group"].as_str().unwrap_or_default(),
                        is if is == group || is == "*")
                    && fits(&rule["name"], name)
                    && fits(&rule["namespace"], namespace)
            });
            rules.into_iter().any(|rule| {
                let (jq, pointers) =
                    (texts(&rule["jqPathExpressions"]), texts(&rule["jsonPointers"]));
                texts(&rule["managedFieldsManagers"]).iter().any(|one| one == names::MANAGER)
                    || all(jq.iter().map(String::as_str).collect(), ".")
                    || all(pointers.iter().map(String::as_str).collect(), "/")
            })
        }
        Tool::FluxHelmRelease { .. } => {
            let rules = found["spec"]["driftDetection"]["ignore"].as_array().into_iter().flatten();
            let mut rules = rules.filter(|rule| {
                let target = &rule["target"];
                fits(&target["kind"], &object["kind"]) && fits(&target["name"], name)
            });
            rules.any(|rule| {
                let paths = texts(&rule["paths"]);
                all(paths.iter().map(String::as_str).collect(), "/")
            })
        }
        Tool::FluxKustomization { .. } | Tool::Helm { .. } | Tool::None => false,
    }
}

/// Whether the object itself tells its tool to leave it alone.
fn is_exempt(tool: &Tool, object: &Value) -> bool {
    let says = |key: &str, value: &str| {
        annotation(object, key).is_some_and(|is| is.eq_ignore_ascii_case(value))
    };
    matches!(tool, Tool::FluxKustomization { .. })
        && (says("kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent")
            || says("kustomize.toolkit.fluxcd.io/ssa", "Ignore")
            || says("kustomize.toolkit.fluxcd.io/reconcile", "disabled"))
}

/// Managers other than ours that wrote what we move on an object of this kind, at this time or
/// later. The API server notes whole seconds, so that a write in the very second counts: better
/// one name too many than the one who undoes a way back.
#[must_use]
pub fn third_party(object: &Value, since: Timestamp) -> Vec<Writer> {
    let moved = moved(object["kind"].as_str().unwrap_or_default());
    let mut writers = Vec::new();
    for entry in managers(object) {
        let manager = entry["manager"].as_str().unwrap_or("unknown");
        if manager == names::MANAGER || entry["subresource"].as_str() == Some("status") {
            continue;
        }
        let at: Option<Timestamp> = entry["time"].as_str().and_then(|time| time.parse().ok());
        if at.is_some_and(|at| at.as_second() < since.as_second()) {
            continue;
        }
        for path in moved {
            let mut field = Some(&entry["fieldsV1"]);
            for part in *path {
                field = field.and_then(|field| field.get(format!("f:{part}")));
            }
            if field.is_some() {
                let field = path.join(".");
                writers.push(Writer { manager: manager.to_owned(), at, field });
            }
        }
    }
    // The newest first: it is the one that counts.
    writers.sort_by(|a, b| (b.at, &a.manager, &a.field).cmp(&(a.at, &b.manager, &b.field)));
    writers
}

/// What we move on an object of this kind.
#[must_use]
pub fn moved(kind: &str) -> &'static [&'static [&'static str]] {
    match kind {
        "HTTPRoute" | "GRPCRoute" | "TCPRoute" | "TLSRoute" => &[&["spec", "rules"]],
        "VirtualService" => &[&["spec", "http"], &["spec", "tcp"], &["spec", "tls"]],
        "Service" => &[&["spec", "selector"]],
        "Deployment" => &[&["spec", "replicas"]],
        "TraefikService" => &[&["spec", "weighted"]],
        "Ingress" => &[&["spec", "rules"], &["metadata", "annotations"]],
        _ => &[&["spec"]],
    }
}

fn managers(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["managedFields"].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests;
