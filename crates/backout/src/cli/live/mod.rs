//! Commands that speak with a cluster: how it is reached, and what is common to them.

pub(super) mod adopt;
mod again;
pub(super) mod command;
pub(super) mod controller;
pub(super) mod detach;
mod follow;
mod gather;
pub(super) mod quarantine;
pub(super) mod rollback;
pub(super) mod run;
pub(super) mod status;

use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};

use backout_core::policy::{ReleasePolicy, validate};
use backout_core::release::{self, Release};
use backout_core::units::{Name, NameError};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::error::Failure;
use crate::project::files::{self, Expected};
use crate::project::{breached, find_policy};

/// How the cluster is reached: as `kubectl` does it, unless something else is said.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Connection {
    /// Namespace. Default: the one that a file names, or else the context's.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Context of the kubeconfig.
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    /// The kubeconfig file. Default: `KUBECONFIG`, `~/.kube/config`, or the pod's own account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A cluster, and the namespace that is worked in.
pub(crate) struct Cluster {
    /// The way to it.
    pub(crate) client: Client,
    /// The namespace.
    pub(crate) namespace: String,
}

impl Connection {
    /// Reaches the cluster. `named` is the namespace that a file names.
    ///
    /// # Errors
    /// When there is no way to a cluster, or two namespaces are named.
    pub(crate) async fn cluster(&self, named: Option<&str>) -> Result<Cluster, Failure> {
        if let (Some(asked), Some(named)) = (self.namespace.as_deref(), named)
            && asked != named
        {
            return Err(Failure::usage(
                format!("the file is for namespace {named}, and `--namespace` says {asked}"),
                "leave `--namespace` out, or change `metadata.namespace` in the file",
            ));
        }
        let config = self.config().await?;
        let chosen = self.namespace.as_deref().or(named);
        let namespace = chosen.unwrap_or(&config.default_namespace).to_owned();
        let client = Client::try_from(config).map_err(|error| unreachable_cluster(&error))?;
        Ok(Cluster { client, namespace })
    }

    async fn config(&self) -> Result<Config, Failure> {
        let options = KubeConfigOptions { context: self.context.clone(), ..Default::default() };
        if let Some(path) = &self.kubeconfig {
            let kubeconfig =
                Kubeconfig::read_from(path).map_err(|error| unreachable_cluster(&error))?;
            return Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(|error| unreachable_cluster(&error));
        }
        if self.context.is_some() {
            return Config::from_kubeconfig(&options)
                .await
                .map_err(|error| unreachable_cluster(&error));
        }
        Config::infer().await.map_err(|error| unreachable_cluster(&error))
    }
}

fn unreachable_cluster(error: &dyn std::error::Error) -> Failure {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told = format!("{told}: {cause}");
        source = cause.source();
    }
    Failure::usage(
        format!("no cluster to speak with: {told}"),
        "name a kubeconfig with `--kubeconfig`, and check `kubectl config get-contexts`",
    )
}

impl Connection {
    /// Whether anything was said of how the cluster is reached.
    pub(crate) const fn is_named(&self) -> bool {
        self.namespace.is_some() || self.context.is_some() || self.kubeconfig.is_some()
    }
}

/// The name of a release, which may be written as `release/NAME`, as `kubectl` has it.
///
/// # Errors
/// When it is no name.
pub(crate) fn release_name(text: &str) -> Result<String, String> {
    let name = match text.split_once('/') {
        None => text,
        Some(("release" | "releases" | "rel" | "releases.backout.dev", name)) => name,
        Some((kind, _)) => return Err(format!("a release was expected, not a `{kind}`")),
    };
    let name: Name = name.parse().map_err(|error: NameError| error.to_string())?;
    Ok(name.to_string())
}

/// A text that nobody else comes up with. The standard library seeds it from the system.
fn random_id() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// Runs a command's work to its end.
///
/// # Errors
/// When the work fails, or no threads can be started for it.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::Output)?;
    let result = runtime.block_on(work);
    // A request that nobody waits for must not keep the program from ending.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    result
}

/// Reads a policy that is to be applied to a cluster.
///
/// # Errors
/// When it cannot be read, or breaks rules; with every place.
pub(crate) fn read_policy(file: Option<&Path>) -> Result<ReleasePolicy, Failure> {
    let path = find_policy(file)?;
    let expected = Expected { kind: "ReleasePolicy", help: "name the policy with `--file`" };
    let document = files::document::<ReleasePolicy>(&path, expected)?;
    let breaches = validate::validate(&document.value);
    match breached(&document, breaches) {
        Some(unreadable) => Err(Failure::Document(Box::new(unreadable))),
        None => Ok(document.value),
    }
}

/// Reads the record of a release.
///
/// # Errors
/// When it cannot be read, or breaks rules; with every place.
pub(crate) fn read_release(path: &Path) -> Result<Release, Failure> {
    let expected = Expected { kind: "Release", help: "name the record of one release" };
    let document = files::document::<Release>(path, expected)?;
    let breaches = release::validate::validate(&document.value);
    match breached(&document, breaches) {
        Some(unreadable) => Err(Failure::Document(Box::new(unreadable))),
        None => Ok(document.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_named_with_or_without_its_kind() {
        for text in ["checkout-1-42-0", "release/checkout-1-42-0", "rel/checkout-1-42-0"] {
            assert_eq!(release_name(text).as_deref(), Ok("checkout-1-42-0"));
        }
        assert!(release_name("policy/checkout").is_err());
        assert!(release_name("release/").is_err());
        assert!(release_name("Checkout").is_err());
    }

    #[test]
    fn ids_differ() {
        assert_ne!(random_id(), random_id());
    }
}
