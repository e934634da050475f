//! Whether a query counts something that raw counters show as well, and what its answer is if not.
//!
//! `increase` and `rate` leave out what a series counted before its second sample, and they
//! extrapolate. For a release's first errors that is all there is, so whoever can read the raw
//! samples counts better; this tells for which queries it may.

use promql_parser::label::{METRIC_NAME, MatchOp, Matcher};
use promql_parser::parser::token::{T_LOR, T_SUM};
use promql_parser::parser::{BinaryExpr, Expr, LabelModifier, MatrixSelector};

use crate::unit::{Unit, unit};

/// What a query's answer can be computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// From raw counters.
    Counter(Counter),
    /// Only the server can say, and its answer is in this unit.
    Other(Unit),
}

/// A sum over the growth of counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// What selects the counters. The metric's name is a matcher as well, and comes first.
    pub matchers: Vec<Matcher>,
    /// What is summed.
    pub grouping: Grouping,
    /// Whether the query asks for a rate per second. The counters' growth divided by the window
    /// is that rate.
    pub rate: bool,
    /// Whether the query answers zero where no series is: it ends in `or vector(0)`.
    pub or_zero: bool,
}

impl Counter {
    /// The instant selector of the counters, as PromQL.
    #[must_use]
    pub fn selector(&self) -> String {
        printed(&self.matchers)
    }
}

/// Over what a query sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// It does not sum: every series by itself.
    Each,
    /// Over all series.
    All,
    /// Over the series that agree in these labels.
    By(Vec<String>),
    /// Over the series that agree in all labels but these.
    Without(Vec<String>),
}

/// Recognises a query that counts what raw counters show: nothing, `sum`, `sum by` or `sum
/// without` around `increase(SELECTOR[range])` or `rate(SELECTOR[range])`, in any parentheses,
/// with or without `or vector(0)`.
///
/// A selector with `offset`, `@` or alternatives is not recognised: these say which time or
/// series the server should look at instead.
#[must_use]
pub fn shape(expr: &Expr) -> Shape {
    counter(expr).map_or_else(|| Shape::Other(unit(expr)), Shape::Counter)
}

fn counter(expr: &Expr) -> Option<Counter> {
    match bare(expr) {
        Expr::Binary(binary) => zero_filled(binary),
        Expr::Aggregate(sum) if sum.op.id() == T_SUM => {
            let inner = growth(bare(&sum.expr))?;
            let grouping = match &sum.modifier {
                None => Grouping::All,
                Some(LabelModifier::Include(labels)) => Grouping::By(labels.labels.clone()),
                Some(LabelModifier::Exclude(labels)) => Grouping::Without(labels.labels.clone()),
            };
            Some(Counter { grouping, ..inner })
        }
        other => growth(other),
    }
}

/// `... or vector(0)`, with or without `on ()`.
fn zero_filled(binary: &BinaryExpr) -> Option<Counter> {
    let Expr::Call(vector) = bare(&binary.rhs) else { return None };
    let [argument] = &vector.args.args[..] else { return None };
    let Expr::NumberLiteral(number) = bare(argument) else { return None };
    let fills = binary.op.id() == T_LOR && vector.func.name == "vector" && number.val == 0.0;
    let counter = counter(&binary.lhs).filter(|_| fills)?;
    Some(Counter { or_zero: true, ..counter })
}

fn growth(expr: &Expr) -> Option<Counter> {
    let Expr::Call(call) = expr else { return None };
    let rate = match call.func.name {
        "increase" => false,
        "rate" => true,
        _ => return None,
    };
    let [argument] = &call.args.args[..] else { return None };
    let Expr::MatrixSelector(MatrixSelector { vs, .. }) = bare(argument) else { return None };
    if vs.offset.is_some() || vs.at.is_some() || !vs.matchers.or_matchers.is_empty() {
        return None;
    }
    let name = vs.name.as_deref().map(|name| Matcher::new(MatchOp::Equal, METRIC_NAME, name));
    let matchers = name.into_iter().chain(vs.matchers.matchers.iter().cloned()).collect();
    Some(Counter { matchers, grouping: Grouping::Each, rate, or_zero: false })
}

pub(crate) fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(paren) = expr {
        expr = &paren.expr;
    }
    expr
}

