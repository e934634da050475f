//! Debian's `docker-registry` on a loopback port, with a folder of its own.

use std::ffi::OsString;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Names the program `docker-registry`. `cargo xtask test` sets it; then it must be there.
pub const VARIABLE: &str = "BACKOUT_DOCKER_REGISTRY";

/// A registry that ends with the test. It has no referrers API.
#[derive(Debug)]
pub struct DockerRegistry {
    _process: Child,
    _folder: TempDir,
    address: SocketAddr,
}

impl DockerRegistry {
    /// Starts a registry, and waits until it listens. Nothing when the program is not installed and
    /// nobody said that it must be; then standard error says that the test was skipped.
    pub async fn start(test: &str) -> Option<Self> {
        let program = program(test)?;
        let folder = tempfile::tempdir().expect("a folder can be made");
        // Between finding a free port and using it, somebody else may take it.
        for _ in 0..5 {
            let address = free_address();
            let config = folder.path().join("config.yml");
            let storage = folder.path().join("storage");
            let text = format!(
                "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  \
                 delete: {{enabled: true}}\nhttp: {{addr: \"{address}\"}}\n",
                storage.display()
            );
            std::fs::write(&config, text).expect("writable");
            let mut process = Command::new(&program)
                .arg("serve")
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .expect("docker-registry can be started");
            if listens(&mut process, address).await {
                return Some(Self { _process: process, _folder: folder, address });
            }
        }
        panic!("docker-registry does not start");
    }

    /// Where it listens, which is also the host in references.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn program(test: &str) -> Option<OsString> {
    let named = std::env::var_os(VARIABLE).filter(|program| !program.is_empty());
    let program = named.clone().unwrap_or_else(|| OsString::from("docker-registry"));
    let started = std::process::Command::new(&program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if started.is_ok_and(|status| status.success()) {
        return Some(program);
    }
    assert!(named.is_none(), "{test} needs `docker-registry`, and {VARIABLE} names none that runs");
    // Written past the test harness, which would swallow it when the test passes.
    let told = writeln!(
        std::io::stderr(),
        "SKIPPED {test}: the program `docker-registry` is not installed; `cargo xtask test` gets it"
    );
    told.expect("standard error takes text");
    None
}

/// Waits until something listens; it does not when the process ended instead.
async fn listens(process: &mut Child, address: SocketAddr) -> bool {
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        if process.try_wait().expect("a child can be asked").is_some() {
            return false;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "docker-registry does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it has an address")
}
