//! Rules of a release record that go beyond types.

use std::collections::BTreeMap;

use super::Release;
use crate::document::FieldPath;
use crate::policy::validate::{Breach, twins};

/// Checks a record. An empty list means that it can be planned with.
#[must_use]
pub fn validate(release: &Release) -> Vec<Breach> {
    let spec = || FieldPath::root().key("spec");
    let mut breaches = Vec::new();
    let body = &release.spec;
    if body.images.is_empty() {
        breaches.push(Breach::new(
            spec().key("images"),
            "the release has no image",
            "list each container image with the digest that the build made",
        ));
    }
    if body.version.trim().is_empty() {
        breaches.push(Breach::new(spec().key("version"), "the version is empty", "name it"));
    }
    let images = body.images.iter().map(|image| &image.name);
    twins(images, &spec().key("images"), "image", &mut breaches);
    let flags = body.flags.iter().map(|flag| &flag.key);
    twins(flags, &spec().key("flags"), "flag", &mut breaches);
    let modules = body.infrastructure.iter().map(|module| &module.name);
    twins(modules, &spec().key("infrastructure"), "module", &mut breaches);
    migrations(release, &spec().key("migrations"), &mut breaches);
    commit(&body.context.git_sha, &spec().key("context").key("gitSha"), &mut breaches);
    breaches
}

fn migrations(release: &Release, path: &FieldPath, breaches: &mut Vec<Breach>) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, migration) in release.spec.migrations.iter().enumerate() {
        let here = path.clone().index(index);
        if let Some(first) = seen.insert(&migration.id, index) {
            breaches.push(Breach::new(
                here.clone().key("id"),
                format!("migration `{}` is there twice, first at {path}[{first}]", migration.id),
                "a migration has one id; remove one",
            ));
        }
        if let Some(flag) = &migration.guarded_by
            && !release.spec.flags.iter().any(|known| &known.key == flag)
        {
            breaches.push(Breach::new(
                here.key("guardedBy"),
                format!("the release has no flag `{flag}`"),
                "list the flag under `flags`, or remove `guardedBy`",
            ));
        }
    }
}

fn commit(sha: &str, path: &FieldPath, breaches: &mut Vec<Breach>) {
    let hex = sha.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    if !(hex && (sha.len() == 40 || sha.len() == 64)) {
        breaches.push(Breach::new(
            path.clone(),
            "a commit is 40 (SHA-1) or 64 (SHA-256) lowercase hexadecimal digits",
            "write the whole id, as `git rev-parse HEAD` prints it",
        ));
    }
}
