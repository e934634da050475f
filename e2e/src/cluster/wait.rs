//! Waiting for a condition, with a deadline and a reason why it did not come.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// Pause between two looks at something that cannot be watched.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Looks until `look` answers with a value. `Ok(None)` and errors mean: not yet.
///
/// # Errors
/// The deadline passed: says what was waited for, and the last error.
pub async fn until<T, F, Fut>(what: &str, deadline: Duration, mut look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let end = Instant::now() + deadline;
    let mut last = String::from("it was not so at any look");
    loop {
        match tokio::time::timeout_at(end, look()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_) => bail!("{what}: no answer within {} s; before: {last}", deadline.as_secs()),
        }
        if Instant::now() >= end {
            bail!("{what}: not within {} s; last: {last}", deadline.as_secs());
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
