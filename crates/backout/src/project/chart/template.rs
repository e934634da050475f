//! Which values the templates of a chart need.
//!
//! A reference such as `.Values.database.host` needs its key, unless
//!
//! - it stands in a condition (`if`, `with`, `range`) or beside a function that copes with nothing
//!   (`default`, `coalesce`, `empty`, ...): then only what contains the key is needed;
//! - it stands in a branch that the values do not take, or that cannot be told without rendering;
//! - it stands in a `define` that nothing includes.
//!
//! `index .Values "key"`, values of subcharts and `.Values` handed to other templates are not seen.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::values::lookup;

/// Functions that cope with a value that is not there.
const LENIENT: &[&str] = &[
    "and", "coalesce", "default", "dig", "empty", "eq", "get", "hasKey", "kindIs", "kindOf", "ne",
    "not", "or", "ternary", "typeIs", "typeOf",
];

/// What the templates of a chart need, so far.
#[derive(Debug, Default)]
pub(super) struct Templates {
    /// How many files were read.
    pub(super) files: usize,
    /// How many bytes.
    pub(super) bytes: usize,
    /// What is rendered in any case.
    rendered: Scope,
    /// What is rendered when something includes it, by name.
    defined: BTreeMap<String, Scope>,
}

/// What one piece of template needs.
#[derive(Debug, Default)]
struct Scope {
    keys: BTreeSet<String>,
    includes: BTreeSet<String>,
}

impl Scope {
    fn add(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.includes.extend(other.includes);
    }
}

impl Templates {
    /// Adds a file. Of a partial, whose name begins with `_`, only definitions are rendered.
    pub(super) fn add(&mut self, text: &str, partial: bool, values: &Value) {
        let mut scan = Scan { values, blocks: Vec::new(), scopes: vec![Scope::default()] };
        let mut defined = Vec::new();
        for action in actions(text) {
            if let Some(definition) = scan.take(&tokens(action)) {
                defined.push(definition);
            }
        }
        // A definition that is never closed is an error of the template, and Helm's to report.
        let top = scan.scopes.into_iter().next().unwrap_or_default();
        if !partial {
            self.rendered.add(top);
        }
        for (name, scope) in defined {
            self.defined.entry(name).or_default().add(scope);
        }
    }

    /// Keys that are needed and that the values do not give, sorted.
    pub(super) fn missing(&self, values: &Value) -> Vec<String> {
        let mut needed: BTreeSet<&String> = self.rendered.keys.iter().collect();
        let mut open: Vec<&String> = self.rendered.includes.iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(name) = open.pop() {
            if let (true, Some(scope)) = (seen.insert(name), self.defined.get(name)) {
                needed.extend(&scope.keys);
                open.extend(&scope.includes);
            }
        }
        let absent = |key: &&&String| {
            let path: Vec<&str> = key.split('.').collect();
            lookup(values, &path).is_none()
        };
        needed.iter().filter(absent).map(|key| (**key).clone()).collect()
    }
}

/// A block that was opened and not yet closed.
#[derive(Debug)]
struct Block {
    /// Its definition, for a `define`.
    name: Option<String>,
    /// Whether the branch at hand is taken; nothing when only rendering could tell.
    taken: Option<bool>,
    /// Whether an earlier branch was taken.
    settled: Option<bool>,
    /// Whether the dot still is the root, which has `.Values`.
    keeps_dot: bool,
}

/// Walks through the actions of one file.
struct Scan<'a> {
    values: &'a Value,
    blocks: Vec<Block>,
    /// The file itself, then each definition that is open.
    scopes: Vec<Scope>,
}

