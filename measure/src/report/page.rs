//! The page around the tables and pictures: one file that needs nothing else.

use super::{Svg, Table, escape};
use std::fmt::Write;

/// A whole page. [`Page::body`] is filled from top to bottom.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    subtitle: String,
    /// Everything after the title.
    pub body: Content,
    data: Vec<(String, String)>,
}

/// Content of a page or of a part that unfolds.
#[derive(Debug, Clone, Default)]
pub struct Content {
    html: String,
}

/// How a word was recognized. Shown by colour and by a line, so that neither colours nor print lose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As expected.
    Same,
    /// Another word than expected.
    Wrong,
    /// Expected, and not there.
    Missing,
    /// There, and not expected.
    Extra,
}

impl Page {
    /// An empty one.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), subtitle: String::new(), body: Content::default(), data: Vec::new() }
    }

    /// The line under the title.
    pub fn subtitle(&mut self, text: impl Into<String>) -> &mut Self {
        self.subtitle = text.into();
        self
    }

    /// Puts the numbers themselves into the page, for programs, as the element with this id. Ids are letters, digits and
    /// dashes; anything else in one becomes a dash.
    pub fn data(&mut self, id: &str, value: &serde_json::Value) -> &mut Self {
        let id = id.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        // A script element ends at the first `</script`, and `<!--` changes how the rest of it is read, whatever it holds.
        // In JSON a `<` stands in strings alone, where it can be written like this.
        let json = value.to_string().replace('<', "\\u003c");
        self.data.push((id, json));
        self
    }

    /// The file's content.
    pub fn render(&self) -> String {
        let title = escape(&self.title);
        let mut html = String::with_capacity(self.body.html.len() + 8192);
        let _ = write!(
            html,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <link rel=\"icon\" href=\"data:,\">\n<style>\n{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
            include_str!("style.css")
        );
        if !self.subtitle.is_empty() {
            let _ = writeln!(html, "<p class=\"subtitle\">{}</p>", escape(&self.subtitle));
        }
        html.push_str(&self.body.html);
        for (id, json) in &self.data {
            let _ = writeln!(html, "<script type=\"application/json\" id=\"{id}\">{json}</script>");
        }
        html.push_str("</body>\n</html>\n");
        html
    }
}

impl Content {
    /// A heading of the first rank below the title.
    pub fn section(&mut self, heading: &str) -> &mut Self {
        self.element("h2", "", heading)
    }

    /// A heading below a section's.
    pub fn subsection(&mut self, heading: &str) -> &mut Self {
        self.element("h3", "", heading)
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        self.element("p", "", text)
    }

    /// The main result: a sentence that stands out, and more below it.
    pub fn lead(&mut self, sentences: &[String]) -> &mut Self {
        for (index, sentence) in sentences.iter().enumerate() {
            self.element("p", if index == 0 { "lead" } else { "" }, sentence);
        }
        self
    }

    /// A paragraph that stands out: what is good to know.
    pub fn note(&mut self, text: &str) -> &mut Self {
        self.element("p", "note", text)
    }

    /// A paragraph that stands out: what has to be known before the numbers are used.
    pub fn warning(&mut self, text: &str) -> &mut Self {
        self.element("p", "warning", text)
    }

    /// A list of sentences; nothing where there are none.
    pub fn list<T: AsRef<str>>(&mut self, items: &[T]) -> &mut Self {
        if !items.is_empty() {
            self.html.push_str("<ul>\n");
            for item in items {
                self.element("li", "", item.as_ref());
            }
            self.html.push_str("</ul>\n");
        }
        self
    }

    /// Lines as they are, in letters of equal width.
    pub fn lines(&mut self, text: &str) -> &mut Self {
        self.element("pre", "", text)
    }

    /// A table.
    pub fn table(&mut self, table: &Table) -> &mut Self {
        table.write(&mut self.html);
        self
    }

