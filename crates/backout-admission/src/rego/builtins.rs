//! Built-in functions: which are evaluated, and why the others are not.

use std::time::Duration;

use anyhow::bail;
use backout_core::units::Time;
use regorus::{Engine, Value};

use super::{regular, sprintf, texts};

/// The longest list that `numbers.range` may make: far above what a policy needs, and small enough
/// that no policy can use up the memory with it.
const MAX_RANGE: i64 = 100_000;

/// Built-in functions whose answers are those of OPA.
#[rustfmt::skip]
const SUPPORTED: &[&str] = &[
    "abs", "all", "any", "array.concat", "array.reverse", "array.slice", "base64.decode", "base64.encode",
    "base64.is_valid", "base64url.decode", "base64url.encode", "base64url.encode_no_pad", "bits.and",
    "bits.negate", "bits.or", "bits.rsh", "bits.xor", "ceil", "concat", "contains", "count",
    "endswith", "floor", "format_int", "glob.match", "glob.quote_meta", "graph.reachable",
    "hex.decode", "hex.encode", "indexof", "indexof_n", "intersection", "is_array", "is_boolean",
    "is_null", "is_number", "is_object", "is_set", "is_string", "json.filter", "json.is_valid",
    "json.marshal", "json.marshal_with_options", "json.patch", "json.remove", "json.unmarshal",
    "lower", "max", "min", "numbers.range", "numbers.range_step", "object.filter", "object.get",
    "object.keys", "object.remove", "object.subset", "object.union", "object.union_n", "print",
    "product", "re_match", "regex.find_n", "regex.is_valid", "regex.match", "regex.replace", "regex.split", "replace", "round", "semver.compare", "semver.is_valid", "sort", "split",
    "sprintf", "startswith", "strings.any_prefix_match", "strings.any_suffix_match",
    "strings.count", "strings.replace_n", "strings.reverse", "substring", "sum", "time.add_date",
    "time.clock", "time.date", "time.diff", "time.format", "time.now_ns", "time.parse_duration_ns",
    "time.parse_ns", "time.parse_rfc3339_ns", "time.weekday", "to_number", "trace", "trim",
    "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "type_name", "union",
    "units.parse", "units.parse_bytes", "upper", "walk", "yaml.is_valid", "yaml.marshal",
    "yaml.unmarshal",
];

/// Those of them that have a value for all arguments of the right types.
#[rustfmt::skip]
const ALWAYS_DEFINED: &[&str] = &[
    "abs", "array.concat", "array.reverse", "base64.encode", "ceil", "concat", "contains", "count",
    "endswith", "floor", "format_int", "glob.match", "indexof", "intersection", "is_array",
    "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "json.marshal",
    "lower", "numbers.range", "object.get", "object.keys", "object.remove", "object.union",
    "regex.match", "regex.replace", "regex.split", "replace", "round", "semver.is_valid", "sort",
    "split", "sprintf", "startswith", "strings.any_prefix_match", "strings.any_suffix_match",
    "strings.count", "strings.reverse", "substring", "sum", "trim", "trim_left",
    "trim_prefix", "trim_right", "trim_space", "trim_suffix", "type_name", "union", "upper",
];

/// Those of them that read a language of their own, in which something may be an error here and none in
/// OPA. Their errors are never taken for undefined.
#[rustfmt::skip]
const MAY_FAIL_ALONE: &[&str] = &[
    "glob.match", "graph.reachable", "json.filter", "json.marshal_with_options", "json.patch",
    "json.remove", "time.add_date", "time.diff", "time.format", "time.parse_ns", "yaml.marshal",
    "yaml.unmarshal",
];

/// Built-in functions that are refused for a reason of their own, by the beginning of their names.
const REFUSED: &[(&str, &str)] = &[
    ("http.send", "it asks a server, and a check asks none: give the answer as data"),
    ("net.lookup_ip_addr", "it asks a name server, and a check asks none"),
    ("external_data", "it asks a provider of the cluster, and a check asks none"),
    ("opa.runtime", "it reads the environment of the machine: give the value as data"),
    ("rand.intn", "it differs in every run"),
    ("uuid.", "it differs in every run"),
    ("io.jwt.", "tokens are not verified here"),
    ("crypto.", "there is no cryptography here"),
    ("bits.lsh", "it can make a number of any size"),
    ("graph.reachable_paths", "the number of paths has no bound"),
];

/// Why a built-in function is not evaluated; nothing when it is.
pub(super) fn why_refused(name: &str, knows_now: bool) -> Option<String> {
    if name == "time.now_ns" && !knows_now {
        return Some("the time of the check was not given".to_owned());
    }
    if SUPPORTED.contains(&name) {
        return None;
    }
    let known = REFUSED.iter().find(|(start, _)| name.starts_with(start));
    let reason = known.map_or("it is not supported here", |(_, reason)| reason);
    Some(reason.to_owned())
}

