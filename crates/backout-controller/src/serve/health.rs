//! Whether the controller lives and is ready.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the main loop says about itself. Alive is about the process: a main loop that stands
/// still is ended and started again. Ready is about what it needs from outside: no restart helps.
/// Both who leads and who stands by is ready.
#[derive(Debug)]
pub struct Health {
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    beat: Instant,
    needs: BTreeMap<&'static str, Result<(), String>>,
}

impl Health {
    /// Alive from now on for `patience`, and after each beat again; ready when every one of
    /// `needs` was said to be there.
    #[must_use]
    pub fn new(patience: Duration, needs: &[&'static str]) -> Self {
        let needs = needs.iter().map(|need| (*need, Err("not looked at yet".to_owned())));
        let state = State { beat: Instant::now(), needs: needs.collect() };
        Self { patience, state: Mutex::new(state) }
    }

    /// The main loop goes on.
    pub fn beat(&self) {
        self.state().beat = Instant::now();
    }

    /// Something that is needed is there, or is not, and why. It need not have been named before.
    /// The reason is shown to whoever asks, so it must hold no secret.
    pub fn needs(&self, need: &'static str, there: Result<(), String>) {
        self.state().needs.insert(need, there);
    }

    /// Whether the main loop goes on.
    ///
    /// # Errors
    /// Since when it stands still, as a line for people.
    pub fn alive(&self) -> Result<(), String> {
        let still = self.state().beat.elapsed();
        if still <= self.patience {
            return Ok(());
        }
        let (still, most) = (still.as_secs(), self.patience.as_secs());
        Err(format!("the main loop stands still for {still} s; at most {most} s were expected\n"))
    }

    /// Whether everything that is needed is there.
    ///
    /// # Errors
    /// What is missing, a line each.
    pub fn ready(&self) -> Result<(), String> {
        let mut missing = String::new();
        for (need, there) in &self.state().needs {
            if let Err(why) = there {
                // Writing to a string cannot fail.
                let _written = writeln!(missing, "{need}: {why}");
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// A panic elsewhere leaves the state whole: every change of it is one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
