//! Reading PromQL: a query's selectors, and whether it can answer anything.

use promql_parser::label::{METRIC_NAME, MatchOp, Matcher};
use promql_parser::parser::token::{T_LOR, T_LUNLESS};
use promql_parser::parser::{self, Expr, VectorSelector};

/// Longer queries are refused.
const LONGEST: usize = 16 * 1024;

/// Deeper parentheses are refused: the parser and what walks its result recurse.
const DEEPEST: usize = 128;

/// More operators are refused, because `a + b + c` is as deep as `((a + b) + c)`.
const MOST_OPERATORS: usize = 512;

/// Longer durations are refused. The parser panics on a number of seconds that no duration holds.
const LONGEST_SECONDS: f64 = 1e12;

/// Parses a query that may be any text.
///
/// # Errors
/// When it is not PromQL, or too large to be handled. The message does not repeat the query.
pub fn parse(query: &str) -> Result<Expr, String> {
    if query.len() > LONGEST {
        return Err(format!("the query is longer than {LONGEST} bytes"));
    }
    Guard::default().pass(query).and_then(|text| parser::parse(&text)).map_err(|problem| {
        // The parser's own text for an error that it cannot place says nothing more.
        match problem.as_str() {
            "invalid promql query" => "not valid PromQL".to_owned(),
            problem => format!("not valid PromQL: {problem}"),
        }
    })
}

/// Checks what the parser would not survive, and rewrites what it reads wrongly.
#[derive(Default)]
struct Guard {
    depth: usize,
    operators: usize,
    in_braces: bool,
    in_brackets: bool,
    after_offset: bool,
}

impl Guard {
    /// The query for the parser: a raw string is written with escapes instead, because the parser
    /// takes a backslash in it for the start of an escape.
    fn pass(mut self, query: &str) -> Result<String, String> {
        let mut passed = String::with_capacity(query.len());
        let mut rest = query;
        while let Some(first) = rest.chars().next() {
            let (token, tail) = rest.split_at(token_length(rest, first));
            rest = tail;
            if let Some(raw) = token.strip_prefix('`').and_then(|raw| raw.strip_suffix('`')) {
                passed.push_str(&quoted(raw));
                continue;
            }
            passed.push_str(token);
            if !first.is_whitespace() && first != '#' {
                self.see(token)?;
            }
        }
        Ok(passed)
    }

    fn see(&mut self, token: &str) -> Result<(), String> {
        match token {
            "{" => self.in_braces = true,
            "}" => self.in_braces = false,
            // Operators between braces belong to matchers.
            _ if self.in_braces => return Ok(()),
            "[" => self.in_brackets = true,
            "]" => self.in_brackets = false,
            "(" => self.depth += 1,
            ")" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        let is = |word: &str| token.eq_ignore_ascii_case(word);
        if "+-*/%^=!<>@".contains(token) || ["and", "or", "unless", "atan2"].into_iter().any(is) {
            self.operators += 1;
        }
        if self.depth > DEEPEST || self.operators > MOST_OPERATORS {
            return Err("it is nested too deeply".to_owned());
        }
        if (self.in_brackets || self.after_offset) && !fits_duration(token) {
            return Err(format!("the duration `{token}` is out of range"));
        }
        self.after_offset = is("offset") || (self.after_offset && matches!(token, "+" | "-"));
        Ok(())
    }
}

/// Whether a token is not a number, or one of seconds that a duration can hold. Hexadecimal
/// numbers are never too large, as the parser reads them as 64-bit integers.
fn fits_duration(token: &str) -> bool {
    token.parse::<f64>().map_or(true, |seconds| seconds < LONGEST_SECONDS)
}

/// Length of the first token: a string, a comment, a number, a word, or one other character. It
/// follows the parser's own rules, except that a colon is always by itself.
fn token_length(text: &str, first: char) -> usize {
    let up_to = |end: Option<usize>| end.unwrap_or(text.len());
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match first {
        '`' => up_to(text.get(1..).and_then(|tail| tail.find('`')).map(|at| at + 2)),
        '"' | '\'' => string_length(text, first),
        '#' => up_to(text.find(['\n', '\r'])),
        '0'..='9' | '.' => number_length(text),
        _ if word(first) => up_to(text.find(|c: char| !word(c))),
        _ => first.len_utf8(),
    }
}

fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

fn number_length(text: &str) -> usize {
    let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let exponent = !hexadecimal && matches!(before, 'e' | 'E') && matches!(c, '+' | '-');
        if !(c.is_ascii_alphanumeric() || c == '.' || exponent) {
            return at;
        }
        before = c;
    }
    text.len()
}

/// A text as a string in double quotes.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}

/// A selector as alternatives, which are joined by `or`: within each, all matchers have to hold.
/// The metric's name is a matcher as well.
#[derive(Clone, Debug)]
pub struct Selector {
    /// The alternatives; within each, all matchers have to hold.
    pub alternatives: Vec<Vec<Matcher>>,
}

