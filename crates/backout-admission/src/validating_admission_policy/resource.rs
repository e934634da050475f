//! Which resource a kind is: what rules of admission name is `deployments`, not `Deployment`.

use std::collections::BTreeMap;

use backout_core::manifest::Manifest;
use serde_json::Value;

/// A resource of the API, without its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural name, such as `deployments`.
    pub plural: String,
    /// Whether its objects belong to namespaces.
    pub is_namespaced: bool,
}

/// Group, kind, plural name; those of the second table belong to no namespace.
const NAMESPACED: &[(&str, &str, &str)] = &[
    ("", "ConfigMap", "configmaps"),
    ("", "Endpoints", "endpoints"),
    ("", "Event", "events"),
    ("", "LimitRange", "limitranges"),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("", "Pod", "pods"),
    ("", "PodTemplate", "podtemplates"),
    ("", "ReplicationController", "replicationcontrollers"),
    ("", "ResourceQuota", "resourcequotas"),
    ("", "Secret", "secrets"),
    ("", "Service", "services"),
    ("", "ServiceAccount", "serviceaccounts"),
    ("apps", "ControllerRevision", "controllerrevisions"),
    ("apps", "DaemonSet", "daemonsets"),
    ("apps", "Deployment", "deployments"),
    ("apps", "ReplicaSet", "replicasets"),
    ("apps", "StatefulSet", "statefulsets"),
    ("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("batch", "CronJob", "cronjobs"),
    ("batch", "Job", "jobs"),
    ("coordination.k8s.io", "Lease", "leases"),
    ("discovery.k8s.io", "EndpointSlice", "endpointslices"),
    ("events.k8s.io", "Event", "events"),
    ("networking.k8s.io", "Ingress", "ingresses"),
    ("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
    ("policy", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "Role", "roles"),
    ("rbac.authorization.k8s.io", "RoleBinding", "rolebindings"),
    ("resource.k8s.io", "ResourceClaim", "resourceclaims"),
    ("resource.k8s.io", "ResourceClaimTemplate", "resourceclaimtemplates"),
    ("storage.k8s.io", "CSIStorageCapacity", "csistoragecapacities"),
];

const CLUSTER_WIDE: &[(&str, &str, &str)] = &[
    ("", "Namespace", "namespaces"),
    ("", "Node", "nodes"),
    ("", "PersistentVolume", "persistentvolumes"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    ),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "APIService", "apiservices"),
    ("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema", "flowschemas"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", "prioritylevelconfigurations"),
    ("networking.k8s.io", "IPAddress", "ipaddresses"),
    ("networking.k8s.io", "IngressClass", "ingressclasses"),
    ("networking.k8s.io", "ServiceCIDR", "servicecidrs"),
    ("node.k8s.io", "RuntimeClass", "runtimeclasses"),
    ("rbac.authorization.k8s.io", "ClusterRole", "clusterroles"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings"),
    ("resource.k8s.io", "DeviceClass", "deviceclasses"),
    ("resource.k8s.io", "ResourceSlice", "resourceslices"),
    ("scheduling.k8s.io", "PriorityClass", "priorityclasses"),
    ("storage.k8s.io", "CSIDriver", "csidrivers"),
    ("storage.k8s.io", "CSINode", "csinodes"),
    ("storage.k8s.io", "StorageClass", "storageclasses"),
    ("storage.k8s.io", "VolumeAttachment", "volumeattachments"),
    ("storage.k8s.io", "VolumeAttributesClass", "volumeattributesclasses"),
];

/// The resources of the kinds that are known: Kubernetes' own, and those that definitions among the
/// manifests define.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// By group and kind.
    defined: BTreeMap<(String, String), Resource>,
}

impl Resources {
    /// Reads the definitions of custom resources among manifests.
    #[must_use]
    pub fn read(manifests: &[Manifest]) -> Self {
        let mut defined = BTreeMap::new();
        for manifest in manifests {
            let is_definition = manifest.kind() == "CustomResourceDefinition"
                && manifest.group() == "apiextensions.k8s.io";
            if !is_definition {
                continue;
            }
            let spec = &manifest.value["spec"];
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let names = &spec["names"];
            if let (Some(group), Some(kind), Some(plural)) =
                (text(&spec["group"]), text(&names["kind"]), text(&names["plural"]))
            {
                let is_namespaced = spec["scope"].as_str() != Some("Cluster");
                let resource = Resource { group: group.clone(), plural, is_namespaced };
                defined.insert((group, kind), resource);
            }
        }
        Self { defined }
    }

    /// Finds the resource of an object, if its kind is known.
    #[must_use]
    pub fn find(&self, group: &str, kind: &str) -> Option<Resource> {
        let known = |table: &[(&str, &str, &str)], is_namespaced| {
            let found = table.iter().find(|(of, name, _)| *of == group && *name == kind);
            found.map(|(_, _, plural)| Resource {
                group: group.to_owned(),
                plural: (*plural).to_owned(),
                is_namespaced,
            })
        };
        known(NAMESPACED, true)
            .or_else(|| known(CLUSTER_WIDE, false))
            .or_else(|| self.defined.get(&(group.to_owned(), kind.to_owned())).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_resources() {
        let text = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
                    spec:\n  group: example.com\n  scope: Cluster\n  names: {kind: Limit, plural: limits}\n";
        let manifests = backout_core::manifest::read(
            "crd.yaml",
            text.as_bytes(),
            &backout_core::manifest::limits(),
        );
        let resources = Resources::read(&manifests.unwrap());
        assert_eq!(resources.find("apps", "Deployment").unwrap().plural, "deployments");
        assert!(!resources.find("", "Namespace").unwrap().is_namespaced);
        let limit = resources.find("example.com", "Limit").unwrap();
        assert_eq!((limit.plural.as_str(), limit.is_namespaced), ("limits", false));
        assert_eq!(resources.find("example.com", "Other"), None);
        assert_eq!(resources.find("extensions", "Deployment"), None);
    }
}
