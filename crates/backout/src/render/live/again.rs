//! `backout rollback NAME --to RELEASE`: an older release that would be rolled out again.

use backout_core::plan::{Choice, Decision, Plan};
use backout_core::policy::ApiVersion;
use owo_colors::Style;
use serde::Serialize;

use crate::render::page::{BAD, Page, STRONG};
use crate::render::plan::until;
use crate::render::words::count;

/// A new rollout of an older release.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Again {
    pub(crate) api_version: ApiVersion,
    pub(crate) kind: &'static str,
    /// Name of the release that would be created.
    pub(crate) release: String,
    pub(crate) version: String,
    /// Name of its set, which it had before.
    pub(crate) set: String,
    /// Name of the release that serves now.
    pub(crate) from: String,
    pub(crate) environment: String,
    /// Whether it can serve what the newer release left behind.
    pub(crate) decision: Decision,
    /// The plan of the new rollout; nothing when a person has to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<Plan>,
}

impl Again {
    /// The rollout for people.
    pub(crate) fn render(&self) -> String {
        let mut page = Page::default();
        match (&self.decision.choice, &self.plan) {
            (_, Some(plan)) => {
                let steps = count(u64::try_from(plan.steps.len()).unwrap_or(u64::MAX), "step");
                let why = format!(
                    "{steps}: the rollout of {} is over, so that its way back is one forward, \
                     with the policy's own steps and signals",
                    self.from
                );
                page.said(STRONG, &format!("rolls {} out again", self.version), &why);
            }
            (Choice::Hold(why), _) => {
                page.said(BAD, "nothing is done without a person", &why.to_string());
            }
            (Choice::FlagOff(flag), _) => {
                let why = format!("flag {flag} guards what {} changed; turn it off", self.from);
                page.said(BAD, "nothing is done without a person", &why);
            }
            (Choice::Back(_), None) => {
                page.said(BAD, "nothing is done without a person", "no plan leads there");
            }
        }
        page.line(
            0,
            &format!("release {} ({}) in {}", self.release, self.version, self.environment),
        );
        page.line(0, &format!("instead of {}; its set is {}", self.from, self.set));
        if self.plan.is_none() {
            page.empty();
        }
        // Why not is only asked where it is not done.
        let against = self.decision.reasons.iter().filter(|it| !it.chosen && self.plan.is_none());
        for reason in against {
            page.labelled(0, "not", &format!("{}: {}", reason.pattern, reason.why), Style::new());
        }
        if let Some(plan) = &self.plan {
            page.heading("Steps");
            for (number, step) in (1..).zip(&plan.steps) {
                page.numbered(number, &step.action.to_string());
                page.field("until", &until(step));
            }
        }
        if !self.decision.unchecked.is_empty() {
            page.heading("Cannot be checked now");
            for unchecked in &self.decision.unchecked {
                page.item(unchecked);
            }
        }
        page.text
    }
}

#[cfg(test)]
mod tests {
    use backout_core::machine::Phase;

    use super::*;
    use crate::render::live::testing::{plain, recorded};

    #[test]
    fn a_new_rollout_says_that_it_is_one() {
        let run = recorded("error-rate");
        let (state, _) = run.status_when(|state| state.phase == Phase::Back);
        let again = Again {
            api_version: ApiVersion::V1Alpha1,
            kind: "NewRolloutPlan",
            release: "checkout-1.41.0-again-1".to_owned(),
            version: "1.41.0".to_owned(),
            set: "checkout-1b5c8a77".to_owned(),
            from: "checkout-1.42.0".to_owned(),
            environment: "production".to_owned(),
            decision: state.decision.as_deref().unwrap().clone(),
            plan: state.forward.as_ref().map(|track| (*track.plan).clone()),
        };
        let text = plain(&again.render());
        insta::assert_snapshot!(text.split("Steps").next().unwrap());
        let without = Again { plan: None, ..again };
        assert!(plain(&without.render()).starts_with("nothing is done without a person"));
    }
}
