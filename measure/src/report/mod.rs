//! Pages and pictures: self-contained HTML, readable without a network and on a phone.
//!
//! A [`Page`] is filled from top to bottom through its [`Content`] and rendered once. Every text given to it is escaped;
//! the only markup that passes unchanged is that of the pictures, [`Svg`], which only [`plot`] can make. The same input
//! gives the same bytes.
//!
//! ```
//! use qasr_measure::report::{Column, Page, Table};
//! let mut page = Page::new("What it costs");
//! let mut table = Table::new([Column::left("type"), Column::right("WER %")]);
//! table.row(["q8_0".into(), "3.1".into()]);
//! page.body.section("Words").table(&table);
//! assert!(page.render().starts_with("<!DOCTYPE html>"));
//! ```

mod page;
pub mod plot;
mod table;

pub use page::{Content, Mark, Page};
pub use plot::Svg;
pub use table::{Cell, Column, Table};

/// Text as it may stand in HTML, between tags and in quoted attributes. Control characters other than white space are
/// not allowed in HTML at all and become U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            _ if letter.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(escape("<b>&\"'\u{1b}\n"), "&lt;b&gt;&amp;&quot;&#39;\u{fffd}\n");
    }
}
