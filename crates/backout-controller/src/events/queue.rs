//! Keeps events until they are sent, and never makes a run wait for them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A bounded queue: when it is full, the oldest goes, and is counted.
#[derive(Debug)]
pub struct Queue<T> {
    most: usize,
    kept: Mutex<Kept<T>>,
    arrived: Notify,
}

#[derive(Debug)]
struct Kept<T> {
    waiting: VecDeque<T>,
    dropped: u64,
}

impl<T> Queue<T> {
    /// An empty queue that holds at most `most`, and at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let kept = Kept { waiting: VecDeque::new(), dropped: 0 };
        Self { most: most.max(1), kept: Mutex::new(kept), arrived: Notify::new() }
    }

    /// Adds one at the end. Never waits for whoever sends.
    pub fn push(&self, one: T) {
        let mut kept = self.kept();
        if kept.waiting.len() >= self.most {
            kept.waiting.pop_front();
            kept.dropped = kept.dropped.saturating_add(1);
        }
        kept.waiting.push_back(one);
        drop(kept);
        self.arrived.notify_one();
    }

    /// Takes the oldest, and waits for one if there is none. For one sender.
    pub async fn next(&self) -> T {
        loop {
            let next = self.kept().waiting.pop_front();
            match next {
                Some(one) => return one,
                None => self.arrived.notified().await,
            }
        }
    }

    /// How many were dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.kept().dropped
    }

    /// A panic elsewhere leaves the queue whole: every change of it is one call.
    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_goes_and_is_counted() {
        let queue = Queue::new(2);
        (1..=3).for_each(|number| queue.push(number));
        assert_eq!((queue.next().await, queue.next().await, queue.dropped()), (2, 3, 1));
    }
}
