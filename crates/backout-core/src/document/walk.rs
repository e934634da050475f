//! One walk over the parser's events, which finds every place and every structural problem.

use std::ops::ControlFlow;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StructureStyle};

use super::source_map::{Kind, Node, ROOT, Role, SourceMap};
use super::text::{line_length, quote};
use super::{Limits, Location, Problem, Segment, syntax};

/// Enough problems to be of use at once; a longer list hides the first one.
const MOST_PROBLEMS: usize = 20;

/// Walks over a document, and returns where its fields are or what is wrong with its structure.
pub(super) fn walk(text: &str, limits: &Limits) -> Result<SourceMap, Vec<Problem>> {
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_comments: false,
        flow_nesting_limit: limits.max_depth.saturating_add(1),
        block_nesting_limit: limits.max_depth.saturating_add(1),
    };
    let mut walk = Walk {
        text,
        limits,
        map: SourceMap::default(),
        frames: Vec::new(),
        nodes: 0,
        documents: 0,
        problems: Vec::new(),
    };
    for next in Parser::new_from_str_with_options(text, options) {
        let flow = match next {
            Ok((event, span)) => walk.event(&event, &span),
            Err(error) => walk.stop(syntax::problem(&error, limits)),
        };
        if flow.is_break() || walk.problems.len() >= MOST_PROBLEMS {
            break;
        }
    }
    if walk.documents == 0 && walk.problems.is_empty() {
        walk.problems.push(empty());
    }
    if walk.problems.is_empty() { Ok(walk.map) } else { Err(walk.problems) }
}

/// A list or a mapping whose end has not been reached.
struct Frame {
    /// The node of the list or the mapping.
    node: usize,
    /// Where it begins.
    start: Marker,
    /// What comes next in it.
    next: Next,
}

/// What comes next in a list or a mapping.
enum Next {
    /// An item of a list, with its index.
    Item(usize),
    /// A key of a mapping.
    Key,
    /// The value of a mapping's field, with its key.
    Value(String, Location),
}

