//! Reads everything afresh. What cannot be read is an unknown fact with its reason.

use std::sync::Arc;

use backout_core::policy::External;
use backout_core::snapshot::{Fact, PerArm, RouteFacts, SetFacts, Snapshot, TargetFacts};
use backout_core::units::Time;

use super::Live;
use crate::failure::Failure;

/// The driver says when it was read.
const NOW: Time = Time::ZERO;

impl Live {
    pub(super) async fn snapshot(&self) -> Snapshot {
        let (route, stable, candidate, quarantine, known_good) = futures::join!(
            self.provider.read(&self.arms),
            self.sets.facts(&self.names.stable, NOW),
            self.sets.facts(&self.names.candidate, NOW),
            self.quarantine.list(),
            self.record.read()
        );
        let route: Fact<RouteFacts> = fact(route);
        let known_good = known_good.and_then(|known| {
            let name = known.release.as_deref().unwrap_or_default();
            name.parse().map_err(|_| {
                let message = format!("the policy's known-good release is `{name}`");
                Failure::new(crate::failure::Kind::Failed, message)
            })
        });
        let targets = vec![self.stable_as_target(&stable)];
        Snapshot {
            as_of: NOW,
            route,
            sets: PerArm { stable, candidate },
            config: self.undriven(External::Config),
            database: self.undriven(External::Migrations),
            flags: self.undriven(External::Flags),
            modules: self.undriven(External::Infrastructure),
            quarantine: fact(quarantine.map(|held| Arc::new(held.into_keys().collect()))),
            known_good: fact(known_good),
            targets,
        }
    }

    fn undriven<T>(&self, part: External) -> Fact<T> {
        let reason = if self.brief.policy.leaves_out(part) {
            format!("the policy leaves {part} to the pipeline")
        } else {
            format!("{part} is not observed in a cluster")
        };
        Fact::Unknown { reason }
    }

    /// A set holds copies of all settings that its pods read, so that a set that stands can serve
    /// as it did. What would have to be asked elsewhere is not known, and is named.
    fn stable_as_target(&self, set: &Fact<Option<SetFacts>>) -> TargetFacts {
        let of_set = |holds: fn(&SetFacts) -> bool| match set {
            Fact::Known { value: Some(set), .. } => Fact::known(NOW, holds(set)),
            Fact::Known { value: None, .. } => Fact::known(NOW, false),
            Fact::Unknown { reason } => Fact::Unknown { reason: reason.clone() },
        };
        let not_asked = |what: &str| Fact::Unknown { reason: format!("{what} was not asked") };
        let has_capacity = match set {
            Fact::Known { value: Some(set), .. } if set.ready >= set.desired && set.ready > 0 => {
                Fact::known(NOW, true)
            }
            _ => not_asked("whether there is room for more replicas"),
        };
        TargetFacts {
            release: self.brief.stable.reference(),
            in_registry: not_asked("the registry"),
            admitted: not_asked("whether today's admission accepts it"),
            config_restorable: of_set(|_| true),
            has_capacity,
            reintroduces: Fact::Unknown { reason: "no scan report was read".to_owned() },
            is_stable_arm: true,
        }
    }
}

fn fact<T>(read: Result<T, Failure>) -> Fact<T> {
    match read {
        Ok(value) => Fact::known(NOW, value),
        Err(failure) => Fact::Unknown { reason: failure.in_full() },
    }
}
