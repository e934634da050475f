//! In which unit a query answers: requests of a time, requests per second, or something else.
//!
//! It is computed from the expression as a physicist would: sums keep their unit, a rate divided
//! by a rate has none, and a rate times the seconds that it covers is a count.

use std::time::Duration;

use promql_parser::parser::token::{
    T_ADD, T_AVG, T_BOTTOMK, T_DIV, T_EQLC, T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS,
    T_MAX, T_MIN, T_MUL, T_NEQ, T_SUB, T_SUM, T_TOPK,
};
use promql_parser::parser::{BinaryExpr, Call, Expr};

use crate::shape::{Counter, Shape, bare, shape};

/// In which unit a query answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// What was counted within this time.
    Count(Duration),
    /// What was counted per second, on average over this time.
    PerSecond(Duration),
    /// A share of one count in another.
    Share,
    /// A number that the query itself gives, the same for every series.
    Constant,
    /// It cannot be told from the query.
    Unknown,
}

/// How a query's answer becomes a count of requests within a window.
#[derive(Clone, Debug, PartialEq)]
pub enum Counting {
    /// It is counted from raw samples.
    Raw(Counter),
    /// The server's answer, times this.
    Times(f64),
}

/// How a query is counted within a window of this length, which is also what it has to ask for.
///
/// # Errors
/// When the query does not answer a count of the window, or nobody can tell. The message says why,
/// and how to write it.
pub fn counting(expr: &Expr, window: Duration) -> Result<Counting, String> {
    const WRITE: &str = "write it as `sum(increase(METRIC{...}[$window]))`";
    let (range, times) = match shape(expr) {
        Shape::Counter(counter) => return Ok(Counting::Raw(counter)),
        Shape::Other(Unit::Count(range)) => (range, 1.0),
        Shape::Other(Unit::PerSecond(range)) => (range, window.as_secs_f64()),
        // A number of the query's own, such as `vector(0)`, is taken as it is.
        Shape::Other(Unit::Constant) => return Ok(Counting::Times(1.0)),
        Shape::Other(Unit::Share) => {
            return Err(format!(
                "the query answers a share, and a number of requests is needed; {WRITE}"
            ));
        }
        Shape::Other(Unit::Unknown) => {
            return Err(format!(
                "it cannot be told from the query whether it answers requests within the window \
                 or requests per second; {WRITE}"
            ));
        }
    };
    if range == window {
        return Ok(Counting::Times(times));
    }
    let (range, window) = (range.as_secs_f64(), window.as_secs_f64());
    Err(format!(
        "the query counts over {range}s and a window is {window}s, so that windows would share \
         requests; write `[$window]`"
    ))
}

/// The unit of a query's answer.
pub(crate) fn unit(expr: &Expr) -> Unit {
    match expr {
        Expr::Paren(inner) => unit(&inner.expr),
        Expr::Unary(inner) => unit(&inner.expr),
        Expr::NumberLiteral(_) => Unit::Constant,
        Expr::Call(call) => of_call(call),
        Expr::Binary(binary) => of_binary(binary),
        Expr::Aggregate(aggregate) => match aggregate.op.id() {
            T_SUM | T_AVG | T_MIN | T_MAX | T_TOPK | T_BOTTOMK => unit(&aggregate.expr),
            _ => Unit::Unknown,
        },
        // What a series holds that is taken as it is depends on who writes it: a counter since
        // its beginning, a recording rule's rate, a level.
        Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Subquery(_)
        | Expr::StringLiteral(_)
        | Expr::Extension(_) => Unit::Unknown,
    }
}

fn of_call(call: &Call) -> Unit {
    let Some(first) = call.args.args.first() else { return Unit::Unknown };
    match call.func.name {
        "increase" => range(first).map_or(Unit::Unknown, Unit::Count),
        // `irate` looks at two samples only, which says nothing of the whole time.
        "rate" => range(first).map_or(Unit::Unknown, Unit::PerSecond),
        "abs" | "ceil" | "clamp" | "clamp_max" | "clamp_min" | "floor" | "histogram_count"
        | "label_join" | "label_replace" | "round" | "scalar" | "sort" | "sort_by_label"
        | "sort_by_label_desc" | "sort_desc" | "vector" => unit(first),
        _ => Unit::Unknown,
    }
}

/// The time that a range of a counter covers.
fn range(argument: &Expr) -> Option<Duration> {
    match bare(argument) {
        Expr::MatrixSelector(matrix) => Some(matrix.range),
        Expr::Subquery(subquery) if matches!(bare(&subquery.expr), Expr::VectorSelector(_)) => {
            Some(subquery.range)
        }
        _ => None,
    }
}

fn of_binary(binary: &BinaryExpr) -> Unit {
    let (left, right) = (unit(&binary.lhs), unit(&binary.rhs));
    match binary.op.id() {
        T_ADD | T_SUB | T_LOR => alike(left, right),
        T_LAND | T_LUNLESS => left,
        T_EQLC | T_NEQ | T_GTR | T_GTE | T_LSS | T_LTE => {
            // With `bool` the answer is 0 or 1 instead of what was compared.
            let is_bool = binary.modifier.as_ref().is_some_and(|modifier| modifier.return_bool);
            if is_bool { Unit::Unknown } else { left }
        }
        T_MUL => product(binary, left, right),
        T_DIV => quotient(binary, left, right),
        _ => Unit::Unknown,
    }
}

/// The unit of a sum. A number, such as `vector(0)` where no series is, has the other's unit.
fn alike(left: Unit, right: Unit) -> Unit {
    match (left, right) {
        (Unit::Constant, other) | (other, Unit::Constant) => other,
        (left, right) if left == right => left,
        _ => Unit::Unknown,
    }
}

