//! Words for columns and sentences: cut and filled up, times and numbers as people say them.

use backout_core::units::{Span, Time};
use unicode_width::UnicodeWidthChar as _;

use super::text::{clean, width};

/// Ends a text that was cut.
const CUT: char = '…';

/// The text in at most so many columns, with `…` where it was cut.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let text = clean(text);
    if width(&text) <= most {
        return text;
    }
    let mut shown = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > most {
            break;
        }
        shown.push(c);
    }
    let mut shown = shown.trim_end().to_owned();
    shown.push(CUT);
    shown
}

/// The text, filled up with spaces on the right.
pub(crate) fn left(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The text, filled up with spaces on the left.
pub(crate) fn right(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// A title and a list of items, separated by commas, on lines of at most `most` columns. An item
/// is never broken; every line but the first is indented.
pub(crate) fn listed(title: &str, items: &[String], indent: usize, most: usize) -> String {
    let mut lines = Vec::new();
    let mut line = title.to_owned();
    for (position, item) in items.iter().enumerate() {
        let comma = if position + 1 < items.len() { "," } else { "" };
        let item = format!("{}{comma}", clean(item));
        if width(&line) + 1 + width(&item) > most {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else {
            line.push(' ');
        }
        line.push_str(&item);
    }
    lines.push(line);
    lines.join("\n")
}

/// A length of time as people say it: `0.3s`, `6s`, `2m05s`, `1h04m`.
pub(crate) fn span(span: Span) -> String {
    let tenths = span.as_millis().saturating_add(50) / 100;
    let secs = span.as_millis().saturating_add(500) / 1_000;
    let mins = secs.saturating_add(30) / 60;
    if tenths < 100 && !tenths.is_multiple_of(10) {
        format!("{}.{}s", tenths / 10, tenths % 10)
    } else if secs < 60 {
        format!("{secs}s")
    } else if secs < 3_600 {
        format!("{}m{:02}s", secs / 60, secs % 60)
    } else {
        format!("{}h{:02}m", mins / 60, mins % 60)
    }
}

/// A moment as a clock that began with the run: `00:05:02`.
pub(crate) fn clock(time: Time) -> String {
    let secs = time.as_millis() / 1_000;
    format!("{:02}:{:02}:{:02}", secs / 3_600, secs / 60 % 60, secs % 60)
}

/// A number of things: `1 seed`, `2 seeds`.
pub(crate) fn count(number: impl Into<u64>, thing: &str) -> String {
    let number = number.into();
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_by_columns_and_not_by_bytes() {
        assert_eq!(cut("error-rate", 10), "error-rate");
        assert_eq!(cut("error-rate", 9), "error-ra…");
        assert_eq!(cut("a bcd", 3), "a…");
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("漢字漢字", 4), "漢…");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn fills_up_by_columns() {
        assert_eq!(left("漢", 4), "漢  ");
        assert_eq!(right("12", 4), "  12");
        assert_eq!(right("12345", 4), "12345");
    }

    #[test]
    fn times_are_as_long_as_they_are_telling() {
        for (millis, said) in [
            (0, "0s"),
            (49, "0s"),
            (300, "0.3s"),
            (2_300, "2.3s"),
            (6_000, "6s"),
            (9_960, "10s"),
            (42_400, "42s"),
            (59_600, "1m00s"),
            (125_000, "2m05s"),
            (3_599_600, "1h00m"),
            (3_840_000, "1h04m"),
            (86_400_000, "24h00m"),
        ] {
            assert_eq!(span(Span::from_millis(millis)), said, "{millis}");
        }
        assert!(span(Span::from_millis(u64::MAX)).ends_with('m'));
    }

    #[test]
    fn lists_are_broken_between_items() {
        let items: Vec<String> = ["alpha 1", "beta 2", "gamma 3"].map(str::to_owned).into();
        assert_eq!(listed("had:", &items, 2, 22), "had: alpha 1, beta 2,\n  gamma 3");
        assert_eq!(listed("had:", &items, 2, 80), "had: alpha 1, beta 2, gamma 3");
        assert_eq!(listed("had:", &[], 2, 80), "had:");
    }
}
