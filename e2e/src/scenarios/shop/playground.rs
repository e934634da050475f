//! The shop as a person finds it before Backout comes: with users, and with files to begin with.

use anyhow::{Context, Result};
use serde_json::json;

use super::{Route, Setup, Strategy, build, objects, record, write};
use crate::cluster::Cluster;
use crate::cluster::registry::APP;
use crate::load::Load;
use crate::programs::Programs;

/// Opens the shop, and returns its users with what a person is told.
///
/// # Errors
/// The shop cannot be opened, or its files cannot be written.
pub async fn open(cluster: &Cluster, outside: u32) -> Result<(Load, String)> {
    let load = build(cluster, Route::HttpRoute).await?;
    let folder = cluster.directory().join("shop");
    std::fs::create_dir_all(&folder).context("cannot make the shop's folder")?;
    objects::write_chart(&folder)?;
    let setup = Setup::new(Strategy::Canary, Route::HttpRoute);
    write(&folder.join("backout.yaml"), &setup.policy(&cluster.prometheus.url()))?;
    let releases =
        [("good.yaml", "1.42.0", None), ("bad.yaml", "1.43.0", Some(json!({"errors": 0.2})))];
    for (file, version, behaviour) in releases {
        let digest = cluster.registry.push(APP, version, behaviour);
        let release = record::record(version, &digest)?;
        write(&folder.join(file), &serde_json::to_value(release)?)?;
    }
    let program = Programs::told().backout;
    let programs = program.as_deref().and_then(std::path::Path::parent);
    let programs = programs.context("`backout` was not built; start this with `cargo xtask`")?;
    let told = format!(
        "The cluster is up, with a shop and its users; Ctrl-C ends it. In another terminal:\n  \
         nsenter --target {outside} --net --mount --wd={} env KUBECONFIG={} PATH={}:$PATH bash",
        folder.display(),
        cluster.kubeconfig().display(),
        programs.display(),
    );
    Ok((load, told))
}
