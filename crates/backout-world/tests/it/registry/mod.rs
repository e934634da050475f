//! Tests against a real registry, one with the referrers API, and servers that behave badly.

mod causes;
mod credentials;
mod hostile;
mod layout;
mod partial;
mod referrers;
mod server;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use backout_gates::oci::Repository;
use backout_world::registry::{Credentials, Options, Registry};

/// Short limits, so that a server that hangs costs a test little.
pub(crate) fn options() -> Options {
    Options {
        connect_timeout: Duration::from_secs(2),
        timeout: Duration::from_secs(20),
        most_retry_wait: Duration::ZERO,
        ..Options::default()
    }
}

/// A reader without credentials.
pub(crate) fn reader() -> Registry {
    Registry::over_http(options(), Credentials::none()).expect("the options can be used")
}

/// A repository of a registry on this machine.
pub(crate) fn repository(address: SocketAddr, name: &str) -> Repository {
    format!("{address}/{name}").parse().expect("it is a repository")
}
