//! What an observation of the virtual world shows.

use std::sync::Arc;

use backout_core::snapshot::{
    Arm, Backup, ConfigFacts, DatabaseFacts, Fact, PerArm, RouteFacts, SetFacts, Snapshot,
    TargetFacts,
};
use backout_core::units::{Time, Weight};

use super::{Set, World};

impl World {
    /// Everything, read at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = self.now;
        Snapshot {
            as_of: now,
            route: Fact::known(
                now,
                RouteFacts {
                    candidate_weight: self.asked_weight(),
                    resource_version: self.gateway.resource_version,
                    written_by: self.gateway.written_by.to_owned(),
                },
            ),
            sets: PerArm {
                stable: Fact::known(now, self.sets.stable.as_ref().map(facts)),
                candidate: Fact::known(now, self.sets.candidate.as_ref().map(facts)),
            },
            config: Fact::known(
                now,
                ConfigFacts {
                    git_revision: self.config.git.clone(),
                    live_revision: self.config.live.clone(),
                    author: self.config.author.to_owned(),
                },
            ),
            database: Fact::known(
                now,
                DatabaseFacts {
                    applied: Arc::clone(&self.applied),
                    verified_backup: self.backup(),
                },
            ),
            flags: Fact::known(now, Arc::clone(&self.flags)),
            modules: Fact::known(now, Arc::clone(&self.modules)),
            quarantine: Fact::known(now, Arc::clone(&self.quarantine)),
            known_good: Fact::known(now, self.known_good.clone()),
            targets: vec![self.stable_target()],
        }
    }

    /// The weight that the route object asks for.
    #[must_use]
    pub fn asked_weight(&self) -> Weight {
        let percent = u8::try_from(self.gateway.asked_ppm / 10_000).unwrap_or(100);
        Weight::from_percent(percent).unwrap_or(Weight::FULL)
    }

    fn backup(&self) -> Option<Backup> {
        self.spec.backup_age.map(|age| Backup {
            age: age.saturating_add(self.now.since(Time::ZERO)),
            restore_took: self.spec.restore_takes,
        })
    }

    fn stable_target(&self) -> TargetFacts {
        let now = self.now;
        let room = self.sets.get(Arm::Stable).as_ref().is_some_and(|set| set.desired > 0);
        TargetFacts {
            release: self.names.stable.clone(),
            in_registry: Fact::known(now, true),
            admitted: Fact::known(now, true),
            config_restorable: Fact::known(now, true),
            has_capacity: Fact::known(now, room),
            reintroduces: Fact::known(now, Vec::new()),
            is_stable_arm: true,
        }
    }
}

fn facts(set: &Set) -> SetFacts {
    SetFacts {
        uid: set.uid,
        resource_version: set.resource_version,
        desired: set.desired,
        ready: set.ready,
        running: Arc::clone(&set.running),
        evidence: set.evidence,
        refused: None,
        waiting: None,
    }
}
