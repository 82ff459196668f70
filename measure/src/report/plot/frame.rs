//! The two axes that lines and points stand between.

use super::canvas::{Canvas, GRID, INK, LETTERS, QUIET, Side, WIDTH, text_width};
use super::scale::{Axis, Scale};

/// Where the values are drawn, in units.
pub(super) const LEFT: i32 = 140;
pub(super) const RIGHT: i32 = WIDTH - 40;
pub(super) const TOP: i32 = 70;
pub(super) const BOTTOM: i32 = 540;
/// Below this the picture has room for a legend.
pub(super) const END: i32 = BOTTOM + 110;

/// A pair of scales.
pub(super) struct Frame {
    pub x: Scale,
    pub y: Scale,
}

impl Frame {
    /// The scales of two axes for these values, without drawing.
    pub fn places((x_axis, x): (&Axis, &[f64]), (y_axis, y): (&Axis, &[f64])) -> Self {
        Self { x: x_axis.scale(x.iter().copied(), (LEFT, RIGHT)), y: y_axis.scale(y.iter().copied(), (BOTTOM, TOP)) }
    }

    /// Draws grid, values and names of two axes.
    pub fn draw(canvas: &mut Canvas, (x_axis, x): (&Axis, &[f64]), (y_axis, y): (&Axis, &[f64])) -> Self {
        let frame = Self::places((x_axis, x), (y_axis, y));
        for (value, text) in frame.y.ticks(6) {
            let y = frame.y.place(value);
            canvas.line((LEFT, y), (RIGHT, y), GRID, 1);
            canvas.text(&text, (LEFT - 12, y), Side::LeftOf, QUIET);
        }
        let mut free_from = i32::MIN;
        for (value, text) in frame.x.ticks(7) {
            let x = frame.x.place(value);
            canvas.line((x, TOP), (x, BOTTOM), GRID, 1);
            let half = text_width(&text) / 2;
            if x - half >= free_from {
                canvas.text(&text, (x, BOTTOM + LETTERS), Side::Centred, QUIET);
                free_from = x + half + LETTERS / 2;
            }
        }
        canvas.line((LEFT, BOTTOM), (RIGHT, BOTTOM), INK, 2);
        canvas.line((LEFT, TOP), (LEFT, BOTTOM), INK, 2);
        canvas.text(&y_axis.label(), (12, TOP / 2), Side::RightOf, INK);
        canvas.text(&x_axis.label(), ((LEFT + RIGHT) / 2, BOTTOM + 2 * LETTERS + 12), Side::Centred, INK);
        frame
    }

    pub fn place(&self, (x, y): (f64, f64)) -> (i32, i32) {
        (self.x.place(x), self.y.place(y))
    }
}

/// Says in the middle that there is nothing, or in the corner how much could not be drawn.
pub(super) fn tell_missing(canvas: &mut Canvas, drawn: usize, missing: usize) {
    let text = match (drawn, missing) {
        (0, 0) => "no values".to_owned(),
        (_, 0) => return,
        (_, 1) => "1 value cannot be shown".to_owned(),
        _ => format!("{missing} values cannot be shown"),
    };
    if drawn == 0 {
        canvas.text(&text, ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2), Side::Centred, QUIET);
    } else {
        canvas.text(&text, (RIGHT, TOP - LETTERS), Side::LeftOf, QUIET);
    }
}
