//! Where manifests name an image.

use backout_core::finding::Place;
use backout_core::manifest::Manifest;
use serde_json::Value;

use super::evidence::RecordedImage;
use crate::oci::Reference;

/// The fields of a pod that list containers.
const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// How manifests name an image, each text with its place: every container that is called like the
/// recorded one, or whose image is of the recorded repository. A container without an image has an
/// empty text, which is no reference.
#[must_use]
pub fn mentions(manifests: &[Manifest], recorded: &RecordedImage) -> Vec<(String, Option<Place>)> {
    let mut found = Vec::new();
    for manifest in manifests {
        let (Some(path), Some(template)) = (manifest.pod_template_path(), manifest.pod_template())
        else {
            continue;
        };
        for list in LISTS {
            let containers = template["spec"][list].as_array();
            for (index, container) in containers.into_iter().flatten().enumerate() {
                let text = container["image"].as_str().unwrap_or_default();
                if !is_meant(container, text, recorded) {
                    continue;
                }
                let path = path.clone().key("spec").key(list).index(index).key("image");
                let location = Some(manifest.location(&path));
                let place = Place { file: manifest.source.name.clone(), location };
                found.push((text.to_owned(), Some(place)));
            }
        }
    }
    found
}

fn is_meant(container: &Value, text: &str, recorded: &RecordedImage) -> bool {
    let is_of_repository = |it: Reference| it.repository == recorded.repository;
    container["name"].as_str() == Some(recorded.container.as_str())
        || text.parse().is_ok_and(is_of_repository)
}

#[cfg(test)]
mod tests {
    use backout_core::manifest::{limits, read};
    use backout_core::units::Digest;

    use super::*;

    #[test]
    fn containers_are_found_by_name_and_by_repository() {
        let text = "\
kind: Deployment
spec:
  template:
    spec:
      initContainers:
        - {name: migrate, image: 'registry.example/shop/checkout:1.42.0'}
      containers:
        - name: proxy
          image: proxy:1
        - name: checkout
          image: mirror.example/checkout:1
---
kind: CronJob
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: checkout}]}}}}}
---
kind: Service
";
        let manifests = read("rendered.yaml", text.as_bytes(), &limits()).unwrap();
        let recorded = RecordedImage {
            container: "checkout".to_owned(),
            repository: "registry.example/shop/checkout".parse().unwrap(),
            tag: "1.42.0".to_owned(),
            digest: Digest::of_bytes(b""),
            platforms: Vec::new(),
            revision: None,
            place: None,
        };
        let found = mentions(&manifests, &recorded);
        let shown: Vec<(&str, u32)> = found
            .iter()
            .map(|(text, place)| {
                (text.as_str(), place.as_ref().unwrap().location.as_ref().unwrap().line)
            })
            .collect();
        let migrate = ("registry.example/shop/checkout:1.42.0", 6);
        assert_eq!(shown, [("mirror.example/checkout:1", 11), migrate, ("", 14)]);
    }
}
