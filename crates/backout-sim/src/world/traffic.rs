//! User traffic: requests per arm, what fails and what is slow, and the scrapes of it.

use backout_core::snapshot::{Arm, PerArm};
use backout_core::units::{Span, Time};

use super::{World, afflictions::When};

/// What an arm's own counters say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// All requests.
    pub(super) total: u64,
    /// Requests that failed.
    pub(super) errors: u64,
    /// Requests that were slow.
    pub(super) slow: u64,
    /// Highest share of capacity in use since the last scrape, in parts per million.
    pub(super) level_ppm: u32,
    /// Whether the arm exposes series at all.
    pub(super) exposed: bool,
    /// Requests not yet counted, in parts of 10^-9.
    pub(super) carry: u128,
}

/// Harm to users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Harm {
    /// Requests that failed or were slow because of a fault that the release brought.
    pub by_release: u64,
    /// Requests that failed or were slow because of something else.
    pub by_others: u64,
    /// When the first such request of the release was served.
    pub first: Option<Time>,
    /// When the newest such request of the release was served.
    pub last: Option<Time>,
}

/// One scrape of both arms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scrape {
    pub(super) at: Time,
    pub(super) arms: PerArmCounters,
}

/// Counters of both arms.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PerArmCounters {
    stable: Counters,
    candidate: Counters,
}

impl PerArmCounters {
    pub(super) const fn get(&self, arm: Arm) -> &Counters {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Candidate => &self.candidate,
        }
    }
}

/// Scrapes so far, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Scrapes {
    kept: Vec<Scrape>,
    next: Time,
}

/// Scrapes that are kept: a window is never older than this.
const KEPT: usize = 512;

impl Scrapes {
    /// The newest scrape at or before a time.
    pub(super) fn at_or_before(&self, time: Time) -> Option<&Scrape> {
        let after = self.kept.partition_point(|scrape| scrape.at <= time);
        self.kept.get(after.checked_sub(1)?)
    }

    /// Scrapes after `start`, up to `end`.
    pub(super) fn within(&self, start: Time, end: Time) -> &[Scrape] {
        let from = self.kept.partition_point(|scrape| scrape.at <= start);
        let to = self.kept.partition_point(|scrape| scrape.at <= end);
        self.kept.get(from..to).unwrap_or_default()
    }

    fn push(&mut self, scrape: Scrape) {
        if self.kept.len() >= KEPT {
            self.kept.drain(..KEPT / 2);
        }
        self.kept.push(scrape);
    }
}

impl World {
    /// Lets traffic flow until `to`, scraping on the way. A long quiet stretch is scraped only near
    /// its end, because no window reaches further back.
    pub(super) fn flow(&mut self, to: Time) {
        let interval = self.spec.scrape_interval;
        let mut from = self.now;
        let horizon = interval.saturating_mul(KEPT as u64 / 4);
        if to.since(from) > horizon {
            let near = Time::from_millis(to.as_millis() - horizon.as_millis());
            self.flow_through(from, near);
            from = near;
            self.scrapes.next = self.scrapes.next.max(near);
        }
        while self.scrapes.next <= to {
            let at = self.scrapes.next;
            self.flow_through(from, at);
            from = from.max(at);
            self.scrape(at);
            self.scrapes.next = at + interval;
        }
        self.flow_through(from, to);
    }

    fn scrape(&mut self, at: Time) {
        for arm in [Arm::Stable, Arm::Candidate] {
            let pods = self.ready(arm);
            let level = self.level_ppm(arm);
            let counters = self.counters.get_mut(arm);
            counters.exposed |= pods > 0;
            counters.level_ppm = level;
        }
        let PerArm { stable, candidate } = self.counters;
        self.scrapes.push(Scrape { at, arms: PerArmCounters { stable, candidate } });
    }

    /// Lets traffic flow through a stretch in which nothing changes.
    fn flow_through(&mut self, from: Time, to: Time) {
        let length = to.since(from);
        if length == Span::ZERO {
            return;
        }
        for arm in [Arm::Stable, Arm::Candidate] {
            self.serve(arm, from, to);
        }
        self.stray(from, to);
    }

