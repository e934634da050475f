//! Safe quoting of a document's own text in messages.

/// The longest quotation of a key or a value in a message, in characters.
const LONGEST_QUOTE: usize = 60;
/// The longest message, in characters.
const LONGEST_MESSAGE: usize = 600;

/// Quotes a key or a value in backticks, short and without control characters.
pub(super) fn quote(text: &str) -> String {
    format!("`{}`", clean(text, LONGEST_QUOTE))
}

/// Makes a message of another library fit to print on one line.
pub(super) fn message(text: &str) -> String {
    clean(text, LONGEST_MESSAGE)
}

/// Escapes control characters, which could take over a terminal, and cuts overlong text.
fn clean(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == longest {
            shown.push_str("...");
            break;
        }
        if c.is_control() || is_layout(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Reports characters that break lines or reorder text without being control characters.
fn is_layout(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Splits a text at the line breaks of YAML: `\n`, `\r\n` and `\r`.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let (line, breaks) = text.split_at(end);
        let width = if breaks.starts_with("\r\n") { 2 } else { 1 };
        rest = breaks.get(width..);
        Some(line)
    })
}

/// Counts the characters of a text before its first line break, leaving out blanks at the end.
pub(super) fn line_length(text: &str) -> usize {
    lines(text).next().map_or(0, |line| line.trim_end().chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_safely() {
        assert_eq!(quote("a"), "`a`");
        assert_eq!(quote("\u{1b}[31m"), "`\\u{1b}[31m`");
        assert_eq!(quote("\u{202e}x"), "`\\u{202e}x`");
        assert_eq!(quote(&"é".repeat(61)), format!("`{}...`", "é".repeat(60)));
        assert_eq!(quote(&"é".repeat(60)), format!("`{}`", "é".repeat(60)));
        assert_eq!(message("a\nb"), "a\\u{a}b");
    }

    #[test]
    fn splits_at_every_break() {
        let all = |text: &'static str| lines(text).collect::<Vec<_>>();
        assert_eq!(all(""), [""]);
        assert_eq!(all("a\nb\r\nc\rd"), ["a", "b", "c", "d"]);
        assert_eq!(all("a\n"), ["a", ""]);
        assert_eq!(all("\n\r\n"), ["", "", ""]);
        assert_eq!(all("a\u{85}b\u{2028}c"), ["a\u{85}b\u{2028}c"]);
        assert_eq!(line_length("ab c \nd"), 4);
    }
}
