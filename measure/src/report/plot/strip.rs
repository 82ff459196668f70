//! A heat strip: one cell per tensor or layer, coloured by its value.

use super::canvas::{Canvas, GRID, INK, LETTERS, QUIET, Side, Svg, WIDTH, draw, fitted, text_width};
use super::scale::{Axis, Scale, short};
use plotters::prelude::RGBColor;

const ROW: i32 = 44;
const TOP: i32 = 60;
const RIGHT: i32 = WIDTH - 20;

/// Rows of cells: a row for each kind of tensor, a column for each layer, or one row for all.
#[derive(Debug, Clone)]
pub struct Strip {
    /// What the columns count, and their names; a row may have fewer cells.
    pub columns: (String, Vec<String>),
    /// A name and its cells. What is not a number has not been measured and is shown crossed out.
    pub rows: Vec<(String, Vec<f64>)>,
}

/// From the least to the most: lightness alone tells the order, so it survives grey print and colour-blind eyes.
const COLOURS: [(u8, u8, u8); 5] =
    [(0xf3, 0xf6, 0xd0), (0xa8, 0xd8, 0xb9), (0x4f, 0xae, 0xbf), (0x24, 0x6f, 0xa8), (0x13, 0x2b, 0x63)];

/// Draws the cells with the scale of their colours below. The axis says what the values are.
pub fn strip(description: &str, values: &Axis, strip: &Strip) -> Svg {
    let cells = strip.rows.iter().flat_map(|(_, cells)| cells.iter().copied());
    let held: Vec<f64> = cells.filter(|value| values.holds(*value)).collect();
    let colours = values.scale(held.iter().copied(), (0, 1));
    let ends =
        held.iter().copied().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let columns = strip.rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0).clamp(1, 10_000) as i32;
    let widest = strip.rows.iter().map(|(name, _)| text_width(name)).max().unwrap_or(0);
    let left = (widest + 24).clamp(20, 380);
    let edge = |column: i32| left + (RIGHT - left) * column / columns;
    let bottom = TOP + ROW * strip.rows.len().clamp(1, 10_000) as i32;
    draw(description, bottom + 210, |canvas| {
        canvas.text(values.label(), (12, TOP / 2), Side::RightOf, INK);
        for (row, (name, cells)) in strip.rows.iter().enumerate() {
            let top = TOP + ROW * row as i32;
            canvas.text(&fitted(name, left - 24), (12, top + ROW / 2), Side::RightOf, INK);
            for (column, value) in cells.iter().enumerate().take(columns as usize) {
                let (from, to) = (edge(column as i32), edge(column as i32 + 1));
                // A line of ground between cells, as long as they are wide enough to have one.
                let gap = if to - from > 6 { 1 } else { 0 };
                cell(
                    canvas,
                    (from, top + 1),
                    ((to - gap).max(from + 1), top + ROW - 1),
                    values.holds(*value).then(|| colours.share(*value)),
                );
            }
        }
        column_names(canvas, strip, edge, bottom);
        match held.is_empty() {
            true => canvas.text("no values", (WIDTH / 2, bottom + 130), Side::Centred, QUIET),
            false => colour_scale(canvas, &colours, ends, bottom + 120),
        }
    })
}

fn cell(canvas: &mut Canvas<'_>, corner: (i32, i32), opposite: (i32, i32), share: Option<f64>) {
    match share {
        Some(share) => canvas.area(corner, opposite, mixed(share)),
        None => {
            canvas.outline(corner, opposite, GRID);
            canvas.line(corner, opposite, QUIET, 2);
            canvas.line((corner.0, opposite.1), (opposite.0, corner.1), QUIET, 2);
        }
    }
}

