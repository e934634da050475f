//! Who we are, from the standard Docker configuration.
//!
//! Read are `$REGISTRY_AUTH_FILE` (podman's), then `$DOCKER_CONFIG/config.json` or
//! `~/.docker/config.json`: `credHelpers`, `credsStore` and `auths`. A helper is asked only for the
//! registry that wants credentials. Nothing is written, and no secret is ever shown.

mod helper;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use backout_gates::oci::Repository;
use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::secret::Secret;

/// The longest configuration file that is read.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// The name under which Docker keeps the credentials of Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Base64 with or without padding: tools differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Who we are to one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// User name and password.
    Password {
        /// The user's name.
        user: String,
        /// The user's password.
        password: Secret,
    },
    /// A refresh token, which is changed into an access token.
    Identity(Secret),
    /// An access token that is sent as it is.
    Access(Secret),
}

/// Where credentials are kept.
#[derive(Clone, Debug)]
pub struct Credentials {
    files: Vec<PathBuf>,
    helper_timeout: Duration,
    /// Where helpers are, instead of in `PATH`.
    helper_folder: Option<PathBuf>,
}

/// The part of a configuration file that is about credentials.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(default)]
    cred_helpers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
    #[serde(default)]
    registrytoken: Option<String>,
}

impl Credentials {
    /// None: everything is asked without saying who we are.
    #[must_use]
    pub fn none() -> Self {
        Self::in_files(Vec::new())
    }

    /// From the files that Docker and podman use. They are read when a registry wants credentials.
    #[must_use]
    pub fn of_docker() -> Self {
        Self::in_files(files(|name| std::env::var_os(name)))
    }

    /// From these files, the first that knows the registry. A file that is not there knows none.
    #[must_use]
    pub const fn in_files(files: Vec<PathBuf>) -> Self {
        Self { files, helper_timeout: Duration::from_secs(10), helper_folder: None }
    }

    /// The same, with another limit on how long a credential helper may take.
    #[must_use]
    pub fn with_helper_timeout(mut self, timeout: Duration) -> Self {
        self.helper_timeout = timeout;
        self
    }

    /// The same, with helpers of this folder instead of those in `PATH`.
    #[must_use]
    pub fn with_helper_folder(mut self, folder: PathBuf) -> Self {
        self.helper_folder = Some(folder);
        self
    }

    /// Who we are to the registry of a repository.
    pub(super) async fn login(&self, repository: &Repository) -> Result<Option<Login>, String> {
        for file in &self.files {
            let Some(config) = read(file).await? else { continue };
            let found = self.login_in(&config, repository).await;
            let found = found.map_err(|why| format!("{}: {why}", file.display()))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn login_in(
        &self,
        config: &Config,
        repository: &Repository,
    ) -> Result<Option<Login>, String> {
        let host = repository.host();
        let server = if host == "docker.io" { DOCKER_HUB } else { host };
        let helpers = config.cred_helpers.iter().flatten();
        let own = helpers.filter(|(key, _)| host_in(key) == host).map(|(_, helper)| helper).next();
        let store = config.creds_store.as_ref().filter(|store| !store.is_empty());
        if let Some(helper) = own.or(store) {
            let found = helper::get(helper, server, self).await?;
            if found.is_some() || own.is_some() {
                return Ok(found);
            }
        }
        let Some(auths) = &config.auths else { return Ok(None) };
        entry_for(auths, repository).map_or(Ok(None), |(key, entry)| {
            entry.login().map_err(|why| format!("`auths` of `{key}`: {why}"))
        })
    }
}

/// The files that Docker and podman use, by their environment variables.
fn files(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    let docker = match (variable("DOCKER_CONFIG"), variable("HOME")) {
        (Some(folder), _) => Some(PathBuf::from(folder)),
        (None, Some(home)) => Some(PathBuf::from(home).join(".docker")),
        (None, None) => None,
    };
    let podman = variable("REGISTRY_AUTH_FILE").map(PathBuf::from);
    let files = podman.into_iter().chain(docker.map(|folder| folder.join("config.json")));
    files.collect()
}

/// The entry of a repository: podman's may be for a part of a registry, and the longest wins.
fn entry_for<'a>(
    auths: &'a BTreeMap<String, Entry>,
    repository: &Repository,
) -> Option<(&'a String, &'a Entry)> {
    let whole = repository.to_string();
    let covers = |key: &str| {
        whole.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let longest = auths.iter().filter(|(key, _)| covers(key)).max_by_key(|(key, _)| key.len());
    longest.or_else(|| auths.iter().find(|(key, _)| is_whole_host(key, repository.host())))
}

/// Whether a key such as `https://registry.example/v1/` means all of a registry.
fn is_whole_host(key: &str, host: &str) -> bool {
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    let path = bare.split_once('/').map_or("", |(_, path)| path).trim_end_matches('/');
    host_in(key) == host && matches!(path, "" | "v1" | "v2")
}

/// The host in `https://registry.example/v1/`.
fn host_in(key: &str) -> &str {
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    match bare.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

impl Entry {
    fn login(&self) -> Result<Option<Login>, String> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Login::Access(Secret::new(&token))));
        }
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Login::Identity(Secret::new(&token))));
        }
        if let Some(auth) = given(&self.auth) {
            let broken = "`auth` is not the Base64 of `user:password`; log in again";
            let decoded = BASE64.decode(auth.trim()).map_err(|_| broken.to_owned())?;
            let text = String::from_utf8(decoded).map_err(|_| broken.to_owned())?;
            let (user, password) = text.split_once(':').ok_or(broken)?;
            // Older versions of Docker ended the password with a zero byte.
            let password = Secret::new(password.trim_end_matches('\0'));
            return Ok(Some(Login::Password { user: user.to_owned(), password }));
        }
        Ok(given(&self.username)
            .zip(given(&self.password))
            .map(|(user, password)| Login::Password { user, password: Secret::new(&password) }))
    }
}

/// Reads a configuration, if there is one.
async fn read(path: &std::path::Path) -> Result<Option<Config>, String> {
    use tokio::io::AsyncReadExt;
    let failed = |why: &dyn std::fmt::Display| Err(format!("{} {why}", path.display()));
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return failed(&format!("cannot be read: {error}")),
    };
    let mut bytes = Vec::new();
    match file.take(MOST_BYTES + 1).read_to_end(&mut bytes).await {
        Err(error) => return failed(&format!("cannot be read: {error}")),
        Ok(read) if u64::try_from(read).is_ok_and(|read| read > MOST_BYTES) => {
            return failed(&format!("is longer than {MOST_BYTES} bytes"));
        }
        Ok(_) => {}
    }
    // The error's own words could repeat a secret; its place cannot.
    serde_json::from_slice(&bytes).map(Some).or_else(|error| {
        let (line, column) = (error.line(), error.column());
        failed(&format!("is no Docker configuration: line {line}, column {column}"))
    })
}

#[cfg(test)]
mod tests;
