//! What the engine decided, decided again from the journal alone.

use std::sync::Arc;

use anyhow::{Context, Result};
use backout_core::replay::replay;
use backout_judge::Windows;

use super::Shop;

impl Shop<'_> {
    /// Fails unless the journal of a release leads the engine to the same decisions again.
    ///
    /// # Errors
    /// The journal cannot be read, is broken, or the engine decides otherwise.
    pub async fn replays(&self, release: &str) -> Result<()> {
        let (header, entries) = self.journal(release).await?;
        let state = replay(&header, &entries, Arc::new(Windows));
        let state = state.with_context(|| format!("the journal of {release} does not replay"))?;
        let outcome = state.outcome.map(|outcome| outcome.to_string());
        tracing::info!(entries = entries.len(), ?outcome, "the journal of {release} replays");
        Ok(())
    }
}
