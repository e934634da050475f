//! The record of a release that nobody recorded: what an adopted Deployment runs.

use std::collections::BTreeMap;

use backout_core::policy::{ApiVersion, Metadata};
use backout_core::release::{Configuration, Context, Image, Release, ReleaseKind, ReleaseSpec};
use backout_core::units::{Digest, Name};
use serde_json::Value;

use crate::failure::{Failure, Kind};
use crate::kubernetes::names::context;
use crate::kubernetes::objects::{annotation, label, name};
use crate::kubernetes::set;

/// What stands for a commit that is not known.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// What the Deployment runs, by the digests that its pods say they run. A tag is no record: it may
/// name another image by now.
///
/// # Errors
///
/// If its pods run different images under the same tag, or do not say what they run.
pub(super) fn derive(
    deployment: &Value,
    pods: &[Value],
    namespace: &Name,
) -> Result<Release, Failure> {
    let user = name(deployment);
    let workload: Name = user.parse().map_err(|error| {
        Failure::new(Kind::Refused, format!("Deployment {user}: metadata.name: {error}"))
    })?;
    let record = parse(&workload, "adopted")?;
    let images = images(deployment, pods)?;
    let text = |key: &str| annotation(deployment, key).map(str::to_owned);
    let version = label(deployment, context::VERSION)
        .map(str::to_owned)
        .or_else(|| images.first().map(|image| image.tag.clone()))
        .filter(|version| !version.is_empty())
        .unwrap_or_else(|| "adopted".to_owned());
    let created = deployment["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
    let chart = label(deployment, "helm.sh/chart").and_then(|chart| chart.rsplit('-').next());
    let build_number = text(context::BUILD_NUMBER).and_then(|number| number.parse().ok());
    Ok(Release {
        api_version: ApiVersion::V1Alpha1,
        kind: ReleaseKind::Release,
        metadata: Metadata { name: record, namespace: namespace.clone() },
        spec: ReleaseSpec {
            workload,
            version,
            images,
            config: Configuration {
                revision: text(context::CONFIG_REVISION).unwrap_or_else(|| "adopted".to_owned()),
                chart_version: chart.unwrap_or("unknown").to_owned(),
                chart_digest: None,
                environments: Vec::new(),
            },
            migrations: Vec::new(),
            flags: Vec::new(),
            infrastructure: Vec::new(),
            sboms: Vec::new(),
            scans: Vec::new(),
            context: Context {
                git_sha: text(context::GIT_SHA).unwrap_or_else(|| NO_COMMIT.to_owned()),
                git_ref: "unknown".to_owned(),
                repository: "unknown".to_owned(),
                build_number: build_number.unwrap_or_default(),
                build_url: text(context::BUILD_URL),
                built_at: created.to_owned(),
            },
        },
    })
}

/// A person's record of what runs, if it tells the same images as the pods.
///
/// # Errors
///
/// If a container runs another digest than the record says.
pub(super) fn checked(record: &Release, derived: &Release) -> Result<Release, Failure> {
    for running in &derived.spec.images {
        let recorded = record.spec.images.iter().find(|image| image.name == running.name);
        if recorded.is_none_or(|recorded| recorded.digest != running.digest) {
            let told = recorded.map_or("nothing", |recorded| recorded.digest.short());
            let message = format!(
                "container {} runs {}, and release {} records {told}",
                running.name,
                running.digest.short(),
                record.metadata.name
            );
            return Err(Failure::new(Kind::Refused, message)
                .with_help("name the record of what runs now, or leave it out"));
        }
    }
    let mut record = record.clone();
    record.metadata.namespace = derived.metadata.namespace.clone();
    Ok(record)
}

fn parse(workload: &Name, suffix: &str) -> Result<Name, Failure> {
    format!("{workload}-{suffix}").parse().map_err(|error| {
        Failure::new(Kind::Refused, format!("Deployment {workload}: metadata.name: {error}"))
    })
}

fn images(deployment: &Value, pods: &[Value]) -> Result<Vec<Image>, Failure> {
    let user = name(deployment);
    let mut running: BTreeMap<Name, Digest> = BTreeMap::new();
    for (container, digest) in pods.iter().flat_map(set::digests) {
        let known = running.entry(container.clone()).or_insert_with(|| digest.clone());
        if *known != digest {
            let message = format!(
                "pods of Deployment {user} run different images in container {container}: {} and {}",
                known.short(),
                digest.short()
            );
            return Err(Failure::new(Kind::Refused, message)
                .with_help("restart the rollout, so that all pods run what the tag names now"));
        }
    }
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array();
    let images = containers.into_iter().flatten().map(|container| {
        let told = container["name"].as_str().unwrap_or_default();
        let unknown = || {
            let message =
                format!("pods of Deployment {user} do not say which image container {told} runs");
            Failure::new(Kind::Failed, message).with_help("wait until its pods run")
        };
        let container_name: Name = told.parse().map_err(|_| unknown())?;
        let digest = running.get(&container_name).cloned().ok_or_else(unknown)?;
        let (repository, tag) = split(container["image"].as_str().unwrap_or_default());
        Ok(Image { name: container_name, repository, tag, digest, platforms: Vec::new() })
    });
    images.collect()
}

/// Repository and tag of an image; a port of the registry is not a tag.
fn split(image: &str) -> (String, String) {
    let image = image.split_once('@').map_or(image, |(before, _)| before);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository.to_owned(), tag.to_owned()),
        _ => (image.to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_a_tag() {
        let parts = |image| split(image);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(parts("registry:5000/shop/api"), pair("registry:5000/shop/api", ""));
        assert_eq!(parts("registry:5000/shop/api:1.2"), pair("registry:5000/shop/api", "1.2"));
        assert_eq!(parts("shop/api:1.2@sha256:ab"), pair("shop/api", "1.2"));
    }
}
