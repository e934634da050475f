//! A small project for the planner's tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Brief;
use crate::document::{Limits, read};
use crate::policy::ReleasePolicy;
use crate::release::Release;
use crate::snapshot::{
    ConfigFacts, DatabaseFacts, Fact, PerArm, RouteFacts, SetFacts, Snapshot, TargetFacts,
};
use crate::units::{Name, Time, Weight};

const POLICY: &str = r#"
apiVersion: backout.dev/v1alpha1
kind: ReleasePolicy
metadata: { name: cart }
spec:
  workload: { kind: Deployment, name: cart }
  environments: [{ name: production, config: { chart: chart } }]
  traffic: { route: { kind: HTTPRoute, name: cart } }
  strategy: { canary: { steps: [{ setWeight: 10 }, { setWeight: 50 }, { setWeight: 100 }] } }
  signals: [{ name: errors, ratio: { bad: b, total: t }, max: 1% }]
"#;

const RELEASE: &str = r#"
apiVersion: backout.dev/v1alpha1
kind: Release
metadata: { name: cart-VERSION }
spec:
  workload: cart
  version: "VERSION"
  images: [{ name: cart, repository: registry.example/cart, tag: "VERSION", digest: "sha256:DIGEST" }]
  config: { revision: rev-VERSION, chartVersion: 1.0.0 }
  infrastructure: [{ name: cache, source: modules/cache, version: 1.0.0 }]
  context:
    gitSha: "0123456789012345678901234567890123456789"
    gitRef: main
    repository: https://git.example/cart
    buildNumber: 1
    builtAt: 2026-01-01T00:00:00Z
"#;

fn document<T: serde::de::DeserializeOwned>(text: &str) -> T {
    read("test", text.as_bytes(), &Limits::default()).expect("a readable document").value
}

fn release(version: &str, digit: &str) -> Release {
    document(&RELEASE.replace("VERSION", version).replace("DIGEST", &digit.repeat(64)))
}

/// 1.0.0 serves, 1.1.0 is on its way: another image, another configuration commit.
pub(crate) fn brief() -> Brief {
    Brief {
        policy: Arc::new(document::<ReleasePolicy>(POLICY)),
        environment: Name::from_static("production"),
        stable: Arc::new(release("1.0.0", "a")),
        candidate: Arc::new(release("1.1.0", "b")),
    }
}

/// The world before the release, all well.
pub(crate) fn snapshot(brief: &Brief) -> Snapshot {
    let now = Time::ZERO;
    let known = Fact::known(now, true);
    let modules = brief.stable.spec.infrastructure.iter();
    Snapshot {
        as_of: now,
        route: Fact::known(
            now,
            RouteFacts {
                candidate_weight: Weight::ZERO,
                resource_version: 1,
                written_by: "backout".to_owned(),
            },
        ),
        sets: PerArm {
            stable: Fact::known(
                now,
                Some(SetFacts {
                    uid: 1,
                    resource_version: 1,
                    desired: 4,
                    ready: 4,
                    running: Arc::new(BTreeMap::new()),
                    evidence: false,
                    refused: None,
                    waiting: None,
                }),
            ),
            candidate: Fact::known(now, None),
        },
        config: Fact::known(
            now,
            ConfigFacts {
                git_revision: brief.stable.spec.config.revision.clone(),
                live_revision: brief.stable.spec.config.revision.clone(),
                author: "pipeline".to_owned(),
            },
        ),
        database: Fact::known(
            now,
            DatabaseFacts { applied: Arc::default(), verified_backup: None },
        ),
        flags: Fact::known(now, Arc::default()),
        modules: Fact::known(
            now,
            Arc::new(modules.map(|one| (one.name.clone(), one.version.clone())).collect()),
        ),
        quarantine: Fact::known(now, Arc::default()),
        known_good: Fact::known(now, brief.stable.metadata.name.clone()),
        targets: vec![TargetFacts {
            release: brief.stable.reference(),
            in_registry: known.clone(),
            admitted: known.clone(),
            config_restorable: known.clone(),
            has_capacity: known,
            reintroduces: Fact::known(now, Vec::new()),
            is_stable_arm: true,
        }],
    }
}
