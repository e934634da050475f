//! Regular expressions as Go reads them: `\d`, `\w`, `\s` and `\b` know ASCII alone.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use regex::{Regex, RegexBuilder};
use regorus::{Engine, Value};

/// The largest compiled expression in bytes.
const MAX_COMPILED_BYTES: usize = 4 * 1024 * 1024;

/// How many compiled expressions are kept.
const MAX_KEPT: usize = 256;

/// The longest text that a replacement makes.
const MAX_BYTES: usize = 1024 * 1024;

/// The names of classes such as `[:alpha:]`.
#[rustfmt::skip]
const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

#[derive(Clone, Default)]
struct Compiled(BTreeMap<String, Regex>);

impl Compiled {
    fn get(&mut self, pattern: &str) -> anyhow::Result<&Regex> {
        if self.0.len() >= MAX_KEPT {
            self.0.clear();
        }
        if !self.0.contains_key(pattern) {
            self.0.insert(pattern.to_owned(), compile(pattern)?);
        }
        self.0.get(pattern).context("the expression was just compiled")
    }
}

fn compile(pattern: &str) -> anyhow::Result<Regex> {
    let translated = translate(pattern)?;
    let built = RegexBuilder::new(&translated).size_limit(MAX_COMPILED_BYTES).build();
    built.map_err(|_| anyhow::anyhow!("the regular expression `{pattern}` is not understood here"))
}

/// Writes the classes of Go by their letters.
fn translate(pattern: &str) -> anyhow::Result<String> {
    let mut translated = String::new();
    let mut letters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                let escaped = letters.next().context("a regular expression ends with `\\`")?;
                match (escaped, in_class) {
                    ('d', true) => translated.push_str("0-9"),
                    ('w', true) => translated.push_str("0-9A-Za-z_"),
                    ('s', true) => translated.push_str(r"\t\n\f\r "),
                    ('d', false) => translated.push_str("[0-9]"),
                    ('w', false) => translated.push_str("[0-9A-Za-z_]"),
                    ('s', false) => translated.push_str(r"[\t\n\f\r ]"),
                    ('D', _) => translated.push_str("[^0-9]"),
                    ('W', _) => translated.push_str("[^0-9A-Za-z_]"),
                    ('S', _) => translated.push_str(r"[^\t\n\f\r ]"),
                    ('b', false) => translated.push_str(r"(?-u:\b)"),
                    ('B' | 'Q' | 'E' | 'C' | '<' | '>', _) | ('b', true) => {
                        bail!("`\\{escaped}` in a regular expression is not supported here")
                    }
                    (other, _) => translated.extend(['\\', other]),
                }
            }
            '[' if !in_class => {
                in_class = true;
                translated.push('[');
                if letters.next_if_eq(&'^').is_some() {
                    translated.push('^');
                }
                // A bracket that comes first stands for itself.
                if letters.next_if_eq(&']').is_some() {
                    translated.push_str(r"\]");
                }
            }
            '[' if letters.peek() == Some(&':') => {
                let name: String = letters.by_ref().take_while(|letter| *letter != ']').collect();
                if !POSIX.contains(&name.trim_matches([':', '^'])) {
                    bail!("`[{name}]` in a regular expression is no class");
                }
                translated.extend(["[", &name, "]"]);
            }
            // Go knows no classes within classes, and none that are combined.
            '[' | '&' | '~' if in_class => translated.extend(['\\', letter]),
            '-' if in_class && letters.peek() == Some(&'-') => {
                bail!("`--` in a class of a regular expression is not supported here")
            }
            ']' => {
                in_class = false;
                translated.push(']');
            }
            other => translated.push(other),
        }
    }
    Ok(translated)
}

fn text(given: &[Value], position: usize) -> Option<&str> {
    given.get(position)?.as_string().ok().map(AsRef::as_ref)
}

/// Replaces the functions of the evaluator, which reads fewer expressions.
pub(super) fn install(engine: &mut Engine) -> anyhow::Result<()> {
    let mut compiled = Compiled::default();
    let matches = move |given: Vec<Value>| {
        let (Some(pattern), Some(value)) = (text(&given, 0), text(&given, 1)) else {
            bail!("regex.match takes two texts");
        };
        Ok(Value::from(compiled.get(pattern)?.is_match(value)))
    };
    // Rego had the same function by another name before 1.0.
    engine.add_extension("re_match".to_owned(), 2, Box::new(matches.clone()))?;
    engine.add_extension("regex.match".to_owned(), 2, Box::new(matches))?;
    let is_valid = |given: Vec<Value>| {
        let Some(pattern) = text(&given, 0) else { return Ok(Value::from(false)) };
        compile(pattern).map(|_| Value::from(true))
    };
    engine.add_extension("regex.is_valid".to_owned(), 1, Box::new(is_valid))?;
    let mut compiled = Compiled::default();
    let split = move |given: Vec<Value>| {
        let (Some(pattern), Some(value)) = (text(&given, 0), text(&given, 1)) else {
            bail!("regex.split takes two texts");
        };
        let parts = compiled.get(pattern)?.split(value).map(Value::from);
        Ok(Value::from(parts.collect::<Vec<Value>>()))
    };
    engine.add_extension("regex.split".to_owned(), 2, Box::new(split))?;
    let mut compiled = Compiled::default();
    let find = move |given: Vec<Value>| {
        let (Some(pattern), Some(value)) = (text(&given, 0), text(&given, 1)) else {
            bail!("regex.find_n takes two texts and a number");
        };
        let Some(Ok(most)) = given.get(2).map(Value::as_i64) else {
            bail!("regex.find_n takes two texts and a number")
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let found = compiled.get(pattern)?.find_iter(value).take(most);
        Ok(Value::from(found.map(|found| Value::from(found.as_str())).collect::<Vec<Value>>()))
    };
    engine.add_extension("regex.find_n".to_owned(), 3, Box::new(find))?;
    let mut compiled = Compiled::default();
    let replace = move |given: Vec<Value>| {
        let (Some(value), Some(pattern), Some(with)) =
            (text(&given, 0), text(&given, 1), text(&given, 2))
        else {
            bail!("regex.replace takes three texts");
        };
        if value.len().saturating_mul(with.len().max(1)) > MAX_BYTES {
            bail!("stopped: regex.replace could make more than {MAX_BYTES} bytes");
        }
        Ok(Value::from(compiled.get(pattern)?.replace_all(value, with).as_ref()))
    };
    engine.add_extension("regex.replace".to_owned(), 3, Box::new(replace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, value: &str) -> bool {
        compile(pattern).unwrap().is_match(value)
    }

    #[test]
    fn classes_are_of_ascii() {
        assert!(is_match(r"^\w+\s\d$", "ab_1 2"));
        assert!(!is_match(r"^\w$", "é"));
        assert!(!is_match(r"^\d$", "٣"));
        assert!(is_match(r"^[\w.-]+$", "a.b-c"));
        assert!(is_match(r"^\S+\b$", "xé x".split(' ').next_back().unwrap()));
        assert!(is_match("^[]a]+$", "a]"));
        assert!(is_match("^[a[]+$", "a["));
        assert!(is_match("^[[:alpha:]_]+$", "ab_"));
        assert!(is_match(r"^[\S]+$", "x"));
        assert!(is_match("(?i)^É$", "é"));
    }

    #[test]
    fn what_is_not_read_is_an_error() {
        for pattern in [r"\Qa\E", "(", r"a\", r"\C", "[[:nothing:]]", "(?=a)"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
        assert!(compile(&"(a{1000}){1000}".repeat(3)).is_err());
    }
}
