//! Which ids name the same vulnerability.

use std::collections::{BTreeMap, BTreeSet};

use super::Vulnerability;

/// The classes of ids that some findings make: two ids are in one class when a chain of findings
/// names them together. It does not depend on the order of the findings.
#[derive(Clone, Debug, Default)]
pub struct Aliases {
    /// The class of each id, as an index of `classes`.
    class_of: BTreeMap<String, usize>,
    classes: Vec<BTreeSet<String>>,
}

impl Aliases {
    /// Closes over the ids of all findings.
    #[must_use]
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Vulnerability>) -> Self {
        let mut number: BTreeMap<&str, usize> = BTreeMap::new();
        let mut parent: Vec<usize> = Vec::new();
        for finding in findings {
            let mut first = None;
            for id in &finding.ids {
                let own = *number.entry(id).or_insert_with(|| {
                    parent.push(parent.len());
                    parent.len() - 1
                });
                let root = root(&mut parent, own);
                match first {
                    None => first = Some(root),
                    Some(other) => parent[root] = other,
                }
            }
        }
        let mut place: BTreeMap<usize, usize> = BTreeMap::new();
        let mut closed = Self::default();
        for (id, own) in number {
            let root = root(&mut parent, own);
            let class = *place.entry(root).or_insert_with(|| {
                closed.classes.push(BTreeSet::new());
                closed.classes.len() - 1
            });
            closed.classes[class].insert(id.to_owned());
            closed.class_of.insert(id.to_owned(), class);
        }
        closed
    }

    /// The number of a finding's class; the classes are numbered by their first id.
    #[must_use]
    pub fn class(&self, finding: &Vulnerability) -> Option<usize> {
        finding.ids.first().and_then(|id| self.class_of.get(id)).copied()
    }

    /// All names of what a finding is about.
    #[must_use]
    pub fn names<'a>(&'a self, finding: &'a Vulnerability) -> &'a BTreeSet<String> {
        self.class(finding).and_then(|class| self.classes.get(class)).unwrap_or(&finding.ids)
    }
}

/// Finds the root of a node, and halves the path to it.
fn root(parent: &mut [usize], mut node: usize) -> usize {
    while parent[node] != node {
        parent[node] = parent[parent[node]];
        node = parent[node];
    }
    node
}
