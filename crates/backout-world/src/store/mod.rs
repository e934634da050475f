//! Runs as they are kept in the cluster: ConfigMaps beside the Release that they belong to, so that
//! whoever drives next finds them, and they go when the Release goes.
//!
//! One ConfigMap, the root, holds the machine's state and the newest lines of the journal, and is
//! only ever written under its version. Everything else is named after a hash of its content and
//! counts only when the root names it: a driver that was overtaken may leave such a piece behind,
//! and never changes what another one stored.

mod pieces;

use std::collections::BTreeMap;
use std::time::Duration;

use backout_core::journal::{Entry, Header};
use backout_core::machine::State;
use backout_core::replay::Recorder;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::driver::{Journal, Kept, Store, StoreFailure, Stored, Version};
use crate::failure::{Failure, Kind};
use crate::kubernetes::set::ReleaseOwner;
use crate::kubernetes::{answer, names};
use pieces::{lines, parsed_lines, piece_name};

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Longest tail of the journal that the root holds, in bytes; the rest is in pieces. Every step
/// writes the root again, so that it is kept small.
const LONGEST_TAIL: usize = 12 * 1024;

/// What a ConfigMap may hold at most, in bytes, with room for what the server adds.
const LARGEST: usize = 1_000_000;

/// The journal's lines that are in the root.
const TAIL: &str = "journal";
/// The machine's state and what goes with it.
const STATE: &str = "state";
/// Name of the piece that holds the head of the journal.
const HEAD: &str = "head";
/// Names of the pieces that hold earlier lines, in order, comma-separated.
const CHUNKS: &str = "chunks";

/// Keeps one run.
#[derive(Clone)]
pub struct ClusterStore {
    api: Api<ConfigMap>,
    namespace: String,
    run: String,
    owner: Option<ReleaseOwner>,
    /// What the root held when it was last read or written by us, besides the state.
    known: std::sync::Arc<tokio::sync::Mutex<Option<Root>>>,
}

impl std::fmt::Debug for ClusterStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterStore").field("run", &self.run).finish_non_exhaustive()
    }
}

/// The root's parts besides the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Root {
    head: String,
    chunks: Vec<String>,
    tail: String,
    version: String,
}

/// What the root holds of a run. The head never changes, and is a piece of its own.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    format: &'a str,
    state: &'a State,
    recorder: &'a Recorder,
    commands: &'a [String],
    entries: u64,
}

impl<'a> Written<'a> {
    fn of(stored: &'a Stored) -> Self {
        let Stored { format, header: _, state, recorder, commands, entries } = stored;
        Self { format, state, recorder, commands, entries: *entries }
    }
}

/// Name of the ConfigMap that a release's run is kept in.
#[must_use]
pub fn root_name(release: &str) -> String {
    format!("backout-run-{release}")
}

