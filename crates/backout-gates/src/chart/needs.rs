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
//! This finds a key that an environment forgot, and stays silent when in doubt; `reads` is the
//! other way round.

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
pub struct Templates {
    /// What is rendered in any case.
    rendered: Scope,
    /// What is rendered when something includes it, by name.
    defined: BTreeMap<String, Scope>,
}

/// A key that the templates need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The key, such as `database.host`.
    pub key: String,
    /// The template that needs it.
    pub file: String,
    /// The line of it, from one.
    pub line: u32,
    /// Whether `required` stands before it, which refuses an empty text too.
    pub is_required: bool,
}

/// A template that ends with an error for certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// What it says, when that is a fixed text.
    pub message: String,
    /// The template.
    pub file: String,
    /// The line of it, from one.
    pub line: u32,
}

/// What one piece of template needs.
#[derive(Debug, Default)]
struct Scope {
    keys: BTreeMap<String, Need>,
    includes: BTreeSet<String>,
    failing: Vec<Failing>,
}

impl Scope {
    fn add(&mut self, other: Self) {
        for (key, need) in other.keys {
            let is_required = need.is_required;
            let known = self.keys.entry(key).or_insert(need);
            known.is_required |= is_required;
        }
        self.includes.extend(other.includes);
        self.failing.extend(other.failing);
    }
}

impl Templates {
    /// Adds a file. Of a partial, whose name begins with `_`, only definitions are rendered.
    pub fn add(&mut self, file: &str, text: &str, partial: bool, values: &Value) {
        let mut scan =
            Scan { values, file, line: 1, blocks: Vec::new(), scopes: vec![Scope::default()] };
        let mut defined = Vec::new();
        let mut counted = 0;
        for (at, action) in actions(text) {
            let passed = text.get(counted..at).unwrap_or_default().matches('\n').count();
            scan.line = scan.line.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
            counted = at;
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

    /// Every piece that is rendered: what stands outside of definitions, and what is included.
    fn live(&self) -> Vec<&Scope> {
        let mut live = vec![&self.rendered];
        let mut open: Vec<&String> = self.rendered.includes.iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(name) = open.pop() {
            if let (true, Some(scope)) = (seen.insert(name), self.defined.get(name)) {
                live.push(scope);
                open.extend(&scope.includes);
            }
        }
        live
    }

    /// Keys that are needed and that the values do not give, sorted.
    #[must_use]
    pub fn missing(&self, values: &Value) -> Vec<String> {
        let keys = self.live().into_iter().flat_map(|scope| scope.keys.keys());
        let absent = keys.filter(|key| self.value(values, key).is_none());
        absent.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What is needed and what the values do not give or, before `required`, give as nothing; by
    /// key.
    #[must_use]
    pub fn unmet(&self, values: &Value) -> Vec<Need> {
        let mut unmet: BTreeMap<&String, Need> = BTreeMap::new();
        for need in self.live().into_iter().flat_map(|scope| scope.keys.values()) {
            let is_met = match self.value(values, &need.key) {
                None => false,
                Some(Value::Null) => !need.is_required,
                Some(Value::String(text)) => !(need.is_required && text.is_empty()),
                Some(_) => true,
            };
            if !is_met {
                unmet.entry(&need.key).or_insert_with(|| need.clone());
            }
        }
        unmet.into_values().collect()
    }

    /// Templates that refuse the values for certain.
    #[must_use]
    pub fn failing(&self) -> Vec<Failing> {
        self.live().into_iter().flat_map(|scope| scope.failing.iter().cloned()).collect()
    }

    fn value<'v>(&self, values: &'v Value, key: &str) -> Option<&'v Value> {
        let path: Vec<&str> = key.split('.').collect();
        lookup(values, &path)
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
    file: &'a str,
    line: u32,
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
        let is_required = tokens.contains(&Token::Word("required"));
        for (position, token) in tokens.iter().enumerate() {
            match token {
                Token::Word("fail") if !tested => {
                    let message = match tokens.get(position + 1) {
                        Some(Token::Text(message)) => (*message).to_owned(),
                        _ => String::new(),
                    };
                    let (file, line) = (self.file.to_owned(), self.line);
                    found.failing.push(Failing { message, file, line });
                }
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
                        let key = path.join(".");
                        let need = Need {
                            key: key.clone(),
                            file: self.file.to_owned(),
                            line: self.line,
                            is_required: is_required && !lenient,
                        };
                        found.keys.insert(key, need);
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
pub(super) enum Token<'a> {
    /// A function, a field, a variable or a number.
    Word(&'a str),
    /// What stands between quotes.
    Text(&'a str),
    /// A bracket, a pipe or a comma.
    Mark,
}

/// The insides of `{{ ... }}`, without comments, each with the byte that it begins at.
pub(super) fn actions(text: &str) -> impl Iterator<Item = (usize, &str)> {
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
            let at = text.len() - after.len();
            rest = after.get(end + 2..)?;
            let action = action.strip_prefix('-').unwrap_or(action);
            return Some((at, action.strip_suffix('-').unwrap_or(action)));
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

pub(super) fn tokens(action: &str) -> Vec<Token<'_>> {
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
        templates.add("t.yaml", template, false, values);
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
        templates.add("_h.tpl", helpers, true, &values);
        templates.add("t.yaml", "{{ template \"a\" . }}", false, &values);
        assert_eq!(templates.missing(&values), ["b"]);
    }

    #[test]
    fn needs_have_places_and_required_wants_more() {
        let values = json!({"a": "", "n": null});
        let mut templates = Templates::default();
        let text = "x: 1\ny: {{ required \"say a\" .Values.a }}\n{{/* \n */}}\nz: {{ .Values.b }}\n\
                    {{ .Values.n }}{{ if not .Values.c }}{{ fail \"c is needed\" }}{{ end }}";
        templates.add("t.yaml", text, false, &values);
        let unmet: Vec<_> = templates
            .unmet(&values)
            .into_iter()
            .map(|need| (need.key, need.line, need.is_required))
            .collect();
        assert_eq!(unmet, [("a".to_owned(), 2, true), ("b".to_owned(), 5, false)]);
        assert_eq!(templates.missing(&values), ["b"]);
        let failing = templates.failing();
        assert_eq!((failing[0].message.as_str(), failing[0].line), ("c is needed", 6));
        let mut templates = Templates::default();
        templates.add("t.yaml", text, false, &json!({"c": 1}));
        assert_eq!(templates.failing(), []);
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
