//! Drawing in whole units on a ground of fixed width.

use plotters::prelude::{DrawingBackend, IntoFont, RGBColor, SVGBackend, ShapeStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, TextStyle};
use unicode_width::UnicodeWidthStr;

/// Width of every picture, in units.
pub(super) const WIDTH: i32 = 960;
/// Height of letters, in units. A phone shows 960 units on about 340 pixels.
pub(super) const LETTERS: i32 = 32;

pub(super) const INK: RGBColor = RGBColor(0x22, 0x26, 0x2b);
pub(super) const QUIET: RGBColor = RGBColor(0x5a, 0x62, 0x6c);
pub(super) const GRID: RGBColor = RGBColor(0xdd, 0xe1, 0xe6);
pub(super) const GROUND: RGBColor = RGBColor(0xff, 0xff, 0xff);

/// Okabe and Ito's colours, without the yellow that white swallows.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x22, 0x26, 0x2b),
];

/// The colour of a series.
pub(super) fn colour(series: usize) -> RGBColor {
    COLOURS[series % COLOURS.len()]
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

/// Where a text stands, seen from its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    RightOf,
    LeftOf,
    Centred,
}

/// What is drawn on. plotters reports errors of files; writing into a string has none, so they are dropped here.
pub(super) struct Canvas<'a> {
    backend: SVGBackend<'a>,
}

/// Draws a picture of this height. `description` is read out where it cannot be seen.
pub(super) fn draw(description: &str, height: i32, content: impl FnOnce(&mut Canvas<'_>)) -> Svg {
    let mut drawn = String::new();
    let mut canvas = Canvas { backend: SVGBackend::with_string(&mut drawn, (WIDTH as u32, height.max(1) as u32)) };
    canvas.area((0, 0), (WIDTH, height), GROUND);
    content(&mut canvas);
    let _ = canvas.backend.present();
    drop(canvas);
    // plotters' own first tag has a size in pixels; without it the picture is as wide as its place.
    let inside = drawn.split_once('>').map_or("", |(_, inside)| inside);
    let description = crate::report::escape(description);
    Svg(format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{description}\">{inside}"))
}

impl Canvas<'_> {
    pub fn line(&mut self, from: (i32, i32), to: (i32, i32), colour: RGBColor, width: u32) {
        let _ = self.backend.draw_line(from, to, &stroke(colour, width));
    }

    pub fn path(&mut self, points: &[(i32, i32)], colour: RGBColor, width: u32) {
        let _ = self.backend.draw_path(points.iter().copied(), &stroke(colour, width));
    }

    pub fn area(&mut self, corner: (i32, i32), opposite: (i32, i32), colour: RGBColor) {
        let _ = self.backend.draw_rect(corner, opposite, &colour.filled(), true);
    }

    pub fn outline(&mut self, corner: (i32, i32), opposite: (i32, i32), colour: RGBColor) {
        let _ = self.backend.draw_rect(corner, opposite, &stroke(colour, 1), false);
    }

    pub fn circle(&mut self, centre: (i32, i32), radius: u32, colour: RGBColor) {
        let _ = self.backend.draw_circle(centre, radius, &colour.filled(), true);
    }

    pub fn ring(&mut self, centre: (i32, i32), radius: u32, colour: RGBColor) {
        let _ = self.backend.draw_circle(centre, radius, &GROUND.filled(), true);
        let _ = self.backend.draw_circle(centre, radius, &stroke(colour, 4), false);
    }

    /// Letters whose middle line goes through the point.
    pub fn text(&mut self, text: &str, at: (i32, i32), side: Side, colour: RGBColor) {
        let h_pos = match side {
            Side::RightOf => HPos::Left,
            Side::LeftOf => HPos::Right,
            Side::Centred => HPos::Center,
        };
        // plotters divides sizes by 1.24 on their way to the file.
        let font = ("sans-serif", f64::from(LETTERS) * 1.24).into_font();
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(h_pos, VPos::Center));
        let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let _ = self.backend.draw_text(&text, &style, at);
    }

    /// The marker of a series: another shape for each of five, so that it is told apart without its colour.
    pub fn marker(&mut self, series: usize, at: (i32, i32), colour: RGBColor) {
        const R: i32 = 11;
        let (x, y) = at;
        match series % 5 {
            0 => self.circle(at, R as u32, colour),
            1 => self.area((x - R + 1, y - R + 1), (x + R - 1, y + R - 1), colour),
            2 => self.polygon(&[(x, y - R - 2), (x + R + 2, y + R - 1), (x - R - 2, y + R - 1)], colour),
            3 => self.polygon(&[(x, y - R - 3), (x + R + 3, y), (x, y + R + 3), (x - R - 3, y)], colour),
            _ => {
                self.line((x - R, y - R), (x + R, y + R), colour, 6);
                self.line((x - R, y + R), (x + R, y - R), colour, 6);
            }
        }
    }

    fn polygon(&mut self, corners: &[(i32, i32)], colour: RGBColor) {
        let _ = self.backend.fill_polygon(corners.iter().copied(), &colour.filled());
    }
}

fn stroke(colour: RGBColor, width: u32) -> ShapeStyle {
    colour.stroke_width(width)
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
        let picture = draw("a \"b\"", 100, |canvas| canvas.text("x<y\u{1}", (5, 5), Side::RightOf, INK));
        let svg = picture.as_str();
        assert!(svg.starts_with("<svg viewBox=\"0 0 960 100\" role=\"img\" aria-label=\"a &quot;b&quot;\">"), "{svg}");
        assert!(
            svg.contains("<text")
                && svg.contains("x&lt;y")
                && !svg.contains('\u{1}')
                && svg.contains("font-size=\"32\""),
            "{svg}"
        );
        assert!(svg.trim_end().ends_with("</svg>") && !svg.contains("http"), "{svg}");
    }

    #[test]
    fn a_long_text_is_cut_to_its_place() {
        assert_eq!(fitted("short", 200), "short");
        let cut = fitted(&"wide ".repeat(50), 200);
        assert!(cut.ends_with('…') && text_width(&cut) <= 200, "{cut}");
        assert_eq!(fitted("語", 10), "…");
    }
}