fn product(binary: &BinaryExpr, left: Unit, right: Unit) -> Unit {
    match (left, right) {
        (Unit::Share, other) | (other, Unit::Share) => match other {
            Unit::Constant => Unit::Share,
            other => other,
        },
        (Unit::Constant, Unit::Constant) => Unit::Constant,
        (Unit::Constant, other) => scaled(other, number(&binary.lhs), Scale::By),
        (other, Unit::Constant) => scaled(other, number(&binary.rhs), Scale::By),
        _ => Unit::Unknown,
    }
}

fn quotient(binary: &BinaryExpr, left: Unit, right: Unit) -> Unit {
    match (left, right) {
        (Unit::Constant, Unit::Constant) => Unit::Constant,
        (Unit::Share, Unit::Constant) => Unit::Share,
        (left, Unit::Share) if left != Unit::Constant => left,
        (left, Unit::Constant) => scaled(left, number(&binary.rhs), Scale::Down),
        (Unit::Count(_) | Unit::PerSecond(_), right) if left == right => Unit::Share,
        _ => Unit::Unknown,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Scale {
    By,
    Down,
}

/// A rate times the seconds that it covers is a count, and the other way round. Any other number
/// may be a change of unit or not: nobody can tell `rate(...) * 60` per minute from a sum of 60.
fn scaled(unit: Unit, number: Option<f64>, scale: Scale) -> Unit {
    let Some(number) = number else { return Unit::Unknown };
    match unit {
        unit if number == 1.0 => unit,
        Unit::PerSecond(range) if scale == Scale::By && number == range.as_secs_f64() => {
            Unit::Count(range)
        }
        Unit::Count(range) if scale == Scale::Down && number == range.as_secs_f64() => {
            Unit::PerSecond(range)
        }
        _ => Unit::Unknown,
    }
}

fn number(expr: &Expr) -> Option<f64> {
    match bare(expr) {
        Expr::NumberLiteral(number) => Some(number.val),
        Expr::Call(call) if matches!(call.func.name, "vector" | "scalar") => {
            number(call.args.args.first()?)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_unit_follows_from_the_expression() {
        let (count, per_second) = (Unit::Count(MINUTE), Unit::PerSecond(MINUTE));
        for (query, expected) in [
            ("sum(increase(a[1m])) + sum(increase(b[1m]))", count),
            ("sum(increase(a[1m])) - sum(increase(b[1m]))", count),
            ("sum(increase(a[1m])) + sum(increase(b[2m]))", Unit::Unknown),
            ("sum(increase(a[1m])) + sum(rate(b[1m]))", Unit::Unknown),
            ("max by (le) (rate(a[1m]))", per_second),
            ("sum(rate(a[1m])) or sum(rate(b[1m])) or vector(0)", per_second),
            ("sum(increase(a[60s:5s]))", count),
            ("sum(increase(a[1m] offset 1m))", count),
            ("label_replace(increase(a[1m]), 'x', '$1', 'y', '(.*)')", count),
            ("histogram_count(sum(rate(a[1m])))", per_second),
            ("sum(rate(a[1m])) * 60", count),
            ("60 * sum(rate(a[1m]))", count),
            ("sum(rate(a[5m])) * 60", Unit::Unknown),
            ("sum(increase(a[1m])) / 60", per_second),
            ("sum(increase(a[1m])) / 30", Unit::Unknown),
            ("sum(increase(a[1m])) * 1", count),
            ("sum(rate(a[1m])) / sum(rate(b[1m]))", Unit::Share),
            ("sum(increase(a[1m])) / sum(increase(b[1m]))", Unit::Share),
            ("sum(rate(a[1m])) / sum(rate(b[1m])) * sum(increase(c[1m]))", count),
            ("1 - sum(rate(a[1m])) / sum(rate(b[1m]))", Unit::Share),
            ("100 * sum(rate(a[1m])) / sum(rate(b[1m]))", Unit::Unknown),
            ("sum(increase(a[1m])) > 5", count),
            ("sum(increase(a[1m])) > bool 5", Unit::Unknown),
            ("sum(increase(a[1m])) unless on () b", count),
            ("-(sum(increase(a[1m])))", count),
            ("a", Unit::Unknown),
            ("sum(a:rate1m)", Unit::Unknown),
            ("sum(irate(a[1m]))", Unit::Unknown),
            ("sum(delta(a[1m]))", Unit::Unknown),
            ("sum_over_time(increase(a[10s])[1m:10s])", Unit::Unknown),
            ("increase(sum(a)[1m:5s])", Unit::Unknown),
            ("count(increase(a[1m]))", Unit::Unknown),
            ("vector(0)", Unit::Constant),
            ("time()", Unit::Unknown),
        ] {
            assert_eq!(unit(&parse(query).unwrap()), expected, "{query}");
        }
    }

    #[test]
    fn a_count_of_the_window_is_needed() {
        let of = |query: &str| counting(&parse(query).unwrap(), MINUTE);
        // Raw samples are counted over the window, whatever range is written.
        assert!(matches!(of("sum(rate(a[5m]))"), Ok(Counting::Raw(_))));
        assert_eq!(of("sum(increase(a[1m])) + sum(increase(b[1m]))"), Ok(Counting::Times(1.0)));
        assert_eq!(of("sum(rate(a[1m])) + sum(rate(b[1m]))"), Ok(Counting::Times(60.0)));
        for (query, told) in [
            ("sum(rate(a[5m])) + sum(rate(b[5m]))", "counts over 300s and a window is 60s"),
            ("sum(rate(a[1m])) / sum(rate(b[1m]))", "answers a share"),
            ("sum(a)", "cannot be told"),
        ] {
            let why = of(query).unwrap_err();
            assert!(why.contains(told) && why.contains("[$window]"), "{query}: {why}");
        }
    }
}
