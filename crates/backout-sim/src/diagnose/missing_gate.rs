//! A check before traffic that is not made.

use backout_core::finding::Code;
use backout_core::policy::{Gate, SmokeTest};
use backout_core::units::Span;

use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    let smoke = Gate::SmokeTest(SmokeTest {
        up: Vec::new(),
        run: vec!["smoke-test".to_owned()],
        down: Vec::new(),
        within: Span::from_mins(5),
    });
    let wanted = [
        (Gate::artifact_digest(), "artifactDigest: {}"),
        (Gate::artifact_signature(), "artifactSignature: {}"),
        (Gate::config_drift(), "configDrift: {}"),
        (smoke, "smokeTest: { run: [...] }"),
    ];
    let gates = &project.brief.policy.spec.gates;
    for (gate, form) in wanted {
        if gates.iter().any(|given| given.name() == gate.name()) {
            continue;
        }
        let name = gate.name();
        list.push(Weakness {
            code: Code("BO219"),
            path: spec(&["gates"]),
            message: format!("no gate `{name}`: what it would stop reaches users"),
            help: format!("add `- {form}` to `gates`"),
            mend: Box::new(move |policy| policy.spec.gates.push(gate.clone())),
            plant: Box::new(move |policy, _| {
                policy.spec.gates.retain(|given| given.name() != name);
            }),
        });
    }
}