/// What is known so far of a document.
struct Walk<'a> {
    text: &'a str,
    limits: &'a Limits,
    map: SourceMap,
    frames: Vec<Frame>,
    nodes: usize,
    documents: usize,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    /// Takes one event of the parser.
    fn event(&mut self, event: &Event<'_>, span: &Span) -> ControlFlow<()> {
        match event {
            Event::DocumentStart(..) => self.document(span),
            Event::Alias(_) | Event::UnresolvedAlias(_) => self.leaf(span, Kind::Alias),
            Event::Scalar(text, style, _, tag) => {
                self.check_tag(tag.is_some(), span);
                if matches!(self.frames.last(), Some(Frame { next: Next::Key, .. })) {
                    return self.key(text, *style, span);
                }
                let left_out = span.is_empty() && *style == ScalarStyle::Plain;
                self.leaf(span, if left_out { Kind::Empty } else { Kind::Scalar })
            }
            Event::SequenceStart(style, _, tag) => {
                self.check_tag(tag.is_some(), span);
                let kind = match style {
                    StructureStyle::Block => Kind::BlockSequence,
                    StructureStyle::Flow => Kind::FlowSequence,
                };
                self.open(span, kind, Next::Item(0))
            }
            Event::MappingStart(style, _, tag) => {
                self.check_tag(tag.is_some(), span);
                let kind = match style {
                    StructureStyle::Block => Kind::BlockMapping,
                    StructureStyle::Flow => Kind::FlowMapping,
                };
                self.open(span, kind, Next::Key)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close(span);
                ControlFlow::Continue(())
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Anchor(..) => {
                ControlFlow::Continue(())
            }
            // The enum may grow; what has no value in it has no place either.
            _ => ControlFlow::Continue(()),
        }
    }

    /// Notes a problem after which nothing more can be made of the document.
    fn stop<T>(&mut self, problem: Problem) -> ControlFlow<(), T> {
        self.problems.push(problem);
        ControlFlow::Break(())
    }

    /// Begins a document, of which there must be only one.
    fn document(&mut self, span: &Span) -> ControlFlow<()> {
        self.documents += 1;
        if self.documents == 1 {
            return ControlFlow::Continue(());
        }
        let location = Location::at(&span.start, self.length(span));
        self.stop(
            Problem::at(location, "a second document begins here")
                .with_expected("one document in a file")
                .with_help("move the second document to a file of its own"),
        )
    }

    /// Refuses a tag, which would change the type of a value behind the reader's back.
    fn check_tag(&mut self, tagged: bool, span: &Span) {
        if tagged {
            let span = span.tag_span().unwrap_or(*span);
            let location = Location::at(&span.start, self.length(&span));
            let problem = Problem::at(location, "tags are not supported");
            self.problems.push(problem.with_help("remove the tag"));
        }
    }

    /// Counts a key or a value against the limit.
    fn count(&mut self, span: &Span) -> ControlFlow<()> {
        self.nodes += 1;
        if self.nodes <= self.limits.max_nodes {
            return ControlFlow::Continue(());
        }
        let most = self.limits.max_nodes;
        let message = format!("the document has more than {most} keys and values");
        self.stop(Problem::at(Location::at(&span.start, 1), message))
    }

    /// Takes the key of a field.
    fn key(&mut self, text: &str, style: ScalarStyle, span: &Span) -> ControlFlow<()> {
        self.count(span)?;
        let location = Location::at(&span.start, self.length(span));
        let Some(frame) = self.frames.last_mut() else {
            return ControlFlow::Continue(());
        };
        frame.next = Next::Value(text.to_owned(), location);
        let node = frame.node;
        self.map.lengthen_block(node, location);
        if let Some(problem) = self.check_key(node, text, style, location, span.is_empty()) {
            self.problems.push(problem);
        }
        ControlFlow::Continue(())
    }

    /// Finds what is wrong with a key of a mapping.
    fn check_key(
        &self,
        mapping: usize,
        text: &str,
        style: ScalarStyle,
        location: Location,
        left_out: bool,
    ) -> Option<Problem> {
        let plain = style == ScalarStyle::Plain;
        if plain && left_out {
            return Some(Problem::at(location, "a key is missing before the `:`"));
        }
        if plain && text == "<<" {
            let problem = Problem::at(location, "merge keys (`<<`) are not supported")
                .with_path(self.map.path(mapping))
                .with_help("write the fields out");
            return Some(problem);
        }
        let first = self.map.child(mapping, &Segment::Key(text.to_owned()))?;
        let problem = Problem::at(location, format!("duplicate key {}", quote(text)))
            .with_path(self.map.path(first));
        Some(match self.map.node(first).key {
            Some(key) => problem.with_help(format!("the first one is on line {}", key.line)),
            None => problem,
        })
    }

    /// Takes a value that contains no others.
    fn leaf(&mut self, span: &Span, kind: Kind) -> ControlFlow<()> {
        if self.frames.is_empty() {
            let problem = if kind == Kind::Empty {
                empty()
            } else {
                self.not_mapping(span, "a single value")
            };
            return self.stop(problem);
        }
        self.add(span, kind, Role::Value)?;
        ControlFlow::Continue(())
    }

    /// Enters a list or a mapping.
    fn open(&mut self, span: &Span, kind: Kind, next: Next) -> ControlFlow<()> {
        if self.frames.is_empty() && matches!(next, Next::Item(_)) {
            let problem = self.not_mapping(span, "a list");
            return self.stop(problem);
        }
        if self.frames.len() >= self.limits.max_depth {
            return self.stop(too_deep(Location::at(&span.start, 1), self.limits));
        }
        let node = self.add(span, kind, Role::Container)?;
        self.frames.push(Frame { node, start: span.start, next });
        ControlFlow::Continue(())
    }

    /// Leaves a list or a mapping; only now is it known how long one in brackets is.
    fn close(&mut self, span: &Span) {
        if let Some(frame) = self.frames.pop() {
            self.map.lengthen_flow(frame.node, &frame.start, &span.end);
        }
    }

    /// Adds a node at the present place, and moves that place on.
    fn add(&mut self, span: &Span, kind: Kind, role: Role) -> ControlFlow<(), usize> {
        self.count(span)?;
        let start = Location::at(&span.start, self.length(span));
        let (parent, segment, key) = match self.frames.last_mut() {
            None => (ROOT, None, None),
            Some(frame) => match std::mem::replace(&mut frame.next, Next::Key) {
                Next::Item(index) => {
                    frame.next = Next::Item(index + 1);
                    (frame.node, Some(Segment::Index(index)), None)
                }
                Next::Value(key, place) => (frame.node, Some(Segment::Key(key)), Some(place)),
                Next::Key => return self.stop(complex_key(start)),
            },
        };
        let value = match (kind, key) {
            // Nothing is written there, so the key or the dash before it is shown instead.
            (Kind::Empty, Some(key)) => key,
            (Kind::Empty, None) => Location { column: start.column.max(2) - 1, ..start },
            _ => start,
        };
        let node = self.map.add(Node { parent, segment, key, value, kind });
        if let Some(key) = key {
            self.map.begin(key, Role::Key, node);
        }
        self.map.begin(start, role, node);
        ControlFlow::Continue(node)
    }

    /// Makes the problem of a document that is not a mapping.
    fn not_mapping(&self, span: &Span, found: &str) -> Problem {
        let location = Location::at(&span.start, self.length(span));
        Problem::at(location, format!("the document is {found}"))
            .with_expected("a mapping of fields")
    }

    /// Measures a span in characters, up to the end of its first line.
    fn length(&self, span: &Span) -> usize {
        if span.start.line() == span.end.line() {
            return span.end.col().saturating_sub(span.start.col());
        }
        let rest = span.start.byte_offset().and_then(|offset| self.text.get(offset..));
        rest.map_or(1, line_length)
    }
}

