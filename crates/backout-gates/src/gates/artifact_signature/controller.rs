//! What each admission controller reads: the one table of it.

use backout_core::policy::gate::AdmissionController;

use super::evidence::{Format, Item, Place, SignatureFact, Signer};

/// What one admission controller reads.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Signatures of cosign before version 3, in `.sig` tags.
    pub simple_signing: bool,
    /// Bundles, as referrers.
    pub bundles: bool,
    /// Bundles, when the list of referrers shows them under another type than that of bundles, as
    /// fallback tags often do.
    pub bundles_listed_as_empty: bool,
    /// Bundles that were signed with a key instead of a certificate.
    pub key_bundles: KeyBundles,
    /// The setting by which the same controller reads the other format.
    pub other_setting: Option<&'static str>,
}

/// Whether a controller reads bundles that were signed with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyBundles {
    /// It does.
    Read,
    /// It does not, as this upstream issue says.
    NotRead(&'static str),
    /// Some versions do not.
    Depends(&'static str),
}

/// Whether a controller reads something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Readable {
    /// It does.
    Yes,
    /// Some of its versions do not: why.
    Depends(String),
    /// It does not: why.
    No(String),
}

/// Returns what a controller reads. Sources are the projects' documentation and the issues that
/// are named; state of November 2026.
#[must_use]
pub fn reading(controller: AdmissionController) -> Reading {
    use AdmissionController as A;
    let sig_tags = Reading {
        simple_signing: true,
        bundles: false,
        bundles_listed_as_empty: false,
        key_bundles: KeyBundles::Read,
        other_setting: None,
    };
    let bundles =
        Reading { simple_signing: false, bundles: true, bundles_listed_as_empty: true, ..sig_tags };
    match controller {
        A::KyvernoCosign => Reading {
            other_setting: Some("`type: SigstoreBundle` in verifyImages (Kyverno 1.13 or later)"),
            ..sig_tags
        },
        A::KyvernoBundle => Reading {
            bundles_listed_as_empty: false,
            key_bundles: KeyBundles::NotRead(
                "Kyverno up to at least 1.18.2 reports them as missing (kyverno/kyverno#16267)",
            ),
            other_setting: Some("`type: Cosign` in verifyImages"),
            ..bundles
        },
        A::KyvernoImageValidating => Reading {
            simple_signing: true,
            key_bundles: KeyBundles::Depends(
                "Kyverno 1.19.0 fails on them (kyverno/kyverno#17363)",
            ),
            ..bundles
        },
        A::PolicyController => Reading {
            other_setting: Some(
                "`signatureFormat: bundle` in the authority of the ClusterImagePolicy \
                 (policy-controller 0.13 or later)",
            ),
            ..sig_tags
        },
        A::PolicyControllerBundle => Reading {
            key_bundles: KeyBundles::NotRead(
                "policy-controller fails on them (sigstore/policy-controller#1958)",
            ),
            other_setting: Some("the authority without `signatureFormat: bundle`"),
            ..bundles
        },
        // Ratify finds `.sig` tags when `cosignEnabled` is set in its store.
        A::Connaisseur | A::Ratify | A::SigstoreSigned => sig_tags,
    }
}

/// Says whether a controller reads what was found at a place.
pub(super) fn readable(controller: AdmissionController, place: Place, item: &Item) -> Readable {
    let reading = reading(controller);
    match (&item.format, place) {
        (Format::SimpleSigning, Place::SigTag) if reading.simple_signing => Readable::Yes,
        (Format::SimpleSigning, _) => {
            Readable::No("it does not read simple signing signatures".to_owned())
        }
        (Format::Bundle(_), Place::Referrers | Place::FallbackTag) if reading.bundles => {
            readable_bundle(reading, item)
        }
        (Format::Bundle(_), _) => Readable::No(
            "it reads `.sig` tags only, and this is a bundle, as cosign 3 makes them".to_owned(),
        ),
        (other, _) => Readable::No(format!("it does not read the format \"{other}\"")),
    }
}

fn readable_bundle(reading: Reading, item: &Item) -> Readable {
    const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
    let shown = item.listed_as.as_deref().unwrap_or_default();
    if !reading.bundles_listed_as_empty && !shown.starts_with(BUNDLE) {
        let shown = if shown.is_empty() { "no artifactType" } else { shown };
        return Readable::No(format!(
            "it takes only referrers whose artifactType begins with {BUNDLE}, and this one is \
             listed with {shown} (kyverno/kyverno#16664)"
        ));
    }
    let SignatureFact::Valid(valid) = &item.fact else { return Readable::Yes };
    match (&valid.signer, reading.key_bundles) {
        (Signer::Key { .. }, KeyBundles::NotRead(why)) => {
            Readable::No(format!("it does not read bundles that were signed with a key: {why}"))
        }
        (Signer::Key { .. }, KeyBundles::Depends(why)) => {
            Readable::Depends(format!("bundles that were signed with a key: {why}"))
        }
        _ => Readable::Yes,
    }
}

/// Says how to make a signature that a controller reads, or make the controller read this one.
pub(super) fn next_action(controller: AdmissionController, item: &Item, reference: &str) -> String {
    let reading = reading(controller);
    let has_key = matches!(&item.fact, SignatureFact::Valid(valid)
        if matches!(valid.signer, Signer::Key { .. }));
    let key = if has_key { "--key KEY " } else { "" };
    let old_form = format!(
        "`cosign sign {key}--new-bundle-format=false --use-signing-config=false {reference}`"
    );
    // A bundle would not help where bundles with a key are not read.
    let only_certificates =
        has_key && !reading.simple_signing && matches!(reading.key_bundles, KeyBundles::NotRead(_));
    let setting = reading.other_setting;
    if only_certificates {
        let sign = match item.format {
            Format::SimpleSigning => String::new(),
            _ => format!(" and sign with {old_form}"),
        };
        return setting.map_or_else(
            || "sign with a certificate instead of a key".to_owned(),
            |setting| format!("use {setting}{sign}; or sign with a certificate instead of a key"),
        );
    }
    if reading.simple_signing {
        // The other setting reads bundles, and of those with a key no controller reads all.
        return match setting {
            Some(setting) if !has_key => format!("sign with {old_form}, or use {setting}"),
            _ => format!("sign with {old_form}"),
        };
    }
    let setting = setting.unwrap_or_default();
    if matches!(item.format, Format::Bundle(_)) {
        // What is wrong is how the registry lists it, and a new bundle would be listed alike.
        return format!(
            "use a registry with the referrers API, or use {setting} and sign with {old_form}"
        );
    }
    format!("sign with `cosign sign {key}--new-bundle-format {reference}`, or use {setting}")
}
