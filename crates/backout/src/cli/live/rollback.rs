//! `backout rollback`: shows the way back, asks, and goes it.

use std::sync::Arc;
use std::time::Duration;

use backout_controller::api;
use backout_controller::resources::Resource;
use backout_core::machine::{Command, Machine, Outcome, Phase, State};
use backout_core::plan::Brief;
use backout_core::policy::RouteKind;
use backout_core::snapshot::Snapshot;
use backout_core::units::Time;
use backout_judge::Windows;
use backout_world::driver::{Store as _, Stored, World as _};
use backout_world::kubernetes::objects::{
    DEPLOYMENT, GRPC_ROUTE, HTTP_ROUTE, Objects, SERVICE, Sort,
};
use backout_world::kubernetes::owners::{self, Owner, Tool};
use backout_world::live::{Live, Setup};
use backout_world::store::ClusterStore;
use jiff::Timestamp;

use super::controller::stopped;
use super::follow::{self, Follow, Leader, Until, leader};
use super::{Cluster, Connection, again, block_on, random_id, release_name};
use crate::ask;
use crate::cli::Output;
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::render::live::rollback::Intended;
use crate::report::json::document;
use crate::terminal::Terminal;

/// Takes a release back: shows the plan, asks, and follows it to the end.
///
/// The plan is the one that the engine would make by itself. What leads the rollout takes the
/// command; where nothing leads it, this program does. Exit codes: 0 by `--dry-run`, 11 not
/// without a person, 12 rolled back, 13 the way back failed, 14 held, or out of time. With `--to`
/// an older release is rolled out anew, and the exit codes are those of `backout run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The release to take back, by name or as `release/NAME`.
    #[arg(value_name = "NAME", value_parser = release_name)]
    name: String,
    /// The release to go to. Default: the one before. An older one is rolled out anew, by the
    /// policy's own steps.
    #[arg(long, value_name = "RELEASE", value_parser = release_name)]
    to: Option<String>,
    /// Show the plan, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Form of the plan; others than for people only with `--dry-run`.
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,
    /// How long to follow.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout_s: u64,
    /// Namespace of the controller.
    #[arg(long, value_name = "NAMESPACE", default_value = "backout")]
    controller_namespace: String,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    consent: ask::Consent,
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    if arguments.output != Output::Human && !arguments.dry_run {
        return Err(Failure::usage(
            "`--output` is for a plan that is only shown",
            "add `--dry-run`, or leave `--output` out",
        ));
    }
    block_on(async {
        let cluster = arguments.connection.cluster(None).await?;
        let Cluster { client, namespace } = &cluster;
        let name = arguments.name.as_str();
        api::objects(client, namespace, Resource::Release).need(name).await?;
        let stored = ClusterStore::new(client.clone(), namespace, name, None).load().await?;
        let stored = stored.map(|kept| kept.stored);
        let way = Way { arguments, cluster: &cluster, terminal };
        match (&arguments.to, stored) {
            (Some(to), stored) if !leads_to(stored.as_ref(), to) => way.again(to, stored).await,
            (_, Some(stored)) => way.back(&stored).await,
            (_, None) => Err(Failure::cluster(
                format!(
                    "release {namespace}/{name} was never rolled out: nothing is to be taken back"
                ),
                "`backout status` lists the releases; `--to RELEASE` goes to an older one",
            )),
        }
    })
}

/// Whether the way back of a run that can still be taken back leads to this release.
fn leads_to(stored: Option<&Stored>, to: &str) -> bool {
    let Some(stored) = stored else { return false };
    let brief = stored.header.live.as_ref().map(|live| &live.brief);
    brief.is_some_and(|brief| {
        brief.stable.metadata.name.as_str() == to && permitted(brief, &stored.state).is_ok()
    })
}

/// Whether the engine would take a rollback now.
fn permitted(brief: &Brief, state: &State) -> Result<(), String> {
    let machine = Machine::restore(Arc::new(brief.clone()), state.clone(), Arc::new(Windows));
    machine.map_err(|error| error.to_string())?.permits(&Command::Rollback)
}

/// What a rollback has at hand.
struct Way<'a> {
    arguments: &'a Arguments,
    cluster: &'a Cluster,
    terminal: &'a Terminal,
}

