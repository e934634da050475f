//! A table that fits its lines: cells are cleaned, and the last column is cut to the room that the
//! others leave.

use owo_colors::{OwoColorize as _, Style};

use super::super::text::{clean, width};
use super::super::words::{cut, left, right};

/// Spaces between two columns.
const GAP: usize = 2;

/// Most columns that a cell takes, unless it is the last of its line.
const WIDEST: usize = 42;

/// The fewest columns that the last cell is cut to.
const NARROWEST: usize = 16;

/// Which way a column leans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leans {
    Left,
    Right,
}

/// A table under construction.
#[derive(Debug)]
pub(super) struct Table {
    titles: Vec<(&'static str, Leans)>,
    rows: Vec<(Vec<String>, Style)>,
    /// Most columns that a cell takes, unless it is the last of its line.
    widest: usize,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(titles: &[(&'static str, Leans)]) -> Self {
        Self { titles: titles.to_vec(), rows: Vec::new(), widest: WIDEST }
    }

    /// The same, with cells of any length but for the last.
    pub(super) fn whole(mut self) -> Self {
        self.widest = usize::MAX;
        self
    }

    /// One line; its style is that of its last cell.
    pub(super) fn row(&mut self, cells: Vec<String>, style: Style) {
        let last = self.titles.len().saturating_sub(1);
        let cells = cells.into_iter().enumerate();
        let fitted = cells.map(
            |(column, cell)| {
                if column == last { clean(&cell) } else { cut(&cell, self.widest) }
            },
        );
        self.rows.push((fitted.collect(), style));
    }

    /// The lines, of at most so many columns where that can be.
    pub(super) fn render(&self, most: usize) -> String {
        let widths = self.widths();
        let titles: Vec<String> =
            self.titles.iter().map(|(title, _)| (*title).to_owned()).collect();
        let mut text = self.line(&titles, &widths, most, Style::new().dimmed(), true);
        for (cells, style) in &self.rows {
            text.push_str(&self.line(cells, &widths, most, *style, false));
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let widest = |column: usize, title: &str| {
            let cells = self.rows.iter().filter_map(|(cells, _)| cells.get(column));
            cells.map(|cell| width(cell)).max().unwrap_or(0).max(width(title))
        };
        self.titles.iter().enumerate().map(|(column, (title, _))| widest(column, title)).collect()
    }

    fn line(
        &self,
        cells: &[String],
        widths: &[usize],
        most: usize,
        style: Style,
        whole: bool,
    ) -> String {
        let last = widths.len().saturating_sub(1);
        let mut before = String::new();
        let mut end = String::new();
        for (column, (cell, columns)) in cells.iter().zip(widths).enumerate() {
            if column == last {
                let room = most.saturating_sub(width(&before)).max(NARROWEST);
                end = cut(cell, room);
                continue;
            }
            let leans = self.titles.get(column).map_or(Leans::Left, |(_, leans)| *leans);
            before.push_str(&match leans {
                Leans::Left => left(cell, *columns),
                Leans::Right => right(cell, *columns),
            });
            before.push_str(&" ".repeat(GAP));
        }
        if whole {
            return format!("{}\n", format!("{before}{end}").trim_end().style(style));
        }
        if end.is_empty() {
            return format!("{}\n", before.trim_end());
        }
        format!("{before}{}\n", end.style(style))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_cluster_cannot_break_the_lines() {
        let mut table =
            Table::new(&[("NAME", Leans::Left), ("N", Leans::Right), ("WHY", Leans::Left)]);
        let words =
            |first: &str, last: &str| vec![first.to_owned(), "7".to_owned(), last.to_owned()];
        table.row(words("値値", &"long ".repeat(40)), Style::new());
        table.row(words(&"x".repeat(100), "a\u{1b}[31m\nb"), Style::new());
        let text = table.render(100);
        assert!(
            text.lines().all(|line| width(&anstream::adapter::strip_str(line).to_string()) <= 100)
        );
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("␛[31m b"), "{text}");
    }
}
