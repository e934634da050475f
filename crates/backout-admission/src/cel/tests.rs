use super::*;

fn environment() -> Environment {
    Environment::new(Limits::default()).unwrap()
}

fn outcome(text: &str) -> Outcome<bool> {
    let environment = environment();
    let declarations = Declarations::of(&["object"]);
    let expression = environment.compile(text, &declarations);
    let mut scope = Scope::new(&environment, &[]);
    scope.set("object", &serde_json::json!({"spec": {"replicas": 3, "share": 0.5, "whole": 2.0}}));
    scope.holds(&expression)
}

/// What an expression of a library's test says.
pub(super) fn holds(text: &str) -> bool {
    match outcome(text) {
        Outcome::Value(holds) => holds,
        other => panic!("{text}: {other:?}"),
    }
}

/// The error of an expression of a library's test.
pub(super) fn error(text: &str) -> String {
    match outcome(text) {
        Outcome::Error(message) => message,
        other => panic!("{text}: {other:?}"),
    }
}

fn unsupported(text: &str) -> String {
    match outcome(text) {
        Outcome::Unsupported(reason) => reason,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn numbers_of_manifests_have_the_types_that_a_cluster_gives_them() {
    assert!(holds("type(object.spec.replicas) == int && object.spec.replicas + 1 == 4"));
    assert!(holds("type(object.spec.share) == double && object.spec.share == 0.5"));
    assert!(holds("type(object.spec.whole) == int"));
    assert!(holds("object.spec.replicas > 2.5 && object.spec.replicas == 3u"));
}

#[test]
fn extensions_are_there() {
    assert!(holds("'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'"));
    assert!(holds("'aXb'.replace('X', '-') == 'a-b' && 'Ab'.lowerAscii() == 'ab'"));
    assert!(holds("'aXbX'.replace('X', '-', 1) == 'a-bX' && ['a'].join() == 'a'"));
    assert!(holds("'%s has %d'.format(['x', 2]) == 'x has 2'"));
    assert!(holds("math.greatest(1, 2, 3) == 3 && math.least([2, 1]) == 1 && math.abs(-1) == 1"));
    assert!(holds(
        "base64.encode(b'hello') == 'aGVsbG8=' && base64.decode('aGVsbG8=') == b'hello'"
    ));
    assert!(holds("timestamp('2024-01-01T00:00:00Z').getFullYear() == 2024"));
    assert!(holds("[3, 1].sort() == [1, 3] && [[1], [2]].flatten() == [1, 2]"));
}

#[test]
fn macros_are_there() {
    assert!(holds("[1, 2].all(x, x > 0) && [1, 2].exists(x, x > 1) && [1].exists_one(x, x == 1)"));
    assert!(holds("[1, 2].map(x, x * 2) == [2, 4] && [1, 2].filter(x, x > 1) == [2]"));
    assert!(holds("[1, 2].map(x, x > 1, x * 2) == [4] && has(object.spec) && !has(object.x)"));
    assert!(holds("optional.of(1).optMap(x, x + 1).value() == 2"));
    assert!(holds("{'b': 1, 'a': 2, 'c': 3}.map(key, key) == ['a', 'b', 'c']"));
    assert!(holds("[1, 2].all(x, [3, 4].exists(y, y == x + 2))"));
    assert!(holds("[1, 'a'].exists(x, x == 'a') && [0, 1].exists(x, 1 / x == 1)"));
}

#[test]
fn what_is_unknown_is_found_wherever_it_is() {
    assert!(unsupported("true || authorizer.check()").contains("authorizer"));
    assert!(unsupported("true || object.frobnicate()").contains("the function frobnicate"));
    assert!(unsupported("false && resource.List('v1', 'pods')").contains("resource.List"));
    assert!(unsupported("[1].all(x, frobnicate(x))").contains("frobnicate"));
    assert!(unsupported("true ? true : {'a': frobnicate()}.a").contains("frobnicate"));
    assert!(unsupported("{'a': 1}.transformMap(k, v, v) == {}").contains("two variables"));
    assert!(unsupported("[1].transformMapEntry(i, v, {v: i}) == {}").contains("two variables"));
    assert!(unsupported("cel.bind(x, 1, x == 1)").contains("bind"));
    assert!(unsupported("semver('1', true, 2)").contains("with 3 arguments"));
    assert!(unsupported("@meter == 1").contains("cannot be read"));
    assert!(unsupported("variables.x == 1").contains("nothing is called variables"));
    assert!(unsupported("obj.spec == 1").contains("nothing is called obj here; there are object"));
    assert!(unsupported("object.spec ==").contains("cannot be read"));
}

#[test]
fn a_refusal_says_where() {
    let environment = environment();
    let declarations = Declarations::of(&["object"]);
    let refused = environment.compile("true ||\n  frobnicate(1)", &declarations).unwrap_err();
    assert_eq!(refused.position, Some((2, 13)));
    assert!(!refused.is_invalid);
    let refused = environment.compile("object.a == wrong", &declarations).unwrap_err();
    assert_eq!(refused.position, Some((1, 13)));
    assert!(refused.is_invalid);
}

#[test]
fn errors_say_what_and_no_value() {
    assert_eq!(error("object.missing == 1"), "no such key: missing");
    assert_eq!(error("1 / 0 == 1"), "division by zero");
    assert_eq!(error("object.spec"), "it is map, not a bool");
    assert!(!error("object.spec + 'secret' == 'x'").contains("secret"));
    assert!(!error("'secret' > 1").contains("secret"));
}

#[test]
fn work_has_a_limit() {
    let list = "[0,1,2,3,4,5,6,7,8,9]";
    let nested = |depth: usize| {
        let opened: String = (0..depth).map(|i| format!("{list}.all(x{i}, ")).collect();
        format!("{opened}true{}", ")".repeat(depth))
    };
    assert!(holds(&nested(3)));
    assert_eq!(unsupported(&nested(8)), "stopped after 1000000 steps");
    assert_eq!(unsupported(&format!("{} || true", nested(8))), "stopped after 1000000 steps");
}

#[test]
fn growth_has_a_limit() {
    let doubling = |environment: &Environment, first: &str, next: &str| {
        let mut declarations = Declarations::of(&["variables"]);
        let mut variables = Vec::new();
        for index in 0..60 {
            let text = if index == 0 {
                first.to_owned()
            } else {
                next.replace('$', &format!("variables.v{}", index - 1))
            };
            let expression = environment.compile(&text, &declarations);
            variables.push(Variable { name: format!("v{index}"), expression });
            declarations.variables.insert(format!("v{index}"));
        }
        let last = environment.compile("size(variables.v59) == 0", &declarations);
        Scope::new(environment, &variables).holds(&last)
    };
    let environment = environment();
    for (first, next) in [
        ("'0123456789'", "$ + $"),
        ("['a']", "[$, $]"),
        ("{'a': 1}", "{'a': $, 'b': $}"),
        ("'aa'", "$.replace('a', $)"),
        ("['aa', 'aa']", "[$.join($.join('')), $.join('')]"),
        ("'a'", "'%s%s'.format([$, $])"),
    ] {
        let outcome = doubling(&environment, first, next);
        assert!(
            matches!(&outcome, Outcome::Unsupported(reason) if reason.contains("stopped")),
            "{next}: {outcome:?}"
        );
    }
    assert!(error("'%.999999999f'.format([1.0]) == ''").contains("format"));
    assert!(unsupported("size(lists.range(1000000)) == 1 || true").contains("stopped"));
}

#[test]
fn what_is_long_or_deep_is_refused() {
    let sum = vec!["1"; 20_000].join("+");
    assert!(unsupported(&format!("{sum} == 1")).contains("too deeply"));
    assert!(unsupported(&"(".repeat(20_000)).contains("too deeply"));
    assert!(unsupported(&"a".repeat(70_000)).contains("longer than"));
    let at_the_limit = format!("{} == 90", vec!["1"; 90].join("+"));
    assert!(holds(&at_the_limit));
    assert!(holds(&vec!["true"; 3000].join(" && ")));
    let nested = format!("{}1{} == 1", "(".repeat(30), ")".repeat(30));
    assert!(holds(&nested));
}

#[test]
fn variables_are_lazy() {
    let environment = environment();
    let mut declarations = Declarations::of(&["object", "variables"]);
    let mut variables = Vec::new();
    for (name, text) in [
        ("broken", "object.missing.field"),
        ("unknown", "frobnicate(1)"),
        ("one", "1"),
        ("two", "variables.one + 1"),
    ] {
        let expression = environment.compile(text, &declarations);
        variables.push(Variable { name: name.to_owned(), expression });
        declarations.variables.insert(name.to_owned());
    }
    let mut scope = Scope::new(&environment, &variables);
    scope.set("object", &serde_json::json!({}));
    let mut check = |text: &str| scope.holds(&environment.compile(text, &declarations));
    assert_eq!(check("variables.two == 2"), Outcome::Value(true));
    assert_eq!(check("true || variables.broken == 1"), Outcome::Value(true));
    let Outcome::Error(message) = check("variables.broken == 1") else { panic!() };
    assert_eq!(message, "variables.broken: no such key: missing");
    // An unknown function is not hidden by what stands before it.
    assert!(matches!(check("true || variables.unknown == 1"), Outcome::Unsupported(_)));
    assert!(matches!(check("variables.three == 1"), Outcome::Unsupported(_)));
    assert!(matches!(check("has(variables.two)"), Outcome::Value(true)));
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }
}

#[test]
fn nothing_panics_on_what_is_nearly_an_expression() {
    let seeds = [
        "object.spec.all(c, !has(c.security) || c.?x[?'y'].orValue(false) == true)",
        "{'a': [1, 2.5, 3u, b'x', r'\\d', null]}.map(k, k + 'a').filter(x, x in ['a'])[0] == '\\u00e9'",
        "quantity('1Gi').compareTo(quantity('5m')) < 0 ? isIP('::1') : [1].exists_one(i, v, i == v)",
        "a.b{c: 1}.d ? . : x[1:2] @in @meter #unused `a` 0xff 1e10 -5 % 3 / 0 ?. ?[ ] {}",
    ];
    let pieces = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ".",
        "?",
        "'",
        "\"",
        "\\",
        ",",
        ":",
        "&&",
        "||",
        "-",
        "é",
        "\n",
        "//",
        "`",
        "@",
        "object",
        "in",
        ".all(",
        ".map(x, ",
        "0x",
        "\u{0}",
        "1e999",
        "has(",
        "99999999999999999999",
        "optional.of(",
        ".optMap(",
    ];
    let environment = environment();
    let declarations = Declarations::of(&["object"]);
    let mut numbers = Numbers(42);
    let mut read = 0;
    for _ in 0..600 {
        let mut text: Vec<char> = seeds[numbers.below(seeds.len())].chars().collect();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(text.len() + 1);
            let end = (at + numbers.below(12)).min(text.len());
            let piece = match numbers.below(3) {
                0 => Vec::new(),
                1 => text[at..end].iter().chain(&text[at..end]).copied().collect(),
                _ => pieces[numbers.below(pieces.len())].chars().collect(),
            };
            text.splice(at..end, piece);
        }
        let expression = environment.compile(&text.iter().collect::<String>(), &declarations);
        read += usize::from(expression.is_ok());
        let mut scope = Scope::new(&environment, &[]);
        scope.set("object", &serde_json::json!({"spec": [{"x": 1}]}));
        scope.holds(&expression);
    }
    // Some are still expressions, or this would only look at the parser.
    assert!(read > 5, "{read}");
}