impl Scan<'_> {
    /// Takes an action; returns a definition that ends with it.
    fn take(&mut self, tokens: &[Token<'_>]) -> Option<(String, Scope)> {
        let Some((Token::Word(keyword), rest)) = tokens.split_first() else {
            self.refer(tokens, false);
            return None;
        };
        match *keyword {
            "if" => self.open(rest, true),
            "with" | "range" => self.open(rest, false),
            "define" | "block" => self.define(rest),
            "else" => self.turn(rest),
            "end" => return self.close(),
            _ => self.refer(tokens, false),
        }
        None
    }

    fn open(&mut self, condition: &[Token<'_>], keeps_dot: bool) {
        self.refer(condition, true);
        let taken = self.holds(condition);
        self.blocks.push(Block { name: None, taken, settled: taken, keeps_dot });
    }

    fn define(&mut self, rest: &[Token<'_>]) {
        let name = match rest.first() {
            Some(Token::Text(name)) => (*name).to_owned(),
            _ => String::new(),
        };
        self.scopes.push(Scope::default());
        let always = Some(true);
        self.blocks.push(Block {
            name: Some(name),
            taken: always,
            settled: always,
            keeps_dot: true,
        });
    }

    /// `else`, `else if ...` and `else with ...`.
    fn turn(&mut self, rest: &[Token<'_>]) {
        let condition = rest.get(1..).unwrap_or_default();
        self.refer(condition, true);
        let holds = if rest.is_empty() { Some(true) } else { self.holds(condition) };
        if let Some(block) = self.blocks.last_mut() {
            block.taken = both(block.settled.map(|settled| !settled), holds);
            block.settled = match (block.settled, holds) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), holds) => holds,
                (None, _) => None,
            };
        }
    }

    fn close(&mut self) -> Option<(String, Scope)> {
        let name = self.blocks.pop()?.name?;
        self.scopes.pop().map(|scope| (name, scope))
    }

    /// Whether what stands here is rendered for certain.
    fn is_live(&self) -> bool {
        let inside = self.blocks.iter().rev().take_while(|block| block.name.is_none());
        inside.into_iter().all(|block| block.taken == Some(true))
    }

    /// Whether a condition holds; nothing when it is more than a value, `not`, `and` or `or`.
    fn holds(&self, condition: &[Token<'_>]) -> Option<bool> {
        let operands = |rest: &[Token<'_>]| -> Option<Vec<bool>> {
            rest.iter().map(|token| self.is_true(token)).collect()
        };
        match condition {
            [one] => self.is_true(one),
            [Token::Word("not"), one] => self.is_true(one).map(|is| !is),
            [Token::Word("and"), rest @ ..] => operands(rest).map(|all| all.iter().all(|is| *is)),
            [Token::Word("or"), rest @ ..] => operands(rest).map(|all| all.contains(&true)),
            [Token::Word(variable), Token::Word(":="), rest @ ..] if variable.starts_with('$') => {
                self.holds(rest)
            }
            _ => None,
        }
    }

    /// What Go's templates hold to be true: anything but nothing, zero and what is empty.
    fn is_true(&self, token: &Token<'_>) -> Option<bool> {
        let Token::Word(word) = token else { return None };
        let path = self.path(word)?;
        Some(match lookup(self.values, &path) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(is)) => *is,
            Some(Value::Number(number)) => number.as_f64() != Some(0.0),
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(fields)) => !fields.is_empty(),
        })
    }

    /// The keys of a reference to the values.
    fn path<'t>(&self, word: &'t str) -> Option<Vec<&'t str>> {
        let keeps_dot = self
            .blocks
            .iter()
            .rev()
            .take_while(|block| block.name.is_none())
            .all(|block| block.keeps_dot);
        let rest = match word.strip_prefix("$.Values.") {
            Some(rest) => rest,
            None if keeps_dot => word.strip_prefix(".Values.")?,
            None => return None,
        };
        let keys: Vec<&str> = rest.split('.').collect();
        let is_key =
            |key: &&str| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_');
        keys.iter().all(is_key).then_some(keys)
    }

    /// Notes what an action refers to.
    fn refer(&mut self, tokens: &[Token<'_>], tested: bool) {
        if !self.is_live() {
            return;
        }
        let lenient = tested
            || tokens
                .iter()
                .any(|token| matches!(token, Token::Word(word) if LENIENT.contains(word)));
        let mut found = Scope::default();
        for (position, token) in tokens.iter().enumerate() {
            match token {
                Token::Word("include" | "template") => {
                    if let Some(Token::Text(name)) = tokens.get(position + 1) {
                        found.includes.insert((*name).to_owned());
                    }
                }
                Token::Word(word) => {
                    let Some(mut path) = self.path(word) else { continue };
                    if lenient {
                        path.pop();
                    }
                    if !path.is_empty() {
                        found.keys.insert(path.join("."));
                    }
                }
                Token::Text(_) | Token::Mark => {}
            }
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.add(found);
        }
    }
}

fn both(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// A piece of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A function, a field, a variable or a number.
    Word(&'a str),
    /// What stands between quotes.
    Text(&'a str),
    /// A bracket, a pipe or a comma.
    Mark,
}

/// The insides of `{{ ... }}`, without comments.
fn actions(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once("{{")?;
            let inside = after.strip_prefix('-').unwrap_or(after).trim_start();
            if let Some(comment) = inside.strip_prefix("/*") {
                rest = comment.split_once("*/")?.1.split_once("}}")?.1;
                continue;
            }
            let end = end_of_action(after)?;
            let action = after.get(..end)?;
            rest = after.get(end + 2..)?;
            let action = action.strip_prefix('-').unwrap_or(action);
            return Some(action.strip_suffix('-').unwrap_or(action));
        }
    })
}

/// Where `}}` ends an action; in quotes it does not.
fn end_of_action(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        let next = rest.find(['"', '`', '}'])?;
        let found = rest.get(next..)?;
        if found.starts_with("}}") {
            return Some(at + next);
        }
        at += next
            + match found.chars().next() {
                Some(quote @ ('"' | '`')) => quoted(found, quote)?.1,
                _ => 1,
            };
    }
}

/// The text between quotes, and how long it is with them.
fn quoted(text: &str, quote: char) -> Option<(&str, usize)> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return Some((text.get(1..at)?, at + 1));
        }
        escaped = c == '\\' && quote == '"' && !escaped;
    }
    None
}