    fn serve(&mut self, arm: Arm, from: Time, to: Time) {
        let share = u128::from(self.share_ppm(arm));
        if share == 0 {
            return;
        }
        let thin = u128::from(self.afflictions.thin_ppm.unwrap_or(1_000_000));
        let rate = u128::from(self.spec.requests_per_second);
        let millis = u128::from(to.since(from).as_millis());
        let carry = &mut self.counters.get_mut(arm).carry;
        // Requests in parts of 10^-15: per second, times milliseconds, times two shares in ppm.
        *carry += rate * millis * share * thin;
        let requests = u64::try_from(*carry / 1_000_000_000_000_000).unwrap_or(u64::MAX);
        *carry %= 1_000_000_000_000_000;
        let (errors_ppm, slow_ppm, theirs) = self.sickness(arm);
        let base = self.noise.strikes(requests, self.health.errors.as_ppm());
        let (errors, slow) = if self.ready(arm) == 0 {
            (requests, 0)
        } else {
            let errors = self.noise.strikes(requests, errors_ppm);
            (errors, self.noise.strikes(requests - errors.min(requests), slow_ppm))
        };
        let counters = self.counters.get_mut(arm);
        counters.total += requests;
        counters.errors += (errors + base).min(requests);
        counters.slow += slow;
        self.hurt(errors + slow, theirs, to);
    }

    fn hurt(&mut self, requests: u64, by_others: bool, at: Time) {
        if requests == 0 {
            return;
        }
        if by_others {
            self.harm.by_others += requests;
        } else {
            self.harm.by_release += requests;
            self.harm.first.get_or_insert(at);
            self.harm.last = Some(at);
        }
    }

    /// A few requests to the candidate fail whatever the traffic: one per so many seconds.
    fn stray(&mut self, from: Time, to: Time) {
        let per_minute = u64::from(self.afflictions.stray_errors_per_minute);
        if per_minute == 0 || self.share_ppm(Arm::Candidate) == 0 {
            return;
        }
        let every = 60_000 / per_minute;
        let strays = to.as_millis() / every - from.as_millis() / every;
        let counters = self.counters.get_mut(Arm::Candidate);
        counters.total += strays;
        counters.errors += strays;
        self.harm.by_others += strays;
    }

    /// Errors and slowness that faults cause on an arm, in parts per million, and whether they have
    /// nothing to do with the release.
    fn sickness(&self, arm: Arm) -> (u32, u32, bool) {
        let (mut errors, mut slow, mut others) = (0_u32, 0_u32, false);
        for ailment in &self.afflictions.ailments {
            if ailment.arm.is_none_or(|sick| sick == arm) && self.shows(&ailment.when) {
                errors = errors.saturating_add(ailment.errors_ppm).min(1_000_000);
                slow = slow.saturating_add(ailment.slow_ppm).min(1_000_000);
                others |= ailment.arm.is_none();
            }
        }
        (errors, slow, others)
    }

    fn shows(&self, when: &When) -> bool {
        match when {
            When::Always => true,
            When::FlagOn(key) => self.flags.get(key).copied().unwrap_or(false),
            When::ModuleAt(name, version) => self.modules.get(name) == Some(version),
            When::ConfigAt(revision) => self.config.live == *revision,
        }
    }

    /// Whether an arm fails users because of the release.
    pub(super) fn is_failing(&self, arm: Arm) -> bool {
        let (errors, slow, others) = self.sickness(arm);
        self.ready(arm) == 0 || (!others && errors + slow > 0)
    }

    /// Share of the arm's capacity that is in use, in parts per million.
    fn level_ppm(&self, arm: Arm) -> u32 {
        let capacity = u64::from(self.ready(arm)) * u64::from(self.spec.pod_capacity);
        if capacity == 0 {
            return 0;
        }
        let thin = u64::from(self.afflictions.thin_ppm.unwrap_or(1_000_000));
        let load = u64::from(self.spec.requests_per_second) * u64::from(self.share_ppm(arm))
            / 1_000_000
            * thin;
        let extra: u32 = self
            .afflictions
            .ailments
            .iter()
            .filter(|ailment| ailment.arm.is_none_or(|sick| sick == arm))
            .filter(|ailment| self.shows(&ailment.when))
            .map(|ailment| ailment.level_ppm)
            .sum();
        let used = u32::try_from(load / capacity).unwrap_or(1_000_000);
        used.saturating_add(extra).min(1_000_000)
    }
}
