//! Names below a picture, as many beside each other as there is room for.

use super::canvas::{Canvas, INK, LETTERS, Side, WIDTH, fitted, text_width};

const LINE: i32 = LETTERS + 14;
const SIGN: i32 = 70;

/// Where each name stands, and the height of all.
pub(super) struct Legend {
    names: Vec<String>,
    columns: i32,
}

impl Legend {
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<String> = names.map(|name| fitted(name, WIDTH - SIGN - 40)).collect();
        let widest = names.iter().map(|name| text_width(name)).max().unwrap_or(0);
        Self { names, columns: ((WIDTH - 40) / (widest + SIGN + 30)).clamp(1, 4) }
    }

    pub fn height(&self) -> i32 {
        let rows = self.names.len().div_ceil(self.columns as usize);
        rows as i32 * LINE + if rows > 0 { 16 } else { 0 }
    }

    /// Draws the names below `top`; `sign` draws what stands before one, in the middle of the place it is given.
    pub fn draw(&self, canvas: &mut Canvas, top: i32, mut sign: impl FnMut(&mut Canvas, usize, (i32, i32))) {
        for (index, name) in self.names.iter().enumerate() {
            let (row, column) = (index as i32 / self.columns, index as i32 % self.columns);
            let x = 30 + column * ((WIDTH - 40) / self.columns);
            let y = top + row * LINE + LINE / 2;
            sign(canvas, index, (x + SIGN / 2 - 10, y));
            canvas.text(name, (x + SIGN - 8, y), Side::RightOf, INK);
        }
    }
}
