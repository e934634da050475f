//! `backout quarantine`: digests that must not be deployed again.

use std::collections::BTreeMap;

use backout_core::policy::ApiVersion;
use backout_core::units::Digest;
use backout_world::kubernetes::quarantine::{Entry, Quarantine};
use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::{Connection, block_on};
use crate::cli::Output;
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::render::live::quarantine;
use crate::report::json::document;
use crate::terminal::Terminal;

/// Digests that must not be deployed again, by namespace.
///
/// A release that fails puts its own images here. The API server refuses new pods with them where
/// `backout install` was applied, and no way back leads to them.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Puts a digest into quarantine; one that is there keeps its first reason.
    Add {
        /// The digest: `sha256:` and 64 hexadecimal digits.
        digest: Digest,
        /// Why, in one sentence for whoever is refused.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The release that it was found in.
        #[arg(long, value_name = "NAME", value_parser = super::release_name)]
        release: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows what is in quarantine.
    List {
        /// Form of the result.
        #[arg(short, long, value_enum, default_value_t = Output::Human)]
        output: Output,
        #[command(flatten)]
        connection: Connection,
    },
    /// Lifts the quarantine of a digest.
    Remove {
        /// The digest.
        digest: Digest,
        #[command(flatten)]
        connection: Connection,
    },
}

/// What is in quarantine, as one document for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    api_version: ApiVersion,
    kind: &'static str,
    items: Vec<Item>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    digest: Digest,
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    release: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    since: String,
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    match &arguments.task {
        Task::Add { digest, reason, release, connection } => block_on(async {
            if reason.trim().is_empty() {
                return Err(Failure::usage(
                    "the reason is empty",
                    "say in `--reason` what whoever is refused should know",
                ));
            }
            let cluster = connection.cluster(None).await?;
            let entry = Entry {
                digest: digest.clone(),
                reason: reason.clone(),
                release: release.clone().unwrap_or_default(),
                since: Timestamp::now().to_string(),
            };
            Quarantine::new(cluster.client, &cluster.namespace).add(&entry).await?;
            let namespace = cluster.namespace;
            terminal.print(&format!("in quarantine in namespace {namespace}: {digest}\n"))?;
            Ok(Exit::Pass)
        }),
        Task::List { output, connection } => block_on(async {
            let cluster = connection.cluster(None).await?;
            let held = Quarantine::new(cluster.client, &cluster.namespace).list().await?;
            terminal.print(&listed(&cluster.namespace, held, *output)?)?;
            Ok(Exit::Pass)
        }),
        Task::Remove { digest, connection } => block_on(async {
            let cluster = connection.cluster(None).await?;
            let quarantine = Quarantine::new(cluster.client, &cluster.namespace);
            let namespace = cluster.namespace;
            if !quarantine.list().await?.contains_key(digest) {
                terminal
                    .print(&format!("not in quarantine in namespace {namespace}: {digest}\n"))?;
                return Ok(Exit::Pass);
            }
            quarantine.remove(digest).await?;
            terminal.print(&format!("lifted in namespace {namespace}: {digest}\n"))?;
            Ok(Exit::Pass)
        }),
    }
}

fn listed(
    namespace: &str,
    held: BTreeMap<Digest, Entry>,
    output: Output,
) -> Result<String, Failure> {
    if output == Output::Human {
        return Ok(quarantine::table(namespace, held.values(), Timestamp::now()));
    }
    let items = held.into_values().map(|entry| Item {
        digest: entry.digest,
        reason: entry.reason,
        release: entry.release,
        since: entry.since,
    });
    let list = List {
        api_version: ApiVersion::V1Alpha1,
        kind: "QuarantineOverviewList",
        items: items.collect(),
    };
    Ok(document(&list, output)?.unwrap_or_default())
}
