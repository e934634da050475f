//! Trust roots: whose certificates, logs and timestamps are trusted.

use backout_core::units::Time;
use backout_gates::gates::artifact_signature::TrustRootAge;
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::TimeRange;

use crate::error::{MaterialError, one_line, within};
use crate::limits;

/// A trust root that the policy names.
pub struct TrustRoot {
    pub(crate) verifier: sigstore_verify::Verifier,
    pub(crate) has_logs: bool,
    pub(crate) has_certificate_logs: bool,
    age: TrustRootAge,
}

impl TrustRoot {
    /// Reads the `TrustedRoot` JSON of sigstore.
    ///
    /// # Errors
    ///
    /// When it is too large, is no trust root, or holds a key or certificate that cannot be used.
    pub fn from_json(name: &str, json: &str) -> Result<Self, MaterialError> {
        within(name, json.len(), limits::MAX_TRUST_ROOT_BYTES)?;
        let refuse = |reason| MaterialError::TrustRoot { name: name.to_owned(), reason };
        let root = TrustedRoot::from_json(json).map_err(|error| refuse(one_line(error)))?;
        let verifier =
            sigstore_verify::Verifier::new(&root).map_err(|error| refuse(one_line(error)))?;
        Ok(Self {
            verifier,
            has_logs: !root.tlogs.is_empty(),
            has_certificate_logs: !root.ctlogs.is_empty(),
            age: age(&root),
        })
    }

    /// What it says about its own age.
    #[must_use]
    pub fn age(&self) -> TrustRootAge {
        self.age
    }
}

fn age(root: &TrustedRoot) -> TrustRootAge {
    let authorities = || root.certificate_authorities.iter().map(|ca| ca.valid_for);
    let newest_since = authorities()
        .chain(root.tlogs.iter().map(|log| log.public_key.valid_for))
        .chain(root.ctlogs.iter().map(|log| log.public_key.valid_for))
        .chain(root.timestamp_authorities.iter().map(|tsa| tsa.valid_for))
        .flatten()
        .filter_map(|range| time(range.start.as_millisecond()))
        .max();
    let end = |range: Option<TimeRange>| {
        range.and_then(|range| range.end).and_then(|end| time(end.as_millisecond()))
    };
    let ends: Vec<Option<Time>> = authorities().map(end).collect();
    // One authority without an end goes on; no authority at all has nothing to end.
    let authorities_until =
        if ends.contains(&None) { None } else { ends.into_iter().flatten().max() };
    TrustRootAge { newest_since, authorities_until }
}

/// Milliseconds since 1970; nothing for a moment before.
pub(crate) fn time(millis: i64) -> Option<Time> {
    u64::try_from(millis).ok().map(Time::from_millis)
}
