//! Named formats: `format.named(name)` and one function for each.
//!
//! `validate` gives an optional list of what is wrong, which is none when the text is fine.

use cel::common::types::{CelList, CelOptional, CelString};
use cel::common::value::Val;
use cel::{DeclarationError, Env, add_member_overload, add_overload};

use super::{opaque, url};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Dns1123Label,
    Dns1123Subdomain,
    Dns1035Label,
    QualifiedName,
    Dns1123LabelPrefix,
    Dns1123SubdomainPrefix,
    Dns1035LabelPrefix,
    LabelValue,
    Uri,
    Uuid,
    Byte,
    Date,
    Datetime,
}

opaque!(Format, "kubernetes.NamedFormat");

const NAMES: &[(&str, Format)] = &[
    ("dns1123Label", Format::Dns1123Label),
    ("dns1123Subdomain", Format::Dns1123Subdomain),
    ("dns1035Label", Format::Dns1035Label),
    ("qualifiedName", Format::QualifiedName),
    ("dns1123LabelPrefix", Format::Dns1123LabelPrefix),
    ("dns1123SubdomainPrefix", Format::Dns1123SubdomainPrefix),
    ("dns1035LabelPrefix", Format::Dns1035LabelPrefix),
    ("labelValue", Format::LabelValue),
    ("uri", Format::Uri),
    ("uuid", Format::Uuid),
    ("byte", Format::Byte),
    ("date", Format::Date),
    ("datetime", Format::Datetime),
];

macro_rules! constants {
    ($env:ident, $($function:ident: $name:literal => $format:ident),* $(,)?) => {
        $(
            fn $function() -> Format {
                Format::$format
            }
            add_overload!($env, fn $function: () -> Format, name = $name, id = $name)?;
        )*
    };
}

pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    constants!(
        env,
        dns1123_label: "format.dns1123Label" => Dns1123Label,
        dns1123_subdomain: "format.dns1123Subdomain" => Dns1123Subdomain,
        dns1035_label: "format.dns1035Label" => Dns1035Label,
        qualified_name: "format.qualifiedName" => QualifiedName,
        dns1123_label_prefix: "format.dns1123LabelPrefix" => Dns1123LabelPrefix,
        dns1123_subdomain_prefix: "format.dns1123SubdomainPrefix" => Dns1123SubdomainPrefix,
        dns1035_label_prefix: "format.dns1035LabelPrefix" => Dns1035LabelPrefix,
        label_value: "format.labelValue" => LabelValue,
        uri: "format.uri" => Uri,
        uuid: "format.uuid" => Uuid,
        byte: "format.byte" => Byte,
        date: "format.date" => Date,
        datetime: "format.datetime" => Datetime,
    );
    add_overload!(env, fn named: (CelString) -> CelOptional, name = "format.named",
        id = "format_named")?;
    add_member_overload!(env, fn validate: (Format, CelString) -> CelOptional)
}

fn named(name: &CelString<'_>) -> CelOptional<'static> {
    let found = NAMES.iter().find(|(known, _)| *known == name.inner());
    match found {
        Some((_, format)) => CelOptional::of(Box::new(*format)),
        None => CelOptional::none(),
    }
}

fn validate(format: &Format, text: &CelString<'_>) -> CelOptional<'static> {
    let problems = problems(*format, text.inner());
    if problems.is_empty() {
        return CelOptional::none();
    }
    let problems = problems
        .into_iter()
        .map(|problem| Box::new(CelString::from(problem)) as Box<dyn Val>)
        .collect::<Vec<_>>();
    CelOptional::of(Box::new(CelList::from(problems)))
}

fn problems(format: Format, text: &str) -> Vec<String> {
    match format {
        Format::Dns1123Label => label(text),
        Format::Dns1123Subdomain => subdomain(text),
        Format::Dns1035Label => dns1035(text),
        Format::Dns1123LabelPrefix => label(&masked(text)),
        Format::Dns1123SubdomainPrefix => subdomain(&masked(text)),
        Format::Dns1035LabelPrefix => dns1035(&masked(text)),
        Format::QualifiedName => qualified_name(text),
        Format::LabelValue => label_value(text),
        Format::Uri => one(url::is_valid(text), "invalid URI"),
        Format::Uuid => one(is_uuid(text), "does not match the UUID format"),
        Format::Byte => one(is_base64(text), "invalid base64"),
        Format::Date => one(is_date(text), "invalid date"),
        Format::Datetime => one(is_datetime(text), "invalid datetime"),
    }
}

fn one(is_right: bool, problem: &str) -> Vec<String> {
    if is_right { Vec::new() } else { vec![problem.to_owned()] }
}

/// A prefix may end with a dash, because something follows it. Kubernetes puts a letter in the place
/// of the dash and of the character before it.
fn masked(text: &str) -> String {
    let start = text.strip_suffix('-').and_then(|start| {
        let mut letters = start.chars();
        letters.next_back().map(|_| letters.as_str())
    });
    start.map_or_else(|| text.to_owned(), |start| format!("{start}a"))
}

fn too_long(text: &str, most: usize) -> Option<String> {
    (text.len() > most).then(|| format!("must be no more than {most} characters"))
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| is_lower(*byte));
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| is_lower(*byte) || *byte == b'-')
}

fn label(text: &str) -> Vec<String> {
    let form = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
                '-', and must start and end with an alphanumeric character";
    let mut problems: Vec<String> = too_long(text, 63).into_iter().collect();
    problems.extend(one(is_label(text), form));
    problems
}

fn subdomain(text: &str) -> Vec<String> {
    let form = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                characters, '-' or '.', and must start and end with an alphanumeric character";
    let mut problems: Vec<String> = too_long(text, 253).into_iter().collect();
    problems.extend(one(text.split('.').all(is_label), form));
    problems
}

