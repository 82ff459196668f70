//! Tables: what stands in a cell, and how it is marked.

use super::escape;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// A column: its heading and on which side its cells stand.
#[derive(Debug, Clone)]
pub struct Column {
    heading: String,
    class: &'static str,
}

impl Column {
    /// For names.
    pub fn left(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), class: "" }
    }

    /// For numbers.
    pub fn right(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), class: "right" }
    }

    /// For sentences, which are broken into lines.
    pub fn wrapped(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), class: "wrap" }
    }
}

/// A cell: a text, and whether it stands out.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    highlight: &'static str,
}

impl Cell {
    /// A plain one.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), highlight: "" }
    }

    /// A value that is not known or was not measured.
    pub fn missing() -> Self {
        Self { text: "–".into(), highlight: "faint" }
    }

    /// The same, marked as a value that is good.
    pub fn best(self) -> Self {
        Self { highlight: "best", ..self }
    }

    /// The same, marked as a failure.
    pub fn bad(self) -> Self {
        Self { highlight: "bad", ..self }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// Rows under headings. On a narrow screen it scrolls by itself, and the page does not.
#[derive(Debug, Clone, Default)]
pub struct Table {
    caption: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty one.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { caption: String::new(), columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// With a sentence above it.
    pub fn captioned(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    /// Adds a row. Cells beyond the last column are left out; those that lack are shown as missing.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> &mut Self {
        let mut row: Vec<Cell> = cells.into_iter().take(self.columns.len()).collect();
        row.resize_with(self.columns.len(), Cell::missing);
        self.rows.push(row);
        self
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn write(&self, html: &mut String) {
        // Not a `<caption>`: that would be as wide as the table and scroll away with it.
        let caption = escape(&self.caption);
        if !caption.is_empty() {
            let _ = writeln!(html, "<p class=\"caption\">{caption}</p>");
        }
        let label = if caption.is_empty() { "table" } else { &caption };
        let _ = write!(html, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"><table>");
        html.push_str("\n<thead><tr>");
        for column in &self.columns {
            let _ = write!(html, "<th scope=\"col\"{}>{}</th>", class(column.class, ""), escape(&column.heading));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for (cell, column) in row.iter().zip(&self.columns) {
                let _ = write!(html, "<td{}>{}</td>", class(column.class, cell.highlight), escape(&cell.text));
            }
            html.push_str("</tr>\n");
        }
        let hint = "Wider than the page: scroll it sideways →";
        let _ = writeln!(
            html,
            "</tbody></table></div>\n<p class=\"hint\" style=\"--wide: {}rem\">{hint}</p>",
            self.width()
        );
    }

    /// How wide the table is, about, in units of the page's letters: it says where the hint to scroll is shown.
    fn width(&self) -> usize {
        let cells = |column: usize| self.rows.iter().map(move |row| row[column].text.width());
        let column = |(index, column): (usize, &Column)| match column.class {
            "wrap" => 14.0,
            _ => 1.2 + 0.5 * cells(index).chain([column.heading.width()]).max().unwrap_or(0) as f64,
        };
        self.columns.iter().enumerate().map(column).sum::<f64>().ceil() as usize
    }
}

fn class(first: &str, second: &str) -> String {
    match [first, second].join(" ").trim() {
        "" => String::new(),
        classes => format!(" class=\"{classes}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(table: &Table) -> String {
        let mut html = String::new();
        table.write(&mut html);
        html
    }

    #[test]
    fn cells_are_escaped_aligned_and_marked() {
        let mut table = Table::new([Column::left("a<b"), Column::right("n")]).captioned("x & y");
        table.row(["<script>".into(), Cell::new("1").best()]);
        let html = html(&table);
        assert!(html.contains("<th scope=\"col\">a&lt;b</th>"), "{html}");
        assert!(html.contains("<td>&lt;script&gt;</td><td class=\"right best\">1</td>"), "{html}");
        assert!(html.contains("<p class=\"caption\">x &amp; y</p>"), "{html}");
    }

    #[test]
    fn a_table_says_about_how_wide_it_is() {
        let mut table = Table::new([Column::left("a"), Column::right("n")]);
        table.row(["ten letter".into(), "1".into()]);
        assert!(html(&table).contains("class=\"hint\" style=\"--wide: 8rem\""), "{}", html(&table));
    }

    #[test]
    fn every_row_has_as_many_cells_as_there_are_columns() {
        let mut table = Table::new([Column::left("a"), Column::left("b")]);
        assert!(table.is_empty());
        table.row(["1".into()]).row(["1".into(), "2".into(), "3".into()]);
        assert_eq!(html(&table).matches("<td").count(), 4);
        assert!(html(&table).contains("<td class=\"faint\">–</td>"));
    }
}