/// Every name of a column, or every second, fifth, tenth …, as there is room for, and what they count.
fn column_names(canvas: &mut Canvas<'_>, strip: &Strip, edge: impl Fn(i32) -> i32, bottom: i32) {
    let (what, names) = &strip.columns;
    let middle = |column: usize| (edge(column as i32) + edge(column as i32 + 1)) / 2;
    let names = &names[..names.len().min(10_000)];
    let fits = |step: &usize| {
        let shown: Vec<usize> = (0..names.len()).step_by(*step).collect();
        shown.windows(2).all(|pair| {
            let room = text_width(&names[pair[0]]) / 2 + text_width(&names[pair[1]]) / 2 + LETTERS / 2;
            middle(pair[1]) - middle(pair[0]) >= room
        })
    };
    let step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].into_iter().find(fits).unwrap_or(10_000);
    for (column, name) in names.iter().enumerate().step_by(step) {
        canvas.text(name, (middle(column), bottom + 24), Side::Centred, QUIET);
    }
    canvas.text(what, ((edge(0) + RIGHT) / 2, bottom + 64), Side::Centred, QUIET);
}

fn colour_scale(canvas: &mut Canvas<'_>, colours: &Scale, (low, high): (f64, f64), top: i32) {
    let (left, right, pieces) = (200, WIDTH - 200, 40);
    let (first, last) = (colours.share(low), colours.share(high));
    for piece in 0..pieces {
        let share = first + (last - first) * f64::from(piece) / f64::from(pieces - 1);
        let edge = |piece: i32| left + (right - left) * piece / pieces;
        // One unit wider than its share: between pieces that only touch, the ground shines through.
        canvas.area((edge(piece), top), (edge(piece + 1) + 1, top + 30), mixed(share));
    }
    canvas.text(&short(low), (left - 14, top + 15), Side::LeftOf, INK);
    canvas.text(&short(high), (right + 14, top + 15), Side::RightOf, INK);
    canvas.text("lighter is less", (WIDTH / 2, top + 58), Side::Centred, QUIET);
}

fn mixed(share: f64) -> RGBColor {
    let place = share.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f64;
    let below = (place as usize).min(COLOURS.len() - 2);
    let part = place - below as f64;
    let (from, to) = (COLOURS[below], COLOURS[below + 1]);
    let mix = |from: u8, to: u8| (f64::from(from) + part * (f64::from(to) - f64::from(from))).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(rows: &[&[f64]]) -> String {
        let names = (0..rows.iter().map(|row| row.len()).max().unwrap_or(0)).map(|column| column.to_string()).collect();
        let rows = rows.iter().map(|cells| ("attn<q>".to_owned(), cells.to_vec())).collect();
        let strip_ = Strip { columns: ("layer".into(), names), rows };
        strip("error by tensor", &Axis::new("relative error").logarithmic(), &strip_).as_str().to_owned()
    }

    #[test]
    fn more_is_darker() {
        let lightness = |share| {
            let RGBColor(r, g, b) = mixed(share);
            u32::from(r) + u32::from(g) + u32::from(b)
        };
        let steps: Vec<u32> = (0..=20).map(|step| lightness(f64::from(step) / 20.0)).collect();
        assert!(steps.windows(2).all(|pair| pair[1] < pair[0]), "{steps:?}");
        assert_eq!(mixed(7.0), mixed(1.0));
    }

    #[test]
    fn each_value_has_a_cell_and_what_was_not_measured_is_crossed_out() {
        let svg = plot(&[&[0.01, 0.02, f64::NAN], &[0.1]]);
        // The ground, three values, the outline of the missing one, 40 pieces of scale.
        assert_eq!(svg.matches("<rect").count(), 1 + 3 + 1 + 40, "{svg}");
        assert_eq!(svg.matches("<line").count(), 2, "{svg}");
        assert!(svg.contains("attn&lt;q&gt;") && svg.contains("\n0.01\n") && svg.contains("\n0.1\n"), "{svg}");
    }

    #[test]
    fn degenerate_values_make_a_picture() {
        assert!(plot(&[]).contains("no values"));
        assert!(plot(&[&[]]).contains("no values"));
        assert!(plot(&[&[0.0, -1.0]]).contains("no values"));
        assert!(plot(&[&[0.5, 0.5]]).contains("\n0.5\n"));
        assert_eq!(plot(&[&[0.5, 0.1]]), plot(&[&[0.5, 0.1]]));
    }
}
