//! The primitives of a picture, in whole units on a ground of fixed width. Colours are classes of the page's style.

use crate::report::escape;
use std::fmt::{Arguments, Write};
use unicode_width::UnicodeWidthStr;

/// Width of every picture, in units.
pub(super) const WIDTH: i32 = 960;
/// Height of letters, in units. A phone shows 960 units on about 340 pixels.
pub(super) const LETTERS: i32 = 32;

/// The class of a colour in `style.css`, where it has a value for light pages and one for dark pages.
pub(super) type Ink = &'static str;
pub(super) const INK: Ink = "ink";
pub(super) const QUIET: Ink = "quiet";
pub(super) const GRID: Ink = "grid";

/// The colour of a series.
pub(super) fn colour(series: usize) -> Ink {
    ["c0", "c1", "c2", "c3", "c4", "c5", "ink"][series % 7]
}

/// A picture, as an `<svg>` element without fixed size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svg(String);

impl Svg {
    /// The element.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// On which side of its point a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    RightOf,
    LeftOf,
    Centred,
}

/// The elements drawn so far.
pub(super) struct Canvas(String);

/// Draws a picture of this height. `description` is read out where it cannot be seen.
pub(super) fn draw(description: &str, height: i32, content: impl FnOnce(&mut Canvas)) -> Svg {
    let mut canvas = Canvas(format!(
        "<svg viewBox=\"0 0 {WIDTH} {}\" font-size=\"{LETTERS}\" role=\"img\" aria-label=\"{}\">\n",
        height.max(1),
        escape(description)
    ));
    content(&mut canvas);
    Svg(canvas.0 + "</svg>\n")
}

impl Canvas {
    fn filled(&mut self, shape: Arguments<'_>, colour: Ink) {
        let _ = writeln!(self.0, "<{shape} class=\"{colour}\"/>");
    }

    fn outlined(&mut self, shape: Arguments<'_>, colour: Ink, width: u32) {
        let _ = writeln!(self.0, "<{shape} class=\"line {colour}\" stroke-width=\"{width}\"/>");
    }

    pub fn line(&mut self, from: (i32, i32), to: (i32, i32), colour: Ink, width: u32) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.outlined(format_args!("line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\""), colour, width);
    }

    pub fn path(&mut self, points: &[(i32, i32)], colour: Ink, width: u32) {
        self.outlined(format_args!("polyline points=\"{}\"", joined(points)), colour, width);
    }

    /// The line of a series. Every second series has another pattern of dashes, so that it hides none below it.
    pub fn series(&mut self, series: usize, points: &[(i32, i32)]) {
        let dashes = ["none", "20 12", "4 10", "24 8 4 8"][series % 4];
        let points = joined(points);
        self.outlined(format_args!("polyline points=\"{points}\" stroke-dasharray=\"{dashes}\""), colour(series), 4);
    }

    pub fn area(&mut self, corner: (i32, i32), opposite: (i32, i32), colour: Ink) {
        self.shaded(corner, opposite, colour, 1.0);
    }

    /// A rectangle that is as strong as its share: 0 is the ground, 1 the colour.
    pub fn shaded(&mut self, (x, y): (i32, i32), (right, bottom): (i32, i32), colour: Ink, share: f64) {
        let (width, height) = ((right - x).max(0), (bottom - y).max(0));
        let opacity = if share < 1.0 { format!(" fill-opacity=\"{share:.3}\"") } else { String::new() };
        self.filled(format_args!("rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{opacity}"), colour);
    }

    pub fn circle(&mut self, (x, y): (i32, i32), radius: u32, colour: Ink) {
        self.filled(format_args!("circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\""), colour);
    }

    pub fn ring(&mut self, (x, y): (i32, i32), radius: u32, colour: Ink) {
        self.outlined(format_args!("circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\""), colour, 4);
    }

    /// Letters whose middle line goes through the point.
    pub fn text(&mut self, text: &str, (x, y): (i32, i32), side: Side, colour: Ink) {
        let anchor = match side {
            Side::RightOf => "start",
            Side::LeftOf => "end",
            Side::Centred => "middle",
        };
        let text = escape(text).replace(['\n', '\t'], " ");
        let _ = writeln!(self.0, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" class=\"{colour}\">{text}</text>");
    }

    /// The marker of a series: one of five outlines, so that it is known without its colour and hides none below it.
    pub fn marker(&mut self, series: usize, (x, y): (i32, i32)) {
        let r = 12;
        let corners: &[(i32, i32)] = match series % 5 {
            0 => return self.ring((x, y), 11, colour(series)),
            1 => &[(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
            2 => &[(x, y - r - 2), (x + r + 2, y + r - 1), (x - r - 2, y + r - 1)],
            3 => &[(x, y - r - 4), (x + r + 4, y), (x, y + r + 4), (x - r - 4, y)],
            _ => &[(x - r, y - r), (x + r, y + r), (x, y), (x - r, y + r), (x + r, y - r), (x, y)],
        };
        self.outlined(format_args!("polygon points=\"{}\"", joined(corners)), colour(series), 4);
    }
}

fn joined(points: &[(i32, i32)]) -> String {
    points.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ")
}

/// How wide a text is, about: the file has no font of its own, and the reader's is not known here.
pub(super) fn text_width(text: &str) -> i32 {
    text.width().min(1000) as i32 * LETTERS * 56 / 100
}

/// A text that fits into a width, with its end cut off where it does not.
pub(super) fn fitted(text: &str, width: i32) -> String {
    if text_width(text) <= width {
        return text.to_owned();
    }
    let mut fitting = String::new();
    for letter in text.chars() {
        fitting.push(letter);
        if text_width(&fitting) + LETTERS > width {
            fitting.pop();
            break;
        }
    }
    fitting + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_scales_and_its_texts_are_text() {
        let picture = draw("a \"b\"", 100, |canvas| canvas.text("x<y\u{1}\n", (5, 5), Side::RightOf, INK));
        assert_eq!(
            picture.as_str(),
            "<svg viewBox=\"0 0 960 100\" font-size=\"32\" role=\"img\" aria-label=\"a &quot;b&quot;\">\n\
             <text x=\"5\" y=\"5\" text-anchor=\"start\" class=\"ink\">x&lt;y\u{fffd} </text>\n</svg>\n"
        );
    }

    #[test]
    fn every_colour_is_in_the_style_and_none_is_in_the_picture() {
        let style = include_str!("../style.css");
        for series in 0..7 {
            assert!(style.contains(&format!("svg .{} {{", colour(series))), "{}", colour(series));
        }
        for ink in [INK, QUIET, GRID] {
            assert!(style.contains(&format!("svg .{ink} {{")), "{ink}");
        }
        let picture = draw("", 100, |canvas| {
            for series in 0..7 {
                canvas.series(series, &[(1, 2), (3, 4)]);
                canvas.marker(series, (1, 2));
            }
            canvas.shaded((0, 0), (5, 5), colour(0), 0.25);
        });
        assert!(!picture.as_str().contains('#') && picture.as_str().contains("fill-opacity=\"0.250\""), "{picture:?}");
    }

    #[test]
    fn a_long_text_is_cut_to_its_place() {
        assert_eq!(fitted("short", 200), "short");
        let cut = fitted(&"wide ".repeat(50), 200);
        assert!(cut.ends_with('…') && text_width(&cut) <= 200, "{cut}");
        assert_eq!(fitted("語", 10), "…");
    }
}