/// Matchers as an instant selector.
#[must_use]
pub fn printed(matchers: &[Matcher]) -> String {
    let mut name = "";
    let mut rest = Vec::new();
    for matcher in matchers {
        let is_name = matcher.name == METRIC_NAME && matches!(matcher.op, MatchOp::Equal);
        if is_name && name.is_empty() && is_plain(&matcher.value) {
            name = &matcher.value;
        } else {
            rest.push(matcher.to_string());
        }
    }
    if rest.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", rest.join(",")) }
}

/// Whether a metric's name can be written without quotes, and is no word of the language.
fn is_plain(name: &str) -> bool {
    const WORDS: [&str; 15] = [
        "and",
        "atan2",
        "bool",
        "by",
        "end",
        "group_left",
        "group_right",
        "ignoring",
        "inf",
        "nan",
        "on",
        "or",
        "start",
        "unless",
        "without",
    ];
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || matches!(first, '_' | ':'))
        && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
        && !WORDS.contains(&name.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse;

    fn of(query: &str) -> Shape {
        shape(&parse(query).unwrap())
    }

    fn counted(query: &str) -> Counter {
        match of(query) {
            Shape::Counter(counter) => counter,
            Shape::Other(_) => panic!("{query} is not recognised"),
        }
    }

    #[test]
    fn sums_of_growth_are_recognised() {
        let labels = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
        for (query, grouping, rate, or_zero) in [
            ("increase(a{x=\"y\"}[1m])", Grouping::Each, false, false),
            ("rate(a{x=\"y\"}[1m])", Grouping::Each, true, false),
            ("sum(increase(a{x=\"y\"}[60s]))", Grouping::All, false, false),
            ("(sum((rate((a{x=\"y\"}[60s])))))", Grouping::All, true, false),
            ("sum by (le) (rate(a{x=\"y\"}[1m]))", Grouping::By(labels(&["le"])), true, false),
            (
                "sum(increase(a{x=\"y\"}[1m])) without (pod)",
                Grouping::Without(labels(&["pod"])),
                false,
                false,
            ),
            ("sum(increase(a{x=\"y\"}[1m])) or vector(0)", Grouping::All, false, true),
            ("sum(rate(a{x=\"y\"}[1m])) or on() vector(0)", Grouping::All, true, true),
        ] {
            let counter = counted(query);
            assert_eq!(counter.selector(), "a{x=\"y\"}", "{query}");
            assert_eq!(counter.grouping, grouping, "{query}");
            assert_eq!((counter.rate, counter.or_zero), (rate, or_zero), "{query}");
        }
    }

    #[test]
    fn everything_else_is_left_to_the_server() {
        for query in [
            "a",
            "sum(a)",
            "max(rate(a[1m]))",
            "sum(rate(a[1m])) / sum(rate(b[1m]))",
            "sum(increase(a[1m])) + sum(increase(b[1m]))",
            "sum(increase(a[1m] offset 1m))",
            "sum(increase(a[1m] @ 100))",
            "sum(increase(a[5m:1m]))",
            "sum(increase(a[1m])) or vector(1)",
            "sum(increase(a[1m])) and vector(0)",
            "increase(a{x=\"1\" or y=\"2\"}[1m])",
            "sum(delta(a[1m]))",
        ] {
            assert!(matches!(of(query), Shape::Other(_)), "{query}");
        }
    }

    #[test]
    fn selectors_are_printed_so_that_they_can_be_read_again() {
        for (query, printed) in [
            ("rate(a[1m])", "a"),
            ("rate({\"a.b\"}[1m])", "{__name__=\"a.b\"}"),
            ("rate({__name__=~\"a|b\"}[1m])", "{__name__=~\"a|b\"}"),
            ("rate(a{x=~`\\d+\\.\"`}[1m])", "a{x=~\"\\\\d+\\\\.\\\"\"}"),
            ("rate(a{x!=\"\",y!~\"5..\"}[1m])", "a{x!=\"\",y!~\"5..\"}"),
        ] {
            assert_eq!(counted(query).selector(), printed, "{query}");
        }
    }

    proptest! {
        #[test]
        fn printing_changes_nothing(value in "[a-z\\\\\"\n\té{}0-9]{0,12}", not in any::<bool>()) {
            let operator = if not { "!=" } else { "=" };
            let text = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let once = counted(&format!("rate(a{{x{operator}\"{text}\"}}[1m])"));
            let again = counted(&format!("rate({}[1m])", once.selector()));
            prop_assert_eq!(&once.matchers[1].value, &value);
            prop_assert_eq!(once, again);
        }
    }
}