impl Way<'_> {
    async fn back(&self, stored: &Stored) -> Result<Exit, Failure> {
        let name = self.arguments.name.as_str();
        let live = stored.header.live.as_deref().ok_or_else(|| {
            Failure::cluster(
                format!("the stored run of {name} does not say what it was made for"),
                "it was written by another version of backout; use that one",
            )
        })?;
        let brief = &live.brief;
        if matches!(stored.state.phase, Phase::Deciding | Phase::Back) {
            self.terminal.complain(&format!("release {name} is going back already\n"));
            if self.arguments.dry_run {
                return Ok(Exit::Pass);
            }
            return self.go(None).await;
        }
        if let Err(why) = permitted(brief, &stored.state) {
            return Err(Failure::cluster(
                format!("release {name} cannot be taken back: {why}"),
                self.instead(brief, &stored.state),
            ));
        }
        let snapshot = self.snapshot(brief, &live.started_at).await?;
        let undone_by = self.undone_by(brief).await;
        let intended = Intended::of(brief, &stored.state, &snapshot, undone_by);
        let shown = document(&intended, self.arguments.output)?;
        self.terminal.print(&shown.unwrap_or_else(|| intended.render()))?;
        if intended.plan.is_none() {
            return Ok(Exit::Blocked);
        }
        if self.arguments.dry_run {
            return Ok(Exit::Pass);
        }
        self.arguments.consent.ask(self.terminal, "Go back?")?;
        self.go(Some(random_id())).await
    }

    /// What to do where there is nothing to take back.
    fn instead(&self, brief: &Brief, state: &State) -> String {
        let (name, namespace) = (&self.arguments.name, &self.cluster.namespace);
        if state.is_at_rest() && state.outcome == Some(Outcome::Promoted) {
            let stable = &brief.stable.metadata.name;
            return format!(
                "`backout rollback {name} -n {namespace} --to {stable}` rolls the former release \
                 out again"
            );
        }
        format!("`backout status {name} -n {namespace}` shows where it is")
    }

    /// The world as it is now. What cannot be read is an unknown fact.
    async fn snapshot(&self, brief: &Brief, started_at: &str) -> Result<Snapshot, Failure> {
        let now = Timestamp::now();
        let started = started_at.parse().unwrap_or(now);
        let since = now.as_millisecond().saturating_sub(started.as_millisecond());
        let setup = Setup {
            client: self.cluster.client.clone(),
            brief: Arc::new(brief.clone()),
            started,
            owner: None,
            runs_programs: false,
        };
        let snapshot = Live::to_look_at(setup).observe().await?;
        Ok(snapshot.as_of(Time::from_millis(u64::try_from(since).unwrap_or_default())))
    }

    /// Who else writes what is moved, in words.
    async fn undone_by(&self, brief: &Brief) -> Vec<String> {
        let objects = Objects::new(self.cluster.client.clone(), &*self.cluster.namespace);
        let spec = &brief.policy.spec;
        let moved: [(Sort, &str); 2] = [
            (sort(spec.traffic.route.kind), spec.traffic.route.name.as_str()),
            (DEPLOYMENT, spec.workload.name.as_str()),
        ];
        let mut told = Vec::new();
        for (sort, name) in moved {
            match owner(&objects, sort, name).await {
                Ok(Some(owner)) if owner.tool != Tool::None => told.push(owner.in_words()),
                Ok(_) => {}
                Err(failure) => {
                    let object = objects.in_words(sort, name);
                    told.push(format!("who else writes {object} could not be read: {failure}"));
                }
            }
        }
        told
    }

    /// Gives the command of this id to whoever leads the rollout, or leads it.
    async fn go(&self, id: Option<String>) -> Result<Exit, Failure> {
        let (name, cluster) = (self.arguments.name.as_str(), self.cluster);
        let follow = self.follow(name, id.clone().map_or(Until::Settled, Until::Back));
        let mut stop = stopped()?;
        let leader = leader(cluster, &self.arguments.controller_namespace, name).await;
        let told = match leader {
            Leader::Someone(holder) => format!("{holder} leads"),
            Leader::Unknown(why) => format!("it cannot be told who leads: {why}"),
            Leader::Nobody => {
                let told = format!("release {name}: nobody leads, so this program does\n");
                self.terminal.complain(&told);
                return follow
                    .claim_and_lead(self.terminal, &mut stop, Some(&Command::Rollback))
                    .await;
            }
        };
        self.terminal.complain(&format!("release {name}: {told}\n"));
        if let Some(id) = &id {
            follow::give(cluster, name, id, &Command::Rollback).await?;
        }
        follow.to_the_end(self.terminal, &mut stop).await
    }

    fn follow<'b>(&'b self, name: &'b str, until: Until) -> Follow<'b> {
        Follow {
            cluster: self.cluster,
            name,
            timeout: Some(Duration::from_secs(self.arguments.timeout_s)),
            until,
        }
    }

    /// Rolls an older release out anew.
    async fn again(&self, to: &str, stored: Option<Stored>) -> Result<Exit, Failure> {
        let name = self.arguments.name.as_str();
        if let Some(stored) = &stored
            && !stored.state.is_at_rest()
        {
            let namespace = &self.cluster.namespace;
            return Err(Failure::cluster(
                format!("the rollout of {name} has not ended, so that another cannot begin"),
                format!(
                    "`backout rollback {name} -n {namespace}` takes it back to {}",
                    stored.header.stable.name
                ),
            ));
        }
        let planned = again::plan(self.cluster, name, to).await?;
        let shown = document(&planned.shown, self.arguments.output)?;
        self.terminal.print(&shown.unwrap_or_else(|| planned.shown.render()))?;
        let Some(release) = planned.release else { return Ok(Exit::Blocked) };
        if self.arguments.dry_run {
            return Ok(Exit::Pass);
        }
        self.arguments.consent.ask(self.terminal, "Roll it out?")?;
        let Cluster { client, namespace } = self.cluster;
        backout_controller::apply::release(client, namespace, &release).await?;
        let new = release.metadata.name.as_str();
        let follow = self.follow(new, Until::Outcome);
        let mut stop = stopped()?;
        match leader(self.cluster, &self.arguments.controller_namespace, new).await {
            Leader::Someone(holder) => {
                self.terminal.complain(&format!("release {new}: {holder} leads\n"));
                follow.to_the_end(self.terminal, &mut stop).await
            }
            Leader::Nobody | Leader::Unknown(_) => {
                let told = format!("release {new}: no controller runs, so this program leads\n");
                self.terminal.complain(&told);
                follow.claim_and_lead(self.terminal, &mut stop, None).await
            }
        }
    }
}

const fn sort(kind: RouteKind) -> Sort {
    match kind {
        RouteKind::HTTPRoute => HTTP_ROUTE,
        RouteKind::GRPCRoute => GRPC_ROUTE,
        RouteKind::Service => SERVICE,
    }
}

async fn owner(
    objects: &Objects,
    sort: Sort,
    name: &str,
) -> Result<Option<Owner>, backout_world::failure::Failure> {
    match objects.get(sort, name).await? {
        Some(object) => owners::owner(objects, &object).await.map(Some),
        None => Ok(None),
    }
}