fn dns1035(text: &str) -> Vec<String> {
    let form = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', \
                start with an alphabetic character, and end with an alphanumeric character";
    let starts = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    let mut problems: Vec<String> = too_long(text, 63).into_iter().collect();
    problems.extend(one(starts && is_label(text), form));
    problems
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn qualified_name(text: &str) -> Vec<String> {
    let form = "name part must consist of alphanumeric characters, '-', '_' or '.', and must \
                start and end with an alphanumeric character";
    let mut parts = text.split('/');
    let (prefix, name) = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => (None, name),
        (Some(prefix), Some(name), None) => (Some(prefix), name),
        _ => return vec![format!("a qualified name has one '/' at most; its {form}")],
    };
    let mut problems: Vec<String> = Vec::new();
    if let Some(prefix) = prefix {
        problems
            .extend(subdomain(prefix).into_iter().map(|problem| format!("prefix part {problem}")));
    }
    problems.extend(too_long(name, 63).map(|problem| format!("name part {problem}")));
    problems.extend(one(is_name(name), form));
    problems
}

fn label_value(text: &str) -> Vec<String> {
    let form = "a valid label must be an empty string or consist of alphanumeric characters, '-', \
                '_' or '.', and must start and end with an alphanumeric character";
    let mut problems: Vec<String> = too_long(text, 63).into_iter().collect();
    problems.extend(one(text.is_empty() || is_name(text), form));
    problems
}

fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let dashed = bytes.len() == 36 && [8, 13, 18, 23].iter().all(|place| bytes[*place] == b'-');
    let digits = bytes.iter().filter(|byte| **byte != b'-');
    (dashed || bytes.len() == 32)
        && digits.clone().count() == 32
        && digits.clone().all(u8::is_ascii_hexdigit)
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return false;
    }
    let number =
        |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<u32>().ok());
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10)) else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap),
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

fn is_datetime(text: &str) -> bool {
    let Some((date, time)) = text.get(..10).zip(text.get(10..)) else { return false };
    let Some(time) = time.strip_prefix(['T', 't']) else { return false };
    let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone);
    let clock = clock.split_once('.').map_or(clock, |(clock, fraction)| {
        let is_fraction = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
        if is_fraction { clock } else { "" }
    });
    let is_zone = matches!(zone, "Z" | "z") || zone.get(1..).is_some_and(|zone| is_clock(zone, 2));
    is_date(date) && is_clock(clock, 3) && is_zone
}

fn is_clock(text: &str, parts: usize) -> bool {
    let limits = [23, 59, 59];
    let found: Vec<&str> = text.split(':').collect();
    found.len() == parts
        && found.iter().zip(limits).all(|(part, limit)| {
            part.len() == 2 && part.parse::<u32>().is_ok_and(|number| number <= limit)
        })
}

#[cfg(test)]
mod tests {
    use crate::cel::tests::holds;

    fn is_right(format: &str, text: &str) -> bool {
        holds(&format!("!format.{format}().validate('{text}').hasValue()"))
    }

    #[test]
    fn names_are_checked() {
        assert!(is_right("dns1123Label", "my-label-name"));
        assert!(!is_right("dns1123Label", "contains.dots") && !is_right("dns1123Label", "Upper"));
        assert!(!is_right("dns1123Label", &"a".repeat(64)) && !is_right("dns1123Label", ""));
        assert!(is_right("dns1123Subdomain", "apiextensions.k8s.io"));
        assert!(!is_right("dns1123Subdomain", "-starts-with-hyphen"));
        assert!(is_right("dns1035Label", "my-label-name") && !is_right("dns1035Label", "7eleven"));
        assert!(is_right("dns1123LabelPrefix", "my-prefix-"));
        assert!(is_right("dns1123SubdomainPrefix", "mysubdomain.prefix.-"));
        assert!(is_right("dns1035LabelPrefix", "my-label-prefix-"));
        assert!(is_right("qualifiedName", "apiextensions.k8s.io/v1beta1"));
        assert!(!is_right("qualifiedName", "a/b/c") && !is_right("qualifiedName", "-a"));
        assert!(is_right("labelValue", "my-cool-label-Value") && is_right("labelValue", ""));
        assert!(!is_right("labelValue", "-bad"));
    }

    #[test]
    fn other_formats_are_checked() {
        assert!(
            is_right("uri", "http://example.com")
                && is_right("uri", "mailto:x")
                && !is_right("uri", "not a uri")
        );
        assert!(is_right("uuid", "123e4567-e89b-12d3-a456-426614174000"));
        assert!(!is_right("uuid", "123e4567-e89b-12d3-a456"));
        assert!(
            is_right("byte", "aGVsbG8=") && !is_right("byte", "aGVsb!8=") && !is_right("byte", "")
        );
        assert!(is_right("date", "2021-01-01") && !is_right("date", "2021-02-30"));
        assert!(is_right("datetime", "2021-01-01T00:00:00Z"));
        assert!(is_right("datetime", "2021-01-01t23:59:59.5+02:00"));
        assert!(
            !is_right("datetime", "2021-01-01") && !is_right("datetime", "2021-01-01T25:00:00Z")
        );
    }

    #[test]
    fn formats_have_names() {
        assert!(holds("format.named('dns1123Label').hasValue()"));
        assert!(holds("!format.named('unknown').hasValue()"));
        assert!(holds(
            "format.named('date').value().validate('x') == optional.of(['invalid date'])"
        ));
        assert!(holds("size(format.dns1123Label().validate('A').value()) == 1"));
    }
}
