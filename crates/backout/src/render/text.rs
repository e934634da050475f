//! Text for terminals: how wide it is, where it breaks, and what must not be in it.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// How many columns a tab takes; a terminal's own tab stops would move what stands behind.
const TAB: &str = "    ";

/// A character of a file as a terminal shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// What is written.
    pub(crate) text: String,
    /// How many columns it takes.
    pub(crate) width: usize,
}

/// The characters of a line as a terminal shows them: tabs as spaces, and pictures for characters
/// that would move the cursor, change colours or turn text around.
pub(crate) fn cells(line: &str) -> impl Iterator<Item = Cell> {
    line.chars().map(|c| match c {
        '\t' => Cell { text: TAB.to_owned(), width: TAB.len() },
        _ => {
            let shown = visible(c);
            Cell { text: shown.to_string(), width: shown.width().unwrap_or(0) }
        }
    })
}

/// Text on one line, safe to print.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { visible(c) }).collect()
}

fn visible(c: char) -> char {
    match c {
        // Unicode has a picture of every control character of ASCII.
        '\0'..='\x1f' => {
            char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

/// How many columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Breaks a text between words into lines of at most `most` columns. A word that is longer stays
/// whole: it is a path or a command, and is copied.
pub(crate) fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a-very-long-word b", 4), ["a-very-long-word", "b"]);
        assert_eq!(wrap("値値 値", 7), ["値値 値"]);
        assert_eq!(wrap("値値 値", 6), ["値値", "値"]);
        assert_eq!(wrap("  ", 6), [""; 0]);
    }

    #[test]
    fn control_characters_become_pictures() {
        assert_eq!(clean("a\u{1b}[31m\nb\u{7f}\u{9b}\u{202e}"), "a␛[31m b␡\u{fffd}\u{fffd}");
        let widths: Vec<_> = cells("a\t値\u{301}\u{0}").map(|cell| cell.width).collect();
        assert_eq!(widths, [1, 4, 2, 0, 1]);
    }
}