/// Makes the problem of a document in which there is nothing.
fn empty() -> Problem {
    Problem::at(Location::START, "the document is empty").with_expected("a mapping of fields")
}

/// Makes the problem of a document that is nested too deeply.
pub(super) fn too_deep(location: Location, limits: &Limits) -> Problem {
    let most = limits.max_depth;
    Problem::at(location, format!("lists and mappings are nested more than {most} deep"))
}

/// Makes the problem of a key that is not text.
fn complex_key(location: Location) -> Problem {
    Problem::at(location, "a key cannot be a list, a mapping or an alias")
        .with_expected("text before the `:`")
}

#[cfg(test)]
mod tests {
    use super::super::FieldPath;
    use super::*;

    fn map(text: &str) -> SourceMap {
        walk(text, &Limits::default()).unwrap()
    }

    fn wrong(text: &str) -> Vec<String> {
        let problems = walk(text, &Limits::default()).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    fn places(map: &SourceMap, path: &str) -> (Option<Location>, Option<Location>, Location) {
        let path: FieldPath = path.parse().unwrap();
        (map.key(&path), map.value(&path), map.nearest(&path))
    }

    fn at(line: u64, column: u64, length: u64) -> Location {
        Location::new(line, column, length)
    }

    #[test]
    fn knows_keys_and_values() {
        let text =
            "# c\nspec:\n  é:   'q' # c\n  steps:\n    - {analyse: {}}\n    - a: 1\n      b: 2\n";
        let map = map(text);
        for (path, key, value, nearest) in [
            (".", None, at(2, 1, 4), at(2, 1, 4)),
            ("spec", Some(at(2, 1, 4)), at(3, 3, 1), at(2, 1, 4)),
            ("spec.é", Some(at(3, 3, 1)), at(3, 8, 3), at(3, 8, 3)),
            ("spec.steps", Some(at(4, 3, 5)), at(5, 5, 1), at(4, 3, 5)),
            ("spec.steps[0]", None, at(5, 7, 13), at(5, 7, 13)),
            ("spec.steps[0].analyse", Some(at(5, 8, 7)), at(5, 17, 2), at(5, 17, 2)),
            ("spec.steps[1]", None, at(6, 7, 1), at(6, 7, 1)),
            ("spec.steps[1].b", Some(at(7, 7, 1)), at(7, 10, 1), at(7, 10, 1)),
        ] {
            assert_eq!(places(&map, path), (key, Some(value), nearest), "{path}");
        }
    }

    #[test]
    fn falls_back_to_the_closest_ancestor() {
        let map = map("spec:\n  signals:\n    - max: 1\n  list: [1]\n");
        for (path, nearest) in [
            ("metadata.name", at(1, 1, 4)),
            ("spec.steps", at(1, 1, 4)),
            ("spec.signals[1].max", at(2, 3, 7)),
            ("spec.signals[0].min", at(3, 7, 3)),
            ("spec.list[4]", at(4, 9, 3)),
            ("spec.list.x", at(4, 9, 3)),
        ] {
            assert_eq!(places(&map, path), (None, None, nearest), "{path}");
        }
    }

    #[test]
    fn values_over_several_lines_have_their_first_line() {
        let map = map(
            "a: |\n  one\n  two\nb: one  \n  two\nc: [1,\n  2]\nd: \"x\\\n  y\"\ne:\nf:\n  -\n",
        );
        for (path, value) in [
            ("a", at(2, 3, 3)),
            ("b", at(4, 4, 3)),
            ("c", at(6, 4, 1)),
            ("d", at(8, 4, 3)),
            ("e", at(10, 1, 1)),
            ("f[0]", at(12, 3, 1)),
        ] {
            assert_eq!(places(&map, path).1, Some(value), "{path}");
        }
    }

    #[test]
    fn an_alias_is_one_node() {
        let map = map("a: &x {b: 1}\nc: *x\n");
        assert_eq!(places(&map, "a.b").1, Some(at(1, 11, 1)));
        assert_eq!(places(&map, "c"), (Some(at(2, 1, 1)), Some(at(2, 4, 2)), at(2, 4, 2)));
        assert_eq!(places(&map, "c.b"), (None, None, at(2, 4, 2)));
    }

    #[test]
    fn refuses_what_is_not_one_mapping() {
        for (text, problem) in [
            ("", "1:1: the document is empty; expected a mapping of fields"),
            ("# c\n", "1:1: the document is empty; expected a mapping of fields"),
            ("---\n", "1:1: the document is empty; expected a mapping of fields"),
            ("- a\n", "1:1: the document is a list; expected a mapping of fields"),
            ("hello\n", "1:1: the document is a single value; expected a mapping of fields"),
            (
                "a: 1\n---\nb: 1\n",
                "2:1: a second document begins here; expected one document in a file; move the second \
                 document to a file of its own",
            ),
            (
                "a: 1\n...\nb",
                "3:1: a second document begins here; expected one document in a file; \
                 move the second document to a file of its own",
            ),
        ] {
            assert_eq!(wrong(text)[0], problem, "{text:?}");
        }
    }

    #[test]
    fn finds_every_structural_problem_at_once() {
        assert_eq!(
            wrong("a: 1\nb: !!str 2\na: 3\n: 4\n<<: {c: 5}\n\"<<\": 6\nd: {\n"),
            [
                "2:4: tags are not supported; remove the tag",
                "3:1: duplicate key `a`; the first one is on line 1",
                "4:1: a key is missing before the `:`",
                "5:1: merge keys (`<<`) are not supported; write the fields out",
                "6:1: duplicate key `<<`; the first one is on line 5",
                "7:4: the `{` is never closed",
            ]
        );
        assert_eq!(wrong(&"a: 1\n".repeat(1_000)).len(), MOST_PROBLEMS);
    }

    #[test]
    fn refuses_keys_that_are_not_text() {
        for text in ["? [a]\n: 1\n", "{{a: 1}: 2}", "a: &x b\n*x : 1\n"] {
            assert!(wrong(text)[0].contains("a key cannot be a list"), "{text:?}");
        }
    }

    #[test]
    fn refuses_bad_syntax_with_advice() {
        for (text, problem) in [
            ("a:\n\tb: 1\n", "2:2: a tab cannot be used for indentation; indent with spaces"),
            ("a: \"b\n", "1:4: the quote is never closed"),
            ("a: {b: 1\n", "1:4: the `{` is never closed"),
            ("a: @b\n", "1:4: a value cannot begin with `@`; write quotes around the value"),
            (
                "a: b: c\n",
                "1:5: a second `:` is not allowed here; write quotes around a value that contains \
                 `: `, and check the indentation",
            ),
            ("a: *b\n", "1:4: the alias has no anchor before it"),
            (
                "%YAML 1.2\n---\na: 1\n",
                "1:1: directives such as `%YAML` are not supported; remove the line",
            ),
            (
                "a: \"\\d\"\n",
                "1:4: unknown escape in double quotes; write `\\\\` for a backslash, or use single quotes",
            ),
        ] {
            assert_eq!(wrong(text), [problem], "{text:?}");
        }
    }

    #[test]
    fn keeps_to_the_limits() {
        let limits = Limits { max_depth: 2, max_nodes: 5, ..Limits::default() };
        assert!(walk("a: [1, 2]", &limits).is_ok());
        let problem = |text| walk(text, &limits).unwrap_err()[0].to_string();
        assert_eq!(problem("a: [[1]]"), "1:5: lists and mappings are nested more than 2 deep");
        assert_eq!(problem("a: [1, 2, 3]"), "1:11: the document has more than 5 keys and values");
        let deep = |depth| format!("{}{}", "{a: ".repeat(depth), "}".repeat(depth));
        assert!(walk(&deep(64), &Limits::default()).is_ok());
        assert_eq!(wrong(&deep(65)), ["1:257: lists and mappings are nested more than 64 deep"]);
        assert!(wrong(&"[".repeat(100_000))[0].contains("nested more than 64 deep"));
    }
}
