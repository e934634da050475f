//! S7: destructive effects carry a valid precondition.
//!
//! Why: a decision may be older than the object that it is about.
//! Mutant: preconditions are left out.

use backout_core::machine::Request;
use backout_core::plan::Action;

use super::{About, Oracle, View, Violation};
use crate::world::Happening;

const ABOUT: About =
    About { number: "S7", property: "destructive effects carry a valid precondition" };

/// S7: destructive effects carry a valid precondition, and a write of the route carries one at all.
///
/// Stands for K14: a delayed actor that applied an old plan, and a cleanup that then deleted the
/// one in use (AWS DynamoDB 2025-10-20), and people who reverted each other's reverts (Cloudflare
/// 2022-06-21).
#[derive(Debug, Default)]
pub(super) struct Fenced {
    reported: bool,
}

impl Oracle for Fenced {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, view: &View<'_>) -> Option<Violation> {
        if self.reported {
            return None;
        }
        let what = destroyed_unfenced(view).or_else(|| moved_unfenced(view))?;
        self.reported = true;
        Some(ABOUT.breach(view.now, what))
    }
}

fn destroyed_unfenced(view: &View<'_>) -> Option<String> {
    view.news.iter().find_map(|news| match news {
        Happening::Performed { effect, what, fenced: Some(false), .. } => {
            Some(format!("{effect} carries no valid precondition: {what}"))
        }
        Happening::Performed { .. } | Happening::Routed { .. } | Happening::Scaled { .. } => None,
    })
}

fn moved_unfenced(view: &View<'_>) -> Option<String> {
    let moves = view.effects.effects.iter().find(|effect| {
        effect.precondition.is_none()
            && matches!(effect.request, Request::Apply(Action::SetWeight { .. }))
    })?;
    Some(format!("{} moves traffic and carries no precondition", moves.id))
}

#[cfg(test)]
mod tests {
    use backout_core::machine::{Effects, Machine, Request};
    use backout_core::plan::Action;
    use backout_core::units::Time;

    use super::super::testing::{Bug, Case, assert_clean, assert_found};

    /// Leaves preconditions out, of what is scaled or of what is moved.
    #[derive(Clone)]
    struct Careless {
        scales: bool,
    }

    impl Bug for Careless {
        fn act(&mut self, _: &mut Machine, _: Time, mut effects: Effects) -> Effects {
            for effect in &mut effects.effects {
                let scales = matches!(effect.request, Request::Apply(Action::Scale { .. }));
                if scales == self.scales {
                    effect.precondition = None;
                }
            }
            effects
        }
    }

    #[test]
    fn the_machine_fences_what_it_destroys_and_moves() {
        assert_clean(&Case::healthy().run());
        assert_clean(&Case::fault("error-rate-after-promotion").run());
    }

    #[test]
    fn an_engine_without_preconditions_is_caught() {
        for scales in [true, false] {
            assert_found(&Case::healthy().run_with(Careless { scales }), "S7");
        }
    }
}
