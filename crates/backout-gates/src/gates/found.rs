//! Making findings of what a gate explains.

use backout_core::document::FieldPath;
use backout_core::finding::{Code, Finding, Place, Subject};
use backout_core::manifest::Manifest;

use super::Explained;

impl Explained {
    /// A finding of this kind, with the level and the next step that it has by itself.
    pub(crate) fn found(&self, subject: Subject, message: impl Into<String>) -> Finding {
        Finding {
            code: Code(self.code),
            level: self.level,
            subject,
            message: message.into(),
            label: String::new(),
            help: self.next.to_owned(),
            replay: None,
        }
    }
}

/// Adds what was seen at the subject.
pub(crate) fn labelled(mut finding: Finding, label: impl Into<String>) -> Finding {
    finding.label = label.into();
    finding
}

/// Says what to do in this very case.
pub(crate) fn helped(mut finding: Finding, help: impl Into<String>) -> Finding {
    finding.help = help.into();
    finding
}

/// A field of a manifest, or the object itself when no file holds it.
pub(crate) fn at(manifest: &Manifest, path: &FieldPath) -> Subject {
    if manifest.source.text.is_empty() {
        return Subject::Object(manifest.to_string());
    }
    Subject::File(Place {
        file: manifest.source.name.clone(),
        location: Some(manifest.location(path)),
    })
}
