//! Where a request goes, and whether it may go there.

use http::Uri;

/// The host that answers for Docker Hub.
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// Scheme, host and port. Credentials belong to one of these, and to no other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    /// Whether the connection is encrypted, and the other side proves who it is.
    pub(super) is_https: bool,
    /// Host and port, in lower case; without the port when it is the usual one.
    pub(super) authority: String,
}

impl Origin {
    /// The origin of a registry, by the host in a reference.
    pub(super) fn of_registry(host: &str, plain_http: &[String]) -> Self {
        let authority = if host == "docker.io" { DOCKER_HUB_API } else { host };
        let is_plain = is_loopback(host) || plain_http.iter().any(|plain| plain == host);
        Self { is_https: !is_plain, authority: authority.to_ascii_lowercase() }
    }

    fn of(uri: &Uri) -> Option<Self> {
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?.as_str().to_ascii_lowercase();
        if authority.contains('@') {
            return None;
        }
        let usual = if is_https { ":443" } else { ":80" };
        let authority = authority.strip_suffix(usual).unwrap_or(&authority).to_owned();
        Some(Self { is_https, authority })
    }

    /// Whether it is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.authority)
    }

    /// Whether a request that began at this origin may go on to `next`. Plain HTTP is for hosts that
    /// the policy names, and for this machine when the registry is on it too: a registry elsewhere
    /// must not make us ask services of our own machine.
    pub(super) fn may_lead_to(&self, next: &Self, plain_http: &[String]) -> bool {
        let is_named = plain_http.contains(&next.authority);
        next.is_https || is_named || (self.is_loopback() && next.is_loopback())
    }

    /// Whether credentials for this registry may go to the address that it named for tokens. It must
    /// have named it itself over a connection that nobody else can write to, and the address must
    /// be one that nobody else can read; or it is the registry itself.
    pub(super) fn may_send_credentials_to(&self, realm: &Self) -> bool {
        let is_safe = |origin: &Self| origin.is_https || origin.is_loopback();
        let not_our_machine = !realm.is_loopback() || self.is_loopback();
        self == realm || (is_safe(self) && is_safe(realm) && not_our_machine)
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.is_https { "https" } else { "http" }, self.authority)
    }
}

/// Whether a host, with or without a port, is this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An address that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) origin: Origin,
    /// Path and query.
    pub(super) path: String,
}

impl Address {
    /// Reads an address that somebody else wrote, as seen from this one.
    pub(super) fn join(&self, location: &str) -> Option<Self> {
        if location.is_empty() {
            return None;
        }
        let whole = if location.contains("://") {
            location.to_owned()
        } else if let Some(rest) = location.strip_prefix("//") {
            let scheme = if self.origin.is_https { "https" } else { "http" };
            format!("{scheme}://{rest}")
        } else if location.starts_with('/') {
            format!("{}{location}", self.origin)
        } else {
            let path = self.path.split('?').next().unwrap_or_default();
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let base =
                if location.starts_with('?') { path.to_owned() } else { format!("{folder}/") };
            format!("{}{base}{location}", self.origin)
        };
        Self::parse(whole.split('#').next()?)
    }

    /// Reads a whole address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Some(Self { origin: Origin::of(&uri)?, path })
    }

    /// The address without its query, in which others put what gives access.
    pub(super) fn shown(&self) -> String {
        format!("{}{}", self.origin, self.path.split('?').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Address::parse(text).unwrap().origin
    }

    #[test]
    fn plain_http_is_for_this_machine_and_named_hosts() {
        let named = ["registry.lan:5000".to_owned()];
        for (host, expected) in [
            ("docker.io", "https://registry-1.docker.io"),
            ("registry.example", "https://registry.example"),
            ("registry.lan:5000", "http://registry.lan:5000"),
            ("registry.lan", "https://registry.lan"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("127.0.0.1.example", "https://127.0.0.1.example"),
            ("[::1]:5000", "http://[::1]:5000"),
            ("localhost", "http://localhost"),
            ("localhost.example", "https://localhost.example"),
        ] {
            assert_eq!(Origin::of_registry(host, &named).to_string(), expected, "{host}");
        }
    }

    #[test]
    fn credentials_go_only_where_nobody_else_reads_or_writes() {
        for (registry, realm, may) in [
            ("https://registry.example", "https://auth.example/token", true),
            ("https://registry.example", "http://auth.example/token", false),
            ("https://registry.example", "http://127.0.0.1:1/token", false),
            ("http://registry.lan:5000", "https://auth.example/token", false),
            ("http://registry.lan:5000", "http://registry.lan:5000/token", true),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", true),
            ("http://127.0.0.1:5000", "http://auth.example/token", false),
        ] {
            let told = format!("{registry} -> {realm}");
            assert_eq!(origin(registry).may_send_credentials_to(&origin(realm)), may, "{told}");
        }
    }

    #[test]
    fn requests_are_not_led_to_plain_http_or_this_machine() {
        let registry = origin("https://registry.example");
        assert!(registry.may_lead_to(&origin("https://blobs.example"), &[]));
        assert!(!registry.may_lead_to(&origin("http://blobs.example"), &[]));
        assert!(!registry.may_lead_to(&origin("http://127.0.0.1:80"), &[]));
        assert!(registry.may_lead_to(&origin("http://a.lan"), &["a.lan".to_owned()]));
        assert_eq!(origin("https://A.example:443"), origin("https://a.example"));
    }

    #[test]
    fn relative_addresses_are_joined() {
        let from = Address::parse("https://a.example/v2/x/tags/list?n=1").unwrap();
        for (location, expected) in [
            ("/v2/y", "https://a.example/v2/y"),
            ("?last=b", "https://a.example/v2/x/tags/list?last=b"),
            ("other", "https://a.example/v2/x/tags/other"),
            ("//b.example/z", "https://b.example/z"),
            ("http://c.example", "http://c.example/"),
        ] {
            let joined = from.join(location).unwrap();
            assert_eq!(format!("{}{}", joined.origin, joined.path), expected, "{location}");
        }
        assert_eq!(from.join("ftp://a/b"), None);
        assert_eq!(from.join("https://user:pass@b.example/"), None);
        assert_eq!(from.shown(), "https://a.example/v2/x/tags/list");
    }
}
