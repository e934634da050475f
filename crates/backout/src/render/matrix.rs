//! The table of a rehearsal: one fault, one line. The verdict comes first.

use owo_colors::OwoColorize as _;

use super::text::{clean, width};
use super::words::{cut, left, right};
use crate::report::simulation::{Row, SimulationReport};

/// Columns of the whole table. Fixed, because the same inputs must give the same bytes wherever
/// they are printed.
const WIDTH: usize = 120;

/// Spaces between two columns.
const GAP: usize = 2;

/// The fewest columns that a cause is cut to.
const SHORTEST_CAUSE: usize = 20;

/// What a column is, and which way its text leans.
struct Column {
    title: &'static str,
    leans_right: bool,
    cells: Vec<String>,
}

impl Column {
    fn new(title: &'static str, rows: &[Row], cell: impl Fn(&Row) -> String) -> Self {
        Self { title, leans_right: false, cells: rows.iter().map(cell).collect() }
    }

    fn leaning_right(self) -> Self {
        Self { leans_right: true, ..self }
    }

    fn width(&self) -> usize {
        self.cells.iter().map(|cell| width(cell)).max().unwrap_or(0).max(self.title.len())
    }

    fn filled(&self, text: &str, width: usize) -> String {
        if self.leans_right { right(text, width) } else { left(text, width) }
    }
}

/// The table, with the verdict above it and the reasons below it.
pub(crate) fn render(report: &SimulationReport) -> String {
    let mut text = format!("{}\n\n", verdict(report));
    let setting = &report.setting;
    let title = format!("{}   {}, seed {}", setting.releases(), setting.manner(), report.seed);
    text.push_str(&format!("{}\n", clean(&title)));
    text.push_str(&table(&report.rows));
    text.push_str(&reasons(&report.rows));
    text
}

fn verdict(report: &SimulationReport) -> String {
    let verdict = &report.verdict;
    if verdict.as_expected {
        verdict.text.green().bold().to_string()
    } else {
        verdict.text.red().bold().to_string()
    }
}

fn table(rows: &[Row]) -> String {
    let mut columns = [
        Column::new("FAULT", rows, |row| clean(&row.name)),
        Column::new("SEEN BY", rows, |row| row.cause_in_short.clone().unwrap_or("-".to_owned())),
        Column::new("AFTER", rows, Row::after),
        Column::new("PATTERN", rows, Row::ending),
        Column::new("BACK IN", rows, Row::back_in),
        Column::new("BAD REQ", rows, |row| row.bad_requests.to_string()).leaning_right(),
        Column::new("VERDICT", rows, |row| judged(row).to_owned()),
    ];
    cut_causes(&mut columns);
    let widths = columns.each_ref().map(Column::width);
    let titles = line(&columns, &widths, |column| column.title);
    let mut text = format!("{}\n", titles.dimmed());
    for (index, row) in rows.iter().enumerate() {
        let shown = line(&columns, &widths, |column| &column.cells[index]);
        text.push_str(&coloured(&shown, row));
        text.push('\n');
    }
    text
}

/// Causes get the room that the other columns leave.
fn cut_causes(columns: &mut [Column; 7]) {
    let gaps = GAP * (columns.len() - 1);
    let others: usize = columns.iter().map(Column::width).sum::<usize>() - columns[1].width();
    let room = WIDTH.saturating_sub(gaps + others).max(SHORTEST_CAUSE);
    for cause in &mut columns[1].cells {
        *cause = cut(cause, room);
    }
}

fn line<'a>(
    columns: &'a [Column],
    widths: &[usize],
    cell: impl Fn(&'a Column) -> &'a str,
) -> String {
    let cells: Vec<_> = columns
        .iter()
        .zip(widths)
        .map(|(column, width)| column.filled(cell(column), *width))
        .collect();
    cells.join(&" ".repeat(GAP)).trim_end().to_owned()
}

const fn judged(row: &Row) -> &'static str {
    if row.as_expected { "as expected" } else { "NOT as expected" }
}

/// The verdict is the last word of a line, and has a colour besides.
fn coloured(line: &str, row: &Row) -> String {
    let word = judged(row);
    match line.strip_suffix(word) {
        Some(rest) if row.as_expected => format!("{rest}{}", word.green()),
        Some(rest) => format!("{rest}{}", word.red().bold()),
        None => line.to_owned(),
    }
}

fn reasons(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows.iter().filter(|row| !row.as_expected) {
        text.push_str(&format!("\n{} is not as expected:\n", clean(&row.name).bold()));
        for reason in &row.unexpected {
            text.push_str(&format!("  {}\n", clean(reason)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::simulation::samples;

    fn shown(report: &SimulationReport) -> String {
        anstream::adapter::strip_str(&render(report)).to_string()
    }

    #[test]
    fn everything_as_expected() {
        insta::assert_snapshot!(shown(&samples::healthy()));
    }

    #[test]
    fn some_rows_are_not_as_expected() {
        insta::assert_snapshot!(shown(&samples::mixed()));
    }

    #[test]
    fn no_line_of_the_table_is_wider_than_the_table() {
        let text = shown(&samples::mixed());
        let table = text.split("\n\n").nth(1).unwrap();
        assert!(table.lines().all(|line| width(line) <= WIDTH), "{table}");
    }

    #[test]
    fn colour_is_never_the_only_carrier() {
        assert!(render(&samples::mixed()).contains("\u{1b}["));
        assert!(shown(&samples::mixed()).contains("NOT as expected"));
    }
}
