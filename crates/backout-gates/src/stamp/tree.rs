//! The text of manifests as a tree in which every key and value knows its bytes.

use std::ops::Range;

use backout_core::document::Location;
use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StructureStyle};

/// The deepest nesting that is walked, as of manifests.
const DEEPEST: usize = 64;

/// A place of the text.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) bytes: Range<usize>,
    pub(super) location: Location,
}

impl Spot {
    fn of(span: &Span) -> Self {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        let location = Location {
            line: narrow(span.start.line()),
            column: narrow(span.start.col().saturating_add(1)),
            length: 1,
        };
        // A parser of a text always knows its bytes.
        Self { bytes: span.byte_range().unwrap_or(0..0), location }
    }

    /// The column, counted from zero.
    pub(super) fn indent(&self) -> usize {
        usize::try_from(self.location.column).unwrap_or(1).saturating_sub(1)
    }
}

/// A value of the text.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) spot: Spot,
    /// Whether an anchor names it, or a tag changes its type.
    pub(super) is_marked: bool,
    pub(super) shape: Shape,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Mapping { flow: bool, entries: Vec<Entry> },
    Sequence(Vec<Node>),
    Scalar { text: String, style: ScalarStyle },
    Alias,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_style: ScalarStyle,
    pub(super) key_spot: Spot,
    pub(super) value: Node,
}

impl Node {
    /// The entries of a mapping.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.shape {
            Shape::Mapping { entries, .. } => entries,
            Shape::Sequence(_) | Shape::Scalar { .. } | Shape::Alias => &[],
        }
    }

    /// The entry of a key.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The text of a field that is a single value.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.entry(key)?.value.shape {
            Shape::Scalar { text, .. } => Some(text),
            Shape::Mapping { .. } | Shape::Sequence(_) | Shape::Alias => None,
        }
    }

    /// Whether nothing at all is written.
    pub(super) fn is_left_out(&self) -> bool {
        let plain = matches!(self.shape, Shape::Scalar { style: ScalarStyle::Plain, .. });
        plain && self.spot.bytes.is_empty()
    }
}

/// The roots of all documents that are mappings; nothing when the text is not YAML.
pub(super) fn read(text: &str) -> Option<Vec<Node>> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEEPEST + 1,
        block_nesting_limit: DEEPEST + 1,
    };
    let mut build = Build::default();
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.ok()?;
        build.take(event, &span)?;
    }
    Some(build.roots)
}

/// A container that is open.
struct Frame {
    node: Node,
    start: Marker,
    key: Option<(String, ScalarStyle, Spot)>,
}

#[derive(Default)]
struct Build {
    roots: Vec<Node>,
    open: Vec<Frame>,
}

impl Build {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Option<()> {
        let spot = Spot::of(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(Frame { node, key: key @ None, .. }) = self.open.last_mut()
                    && matches!(node.shape, Shape::Mapping { .. })
                {
                    *key = Some((text.into_owned(), style, spot));
                    return Some(());
                }
                let shape = Shape::Scalar { text: text.into_owned(), style };
                self.add(Node { spot, is_marked: anchor != 0 || tag.is_some(), shape })
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.add(Node { spot, is_marked: false, shape: Shape::Alias })
            }
            Event::MappingStart(style, anchor, tag) => {
                let flow = style == StructureStyle::Flow;
                let shape = Shape::Mapping { flow, entries: Vec::new() };
                self.enter(span, Node { spot, is_marked: anchor != 0 || tag.is_some(), shape })
            }
            Event::SequenceStart(_, anchor, tag) => {
                let shape = Shape::Sequence(Vec::new());
                self.enter(span, Node { spot, is_marked: anchor != 0 || tag.is_some(), shape })
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let Frame { mut node, start, .. } = self.open.pop()?;
                let whole = Span::new(start, span.end);
                node.spot.bytes = whole.byte_range()?;
                self.add(node)
            }
            _ => Some(()),
        }
    }

    fn enter(&mut self, span: &Span, node: Node) -> Option<()> {
        // A container as a key is no manifest's.
        if let Some(Frame { node: parent, key: None, .. }) = self.open.last()
            && matches!(parent.shape, Shape::Mapping { .. })
        {
            return None;
        }
        (self.open.len() < DEEPEST).then(|| {
            self.open.push(Frame { node, start: span.start, key: None });
        })
    }

    fn add(&mut self, node: Node) -> Option<()> {
        let Some(frame) = self.open.last_mut() else {
            if matches!(node.shape, Shape::Mapping { .. }) {
                self.roots.push(node);
            }
            return Some(());
        };
        match &mut frame.node.shape {
            Shape::Mapping { entries, .. } => {
                let (key, key_style, key_spot) = frame.key.take()?;
                entries.push(Entry { key, key_style, key_spot, value: node });
            }
            Shape::Sequence(items) => items.push(node),
            Shape::Scalar { .. } | Shape::Alias => return None,
        }
        Some(())
    }
}
