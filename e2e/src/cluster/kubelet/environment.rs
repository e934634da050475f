//! Environment variables and files of a container, from ConfigMaps, Secrets and the pod itself.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvFromSource, EnvVar, KeyToPath, Pod, Secret, Volume, VolumeMount,
};
use kube::{Api, Client, ResourceExt};

/// Values of a ConfigMap or Secret, by key.
type Values = BTreeMap<String, Vec<u8>>;

/// What one pod reads from its namespace.
pub(super) struct Sources {
    client: Client,
    namespace: String,
}

impl Sources {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    async fn config_map(&self, name: &str, optional: Option<bool>) -> Result<Option<Values>> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = api.get_opt(name).await.with_context(|| format!("configmap \"{name}\""))?;
        let Some(map) = found else { return absent("configmap", name, optional) };
        let mut values: Values =
            map.data.unwrap_or_default().into_iter().map(|(k, v)| (k, v.into_bytes())).collect();
        values.extend(map.binary_data.unwrap_or_default().into_iter().map(|(k, v)| (k, v.0)));
        Ok(Some(values))
    }

    async fn secret(&self, name: &str, optional: Option<bool>) -> Result<Option<Values>> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = api.get_opt(name).await.with_context(|| format!("secret \"{name}\""))?;
        let Some(secret) = found else { return absent("secret", name, optional) };
        Ok(Some(secret.data.unwrap_or_default().into_iter().map(|(k, v)| (k, v.0)).collect()))
    }

    /// The variables of a container, `envFrom` first.
    pub(super) async fn variables(
        &self,
        pod: &Pod,
        container: &Container,
        ip: &str,
    ) -> Result<BTreeMap<String, String>> {
        let mut variables = BTreeMap::new();
        for from in container.env_from.iter().flatten() {
            self.all_of(from, &mut variables).await?;
        }
        for variable in container.env.iter().flatten() {
            if let Some(value) = self.value(pod, variable, ip).await? {
                variables.insert(variable.name.clone(), value);
            }
        }
        Ok(variables)
    }

    async fn all_of(
        &self,
        from: &EnvFromSource,
        variables: &mut BTreeMap<String, String>,
    ) -> Result<()> {
        let mut all = Values::new();
        if let Some(source) = &from.config_map_ref {
            all.extend(self.config_map(&source.name, source.optional).await?.unwrap_or_default());
        }
        if let Some(source) = &from.secret_ref {
            all.extend(self.secret(&source.name, source.optional).await?.unwrap_or_default());
        }
        let prefix = from.prefix.as_deref().unwrap_or_default();
        for (key, value) in all {
            variables.insert(format!("{prefix}{key}"), text(value));
        }
        Ok(())
    }

    async fn value(&self, pod: &Pod, variable: &EnvVar, ip: &str) -> Result<Option<String>> {
        let Some(source) = &variable.value_from else {
            return Ok(Some(variable.value.clone().unwrap_or_default()));
        };
        if let Some(field) = &source.field_ref {
            return field_of(pod, &field.field_path, ip).map(Some);
        }
        let (values, key, optional) = if let Some(at) = &source.config_map_key_ref {
            (self.config_map(&at.name, at.optional).await?, &at.key, at.optional)
        } else if let Some(at) = &source.secret_key_ref {
            (self.secret(&at.name, at.optional).await?, &at.key, at.optional)
        } else {
            bail!("variable {}: this kind of valueFrom is not supported", variable.name);
        };
        match values.and_then(|mut values| values.remove(key)) {
            Some(value) => Ok(Some(text(value))),
            None if optional == Some(true) => Ok(None),
            None => bail!("couldn't find key {key} for variable {}", variable.name),
        }
    }

    /// Writes the files of every ConfigMap and Secret that the container mounts, below `root`.
    /// Volumes of other kinds are left out.
    pub(super) async fn files(&self, pod: &Pod, container: &Container, root: &Path) -> Result<()> {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let volumes: BTreeMap<&str, &Volume> = volumes.map(|v| (v.name.as_str(), v)).collect();
        for mount in container.volume_mounts.iter().flatten() {
            let Some(volume) = volumes.get(mount.name.as_str()) else { continue };
            let (values, items) = if let Some(source) = &volume.config_map {
                (self.config_map(&source.name, source.optional).await?, &source.items)
            } else if let Some(source) = &volume.secret {
                let name = source.secret_name.as_deref().unwrap_or_default();
                (self.secret(name, source.optional).await?, &source.items)
            } else {
                continue;
            };
            write(mount, values.unwrap_or_default(), items.as_deref(), root)?;
        }
        Ok(())
    }
}

fn absent(kind: &str, name: &str, optional: Option<bool>) -> Result<Option<Values>> {
    ensure!(optional == Some(true), "{kind} \"{name}\" not found");
    Ok(None)
}

fn text(value: Vec<u8>) -> String {
    String::from_utf8(value).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into())
}

fn write(
    mount: &VolumeMount,
    values: Values,
    items: Option<&[KeyToPath]>,
    root: &Path,
) -> Result<()> {
    let names: BTreeMap<&str, &str> =
        items.unwrap_or_default().iter().map(|i| (i.key.as_str(), i.path.as_str())).collect();
    let base = below(root, &mount.mount_path)?;
    for (key, value) in values {
        let name = match (items, names.get(key.as_str())) {
            (None, _) => key.as_str(),
            (Some(_), Some(path)) => path,
            (Some(_), None) => continue,
        };
        let file = match &mount.sub_path {
            Some(only) if only == name => base.clone(),
            Some(_) => continue,
            None => below(&base, name)?,
        };
        let folder = file.parent().context("a file has a folder")?;
        std::fs::create_dir_all(folder).context("cannot make a folder of a volume")?;
        std::fs::write(&file, value).context("cannot write a file of a volume")?;
    }
    Ok(())
}

/// A path inside a folder; `..` is refused, because the pod's folder is all that it may write to.
fn below(root: &Path, path: &str) -> Result<PathBuf> {
    let mut joined = root.to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => joined.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => bail!("path {path} leaves the pod"),
        }
    }
    Ok(joined)
}

fn field_of(pod: &Pod, path: &str, ip: &str) -> Result<String> {
    let spec = pod.spec.as_ref();
    let keyed = |prefix: &str| {
        let key = path.strip_prefix(prefix)?.strip_suffix("']")?;
        Some(key.to_owned())
    };
    if let Some(key) = keyed("metadata.labels['") {
        return Ok(pod.labels().get(&key).cloned().unwrap_or_default());
    }
    if let Some(key) = keyed("metadata.annotations['") {
        return Ok(pod.annotations().get(&key).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "status.podIP" | "status.podIPs" => ip.to_owned(),
        "status.hostIP" => super::NODE_IP.to_owned(),
        "spec.nodeName" => super::NODE.to_owned(),
        "spec.serviceAccountName" => {
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default()
        }
        other => bail!("fieldRef {other} is not supported"),
    })
}
