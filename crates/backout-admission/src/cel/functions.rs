//! Which functions and macros an expression may call.
//!
//! The evaluator finds out that a function does not exist when it comes to the call, and then it is
//! an error like any other, which `||` hides and a failure policy forgives. So calls are looked up
//! here before anything is evaluated.

use cel::common::ast::{Expr, IdedExpr, operators};

/// How many arguments a function takes, the receiver not counted: fewest and most.
type Arity = (usize, usize);

/// Functions that are called without a receiver, by their full name.
const GLOBAL: &[(&str, Arity)] = &[
    ("@keys", (1, 1)),
    ("base64.decode", (1, 1)),
    ("base64.encode", (1, 1)),
    ("bool", (1, 1)),
    ("bytes", (1, 1)),
    ("cidr", (1, 1)),
    ("double", (1, 1)),
    ("duration", (1, 1)),
    ("dyn", (1, 1)),
    ("format.dns1035Label", (0, 0)),
    ("format.dns1035LabelPrefix", (0, 0)),
    ("format.dns1123Label", (0, 0)),
    ("format.dns1123LabelPrefix", (0, 0)),
    ("format.dns1123Subdomain", (0, 0)),
    ("format.dns1123SubdomainPrefix", (0, 0)),
    ("format.byte", (0, 0)),
    ("format.date", (0, 0)),
    ("format.datetime", (0, 0)),
    ("format.labelValue", (0, 0)),
    ("format.named", (1, 1)),
    ("format.qualifiedName", (0, 0)),
    ("format.uri", (0, 0)),
    ("format.uuid", (0, 0)),
    ("int", (1, 1)),
    ("ip", (1, 1)),
    ("ip.isCanonical", (1, 1)),
    ("isCIDR", (1, 1)),
    ("isIP", (1, 1)),
    ("isQuantity", (1, 1)),
    ("isSemver", (1, 2)),
    ("isURL", (1, 1)),
    ("jsonpatch.escapeKey", (1, 1)),
    ("lists.range", (1, 1)),
    ("matches", (2, 2)),
    ("math.@max", (1, 8)),
    ("math.@min", (1, 8)),
    ("math.abs", (1, 1)),
    ("math.bitAnd", (2, 2)),
    ("math.bitNot", (1, 1)),
    ("math.bitOr", (2, 2)),
    ("math.bitShiftLeft", (2, 2)),
    ("math.bitShiftRight", (2, 2)),
    ("math.bitXor", (2, 2)),
    ("math.ceil", (1, 1)),
    ("math.floor", (1, 1)),
    ("math.greatest", (1, 8)),
    ("math.isFinite", (1, 1)),
    ("math.isInf", (1, 1)),
    ("math.isNaN", (1, 1)),
    ("math.least", (1, 8)),
    ("math.round", (1, 1)),
    ("math.sign", (1, 1)),
    ("math.sqrt", (1, 1)),
    ("math.trunc", (1, 1)),
    ("optional.none", (0, 0)),
    ("optional.of", (1, 1)),
    ("optional.ofNonZeroValue", (1, 1)),
    ("quantity", (1, 1)),
    ("semver", (1, 2)),
    ("sets.contains", (2, 2)),
    ("sets.equivalent", (2, 2)),
    ("sets.intersects", (2, 2)),
    ("sign", (1, 1)),
    ("size", (1, 1)),
    ("string", (1, 1)),
    ("strings.quote", (1, 1)),
    ("timestamp", (1, 1)),
    ("type", (1, 1)),
    ("uint", (1, 1)),
    ("url", (1, 1)),
];

