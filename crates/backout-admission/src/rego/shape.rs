//! The shape of a module's text, before anything parses it: expressions that are too long or too deep
//! would use up the stack of whoever reads them.

use backout_core::document::Location;

/// The most operators and steps that one expression may chain, as in `a.b + c[d]`.
const MAX_CHAIN: usize = 100;

/// The deepest nesting of brackets: the parser's time doubles with each.
const MAX_DEPTH: usize = 14;

/// How long the parser may take for all nested brackets together, in brackets without nesting.
const MAX_COST: u64 = 1 << 21;

/// Where a text is too long or too deep, and what is.
pub(super) fn excess(text: &str) -> Option<(Location, &'static str)> {
    let mut cost = 0_u64;
    let mut levels = vec![Level::default()];
    let mut letters = text.chars().peekable();
    let mut place = Location::START;
    while let Some(letter) = letters.next() {
        let here = place;
        let mut step = |letter: char| {
            if letter == '\n' {
                place = Location { line: place.line.saturating_add(1), ..Location::START };
            } else {
                place.column = place.column.saturating_add(1);
            }
        };
        step(letter);
        let level = levels.last_mut()?;
        match letter {
            '#' => {
                while let Some(skipped) = letters.next_if(|letter| *letter != '\n') {
                    step(skipped);
                }
            }
            '"' | '`' => {
                let mut is_escaped = false;
                for inner in letters.by_ref() {
                    step(inner);
                    if inner == letter && !is_escaped {
                        break;
                    }
                    is_escaped = letter == '"' && inner == '\\' && !is_escaped;
                }
                level.operand();
            }
            '(' | '[' | '{' => {
                // A bracket after an operand is a step or a call, and a brace begins a body.
                if letter == '{' {
                    level.operand();
                } else {
                    level.operator();
                }
                if levels.len() >= MAX_DEPTH {
                    return Some((here, "brackets are nested too deeply"));
                }
                cost = cost.saturating_add(1 << levels.len());
                if cost > MAX_COST {
                    return Some((here, "too many brackets are nested deeply"));
                }
                levels.push(Level::default());
            }
            ')' | ']' | '}' => {
                if levels.len() > 1 {
                    levels.pop();
                }
                levels.last_mut()?.is_after_operand = true;
            }
            ',' | ';' => *level = Level::default(),
            letter if letter.is_alphanumeric() || letter == '_' => {
                let is_word = |letter: &char| letter.is_alphanumeric() || *letter == '_';
                while let Some(inner) = letters.next_if(is_word) {
                    step(inner);
                }
                level.operand();
            }
            letter if letter.is_whitespace() => {}
            _ => level.operator(),
        }
        if levels.last().is_some_and(|level| level.chained > MAX_CHAIN) {
            return Some((here, "an expression is too long"));
        }
    }
    None
}

/// What was read between two brackets.
#[derive(Clone, Copy, Default)]
struct Level {
    chained: usize,
    is_after_operand: bool,
}

impl Level {
    /// Two operands in a row belong to different expressions.
    fn operand(&mut self) {
        if self.is_after_operand {
            self.chained = 0;
        }
        self.is_after_operand = true;
    }

    fn operator(&mut self) {
        self.chained += 1;
        self.is_after_operand = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_modules_have_no_excess() {
        let line = "x := sprintf(\"%s [[[ %s\", [a.b[c].d, `(`]) # ((((\n";
        assert_eq!(excess(&line.repeat(500)), None);
        assert_eq!(excess("deny contains \"a\\\"b\" if { input.x == 1; not y }\n"), None);
    }

    #[test]
    fn chains_and_depth_have_a_limit() {
        let place = |text: &str| excess(text).map(|(at, what)| (at.line, what));
        let chain = format!("package main\nx := a{}", "\n.a".repeat(2000));
        assert_eq!(place(&chain), Some((101, "an expression is too long")));
        let sum = format!("x := {}", "1 + ".repeat(2000));
        assert_eq!(place(&sum), Some((1, "an expression is too long")));
        let sets = format!("x := {}", "{1} | f(1, 2)[3] | ".repeat(2000));
        assert_eq!(place(&sets), Some((1, "an expression is too long")));
        let deep = "[".repeat(2000);
        assert_eq!(place(&deep), Some((1, "brackets are nested too deeply")));
        assert_eq!(place(&"{x|".repeat(2000)), Some((1, "brackets are nested too deeply")));
    }
}
