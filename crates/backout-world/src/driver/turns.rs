//! Looks take turns, so that a way back finds the API server free.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many looks of one process are under way at once. Each is some ten requests.
const AT_ONCE: usize = 8;

/// Longest wait for a turn. Whoever waited so long goes without: an API server that answers no one
/// must not keep everyone in a queue.
const LONGEST: Duration = Duration::from_secs(15);

/// The turns of one process: what is not urgent takes one, and what is urgent does not ask. A
/// hundred runs may want to look in the same second; one of them that has to go back must not wait
/// until the API server has answered all of them.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Semaphore>);

/// A turn. Dropping it ends it.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Turns {
    /// Waits for a turn.
    pub async fn take(&self) -> Turn {
        let permit = tokio::time::timeout(LONGEST, Arc::clone(&self.0).acquire_owned()).await;
        // The semaphore is never closed.
        Turn(permit.ok().and_then(Result::ok))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_comes_too_late_waits_and_goes_after_a_while() {
        let turns = Turns::default();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(turns.take().now_or_never().expect("there is a turn"));
        }
        assert!(turns.take().now_or_never().is_none(), "all are taken");
        let began = tokio::time::Instant::now();
        let _late = turns.take().await;
        assert_eq!(began.elapsed(), LONGEST);
        held.pop();
        assert!(turns.take().now_or_never().is_some(), "one ended");
    }
}
