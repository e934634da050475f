//! One walk over the parser's events, which finds every place and every structural problem.

use std::ops::ControlFlow;

use granit_parser::{
    ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, StructureStyle,
};

use super::source_map::{Kind, Node, ROOT, Role, SourceMap};
use super::text::{self, line_length, quote};
use super::{Limits, Location, Problem, Segment};

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
            Err(error) => walk.stop(syntax(&error, limits)),
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
fn too_deep(location: Location, limits: &Limits) -> Problem {
    let most = limits.max_depth;
    Problem::at(location, format!("lists and mappings are nested more than {most} deep"))
}

/// Makes the problem of a key that is not text.
fn complex_key(location: Location) -> Problem {
    Problem::at(location, "a key cannot be a list, a mapping or an alias")
        .with_expected("text before the `:`")
}

/// Turns an error of the parser into a problem, with advice for the common ones.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser's own words do for all kinds but the common ones"
)]
fn syntax(error: &ScanError, limits: &Limits) -> Problem {
    let location = Location::at(error.marker(), 1);
    let kind = error.kind();
    if matches!(kind, ErrorKind::RecursionLimitExceeded) {
        return too_deep(location, limits);
    }
    if let ErrorKind::UnclosedFlowCollection { open } = kind {
        return Problem::at(location, format!("the `{open}` is never closed"));
    }
    if let ErrorKind::UnexpectedCharacter { character } = kind {
        let shown = quote(character.encode_utf8(&mut [0; 4]));
        return Problem::at(location, format!("a value cannot begin with {shown}"))
            .with_help("write quotes around the value");
    }
    let (message, help) = match kind {
        ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabAtBlockScalarStart => {
            ("a tab cannot be used for indentation", "indent with spaces")
        }
        ErrorKind::UnclosedQuotedScalar => ("the quote is never closed", ""),
        ErrorKind::MappingValueNotAllowed => (
            "a second `:` is not allowed here",
            "write quotes around a value that contains `: `, and check the indentation",
        ),
        ErrorKind::UnknownAnchor => ("the alias has no anchor before it", ""),
        ErrorKind::DirectiveDisallowed => {
            ("directives such as `%YAML` are not supported", "remove the line")
        }
        ErrorKind::InvalidDocumentEnd => ("text is not allowed after the end of the document", ""),
        ErrorKind::UnknownQuotedScalarEscape => (
            "unknown escape in double quotes",
            "write `\\\\` for a backslash, or use single quotes",
        ),
        _ => ("", ""),
    };
    let message =
        if message.is_empty() { text::message(&kind.to_string()) } else { message.to_owned() };
    let problem = Problem::at(location, message);
    if help.is_empty() { problem } else { problem.with_help(help) }
}