impl Selector {
    fn new(selector: &VectorSelector) -> Self {
        let name = selector.name.as_deref();
        let name = name.map(|name| Matcher::new(MatchOp::Equal, METRIC_NAME, name));
        let always: Vec<_> = name.into_iter().chain(selector.matchers.matchers.clone()).collect();
        let groups = &selector.matchers.or_matchers;
        let alternatives = if groups.is_empty() {
            vec![always]
        } else {
            groups.iter().map(|group| [&always[..], group].concat()).collect()
        };
        Self { alternatives }
    }

    /// Whether it can select series of a metric with this name.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.alternatives.iter().any(|matchers| {
            let mut names = matchers.iter().filter(|matcher| matcher.name == METRIC_NAME);
            names.all(|matcher| matcher.is_match(name))
        })
    }
}

/// All selectors of a query, in its order.
#[must_use]
pub fn selectors(expr: &Expr) -> Vec<Selector> {
    let mut found = Vec::new();
    let _ = answers(expr, &mut |selector| {
        found.push(Selector::new(selector));
        true
    });
    found
}

/// Whether a query answers anything, when `any` says whether a selector selects anything. Every
/// selector is asked about once, in the query's order.
///
/// Most of PromQL answers nothing for nothing: what an operator finds on one side only is dropped.
pub fn answers(expr: &Expr, any: &mut dyn FnMut(&VectorSelector) -> bool) -> bool {
    match expr {
        Expr::VectorSelector(selector) => any(selector),
        Expr::MatrixSelector(matrix) => any(&matrix.vs),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => true,
        Expr::Paren(inner) => answers(&inner.expr, any),
        Expr::Unary(inner) => answers(&inner.expr, any),
        Expr::Subquery(inner) => answers(&inner.expr, any),
        Expr::Aggregate(aggregate) => {
            // The parameter is a number or a text, which is never missing.
            if let Some(parameter) = &aggregate.param {
                let _ = answers(parameter, any);
            }
            answers(&aggregate.expr, any)
        }
        Expr::Binary(binary) => {
            let (left, right) = (answers(&binary.lhs, any), answers(&binary.rhs, any));
            match binary.op.id() {
                T_LOR => left || right,
                T_LUNLESS => left,
                _ => left && right,
            }
        }
        Expr::Call(call) => {
            // Collected first, so that every selector is asked about.
            let given: Vec<_> = call.args.args.iter().map(|arg| answers(arg, any)).collect();
            let all = !given.contains(&false);
            match call.func.name {
                "absent" | "absent_over_time" => !all,
                "scalar" => true,
                _ => all,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(query: &str) -> Vec<String> {
        let expr = parse(query).unwrap();
        selectors(&expr)
            .into_iter()
            .map(|selector| selector.alternatives[0][0].value.clone())
            .collect()
    }

    #[test]
    fn every_selector_is_found() {
        let query = "sum by (x) (rate(a[5m])) / on () -(b offset 1m) + quantile(scalar(c), d) \
                     or max_over_time(e[1h:5m]) unless label_replace(f, 'x', 'y', 'z', '.*') > 1";
        assert_eq!(names(query), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(names(r#"{__name__="a"} + {"b"}"#), ["a", "b"]);
        assert!(names("vector(1)").is_empty());
    }

    #[test]
    fn alternatives_all_have_the_name() {
        let expr = parse(r#"a{x="1" or y="2", z="3"}"#).unwrap();
        let [selector] = &selectors(&expr)[..] else { panic!("one selector") };
        let names: Vec<Vec<_>> = selector
            .alternatives
            .iter()
            .map(|matchers| matchers.iter().map(|matcher| matcher.name.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["__name__", "x"], vec!["__name__", "y", "z"]]);
    }

    #[test]
    fn emptiness_spreads_as_in_promql() {
        for (query, expected) in [
            ("some", true),
            ("none", false),
            ("some / none", false),
            ("none * some", false),
            ("some and none", false),
            ("some or none", true),
            ("none or some", true),
            ("none or none", false),
            ("some unless none", true),
            ("none unless some", false),
            ("none or vector(0)", true),
            ("absent(none)", true),
            ("absent(some)", false),
            ("vector(scalar(none))", true),
            ("histogram_quantile(0.9, rate(none[1m]))", false),
            ("-(sum(some) > 1)", true),
            ("1", true),
        ] {
            let expr = parse(query).unwrap();
            let mut any = |selector: &VectorSelector| selector.name.as_deref() == Some("some");
            assert_eq!(answers(&expr, &mut any), expected, "{query}");
        }
    }

    #[test]
    fn raw_strings_are_raw() {
        for (query, value) in [
            (r"a{x=~`\d+\.x`}", r"\d+\.x"),
            (r#"a{x=~`"\"`}"#, r#""\""#),
            ("a{x=``}", ""),
            ("a{x=`\\\n`}", "\\\n"),
            (r#"a{x="`\\d`"}"#, r"`\d`"),
        ] {
            // A matcher's value is not compiled unless the operator asks for it.
            let query = query.replace("=~", "=");
            let expr = parse(&query).unwrap();
            assert_eq!(selectors(&expr)[0].alternatives[0][1].value, value, "{query}");
        }
    }

    #[test]
    fn what_is_not_promql_is_refused() {
        for (query, message) in [
            ("", "no expression"),
            ("sum(", "unclosed"),
            ("a{", "unexpected end of input inside braces"),
            ("a{x=1}", "not valid PromQL"),
            ("a b", "not valid PromQL"),
            (r#"a{x=~"("}"#, "illegal regex"),
            (r#"a{x="$release}"#, "unterminated"),
            ("a{x=`}", "unterminated"),
            ("rate($x[5m])", "unexpected character: '$'"),
            ("{x=\"\"}", "at least one non-empty matcher"),
            ("rate(a)", "expected type"),
        ] {
            let problem = parse(query).unwrap_err();
            assert!(problem.contains(message), "{query}: {problem}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        assert!(parse(&"a".repeat(LONGEST + 1)).unwrap_err().contains("longer"));
        for (before, after) in [("(", ")"), ("sum(", ")"), ("-(", ")")] {
            for (times, fits) in [(DEEPEST, true), (DEEPEST + 1, false), (2_000, false)] {
                let query = format!("{}a{}", before.repeat(times), after.repeat(times));
                assert_eq!(parse(&query).is_ok(), fits, "{before} {times}");
            }
        }
        for operator in ["+", "^", "- -", " or ", " UNLESS ", " atan2 ", "%", " @ 1 + "] {
            let query = format!("a{}", format!("{operator}a").repeat(MOST_OPERATORS + 1));
            assert!(parse(&query).unwrap_err().contains("too deeply"), "{operator}");
        }
        let query = format!("a{}", "^a".repeat(MOST_OPERATORS));
        assert_eq!(names(&query).len(), MOST_OPERATORS + 1);
    }

    #[test]
    fn long_regular_expressions_are_no_operators() {
        let pods = "checkout-a-b-c|".repeat(500);
        assert_eq!(names(&format!(r#"a{{x=~"{pods}"}} # {pods}"#)), ["a"]);
    }

    #[test]
    fn durations_that_would_make_the_parser_panic_are_refused() {
        for query in [
            "rate(a[1e30])",
            "a[1e30:]",
            "a[5m:99999999999999999999]",
            "a offset 1e20",
            "a offset - 1e20",
            "a offset -inf",
            "a OFFSET NaN",
            "a offset # why\n Inf",
            "a offset 99999999999999999999999.5",
        ] {
            let problem = parse(query).unwrap_err();
            assert!(problem.contains("is out of range"), "{query}: {problem}");
        }
        for query in
            ["a[0x7fffffffffffffff]", "a > 1e30", "a offset 1e3", "a[999999999]", "a @ 1e9"]
        {
            assert!(parse(query).is_ok(), "{query}");
        }
    }

    /// Pieces of PromQL, so that many of their sequences get past the lexer.
    const PIECES: [&str; 58] = [
        "a",
        "sum",
        "rate",
        "by",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "x",
        "=",
        "!=",
        "=~",
        "!~",
        "\"y\"",
        "'(z'",
        "`\\d`",
        "\"\\",
        ",",
        ":",
        "5m",
        "1e99",
        "0x",
        "0b1",
        "08",
        ".5",
        "1.",
        "inf",
        "NaN",
        "offset",
        "@",
        "-",
        "+",
        "*",
        "/",
        "^",
        "==",
        "<",
        "bool",
        "on",
        "ignoring",
        "group_left",
        "and",
        "or",
        "unless",
        "atan2",
        "start",
        "end",
        "fill",
        "topk",
        "absent",
        " ",
        "\n",
        "#",
        "é",
        "\\",
        "$",
    ];

    /// Characters that PromQL gives a meaning to.
    const CHARACTERS: &str = "[a-z0-9eE.{}()\\[\\]\"'`\\\\=!~<>@:,#+^ \n-]{0,60}";

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn arbitrary_characters_of_promql_never_panic(text in CHARACTERS) {
            let _ = parse(&text);
        }

        #[test]
        fn arbitrary_pieces_of_promql_never_panic(
            pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..24),
            space in any::<bool>(),
        ) {
            let _ = parse(&pieces.join(if space { " " } else { "" }));
        }

        #[test]
        fn arbitrary_durations_never_panic(
            number in "[0-9]{0,25}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{1,3})?([smhdwy]{1,2})?\
                       |0[xX]?[0-9a-fA-F]{1,20}|[iI][nN][fF]|[nN]a[nN]",
            sign in " ?[+-]? ?",
        ) {
            for query in [
                format!("a[{number}]"),
                format!("a[ {number} : {number}]"),
                format!("a[1m:{number}]"),
                format!("a offset{sign}{number}"),
                format!("a oFFset #\n{sign}{number}"),
                format!("a @{sign}{number}"),
                number,
            ] {
                let _ = parse(&query);
            }
        }
    }
}
