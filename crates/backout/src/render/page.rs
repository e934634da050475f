//! A page for people: headings, verdicts, labelled texts and items, broken where they are too long.

use owo_colors::{OwoColorize as _, Style};

use super::text::{clean, wrap};

/// Columns of a line.
pub(super) const WIDTH: usize = 100;

const LABEL_WIDTH: usize = 9;
const HEADING: Style = Style::new().bold().underline();
pub(super) const STRONG: Style = Style::new().bold();
pub(super) const LABEL: Style = Style::new().dimmed();
pub(super) const GOOD: Style = Style::new().green().bold();
pub(super) const BAD: Style = Style::new().red().bold();

/// Text that is being laid out. Whatever is written is cleaned, so that nothing in a file can take
/// over the terminal.
#[derive(Default)]
pub(super) struct Page {
    pub(super) text: String,
}

impl Page {
    pub(super) fn empty(&mut self) {
        self.text.push('\n');
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.empty();
        self.styled(0, text, HEADING);
    }

    /// A line, broken where it is too long.
    pub(super) fn line(&mut self, indent: usize, text: &str) {
        self.styled(indent, text, Style::new());
    }

    pub(super) fn styled(&mut self, indent: usize, text: &str, style: Style) {
        for line in wrap(&clean(text), WIDTH - indent) {
            self.text.push_str(&format!("{:indent$}{}\n", "", line.style(style)));
        }
    }

    /// A verdict and its reason.
    pub(super) fn said(&mut self, style: Style, verdict: &str, reason: &str) {
        let verdict = clean(verdict);
        let lines = wrap(&format!("{verdict}: {}", clean(reason)), WIDTH);
        for (position, line) in lines.iter().enumerate() {
            match line.strip_prefix(&verdict).filter(|_| position == 0) {
                Some(rest) => self.text.push_str(&format!("{}{rest}\n", verdict.style(style))),
                None => self.text.push_str(&format!("  {line}\n")),
            }
        }
    }

    pub(super) fn numbered(&mut self, number: usize, text: &str) {
        for (position, line) in wrap(&clean(text), WIDTH - 6).iter().enumerate() {
            let number = if position == 0 { number.to_string() } else { String::new() };
            self.text.push_str(&format!("{number:>4}  {}\n", line.style(STRONG)));
        }
    }

    pub(super) fn field(&mut self, label: &str, text: &str) {
        self.labelled(6, label, text, Style::new());
    }

    /// A text behind a label; further lines stand below the text.
    pub(super) fn labelled(&mut self, indent: usize, label: &str, text: &str, style: Style) {
        let column = indent + LABEL_WIDTH;
        for (position, line) in wrap(&clean(text), WIDTH - column).iter().enumerate() {
            let label = if position == 0 { label } else { "" };
            let label = format!("{label:<LABEL_WIDTH$}");
            self.text.push_str(&format!(
                "{:indent$}{}{}\n",
                "",
                label.style(LABEL),
                line.style(style)
            ));
        }
    }

    pub(super) fn item(&mut self, text: &str) {
        for (position, line) in wrap(&clean(text), WIDTH - 4).iter().enumerate() {
            let mark = if position == 0 { '-' } else { ' ' };
            self.text.push_str(&format!("  {mark} {line}\n"));
        }
    }
}
