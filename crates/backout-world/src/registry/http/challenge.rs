//! What a registry wants to see before it answers (RFC 9110, section 11.6.1).

use std::collections::BTreeMap;

/// What a registry wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token from somewhere.
    Bearer {
        /// Where tokens are given.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
        /// What it is for.
        scope: Option<String>,
    },
    /// User name and password.
    Basic,
}

impl Challenge {
    /// Reads `WWW-Authenticate` headers. A bearer token goes before a password.
    pub(super) fn read<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut basic = None;
        for (scheme, mut parameters) in headers.flat_map(challenges) {
            match scheme.as_str() {
                "bearer" => {
                    if let Some(realm) = parameters.remove("realm") {
                        let service = parameters.remove("service");
                        return Some(Self::Bearer {
                            realm,
                            service,
                            scope: parameters.remove("scope"),
                        });
                    }
                }
                "basic" => basic = Some(Self::Basic),
                _ => {}
            }
        }
        basic
    }
}

/// The challenges of one header: schemes in lower case, with their parameters.
fn challenges(header: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    for part in parts(header) {
        let part = part.trim();
        let (before, value) = match part.split_once('=') {
            Some((before, value)) => (before.trim(), Some(value.trim())),
            None => (part, None),
        };
        let name = match before.split_once(char::is_whitespace) {
            Some((scheme, name)) => {
                found.push((scheme.to_ascii_lowercase(), BTreeMap::new()));
                name.trim()
            }
            None if value.is_none() => {
                found.push((before.to_ascii_lowercase(), BTreeMap::new()));
                continue;
            }
            None => before,
        };
        if let (Some((_, parameters)), Some(value)) = (found.last_mut(), value) {
            parameters.insert(name.to_ascii_lowercase(), unquoted(value));
        }
    }
    found
}

/// The parts between commas that are not within quotes.
fn parts(header: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in header.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&header[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&header[begin..]);
    parts
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut escaped = false;
    inner
        .chars()
        .filter(|c| {
            escaped = *c == '\\' && !escaped;
            !escaped
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let read = |header| Challenge::read(std::iter::once(header));
        let bearer = |service: Option<&str>, scope: Option<&str>| {
            Some(Challenge::Bearer {
                realm: "https://auth.example/token".to_owned(),
                service: service.map(str::to_owned),
                scope: scope.map(str::to_owned),
            })
        };
        let header = "Bearer realm=\"https://auth.example/token\",service=\"registry.example\",\
                      scope=\"repository:shop/checkout:pull,push\"";
        let scope = Some("repository:shop/checkout:pull,push");
        assert_eq!(read(header), bearer(Some("registry.example"), scope));
        assert_eq!(read("bearer realm=https://auth.example/token"), bearer(None, None));
        assert_eq!(read("Basic realm=\"a, b\""), Some(Challenge::Basic));
        let both = "Basic realm=\"x\", Bearer realm=\"https://auth.example/token\"";
        assert_eq!(read(both), bearer(None, None));
        assert_eq!(read("Negotiate"), None);
        assert_eq!(read("Bearer"), None);
        assert_eq!(read(""), None);
    }

    proptest! {
        #[test]
        fn reading_never_panics(header in ".{0,100}") {
            let _ = Challenge::read(std::iter::once(header.as_str()));
        }
    }
}
