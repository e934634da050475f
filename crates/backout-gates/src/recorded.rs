//! A release's record, and where its fields stand in the file that holds it.

use std::sync::Arc;

use backout_core::document::{Document, FieldPath, SourceMap};
use backout_core::finding::{Place, Subject};
use backout_core::release::Release;

/// A release's record, with the places of its fields when it came from a file.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The record.
    pub release: Release,
    /// The file's name and its fields' places; nothing when the record came from a cluster.
    pub file: Option<(String, Arc<SourceMap>)>,
}

impl Recorded {
    /// A record that no file holds.
    #[must_use]
    pub fn of(release: Release) -> Self {
        Self { release, file: None }
    }

    /// What a finding on a field of the record points to.
    #[must_use]
    pub fn subject(&self, path: &str) -> Subject {
        match &self.file {
            Some((file, map)) => {
                let path: FieldPath = path.parse().unwrap_or_default();
                Subject::File(Place { file: file.clone(), location: Some(map.nearest(&path)) })
            }
            None => Subject::Object(format!("Release {}", self.release.metadata.name)),
        }
    }
}

impl From<Document<Release>> for Recorded {
    fn from(document: Document<Release>) -> Self {
        Self { release: document.value, file: Some((document.source.name, document.map)) }
    }
}
