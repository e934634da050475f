//! The controller as a program: leadership, rollouts, probes, metrics and events put together.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backout_core::journal::Entry;
use backout_world::failure::Failure;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use tokio::sync::watch;

use crate::events::{Outbox, Sender, Told, told};
use crate::figures::Figures;
use crate::lead::{LEASE, Leadership};
use crate::manager::due::Key;
use crate::manager::{Index, Manager, Say, Scope, Tell};
use crate::resources::{GROUP, VERSION};
use crate::rollout::Options;
use crate::serve::{self, Health, Metrics};

/// How long the work may not go round until the process counts as stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the program is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where probes and metrics are answered.
    pub address: SocketAddr,
    /// The controller's own namespace, where its Lease is.
    pub namespace: String,
    /// How long the Lease lasts: so long nobody leads after a crash.
    pub lease: Duration,
    /// Which namespaces are watched.
    pub scope: Scope,
    /// How rollouts are led; the identity is the process, such as the pod's name.
    pub options: Options,
}

/// Runs until `stop` is true, then hands over.
///
/// # Errors
///
/// When the address cannot be listened on.
pub async fn run(
    client: Client,
    settings: Settings,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let Settings { address, namespace, lease, scope, options } = settings;
    let listener = serve::listen(address).await?;
    let health = Arc::new(Health::new(PATIENCE, &["resources"]));
    health.needs("resources", Err("policies and releases were not listed yet".to_owned()));
    let metrics = Arc::new(Metrics::default());
    let (end_serving, served) = tokio::sync::oneshot::channel::<()>();
    let serving =
        tokio::spawn(serve::serve(listener, Arc::clone(&health), Arc::clone(&metrics), async {
            drop(served.await);
        }));
    let (outbox, sending) = Sender::start(client.clone(), &options.identity);
    let leadership = Leadership::start(client.clone(), &namespace, LEASE, &options.identity, lease);
    tracing::info!(identity = leadership.identity(), %address, "started");

    let index = Index::watch(&client, &scope);
    let tell = teller(outbox.clone(), Arc::clone(&metrics));
    let say: Say = Arc::new(move |key: &Key, told: Told| outbox.tell(reference(key), told));
    let mut manager = Manager::new(client, index, options, tell, say);
    work(&mut manager, &leadership, &health, &metrics, &mut stop).await;

    tracing::info!("handing over");
    leadership.release().await;
    let _ = end_serving.send(());
    let _ = serving.await;
    sending.abort();
    Ok(())
}

/// Leads whenever leadership is won, until the program is to stop.
async fn work(
    manager: &mut Manager,
    leadership: &Leadership,
    health: &Health,
    metrics: &Metrics,
    stop: &mut watch::Receiver<bool>,
) {
    let beat = |active: usize, complete: bool| {
        health.beat();
        metrics.active(active);
        if complete {
            health.needs("resources", Ok(()));
        }
    };
    let mut leads = leadership.watch();
    // The manager lets go when either ends: leadership, or the program.
    let (may_lead, mut may) = watch::channel(false);
    let mut rounds = tokio::time::interval(Duration::from_secs(5));
    loop {
        beat(0, manager.is_complete());
        metrics.leads(false);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            won = leads.wait_for(|leads| *leads) => if won.is_err() { return },
            _ = rounds.tick() => continue,
        }
        metrics.leads(true);
        may_lead.send_replace(true);
        let guard = async {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                _ = leads.wait_for(|leads| !*leads) => {}
            }
            may_lead.send_replace(false);
        };
        let working = manager.work(&mut may, &beat);
        tokio::join!(guard, working);
    }
}

/// Passes on what was stored of a run: as events, and as figures.
fn teller(outbox: Outbox, metrics: Arc<Metrics>) -> Tell {
    let figures = Mutex::new(Figures::default());
    Arc::new(move |key: &Key, entries: &[Entry]| {
        let mut figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            figures.count(key, entry, &metrics);
            if let Some(told) = told(&entry.event) {
                outbox.tell(reference(key), told);
            }
        }
    })
}

/// A Release as events name it.
fn reference(key: &Key) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{GROUP}/{VERSION}")),
        kind: Some("Release".to_owned()),
        namespace: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
        ..ObjectReference::default()
    }
}