/// Whether a built-in function has a value whenever its arguments have the right types.
pub(super) fn is_always_defined(name: &str) -> bool {
    ALWAYS_DEFINED.contains(&name)
}

/// Whether an error of a built-in function may be none in OPA.
pub(super) fn may_fail_alone(name: &str) -> bool {
    MAY_FAIL_ALONE.contains(&name)
}

/// Replaces the built-in functions that need the time, that have no bound, or whose answers differ.
pub(super) fn install(engine: &mut Engine, now: Option<Time>) -> anyhow::Result<()> {
    if let Some(now) = now {
        let nanoseconds = Duration::from_millis(now.as_millis()).as_nanos();
        engine.add_extension(
            "time.now_ns".to_owned(),
            0,
            Box::new(move |_| Ok(Value::from(nanoseconds))),
        )?;
    }
    regular::install(engine)?;
    texts::install(engine)?;
    engine.add_extension("sprintf".to_owned(), 2, Box::new(|given| sprintf::call(&given)))?;
    engine.add_extension("numbers.range".to_owned(), 2, Box::new(|given| range(&given, None)))?;
    engine.add_extension("any".to_owned(), 1, Box::new(|given| truths(&given, true)))?;
    engine.add_extension("all".to_owned(), 1, Box::new(|given| truths(&given, false)))?;
    let stepped = Box::new(|given: Vec<Value>| range(&given[..2], given.get(2)));
    engine.add_extension("numbers.range_step".to_owned(), 3, stepped)
}

/// Whether any item of a list is true, or whether all are; functions of Rego before 1.0.
fn truths(given: &[Value], is_any: bool) -> anyhow::Result<Value> {
    let is_true = |item: &Value| *item == Value::from(true);
    let answer = match (given.first(), is_any) {
        (Some(Value::Array(items)), true) => items.iter().any(is_true),
        (Some(Value::Array(items)), false) => items.iter().all(is_true),
        (Some(Value::Set(items)), true) => items.iter_sorted().any(is_true),
        (Some(Value::Set(items)), false) => items.iter_sorted().all(is_true),
        _ => bail!("any and all take an array or a set"),
    };
    Ok(Value::from(answer))
}

/// All numbers from one to another, both included.
fn range(bounds: &[Value], step: Option<&Value>) -> anyhow::Result<Value> {
    let whole = |value: &Value| value.as_i64().ok();
    let [from, to] = bounds else { bail!("numbers.range takes two numbers") };
    let (Some(from), Some(to)) = (whole(from), whole(to)) else {
        bail!("numbers.range takes whole numbers")
    };
    let step = match step.map(whole) {
        None => 1,
        Some(Some(step)) if step > 0 => step,
        Some(_) => bail!("numbers.range_step takes a step above zero"),
    };
    let distance = i128::from(to) - i128::from(from);
    let last = distance.abs() / i128::from(step);
    if last >= i128::from(MAX_RANGE) {
        bail!(
            "stopped: numbers.range makes {} numbers, and at most {MAX_RANGE} are made",
            last + 1
        );
    }
    let direction = distance.signum();
    let values =
        (0..=last).map(|n| Value::from(i128::from(from) + direction * n * i128::from(step)));
    Ok(Value::from(values.collect::<Vec<Value>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_for_readers() {
        assert!(SUPPORTED.is_sorted());
        assert!(ALWAYS_DEFINED.is_sorted());
        assert!(MAY_FAIL_ALONE.iter().all(|name| SUPPORTED.contains(name)));
        assert!(ALWAYS_DEFINED.iter().all(|name| SUPPORTED.contains(name)));
    }

    #[test]
    fn refusals_say_why() {
        assert_eq!(why_refused("lower", false), None);
        assert!(why_refused("time.now_ns", false).unwrap().contains("time of the check"));
        assert_eq!(why_refused("time.now_ns", true), None);
        assert!(why_refused("http.send", true).unwrap().contains("asks a server"));
        assert!(why_refused("io.jwt.decode", true).unwrap().contains("tokens"));
        assert!(why_refused("net.cidr_merge", true).unwrap().contains("not supported"));
    }

    #[test]
    fn ranges_have_a_bound() {
        let made = |from: i64, to: i64, step: Option<i64>| {
            let step = step.map(Value::from);
            range(&[Value::from(from), Value::from(to)], step.as_ref()).map(|made| made.to_string())
        };
        assert_eq!(made(1, 3, None).unwrap(), "[1,2,3]");
        assert_eq!(made(3, 1, None).unwrap(), "[3,2,1]");
        assert_eq!(made(1, 10, Some(4)).unwrap(), "[1,5,9]");
        assert!(made(1, 1_000_000_000, None).unwrap_err().to_string().contains("at most 100000"));
        assert!(made(i64::MIN, i64::MAX, None).is_err());
        assert!(range(&[Value::from("a"), Value::from(1_i64)], None).is_err());
    }
}