    /// Pictures with what is to be said below each; side by side where there is room.
    pub fn figures(&mut self, figures: &[(Svg, String)]) -> &mut Self {
        self.html.push_str("<div class=\"figures\">\n");
        for (picture, caption) in figures {
            let _ = writeln!(
                self.html,
                "<figure>\n{}<figcaption>{}</figcaption>\n</figure>",
                picture.as_str(),
                escape(caption)
            );
        }
        self.html.push_str("</div>\n");
        self
    }

    /// A picture with what is to be said below it.
    pub fn figure(&mut self, picture: Svg, caption: impl Into<String>) -> &mut Self {
        self.figures(&[(picture, caption.into())])
    }

    /// A part that is folded up under its summary until it is asked for.
    pub fn details(&mut self, summary: &str, inner: Content) -> &mut Self {
        let _ = write!(self.html, "<details>\n<summary>{}</summary>\n{}</details>\n", escape(summary), inner.html);
        self
    }

    /// Words with their marks, after a name such as that of an engine.
    pub fn words<'a>(&mut self, name: &str, words: impl IntoIterator<Item = (&'a str, Mark)>) -> &mut Self {
        let _ = write!(self.html, "<p class=\"words\"><b>{}</b>", escape(name));
        for (word, mark) in words {
            let word = escape(word);
            let _ = match mark {
                Mark::Same => write!(self.html, " {word}"),
                Mark::Wrong => write!(self.html, " <mark>{word}</mark>"),
                Mark::Missing => write!(self.html, " <del>{word}</del>"),
                Mark::Extra => write!(self.html, " <ins>{word}</ins>"),
            };
        }
        self.html.push_str("</p>\n");
        self
    }

    fn element(&mut self, tag: &str, class: &str, text: &str) -> &mut Self {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = writeln!(self.html, "<{tag}{class}>{}</{tag}>", escape(text));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Column;
    use serde_json::json;

    fn page() -> Page {
        let mut page = Page::new("<title> & more");
        page.subtitle("\"sub\"");
        let mut inner = Content::default();
        inner.paragraph("<inside>").words("<w>", [("a<", Mark::Same), ("b", Mark::Missing), ("c", Mark::Extra)]);
        let mut table = Table::new([Column::left("<h>")]);
        table.row(["<cell>".into()]);
        page.body.section("<s>").subsection("<t>").note("<n>").warning("<x>").list(&["<i>"]).lines("<l>");
        page.body.table(&table).details("<d>", inner);
        page.data("a b", &json!({"text": "</script><!-- x"}));
        page
    }

    #[test]
    fn every_text_is_escaped_wherever_it_stands() {
        let html = page().render();
        for text in ["title", "s", "t", "n", "x", "i", "l", "d", "inside", "w", "h", "cell"] {
            assert!(html.contains(&format!("&lt;{text}&gt;")), "{text} is not on the page, or not escaped: {html}");
        }
        assert!(html.contains("&quot;sub&quot;") && html.contains(" a&lt; <del>b</del> <ins>c</ins>"), "{html}");
    }

    #[test]
    fn data_cannot_end_its_element_and_reads_back() {
        let html = page().render();
        let (_, rest) = html.split_once("<script type=\"application/json\" id=\"a-b\">").unwrap();
        let (json, end) = rest.split_once("</script>").unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap(), json!({"text": "</script><!-- x"}));
        assert!(!json.contains('<'), "{json}");
        assert_eq!(end, "\n</body>\n</html>\n");
    }

    #[test]
    fn a_page_is_the_same_each_time_and_names_no_other_place() {
        assert_eq!(page().render(), page().render());
        let html = page().render();
        assert!(!html.contains("http") && !html.contains("url(") && !html.contains("@import"), "{html}");
    }

    #[test]
    fn an_empty_page_and_an_empty_list_are_fine() {
        let mut page = Page::new("");
        page.body.list::<&str>(&[]);
        let html = page.render();
        assert!(html.contains("<h1></h1>\n</body>"), "{html}");
    }
}
