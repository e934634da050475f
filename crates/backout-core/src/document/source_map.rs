//! Where every field of a document is.

use std::collections::BTreeMap;

use granit_parser::Marker;

use super::{FieldPath, Location, Segment};

/// What stands at a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A mapping over several lines, without braces.
    BlockMapping,
    /// A mapping in braces.
    FlowMapping,
    /// A list over several lines, without brackets.
    BlockSequence,
    /// A list in brackets.
    FlowSequence,
    /// Text, a number or any other single value that is written out.
    Scalar,
    /// Nothing at all after a colon or a dash.
    Empty,
    /// A reference to an anchor.
    Alias,
}

/// The place of a node in the reverse index, to tell apart nodes that begin at the same character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// A list or a mapping begins here.
    Container,
    /// The key of a field begins here.
    Key,
    /// Any other value begins here.
    Value,
}

/// One value of a document.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The node that contains this one; the root contains itself.
    pub(super) parent: usize,
    /// The last step of the path; nothing for the root.
    pub(super) segment: Option<Segment>,
    /// Where the key is, for a field of a mapping.
    pub(super) key: Option<Location>,
    /// Where the value is.
    pub(super) value: Location,
    /// What stands there.
    pub(super) kind: Kind,
}

/// The place of the whole document among the nodes.
pub(super) const ROOT: usize = 0;

/// Where every field of a document is, by path and by place.
///
/// Nodes are kept in a tree rather than by full path, so that memory grows with the document and
/// not with its depth. An alias is one node: the map does not follow it.
#[derive(Debug, Clone)]
pub struct SourceMap {
    nodes: Vec<Node>,
    children: BTreeMap<(usize, Segment), usize>,
    starts: BTreeMap<(u32, u32, Role), usize>,
}

impl Default for SourceMap {
    /// Makes the map of a document of which only its beginning is known.
    fn default() -> Self {
        let root = Node {
            parent: ROOT,
            segment: None,
            key: None,
            value: Location::START,
            kind: Kind::FlowMapping,
        };
        Self { nodes: vec![root], children: BTreeMap::new(), starts: BTreeMap::new() }
    }
}

impl SourceMap {
    /// Returns where the value of a field is; for a list or a mapping, where it begins.
    #[must_use]
    pub fn value(&self, path: &FieldPath) -> Option<Location> {
        self.exact(path).map(|node| self.nodes[node].value)
    }

    /// Returns where the key of a field is; items of lists have none.
    #[must_use]
    pub fn key(&self, path: &FieldPath) -> Option<Location> {
        self.exact(path).and_then(|node| self.nodes[node].key)
    }

    /// Reports whether the document itself contains a field.
    #[must_use]
    pub fn contains(&self, path: &FieldPath) -> bool {
        self.exact(path).is_some()
    }

    /// Returns the best place to show for a field, or for its closest ancestor that is there.
    ///
    /// This is the value if it fits on a line, and the key if the value is a block below the key
    /// or is left out, because the first line of a block seldom has to do with the whole of it.
    #[must_use]
    pub fn nearest(&self, path: &FieldPath) -> Location {
        let (node, _) = self.descend(path);
        self.place(node)
    }

    /// Returns the best place to show for a node.
    pub(super) fn place(&self, node: usize) -> Location {
        let Node { key, value, kind, .. } = &self.nodes[node];
        match kind {
            Kind::BlockMapping | Kind::BlockSequence | Kind::Empty => key.unwrap_or(*value),
            Kind::FlowMapping | Kind::FlowSequence | Kind::Scalar | Kind::Alias => *value,
        }
    }

    /// Finds a node by its whole path.
    fn exact(&self, path: &FieldPath) -> Option<usize> {
        let (node, depth) = self.descend(path);
        (depth == path.segments().len()).then_some(node)
    }

    /// Follows a path as far as it goes; returns the last node and how many steps led to it.
    fn descend(&self, path: &FieldPath) -> (usize, usize) {
        let mut node = ROOT;
        for (depth, segment) in path.segments().iter().enumerate() {
            match self.children.get(&(node, segment.clone())) {
                Some(child) => node = *child,
                None => return (node, depth),
            }
        }
        (node, path.segments().len())
    }

    /// Returns a node by its number.
    pub(super) fn node(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    /// Returns the child of a node by the last step of its path.
    pub(super) fn child(&self, node: usize, segment: &Segment) -> Option<usize> {
        self.children.get(&(node, segment.clone())).copied()
    }

    /// Returns the whole path of a node.
    pub(super) fn path(&self, node: usize) -> FieldPath {
        let mut segments = Vec::new();
        let mut at = node;
        while let Some(segment) = &self.nodes[at].segment {
            segments.push(segment.clone());
            at = self.nodes[at].parent;
        }
        segments.into_iter().rev().collect()
    }

    /// Moves every place down, for a document that does not begin its file.
    pub(super) fn shift_lines(&mut self, lines: u32) {
        for node in &mut self.nodes {
            node.value.line = node.value.line.saturating_add(lines);
            if let Some(key) = &mut node.key {
                key.line = key.line.saturating_add(lines);
            }
        }
        self.starts = std::mem::take(&mut self.starts)
            .into_iter()
            .map(|((line, column, role), node)| ((line.saturating_add(lines), column, role), node))
            .collect();
    }

    /// Adds a node, or replaces the root; the first of duplicate keys keeps its path.
    pub(super) fn add(&mut self, node: Node) -> usize {
        let Some(segment) = node.segment.clone() else {
            self.nodes[ROOT] = node;
            return ROOT;
        };
        let number = self.nodes.len();
        self.children.entry((node.parent, segment)).or_insert(number);
        self.nodes.push(node);
        number
    }

    /// Records that something of a node begins at a place.
    pub(super) fn begin(&mut self, at: Location, role: Role, node: usize) {
        self.starts.entry((at.line, at.column, role)).or_insert(node);
    }

    /// Makes a block mapping as long as its first key, if that is the key given.
    pub(super) fn lengthen_block(&mut self, node: usize, key: Location) {
        let value = &mut self.nodes[node].value;
        if (value.line, value.column) == (key.line, key.column) {
            *value = key;
        }
    }

    /// Makes a list or a mapping in brackets as long as it is, if it ends on the same line.
    pub(super) fn lengthen_flow(&mut self, node: usize, start: &Marker, end: &Marker) {
        let Node { value, kind, .. } = &mut self.nodes[node];
        let flow = matches!(kind, Kind::FlowMapping | Kind::FlowSequence);
        if flow && start.line() == end.line() {
            *value = Location::at(start, end.col().saturating_sub(start.col()));
        }
    }

    /// Finds what begins exactly at a line and a column, by the roles wanted most.
    pub(super) fn at(&self, line: u32, column: u32, roles: [Role; 3]) -> Option<(usize, Role)> {
        roles.into_iter().find_map(|role| Some((*self.starts.get(&(line, column, role))?, role)))
    }

    /// Finds the last node that begins before a line and a column.
    pub(super) fn before(&self, line: u32, column: u32) -> Option<usize> {
        let mut earlier = self.starts.range(..(line, column, Role::Container));
        earlier.next_back().map(|(_, node)| *node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_document_begins_at_its_start() {
        let map = SourceMap::default();
        assert_eq!(map.nearest(&FieldPath::root().key("a")), Location::START);
        assert_eq!(map.value(&FieldPath::root()), Some(Location::START));
        assert!(!map.contains(&FieldPath::root().key("a")));
        assert_eq!(map.before(1, 1), None);
    }
}