/// Functions that are called on a receiver.
const MEMBER: &[(&str, Arity)] = &[
    ("@sortByAssociatedKeys", (1, 1)),
    ("add", (1, 1)),
    ("asApproximateFloat", (0, 0)),
    ("asInteger", (0, 0)),
    ("charAt", (1, 1)),
    ("cidr", (0, 0)),
    ("compareTo", (1, 1)),
    ("contains", (1, 1)),
    ("containsCIDR", (1, 1)),
    ("containsIP", (1, 1)),
    ("distinct", (0, 0)),
    ("endsWith", (1, 1)),
    ("family", (0, 0)),
    ("find", (1, 1)),
    ("findAll", (1, 2)),
    ("flatten", (0, 1)),
    ("format", (1, 1)),
    ("getDate", (0, 1)),
    ("getDayOfMonth", (0, 1)),
    ("getDayOfWeek", (0, 1)),
    ("getDayOfYear", (0, 1)),
    ("getEscapedPath", (0, 0)),
    ("getFullYear", (0, 1)),
    ("getHost", (0, 0)),
    ("getHostname", (0, 0)),
    ("getHours", (0, 1)),
    ("getMilliseconds", (0, 1)),
    ("getMinutes", (0, 1)),
    ("getMonth", (0, 1)),
    ("getPort", (0, 0)),
    ("getQuery", (0, 0)),
    ("getScheme", (0, 0)),
    ("getSeconds", (0, 1)),
    ("hasValue", (0, 0)),
    ("indexOf", (1, 2)),
    ("ip", (0, 0)),
    ("isGlobalUnicast", (0, 0)),
    ("isGreaterThan", (1, 1)),
    ("isInteger", (0, 0)),
    ("isLessThan", (1, 1)),
    ("isLinkLocalMulticast", (0, 0)),
    ("isLinkLocalUnicast", (0, 0)),
    ("isLoopback", (0, 0)),
    ("isSorted", (0, 0)),
    ("isUnspecified", (0, 0)),
    ("join", (0, 1)),
    ("lastIndexOf", (1, 2)),
    ("lowerAscii", (0, 0)),
    ("major", (0, 0)),
    ("masked", (0, 0)),
    ("matches", (1, 1)),
    ("max", (0, 0)),
    ("min", (0, 0)),
    ("minor", (0, 0)),
    ("or", (1, 1)),
    ("orValue", (1, 1)),
    ("patch", (0, 0)),
    ("prefixLength", (0, 0)),
    ("replace", (2, 3)),
    ("reverse", (0, 0)),
    ("sign", (0, 0)),
    ("size", (0, 0)),
    ("slice", (2, 2)),
    ("sort", (0, 0)),
    ("split", (1, 2)),
    ("startsWith", (1, 1)),
    ("string", (0, 0)),
    ("sub", (1, 1)),
    ("substring", (1, 2)),
    ("sum", (0, 0)),
    ("trim", (0, 0)),
    ("upperAscii", (0, 0)),
    ("validate", (1, 1)),
    ("value", (0, 0)),
];

/// Names of types, which stand for values of their own.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "google.protobuf.Duration",
    "google.protobuf.Timestamp",
    "int",
    "list",
    "map",
    "null_type",
    "optional_type",
    "string",
    "type",
    "uint",
];

/// Macros that go over two variables and are not expanded.
const TWO_VARIABLES: &[&str] = &["transformMap", "transformMapEntry"];

fn takes(table: &[(&str, Arity)], name: &str, arguments: usize) -> bool {
    table
        .iter()
        .any(|(known, (fewest, most))| *known == name && (*fewest..=*most).contains(&arguments))
}

/// Whether it is a function without a receiver that takes so many arguments.
pub(super) fn is_global(name: &str, arguments: usize) -> bool {
    takes(GLOBAL, name, arguments) || is_operator(name)
}

/// Whether it is a function of a receiver that takes so many arguments.
pub(super) fn is_member(name: &str, arguments: usize) -> bool {
    takes(MEMBER, name, arguments)
}

/// Whether it names a type.
pub(super) fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// Says why a call cannot be evaluated.
pub(super) fn why_unknown(name: &str, arguments: usize) -> String {
    if name == "sortBy" && arguments != 2 || name == "bind" {
        return format!("the macro {name} is not supported");
    }
    let is_macro = TWO_VARIABLES.iter().any(|known| name.ends_with(known));
    if is_macro && arguments >= 2 {
        return format!("the macro {name} with two variables is not supported");
    }
    let known = GLOBAL.iter().chain(MEMBER).any(|(known, _)| *known == name);
    if known {
        return format!("the function {name} with {arguments} arguments is not supported");
    }
    format!("the function {name} is not supported")
}

fn is_operator(name: &str) -> bool {
    [
        operators::CONDITIONAL,
        operators::LOGICAL_AND,
        operators::LOGICAL_OR,
        operators::LOGICAL_NOT,
        operators::SUBSTRACT,
        operators::ADD,
        operators::MULTIPLY,
        operators::DIVIDE,
        operators::MODULO,
        operators::EQUALS,
        operators::NOT_EQUALS,
        operators::GREATER_EQUALS,
        operators::LESS_EQUALS,
        operators::GREATER,
        operators::LESS,
        operators::NEGATE,
        operators::INDEX,
        operators::OPT_INDEX,
        operators::OPT_SELECT,
        operators::NOT_STRICTLY_FALSE,
        operators::IN,
    ]
    .contains(&name)
}

/// The name that an expression spells, such as `request.kind` or `math`.
pub(super) fn spelled(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", spelled(&select.operand)?, select.field))
        }
        _ => None,
    }
}

/// Whether the receiver of a call is the first part of a function's name, as `math` in
/// `math.abs(x)`. Policies may not declare variables of these names.
pub(super) fn is_namespace(target: &IdedExpr) -> bool {
    let Expr::Ident(name) = &target.expr else { return false };
    GLOBAL
        .iter()
        .any(|(known, _)| known.split_once('.').is_some_and(|(namespace, _)| namespace == name))
}