impl ClusterStore {
    /// The run of this release.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: &str,
        release: &str,
        owner: Option<ReleaseOwner>,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            run: release.to_owned(),
            owner,
            known: std::sync::Arc::default(),
        }
    }

    fn told(&self, name: &str) -> String {
        format!("ConfigMap {}/{name}", self.namespace)
    }

    async fn get(&self, name: &str) -> Result<Option<ConfigMap>, Failure> {
        let told = self.told(name);
        match tokio::time::timeout(LIMIT, self.api.get_opt(name)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                let mut failure = answer::failure(&told, &error);
                if failure.kind == Kind::Ambiguous {
                    failure.kind = Kind::Failed;
                }
                Err(failure)
            }
            Err(_) => Err(Failure::new(Kind::Failed, format!("{told}: no answer within 10s"))),
        }
    }

    /// The data of a piece that the root names.
    async fn piece(&self, name: &str, key: &str) -> Result<String, Failure> {
        let found = self.get(name).await?.and_then(|map| map.data?.remove(key));
        found.ok_or_else(|| {
            let message = format!("{} is gone, so that the journal has a gap", self.told(name));
            Failure::new(Kind::Failed, message)
        })
    }

    fn object(&self, name: &str, data: BTreeMap<String, String>) -> ConfigMap {
        let labels =
            [("app.kubernetes.io/managed-by", names::MANAGED_BY), (names::RUN, self.run.as_str())];
        let owner = self.owner.as_ref().map(|owner| OwnerReference {
            api_version: "backout.dev/v1alpha1".to_owned(),
            kind: "Release".to_owned(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
            ..OwnerReference::default()
        });
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(self.namespace.clone()),
                labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..ConfigMap::default()
        }
    }

    /// Stores a piece. One of the same name has the same content.
    async fn keep_piece(&self, key: &str, text: String) -> Result<String, StoreFailure> {
        let name = piece_name(&self.run, key, &text);
        let mut object = self.object(&name, [(key.to_owned(), text)].into());
        object.immutable = Some(true);
        self.create(&name, &object).await.map_err(StoreFailure::Failed)?;
        Ok(name)
    }

    /// Creates an object; `None` if there is one of that name.
    async fn create(&self, name: &str, object: &ConfigMap) -> Result<Option<ConfigMap>, Failure> {
        let told = self.told(name);
        match tokio::time::timeout(LIMIT, self.api.create(&parameters(), object)).await {
            Ok(Ok(made)) => Ok(Some(made)),
            Ok(Err(Error::Api(status))) if status.reason == "AlreadyExists" => Ok(None),
            Ok(Err(error)) => Err(answer::failure(&told, &error)),
            Err(_) => Err(Failure::new(Kind::Ambiguous, format!("{told}: no answer within 10s"))),
        }
    }

    async fn read(&self) -> Result<Option<Kept>, Failure> {
        let name = root_name(&self.run);
        let Some(map) = self.get(&name).await? else { return Ok(None) };
        let version = map.metadata.resource_version.unwrap_or_default();
        let mut data = map.data.unwrap_or_default();
        let state = data.remove(STATE).unwrap_or_default();
        let root = root_of(data, &version);
        let head = self.piece(&root.head, HEAD).await?;
        let told = self.told(&name);
        let mut stored: Value = parsed(&told, &state)?;
        stored["header"] = parsed(&self.told(&root.head), &head)?;
        let stored: Stored = read_value(&told, stored)?;
        *self.known.lock().await = Some(root);
        Ok(Some(Kept { stored, version: Version(version) }))
    }

    async fn write(
        &self,
        stored: &Stored,
        entries: &[Entry],
        version: Option<&Version>,
    ) -> Result<Version, StoreFailure> {
        let mut known = self.known.lock().await;
        let mut root = match (version, known.clone()) {
            (None, _) => {
                let head = self.keep_piece(HEAD, text(&stored.header)?).await?;
                Root { head, ..Root::default() }
            }
            (Some(version), Some(root)) if root.version == version.0 => root,
            // What is kept changed since it was read, which the server would refuse as well.
            (Some(_), _) => return Err(StoreFailure::Overtaken),
        };
        root.tail.push_str(&lines(entries)?);
        if root.tail.len() > LONGEST_TAIL {
            let chunk = self.keep_piece(TAIL, std::mem::take(&mut root.tail)).await?;
            root.chunks.push(chunk);
        }
        let version = self.write_root(&root, text(&Written::of(stored))?, version).await?;
        root.version.clone_from(&version);
        *known = Some(root);
        Ok(Version(version))
    }

    async fn write_root(
        &self,
        root: &Root,
        state: String,
        version: Option<&Version>,
    ) -> Result<String, StoreFailure> {
        let name = root_name(&self.run);
        let told = self.told(&name);
        let size = state.len() + root.tail.len();
        if size > LARGEST {
            let message = format!("{told}: the run takes {size} bytes, more than {LARGEST}");
            return Err(Failure::new(Kind::Refused, message).into());
        }
        let data = [
            (STATE.to_owned(), state),
            (TAIL.to_owned(), root.tail.clone()),
            (HEAD.to_owned(), root.head.clone()),
            (CHUNKS.to_owned(), root.chunks.join(",")),
        ];
        let mut object = self.object(&name, data.into());
        let made = match version {
            None => self.create(&name, &object).await?.ok_or(StoreFailure::Overtaken)?,
            Some(version) => {
                object.metadata.resource_version = Some(version.0.clone());
                let parameters = parameters();
                let request = self.api.replace(&name, &parameters, &object);
                match tokio::time::timeout(LIMIT, request).await {
                    Ok(Ok(made)) => made,
                    // Another version, or the run was deleted: in both cases it is not ours.
                    Ok(Err(Error::Api(status))) if matches!(status.code, 404 | 409) => {
                        return Err(StoreFailure::Overtaken);
                    }
                    Ok(Err(error)) => return Err(answer::failure(&told, &error).into()),
                    Err(_) => {
                        let message = format!("{told}: no answer within 10s");
                        return Err(Failure::new(Kind::Ambiguous, message).into());
                    }
                }
            }
        };
        Ok(made.metadata.resource_version.unwrap_or_default())
    }

    async fn read_journal(&self) -> Result<Journal, Failure> {
        let name = root_name(&self.run);
        let map = self.get(&name).await?.ok_or_else(|| {
            let message = format!("{} does not exist: the run never began", self.told(&name));
            Failure::new(Kind::Missing, message)
        })?;
        let root = root_of(map.data.unwrap_or_default(), "");
        let head = self.piece(&root.head, HEAD).await?;
        let header: Header = parsed(&self.told(&root.head), &head)?;
        let mut entries = Vec::new();
        for chunk in &root.chunks {
            let text = self.piece(chunk, TAIL).await?;
            parsed_lines(&self.told(chunk), &text, &mut entries)?;
        }
        parsed_lines(&self.told(&name), &root.tail, &mut entries)?;
        Ok(Journal { header, entries })
    }
}

impl Store for ClusterStore {
    fn load(&self) -> BoxFuture<'_, Result<Option<Kept>, Failure>> {
        self.read().boxed()
    }

    fn store<'a>(
        &'a self,
        stored: &'a Stored,
        entries: &'a [Entry],
        version: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Version, StoreFailure>> {
        self.write(stored, entries, version).boxed()
    }

    fn journal(&self) -> BoxFuture<'_, Result<Journal, Failure>> {
        self.read_journal().boxed()
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(names::MANAGER.to_owned()), ..PostParams::default() }
}

fn root_of(mut data: BTreeMap<String, String>, version: &str) -> Root {
    let mut take = |key: &str| data.remove(key).unwrap_or_default();
    let chunks = take(CHUNKS);
    Root {
        head: take(HEAD),
        chunks: chunks.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        tail: take(TAIL),
        version: version.to_owned(),
    }
}

fn text(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(unwritable)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
fn unwritable(error: serde_json::Error) -> Failure {
    Failure::new(Kind::Refused, format!("the run cannot be written down: {error}"))
}

fn parsed<T: DeserializeOwned>(told: &str, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| unreadable(told, &error))
}

fn read_value<T: DeserializeOwned>(told: &str, value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| unreadable(told, &error))
}

fn unreadable(told: &str, error: &serde_json::Error) -> Failure {
    Failure::new(Kind::Refused, format!("{told} cannot be read: {error}"))
        .with_help("it was written by another version, or changed by hand; see `backout status`")
}
