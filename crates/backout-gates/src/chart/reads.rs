//! Which values the templates of a chart may read.
//!
//! When in doubt, a value is read: what is said to be read by nobody must be read by nobody.
//! `.Values.a.b` reads `a.b` and all below it, wherever it stands, and so does `index .Values "a"`
//! with fixed keys. The values as a whole, handed to a function or another template, are all read.

use std::collections::BTreeSet;

use super::needs::{Token, actions, tokens};

/// Functions that take a mapping and then fixed keys.
const LOOKUPS: &[&str] = &["get", "hasKey", "index"];

/// Values that a chart may read.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    paths: BTreeSet<Vec<String>>,
    is_everything: bool,
    included: BTreeSet<String>,
    defined: BTreeSet<String>,
    may_include_unseen: bool,
    includes_by_variable: bool,
}

impl Reads {
    /// Notes that a key and all below it are read.
    pub fn add(&mut self, path: &[&str]) {
        self.paths.insert(path.iter().map(|key| (*key).to_owned()).collect());
    }

    /// Notes what a template reads.
    pub fn add_template(&mut self, text: &str) {
        for (_, action) in actions(text) {
            let tokens = tokens(action);
            self.take(&tokens);
            self.definitions(&tokens);
        }
    }

    /// Notes which templates a dependency defines: they read its values, and those of the chart
    /// that includes them.
    pub(super) fn add_definitions(&mut self, text: &str) {
        self.add_template(text);
    }

    /// Some dependencies are not looked into: a template that nobody defines may be theirs.
    pub(super) fn expect_unseen_definitions(&mut self) {
        self.may_include_unseen = true;
    }

    /// Draws the conclusions of all that was added.
    pub(super) fn finish(&mut self) {
        let is_unseen = |name: &String| !self.defined.contains(name);
        if self.may_include_unseen
            && (self.includes_by_variable || self.included.iter().any(is_unseen))
        {
            self.is_everything = true;
        }
    }

    /// Whether nothing can be said to be unread.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.is_everything
    }

    /// Whether a key, something below it or something above it may be read.
    #[must_use]
    pub fn may_read(&self, path: &[String]) -> bool {
        self.is_everything
            || self.paths.iter().any(|read| {
                let shared = read.len().min(path.len());
                read[..shared] == path[..shared]
            })
    }

    /// The keys that are read right below a path, for hints.
    pub fn below<'a>(&'a self, path: &'a [String]) -> impl Iterator<Item = &'a str> {
        let below = self.paths.iter().filter(move |read| read.starts_with(path));
        below.filter_map(|read| read.get(path.len()).map(String::as_str))
    }

    fn definitions(&mut self, tokens: &[Token<'_>]) {
        for pair in tokens.windows(2) {
            match pair {
                [Token::Word("define" | "block"), Token::Text(name)] => {
                    self.defined.insert((*name).to_owned());
                }
                [Token::Word("include" | "template"), Token::Text(name)] => {
                    self.included.insert((*name).to_owned());
                }
                [Token::Word("include" | "template"), _] => self.includes_by_variable = true,
                _ => {}
            }
        }
    }

    fn take(&mut self, tokens: &[Token<'_>]) {
        for (position, token) in tokens.iter().enumerate() {
            match token {
                // `index . "Values"` reads values by another road.
                Token::Text("Values") => self.is_everything = true,
                Token::Text(_) | Token::Mark => {}
                Token::Word(word) => {
                    let Some(at) = word.find(".Values") else {
                        self.take_root(tokens, position, word);
                        continue;
                    };
                    let rest = &word[at + ".Values".len()..];
                    if rest.is_empty() {
                        self.take_whole(tokens, position);
                    } else if let Some(keys) = rest.strip_prefix('.') {
                        self.take_keys(keys);
                    }
                }
            }
        }
    }

    /// `.Values.a.b`; what follows a key that no Go template could name is left out.
    fn take_keys(&mut self, keys: &str) {
        let is_key =
            |key: &&str| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_');
        let keys: Vec<&str> = keys.split('.').take_while(is_key).collect();
        if keys.is_empty() {
            self.is_everything = true;
        } else {
            self.add(&keys);
        }
    }

    /// `.Values` by itself.
    fn take_whole(&mut self, tokens: &[Token<'_>], position: usize) {
        let before = position.checked_sub(1).and_then(|before| tokens.get(before));
        let is_lookup = matches!(before, Some(Token::Word(word)) if LOOKUPS.contains(word));
        let keys: Vec<&str> = tokens[position + 1..]
            .iter()
            .map_while(|token| match token {
                Token::Text(key) => Some(*key),
                Token::Word(_) | Token::Mark => None,
            })
            .collect();
        if is_lookup && !keys.is_empty() {
            self.add(&keys);
        } else {
            self.is_everything = true;
        }
    }

    /// The root as a whole, printed or merged: its values with it.
    fn take_root(&mut self, tokens: &[Token<'_>], position: usize, word: &str) {
        const PRINTERS: &[&str] =
            &["deepCopy", "merge", "mergeOverwrite", "mustToJson", "toJson", "toYaml"];
        let before = position.checked_sub(1).and_then(|before| tokens.get(before));
        if word == "$" && matches!(before, Some(Token::Word(word)) if PRINTERS.contains(word)) {
            self.is_everything = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> Reads {
        let mut reads = Reads::default();
        reads.add_template(text);
        reads.finish();
        reads
    }

    fn may(reads: &Reads, path: &str) -> bool {
        reads.may_read(&path.split('.').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_named_is_read_with_all_above_and_below() {
        let reads = reads(
            "{{ .Values.a.b }}{{ with $.Values.c }}{{ .x }}{{ end }}{{ index .Values \"d-e\" \"f\" }}",
        );
        for read in ["a", "a.b", "a.b.c", "c.x", "d-e", "d-e.f"] {
            assert!(may(&reads, read), "{read}");
        }
        for unread in ["b", "a.c", "d-e.g", "x"] {
            assert!(!may(&reads, unread), "{unread}");
        }
    }

    #[test]
    fn in_doubt_everything_is_read() {
        for text in [
            "{{ .Values | toYaml }}",
            "{{ $v := .Values }}",
            "{{ range $k, $v := .Values }}",
            "{{ include \"x\" (dict \"Values\" .Values) }}",
            "{{ index . \"Values\" \"a\" }}",
            "{{ index .Values .name }}",
            "{{ toYaml $ }}",
        ] {
            assert!(reads(text).is_everything(), "{text}");
        }
        for text in ["{{ .Values.a }}", "{{ $ctx.Values.a }}", "{{ printf \"x\" }}", ".Values"] {
            assert!(!reads(text).is_everything(), "{text}");
        }
    }

    #[test]
    fn templates_of_charts_that_were_not_looked_into_may_read_everything() {
        let of = |text: &str| {
            let mut reads = Reads::default();
            reads.add_template(text);
            reads.expect_unseen_definitions();
            reads.finish();
            reads.is_everything()
        };
        assert!(of("{{ include \"library.labels\" . }}") && of("{{ include $name . }}"));
        assert!(!of("{{ define \"own\" }}{{ end }}{{ include \"own\" . }}"));
    }
}
