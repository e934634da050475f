//! Rollouts that end well, and rollouts that have to be taken back.

pub(super) mod bake_regression;
pub(super) mod config_returns;
pub(super) mod errors_at_five_percent;
pub(super) mod good_blue_green;
pub(super) mod good_canary;
pub(super) mod latency;
pub(super) mod never_ready;
pub(super) mod no_match;
pub(super) mod proxy_freeze;
pub(super) mod saturation;
mod timing;
pub(super) mod webhook_refusal;

use anyhow::Result;
use backout_core::release::Release;

use super::shop::{Judged, Shop};

/// How a rollout ends that went back by traffic.
const WENT_BACK: &str = "rolled-back (traffic)";

/// Releases, waits until it went back, and judges everything.
async fn goes_back(shop: Shop<'_>, release: &Release, bad_answers: bool) -> Result<()> {
    shop.ends(release, WENT_BACK).await?;
    let stable = shop.first.clone();
    shop.close(Judged { stable: &stable, candidate: release, bad_answers }).await
}

/// Releases, waits until it was promoted, and judges everything.
async fn is_promoted(shop: Shop<'_>, release: &Release) -> Result<()> {
    shop.ends(release, "promoted").await?;
    let stable = release.set_name();
    shop.close(Judged { stable: &stable, candidate: release, bad_answers: false }).await
}

/// Releases, waits until it was cancelled before any user reached it, and judges everything.
async fn is_cancelled(shop: Shop<'_>, release: &Release) -> Result<()> {
    shop.ends(release, "cancelled").await?;
    unreached(&shop, release)?;
    let stable = shop.first.clone();
    shop.close(Judged { stable: &stable, candidate: release, bad_answers: false }).await
}

/// Fails if any user got an answer of the release.
fn unreached(shop: &Shop<'_>, release: &Release) -> Result<()> {
    let set = release.set_name();
    let seen = shop.load.last_seen(&set).is_some();
    anyhow::ensure!(!seen, "users reached {set}; {}", shop.load.report_so_far().summary());
    Ok(())
}
