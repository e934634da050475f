//! The discovery files, and which version of each was written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::envoy::{Admin, replace};
use super::translate::{
    Backend, CLUSTERS, GATEWAY, GATEWAY_ROUTES, LISTENERS, cluster_resource, endpoints_file,
    endpoints_resource, gateway_listener, service_listener,
};

/// Envoy takes a file within some milliseconds; a machine that is busy may need longer.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// The discovery files in one directory.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    admin: Admin,
    written: BTreeMap<String, Vec<Value>>,
    /// The newest version by the scope of Envoy's statistic about it.
    expected: BTreeMap<String, String>,
    clusters: BTreeMap<String, Value>,
    last_version: u64,
}

impl Files {
    /// Writes the first files: no clusters, and a Gateway without routes.
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let mut files = Self {
            directory: directory.to_owned(),
            admin: Admin::new(),
            written: BTreeMap::new(),
            expected: BTreeMap::new(),
            clusters: BTreeMap::new(),
            last_version: 0,
        };
        let routes = json!({
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": GATEWAY,
        });
        files.write_routes(routes)?;
        files.write(CLUSTERS, "cluster_manager.cds", Vec::new())?;
        files.write_listeners(&BTreeMap::new())?;
        Ok(files)
    }

    /// Applies Services and their endpoints, and then, if given, the Gateway's routes. New
    /// clusters are there before a route leads to them, and old ones until none does any more.
    pub(super) async fn apply(
        &mut self,
        backends: &BTreeMap<String, Backend>,
        http2: &std::collections::BTreeSet<String>,
        routes: Option<Value>,
    ) -> Result<()> {
        for (name, backend) in backends {
            let scope = format!("cluster.{name}");
            self.write(&endpoints_file(name), &scope, vec![endpoints_resource(backend)])?;
        }
        let directory = self.directory.to_string_lossy().into_owned();
        let wanted: BTreeMap<String, Value> = backends
            .iter()
            .map(|(name, backend)| {
                (name.clone(), cluster_resource(backend, http2.contains(name), &directory))
            })
            .collect();
        let mut both = std::mem::take(&mut self.clusters);
        both.extend(wanted.clone());
        self.clusters.clone_from(&both);
        self.write(CLUSTERS, "cluster_manager.cds", both.into_values().collect())?;
        self.taken().await?;
        if let Some(routes) = routes {
            self.write_routes(routes)?;
        }
        self.write_listeners(backends)?;
        self.taken().await?;
        for gone in self.clusters.keys().filter(|name| !wanted.contains_key(*name)) {
            self.written.remove(&endpoints_file(gone));
            self.expected.remove(&format!("cluster.{gone}"));
        }
        self.clusters.clone_from(&wanted);
        self.write(CLUSTERS, "cluster_manager.cds", wanted.into_values().collect())?;
        self.taken().await
    }

    async fn taken(&self) -> Result<()> {
        self.admin.works_with(&self.expected, TAKEN_WITHIN).await
    }

    fn write_routes(&mut self, routes: Value) -> Result<()> {
        self.write(GATEWAY_ROUTES, &format!("http.{GATEWAY}.rds.{GATEWAY}"), vec![routes])
    }

    fn write_listeners(&mut self, backends: &BTreeMap<String, Backend>) -> Result<()> {
        let directory = self.directory.to_string_lossy().into_owned();
        let gateway = gateway_listener(super::GATEWAY_ADDRESS, super::GATEWAY_PORT, &directory);
        let mut listeners = vec![gateway];
        listeners.extend(backends.values().filter_map(service_listener));
        self.write(LISTENERS, "listener_manager.lds", listeners)
    }

    /// Writes a file if its content is new.
    fn write(&mut self, name: &str, scope: &str, resources: Vec<Value>) -> Result<()> {
        if self.written.get(name) == Some(&resources) {
            return Ok(());
        }
        self.last_version += 1;
        let version = format!("v{}", self.last_version);
        let content = json!({ "version_info": version, "resources": resources });
        replace(&self.directory, name, &content)?;
        self.written.insert(name.to_owned(), resources);
        self.expected.insert(scope.to_owned(), version);
        Ok(())
    }
}
