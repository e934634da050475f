//! What was recorded against what is on disk, and how old it is.

use backout_core::finding::{Level, Subject};
use backout_core::release::EnvironmentConfig;

use super::super::found::labelled;
use super::{Evidence, Known, OLD, OTHER_CHART, OTHER_VALUES, Sheet, UNSEEN};
use crate::Recorded;

pub(super) fn judge(target: &Known<'_>, evidence: &Evidence<'_>, sheet: &mut Sheet) {
    let recorded = evidence.record;
    let config = &recorded.release.spec.config;
    let chart = target.chart;
    if config.chart_version != chart.version {
        let message = format!(
            "{} was recorded with version {} of the chart, and {} is {}",
            recorded.release.metadata.name, config.chart_version, chart.folder, chart.version
        );
        let finding = OTHER_CHART.found(recorded.subject("spec.config.chartVersion"), message);
        sheet.findings.push(labelled(finding, format!("see {}", chart.place("version"))));
    } else if config.chart_digest.as_ref().is_some_and(|digest| *digest != chart.digest) {
        let message = format!(
            "{} is still version {}, but its files are not those of {}",
            chart.folder, chart.version, recorded.release.metadata.name
        );
        let finding = OTHER_CHART.found(recorded.subject("spec.config.chartDigest"), message);
        sheet.findings.push(labelled(finding, format!("now {}", chart.digest)));
    }
    let wanted = of_environment(recorded, target.name);
    if let Some((index, digest)) =
        wanted.and_then(|(index, config)| Some((index, config.values_digest.as_ref()?)))
    {
        match &target.environment.values_digest {
            Some(found) if found == digest => {}
            Some(found) => {
                let message = format!(
                    "the values of {} are not those of {}",
                    target.name, recorded.release.metadata.name
                );
                let field = format!("spec.config.environments[{index}].valuesDigest");
                let finding = OTHER_VALUES.found(recorded.subject(&field), message);
                sheet.findings.push(labelled(finding, format!("now {found}")));
            }
            None => sheet.unknown.push(format!(
                "the values of {} have no digest to hold against the record",
                target.name
            )),
        }
    }
    judge_age(target, evidence, sheet);
    judge_dependencies(target, sheet);
}

fn of_environment<'a>(
    recorded: &'a Recorded,
    name: &str,
) -> Option<(usize, &'a EnvironmentConfig)> {
    let all = recorded.release.spec.config.environments.iter().enumerate();
    all.into_iter().find(|(_, environment)| environment.name.as_str() == name)
}

/// Values that nobody touched when the chart changed.
fn judge_age(target: &Known<'_>, evidence: &Evidence<'_>, sheet: &mut Sheet) {
    let path = backout_core::document::FieldPath::root();
    let file = target.values.last().map(|file| Subject::File(file.place(&path)));
    let Some(subject) = file else { return };
    let stable = evidence.stable.filter(|stable| {
        stable.release.spec.config.chart_version != target.chart.version
            && of_environment(stable, target.name).is_some_and(|(_, config)| {
                config.values_digest.is_some()
                    && config.values_digest == target.environment.values_digest
            })
    });
    if let Some(stable) = stable {
        let message = format!(
            "the values of {} are still those of chart {}, and the chart is {} now",
            target.name, stable.release.spec.config.chart_version, target.chart.version
        );
        sheet.findings.push(OLD.found(subject, message));
        return;
    }
    let changed = (&target.environment.chart_changed, &target.environment.values_changed);
    if let (Ok(Some(chart)), Ok(Some(values))) = changed
        && chart > values
    {
        let days = chart.since(*values).as_secs() / (24 * 3600);
        let by = if days == 0 { String::new() } else { format!(" by {days} days") };
        let message =
            format!("the values of {} are older{by} than {}", target.name, target.chart_title());
        sheet.findings.push(OLD.found(subject, message));
    }
}

/// What Helm would not find, or what is only seen by unpacking.
fn judge_dependencies(target: &Known<'_>, sheet: &mut Sheet) {
    let chart = target.chart;
    for packed in &chart.packed {
        let message = format!("{packed} is packed, so that its needs were not looked into");
        let subject = Subject::File(chart.place("dependencies"));
        sheet.findings.push(UNSEEN.found(subject, message));
    }
    for dependency in &chart.dependencies {
        let is_there = chart.charts.iter().any(|one| one.name == dependency.name)
            || chart.packed.iter().any(|file| file.starts_with(&format!("{}-", dependency.name)));
        if !is_there {
            let message = format!(
                "{} depends on {}, which is not in its folder `charts`",
                target.chart_title(),
                dependency.name
            );
            let mut finding = UNSEEN.found(Subject::File(chart.place("dependencies")), message);
            finding.level = Level::Warning;
            "run `helm dependency build` before the check".clone_into(&mut finding.help);
            sheet.findings.push(finding);
        }
    }
}
