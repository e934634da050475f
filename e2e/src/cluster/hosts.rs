//! The cluster's own /etc/hosts, which stands in for the cluster's DNS.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use tokio::task::AbortHandle;

/// What the domain of a Service may be written as.
const SUFFIXES: [&str; 3] = ["", ".svc", ".svc.cluster.local"];

/// Keeps the names of Services resolving. Dropping it ends that.
#[derive(Debug)]
pub struct Names(AbortHandle);

impl Drop for Names {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Names and addresses that every process of the cluster resolves.
#[derive(Clone, Debug)]
pub struct Hosts {
    file: Arc<PathBuf>,
    names: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Hosts {
    /// Puts a file of ours over /etc/hosts, for this mount namespace only.
    ///
    /// # Errors
    /// The file cannot be written or mounted.
    pub fn mount(directory: &Path) -> Result<Self> {
        let file = directory.join("hosts");
        let hosts = Self { file: Arc::new(file), names: Arc::default() };
        hosts.write(&BTreeMap::new())?;
        let status = std::process::Command::new("mount")
            .arg("--bind")
            .arg(hosts.file.as_path())
            .arg("/etc/hosts")
            .status()
            .context("cannot run mount (package util-linux)")?;
        ensure!(status.success(), "cannot mount {} over /etc/hosts", hosts.file.display());
        Ok(hosts)
    }

    /// Makes a name resolve to an address.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set(&self, name: &str, address: &str) -> Result<()> {
        self.change(|names| {
            names.insert(name.to_owned(), address.to_owned());
        })
    }

    /// Makes the names of a Service resolve: `name.namespace`, with `.svc` and with the cluster's
    /// domain.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_service(&self, namespace: &str, name: &str, address: &str) -> Result<()> {
        self.change(|names| {
            for suffix in SUFFIXES {
                names.insert(format!("{name}.{namespace}{suffix}"), address.to_owned());
            }
        })
    }

    /// Makes the names of every Service resolve while it exists, those that are made later
    /// included.
    #[must_use]
    pub fn follow_services(&self, client: &Client) -> Names {
        let hosts = self.clone();
        let api: Api<Service> = Api::all(client.clone());
        let mut events =
            watcher::watcher(api, watcher::Config::default()).default_backoff().boxed();
        let follow = async move {
            while let Some(event) = events.next().await {
                let written = match event {
                    Ok(Event::Apply(service) | Event::InitApply(service)) => hosts.know(&service),
                    Ok(Event::Delete(service)) => hosts.forget(&service),
                    Ok(Event::Init | Event::InitDone) => Ok(()),
                    // The watcher begins again by itself, after a pause.
                    Err(error) => Err(error.into()),
                };
                if let Err(error) = written {
                    tracing::debug!("names of Services are not up to date: {error:#}");
                }
            }
        };
        Names(tokio::spawn(follow).abort_handle())
    }

    fn know(&self, service: &Service) -> Result<()> {
        let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
        match address.filter(|address| !address.is_empty() && *address != "None") {
            Some(address) => self.set_service(
                &service.namespace().unwrap_or_default(),
                &service.name_any(),
                address,
            ),
            None => Ok(()),
        }
    }

    fn forget(&self, service: &Service) -> Result<()> {
        let (name, namespace) = (service.name_any(), service.namespace().unwrap_or_default());
        self.change(|names| {
            for suffix in SUFFIXES {
                names.remove(&format!("{name}.{namespace}{suffix}"));
            }
        })
    }

    /// Forgets a name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.change(|names| {
            names.remove(name);
        })
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Result<()> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut names);
        self.write(&names)
    }

    /// Overwrites the file in place: a mount shows one file, so that a renamed one would not be
    /// seen. Writing first and cutting afterwards leaves no moment with an empty file.
    fn write(&self, names: &BTreeMap<String, String>) -> Result<()> {
        let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
        for (name, address) in names {
            text.push_str(&format!("{address} {name}\n"));
        }
        let write = || -> std::io::Result<()> {
            let options = File::options().create(true).write(true).truncate(false).clone();
            let mut file = options.open(self.file.as_path())?;
            file.write_all(text.as_bytes())?;
            file.set_len(text.len() as u64)
        };
        write().with_context(|| format!("cannot write {}", self.file.display()))
    }
}
