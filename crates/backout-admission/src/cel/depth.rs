//! How deep the tree of an expression can be, judged by its text.
//!
//! The parser and the evaluator go down the tree by recursion, and a sum of ten thousand terms is a
//! tree as deep as that. So an upper bound is found first, without building the tree.

/// The deepest tree that is read.
pub(super) const MAX_DEPTH: usize = 96;

/// The most brackets inside each other: the parser goes down ten calls for each.
const MAX_BRACKETS: usize = 32;

/// What the deepest tree takes, in bytes: one level of the parser takes up to 200 KiB where it is
/// not optimized, and one of the evaluator 50 KiB, twice for what counts its steps.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// Calls a function with enough stack for the deepest tree, whatever is left of the caller's.
pub(super) fn with_stack<T>(call: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_BYTES / 2, STACK_BYTES, call)
}

#[derive(Default)]
struct Level {
    /// The depth of the operand that is being read.
    operand: usize,
    /// The deepest operand of this level.
    deepest: usize,
    /// Choices nest to the right.
    choices: usize,
}

impl Level {
    fn end_of_operand(&mut self) {
        self.deepest = self.deepest.max(self.operand + 1);
        self.operand = 0;
    }

    fn depth(mut self) -> usize {
        self.end_of_operand();
        self.deepest + self.choices
    }
}

/// Finds an upper bound of the depth. Chains of `&&` and `||` do not count, because the parser makes
/// balanced trees of them.
pub(super) fn bound(text: &str) -> usize {
    let mut levels = vec![Level::default()];
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let nested = levels.len() > 1;
        let Some(level) = levels.last_mut() else { return usize::MAX };
        match byte {
            b'"' | b'\'' => {
                at = end_of_text(bytes, at);
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                while at < bytes.len() && bytes[at] != b'\n' {
                    at += 1;
                }
                continue;
            }
            b'(' | b'[' | b'{' => levels.push(Level::default()),
            b')' | b']' | b'}' if nested => {
                let depth = levels.pop().map_or(0, Level::depth);
                if let Some(outer) = levels.last_mut() {
                    outer.operand = outer.operand.max(depth) + 1;
                }
            }
            b'&' | b'|' | b',' => level.end_of_operand(),
            b'?' if bytes.get(at.wrapping_sub(1)) != Some(&b'.') => {
                level.choices += 1;
                level.end_of_operand();
            }
            b':' => level.end_of_operand(),
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'!' | b'=' | b'<' | b'>' => {
                level.operand += 1;
            }
            _ => {}
        }
        at += 1;
        if levels.len() > MAX_BRACKETS {
            return usize::MAX;
        }
    }
    // Brackets that stay open end here.
    levels.into_iter().fold(0, |depth, level| depth.saturating_add(level.depth()))
}

/// Skips a string, which may be raw or have three quotes; returns the place after it.
fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let is_raw = start > 0
        && (matches!(bytes[start - 1], b'r' | b'R')
            || start > 1 && matches!(bytes[start - 2], b'r' | b'R'));
    let triple = bytes[start..].starts_with(&[quote; 3]);
    let mut at = start + if triple { 3 } else { 1 };
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if !is_raw => at += 2,
            byte if byte == quote && !triple => return at + 1,
            byte if byte == quote && bytes[at..].starts_with(&[quote; 3]) => return at + 3,
            b'\n' if !triple => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_expressions_are_shallow() {
        let text = "object.spec.template.spec.containers.all(c, !has(c.securityContext) || \
                    c.securityContext.?privileged.orValue(false) == false && c.image != '((((')";
        assert!(bound(text) < 25, "{}", bound(text));
        let long = vec!["a.b == 'x'"; 500].join(" && ");
        assert!(bound(&long) < 10);
    }

    #[test]
    fn chains_and_nesting_are_deep() {
        assert!(bound(&vec!["1"; 500].join("+")) > MAX_DEPTH);
        assert!(bound(&"(".repeat(500)) > MAX_DEPTH);
        assert!(bound(&"!".repeat(500)) > MAX_DEPTH);
        assert!(bound(&"a?b:".repeat(300)) > MAX_DEPTH);
        assert!(bound(&format!("x{}", ".f()".repeat(300))) > MAX_DEPTH);
    }
}
