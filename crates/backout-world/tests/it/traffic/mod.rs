//! The contract of all providers on a real API server. They run when `BACKOUT_E2E_KUBECONFIG` names
//! a kubeconfig, and say so when it does not.

mod bench;
mod change;
mod contract;
mod errors;

// xtask:traffic mod {snake};
mod grpc_route;
mod http_route;
mod replicas;
mod selector;

use serde_json::Value;

/// A candidate's share in the rules of a Gateway API route: what its rules give the candidate, of
/// what they give both sets. `None` where that is no percentage, or not the same in all rules.
fn share_of_rules(spec: &Value) -> Option<u8> {
    let mut found = None;
    for rule in spec["rules"].as_array()? {
        let weight = |set: &str| -> u64 {
            let backends = rule["backendRefs"].as_array().into_iter().flatten();
            let of_set = backends.filter(|backend| backend["name"] == set);
            of_set.map(|backend| backend["weight"].as_u64().unwrap_or(1)).sum()
        };
        let (stable, candidate) = (weight(bench::STABLE), weight(bench::CANDIDATE));
        if stable + candidate == 0 {
            continue;
        }
        let percent = u8::try_from(candidate * 100 / (stable + candidate)).ok()?;
        if found.is_some_and(|found| found != percent) {
            return None;
        }
        found = Some(percent);
    }
    found
}
