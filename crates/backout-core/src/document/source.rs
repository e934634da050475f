//! The text of a document.

use std::sync::Arc;

use super::text;

/// The text of a document, with the name that its user knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name of the file as the user gave it.
    pub name: String,
    /// The whole text, without a byte order mark.
    pub text: Arc<str>,
}

impl Source {
    /// Makes a source; a byte order mark is dropped, because no column counts it.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { name: name.to_owned(), text: Arc::from(text) }
    }

    /// Returns a line, counted from one, without its line break.
    #[must_use]
    pub fn line(&self, number: u32) -> Option<&str> {
        let position = usize::try_from(number.checked_sub(1)?).ok()?;
        text::lines(&self.text).nth(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_lines_from_one() {
        let source = Source::new("a.yaml", "\u{feff}a: 1\r\nb: 2\n");
        assert_eq!(source.line(0), None);
        assert_eq!(source.line(1), Some("a: 1"));
        assert_eq!(source.line(2), Some("b: 2"));
        assert_eq!(source.line(3), Some(""));
        assert_eq!(source.line(4), None);
        assert_eq!(source.line(u32::MAX), None);
    }
}
