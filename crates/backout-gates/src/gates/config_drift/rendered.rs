//! Manifests on disk against what Helm renders.

use std::collections::BTreeMap;

use backout_core::document::FieldPath;
use backout_core::finding::Subject;
use backout_core::manifest::Manifest;

use super::super::found::at;
use super::{Known, OUT_OF_DATE, Sheet, UNSEEN, normal};

/// How many differences are told, of all objects and of one.
const MOST_OBJECTS: usize = 10;
const MOST_FIELDS: usize = 3;

pub(super) fn judge(target: &Known<'_>, sheet: &mut Sheet) {
    let rendered = &target.environment.rendered;
    let subject = || Subject::Object(format!("environment {}", target.name));
    match (&rendered.in_files, &rendered.by_helm) {
        (Some(Err(reason)), _) => {
            sheet
                .unknown
                .push(format!("the manifests of {} cannot be read: {reason}", target.name));
        }
        (Some(Ok(files)), Ok(helm)) => compare(target.name, files, helm, sheet),
        (Some(Ok(files)), Err(reason)) => {
            let file = files.first().map_or("the files", |manifest| manifest.source.name.as_str());
            let message = format!(
                "the manifests of {} are those of {file}, and nothing was rendered to compare: {reason}",
                target.name
            );
            sheet.findings.push(UNSEEN.found(subject(), message));
        }
        (None, Err(reason)) => {
            let message = format!(
                "{} was read without rendering it, so that what `tpl`, `lookup` and subcharts make of \
                 the values was not seen: {reason}",
                target.chart_title()
            );
            sheet.findings.push(UNSEEN.found(subject(), message));
        }
        (None, Ok(_)) => {}
    }
}

/// What tells objects apart. The group counts, its version does not.
fn keyed(manifests: &[Manifest]) -> BTreeMap<(String, String, String, String), &Manifest> {
    let keyed = manifests.iter().map(|manifest| {
        let namespace = manifest.namespace().unwrap_or_default();
        let key =
            [manifest.group(), manifest.kind(), namespace, manifest.name()].map(str::to_owned);
        let [group, kind, namespace, name] = key;
        ((group, kind, namespace, name), manifest)
    });
    keyed.collect()
}

fn compare(environment: &str, files: &[Manifest], helm: &[Manifest], sheet: &mut Sheet) {
    let (files, helm) = (keyed(files), keyed(helm));
    let mut found = Vec::new();
    let root = FieldPath::root();
    for (key, file) in &files {
        let Some(fresh) = helm.get(key) else {
            let message =
                format!("{file} of {environment} is in the files, and Helm renders no such object");
            found.push(OUT_OF_DATE.found(at(file, &root), message));
            continue;
        };
        let differing =
            normal::differences(&normal::object(&file.value), &normal::object(&fresh.value));
        if let Some(first) = differing.first() {
            let shown: Vec<String> =
                differing.iter().take(MOST_FIELDS).map(|path| format!("`{path}`")).collect();
            let more = differing.len().saturating_sub(MOST_FIELDS);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let message =
                format!("{file} of {environment} is out of date in {}{more}", shown.join(", "));
            found.push(OUT_OF_DATE.found(at(file, first), message));
        }
    }
    let first_file = files.values().next();
    for (_, fresh) in helm.iter().filter(|(key, _)| !files.contains_key(*key)) {
        let subject = match first_file {
            Some(file) => at(file, &root),
            None => Subject::Object(fresh.to_string()),
        };
        let message =
            format!("Helm renders {fresh} for {environment}, and the files hold no such object");
        found.push(OUT_OF_DATE.found(subject, message));
    }
    let more = found.len().saturating_sub(MOST_OBJECTS);
    found.truncate(MOST_OBJECTS);
    if let (1.., Some(last)) = (more, found.last_mut()) {
        last.label = format!("{more} more objects differ");
    }
    sheet.findings.append(&mut found);
}
