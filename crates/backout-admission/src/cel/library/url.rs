//! Addresses of resources: `url`, `isURL` and their parts.
//!
//! Kubernetes takes what Go's `url.ParseRequestURI` does, which wants an absolute address or an
//! absolute path, and reads it with `url.Parse`.

use std::collections::BTreeMap;

use cel::common::types::{CelBool, CelList, CelMap, CelMapKey, CelString};
use cel::common::value::Val;
use cel::{DeclarationError, Env, ExecutionError, add_member_overload, add_overload};

use super::{failed, opaque};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    scheme: String,
    /// Host and port, as written.
    host: String,
    /// The path with every byte escaped that has to be.
    path: String,
    query: String,
}

opaque!(Url, "kubernetes.URL");

pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    add_overload!(env, fn url: (CelString) -> Result<Url>, id = "string_to_url")?;
    add_overload!(env, fn is_url: (CelString) -> CelBool, name = "isURL", id = "is_url_string")?;
    add_member_overload!(env, fn get_scheme: (Url) -> CelString)?;
    add_member_overload!(env, fn get_host: (Url) -> CelString)?;
    add_member_overload!(env, fn get_hostname: (Url) -> CelString)?;
    add_member_overload!(env, fn get_port: (Url) -> CelString)?;
    add_member_overload!(env, fn get_escaped_path: (Url) -> CelString)?;
    add_member_overload!(env, fn get_query: (Url) -> CelMap)?;
    Ok(())
}

fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let mut letters = scheme.bytes();
    let starts = letters.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let goes_on = letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (starts && goes_on).then_some((scheme, rest))
}

/// Whether every percent sign is followed by two hexadecimal digits.
fn is_escaped_well(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|part| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

fn is_host(host: &str) -> bool {
    let (name, port) = split_port(host);
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = match name.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(|inner| inner.contains(':')),
        None => {
            name.bytes().all(|byte| {
                byte >= 0x80
                    || byte.is_ascii_alphanumeric()
                    || b"-._~!$&'()*+,;=%\"<>".contains(&byte)
            }) && !name.contains(':')
        }
    };
    is_port && is_name && is_escaped_well(name)
}

fn split_port(host: &str) -> (&str, &str) {
    let from = host.rfind(']').unwrap_or(0);
    match host[from..].rfind(':') {
        Some(colon) => (&host[..from + colon], &host[from + colon + 1..]),
        None => (host, ""),
    }
}

fn parse(text: &str) -> Option<Url> {
    if text.is_empty() || text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return None;
    }
    let text = text.split_once('#').map_or(text, |(text, _)| text);
    let (scheme, rest) = scheme(text).unwrap_or(("", text));
    if !rest.starts_with('/') && scheme.is_empty() && rest != "*" {
        return None;
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let after = rest.strip_prefix("//");
    let (host, path) = match after.filter(|rest| !scheme.is_empty() || !rest.starts_with('/')) {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        // An address such as mailto:a@b has no parts.
        None if !rest.starts_with('/') && rest != "*" => ("", ""),
        None => ("", rest),
    };
    let host = host.rsplit('@').next().unwrap_or_default();
    (is_host(host) && is_escaped_well(path)).then(|| Url {
        scheme: scheme.to_ascii_lowercase(),
        host: host.to_owned(),
        path: escaped(path),
        query: query.to_owned(),
    })
}

fn escaped(path: &str) -> String {
    let mut escaped = String::new();
    for byte in path.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@/%[]".contains(&byte);
        if plain {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn unescaped(text: &str) -> Option<String> {
    if !is_escaped_well(text) {
        return None;
    }
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &tail[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a text is an address.
pub(super) fn is_valid(text: &str) -> bool {
    parse(text).is_some()
}

fn url(text: &CelString<'_>) -> Result<Url, ExecutionError> {
    parse(text.inner()).ok_or_else(|| failed("url", "not a URL such as https://example.com/"))
}

fn is_url(text: &CelString<'_>) -> CelBool {
    CelBool::from(is_valid(text.inner()))
}

fn get_scheme(url: &Url) -> CelString<'static> {
    CelString::from(url.scheme.clone())
}

fn get_host(url: &Url) -> CelString<'static> {
    CelString::from(url.host.clone())
}

fn get_hostname(url: &Url) -> CelString<'static> {
    let (name, _) = split_port(&url.host);
    CelString::from(name.trim_start_matches('[').trim_end_matches(']').to_owned())
}

fn get_port(url: &Url) -> CelString<'static> {
    CelString::from(split_port(&url.host).1.to_owned())
}

fn get_escaped_path(url: &Url) -> CelString<'static> {
    CelString::from(url.path.clone())
}

/// Maps of the language are hash maps; the order is brought back wherever one is gone through.
#[expect(clippy::disallowed_types, reason = "what the evaluator is made of; nothing iterates it")]
type Entries = std::collections::HashMap<CelMapKey<'static>, Box<dyn Val>>;

fn get_query(url: &Url) -> CelMap<'static> {
    let mut parameters: BTreeMap<String, Vec<Box<dyn Val>>> = BTreeMap::new();
    for pair in url.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(key), Some(value)) = (unescaped(key), unescaped(value)) {
            parameters.entry(key).or_default().push(Box::new(CelString::from(value)));
        }
    }
    let entries = parameters.into_iter().map(|(key, values)| {
        (CelMapKey::from(key), Box::new(CelList::from(values)) as Box<dyn Val>)
    });
    CelMap::from(entries.collect::<Entries>())
}

#[cfg(test)]
mod tests {
    use crate::cel::tests::{error, holds};

    #[test]
    fn urls_are_read() {
        assert!(holds("isURL('https://user:pass@example.com:80/path?query=val#fragment')"));
        assert!(holds("isURL('/absolute-path') && isURL('https://a:b@[::1]:80/')"));
        assert!(holds("!isURL('https://a:b:c/') && !isURL('../relative-path') && !isURL('')"));
        assert!(holds(
            "!isURL('example.com') && !isURL('https://x y/') && !isURL('https://a/%zz')"
        ));
        assert!(error("url('x') == url('y')").contains("not a URL"));
    }

    #[test]
    fn urls_have_parts() {
        assert!(holds("url('https://example.com/path').getScheme() == 'https'"));
        assert!(holds("url('/path').getScheme() == '' && url('/path').getHost() == ''"));
        assert!(holds("url('https://example.com:80/').getHost() == 'example.com:80'"));
        assert!(holds("url('https://[::1]:80/').getHost() == '[::1]:80'"));
        assert!(holds("url('https://[::1]:80/').getHostname() == '::1'"));
        assert!(holds("url('https://127.0.0.1:80/').getPort() == '80'"));
        assert!(holds("url('https://example.com/').getPort() == ''"));
        assert!(holds(
            "url('https://example.com/path with spaces/').getEscapedPath() == '/path%20with%20spaces/'"
        ));
        assert!(holds("url('https://example.com').getEscapedPath() == ''"));
        assert!(holds("url('http://a/x#f').getEscapedPath() == '/x' && isURL('mailto:a@b')"));
        assert!(holds("url('//host/x').getHost() == 'host' && isURL('*') && isURL('http:/x')"));
        assert!(holds(
            "url('https://a/p?k1=a&k2=b&k2=c%20d').getQuery() == {'k1': ['a'], 'k2': ['b', 'c d']}"
        ));
        assert!(holds("url('https://example.com/path').getQuery() == {}"));
    }
}