fn tokens(action: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = action.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' | '`' => match quoted(rest, first) {
                Some((text, length)) => (Token::Text(text), length),
                None => (Token::Mark, rest.len()),
            },
            '(' | ')' | '|' | ',' => (Token::Mark, 1),
            _ => {
                let stop = |c: char| c.is_whitespace() || "()|,\"`".contains(c);
                let length = rest.find(stop).unwrap_or(rest.len());
                (Token::Word(rest.get(..length).unwrap_or(rest)), length)
            }
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Keys that a template misses under values.
    fn missing(template: &str, values: &Value) -> Vec<String> {
        let mut templates = Templates::default();
        templates.add(template, false, values);
        templates.missing(values)
    }

    #[test]
    fn a_key_that_is_printed_is_needed() {
        let given = json!({"a": {"b": 1}, "n": null});
        assert_eq!(
            missing("x: {{ .Values.a.b }}\ny: {{- .Values.a.c | quote -}}", &given),
            ["a.c"]
        );
        assert_eq!(missing("{{ $.Values.x }}{{ (.Values.y).z }}", &json!({})), ["x", "y"]);
        assert_eq!(missing("{{ printf \"%s}}\" .Values.a }}", &json!({})), ["a"]);
        assert_eq!(missing("{{ required \"say .Values.b\" .Values.a }}", &json!({})), ["a"]);
        assert_eq!(missing("{{ $x := .Values.a }}", &json!({})), ["a"]);
        assert_eq!(missing("{{ .Values.n }}{{ .Values | toYaml }}", &json!({"n": null})), [""; 0]);
    }

    #[test]
    fn a_key_that_is_coped_without_is_not() {
        for template in [
            "{{ .Values.a | default 1 }}",
            "{{ default 1 .Values.a }}",
            "{{ if .Values.a }}{{ .Values.a }}{{ end }}",
            "{{ with .Values.a }}{{ .Values.x }}{{ end }}",
            "{{ range $k, $v := .Values.a }}{{ $v }}{{ end }}",
            "{{/* {{ .Values.a }} */}}",
            "{{- /* .Values.a */ -}}",
            ".Values.a",
            "{{ \".Values.a\" }}{{ `.Values.b` }}",
            "{{ if eq .Values.a \"x\" }}{{ .Values.b }}{{ end }}",
            "{{ if not .Values.a }}{{ else }}{{ .Values.b }}{{ end }}",
            "{{ define \"x\" }}{{ .Values.a }}{{ end }}",
        ] {
            assert_eq!(missing(template, &json!({})), [""; 0], "{template}");
        }
        assert_eq!(missing("{{ .Values.a.b | default 1 }}", &json!({})), ["a"]);
        assert_eq!(missing("{{ if .Values.a.b }}{{ end }}", &json!({})), ["a"]);
    }

    #[test]
    fn branches_follow_the_values() {
        let template = "{{ if .Values.on }}{{ .Values.a }}{{ else if .Values.also }}\
                        {{ .Values.b }}{{ else }}{{ .Values.c }}{{ end }}{{ .Values.d }}";
        assert_eq!(missing(template, &json!({"on": true, "d": 1})), ["a"]);
        assert_eq!(missing(template, &json!({"on": false, "also": [1], "d": 1})), ["b"]);
        assert_eq!(missing(template, &json!({"on": 0, "also": "", "d": 1})), ["c"]);
        let nested = "{{ if and .Values.x .Values.y }}{{ if not .Values.z }}{{ .Values.a }}\
                      {{ end }}{{ end }}";
        assert_eq!(missing(nested, &json!({"x": 1, "y": 1})), ["a"]);
        assert_eq!(missing(nested, &json!({"x": 1, "y": 1, "z": 1})), [""; 0]);
        let other_dot = "{{ with .Values.x }}{{ .Values.a }}{{ $.Values.b }}{{ end }}";
        assert_eq!(missing(other_dot, &json!({"x": {"y": 1}})), ["b"]);
    }

    #[test]
    fn definitions_count_once_they_are_included() {
        let helpers = "{{ .Values.ignored }}{{ define \"a\" }}{{ include \"b\" . }}{{ end }}\
                       {{ define \"b\" }}{{ if true }}{{ end }}{{ .Values.b }}{{ end }}\
                       {{ define \"c\" }}{{ .Values.c }}{{ end }}";
        let values = json!({});
        let mut templates = Templates::default();
        templates.add(helpers, true, &values);
        templates.add("{{ template \"a\" . }}", false, &values);
        assert_eq!(templates.missing(&values), ["b"]);
    }

    #[test]
    fn broken_templates_are_no_reason_to_fail() {
        for template in [
            "{{",
            "{{ \"",
            "{{ `",
            "{{/*",
            "{{ end }}{{ end }}{{ .Values.a",
            "{{ else }}",
            "{{ define }}{{ end }}",
            "{{ if }}{{ end }}",
            "{{ .Values. }}{{ .Values..a }}",
            "{{-}}",
            "{{ é }}é{{ \"é\\\"\" }}",
        ] {
            assert_eq!(missing(template, &json!({})), [""; 0], "{template}");
        }
    }
}
