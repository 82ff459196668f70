//! A heat strip: one cell per tensor or layer, coloured by its value.

use super::canvas::{Canvas, GRID, INK, Ink, LETTERS, QUIET, Side, Svg, WIDTH, draw, fitted, text_width};
use super::scale::{Axis, short};

/// One colour from faint to full: its strength alone shows the order, in grey print, to colour-blind eyes and on dark pages.
const HEAT: Ink = "c0";
const ROW: i32 = 44;
const TOP: i32 = 60;
const RIGHT: i32 = WIDTH - 20;

/// Rows of cells: a row for each kind of tensor, a column for each layer, or one row for all.
#[derive(Debug, Clone)]
pub struct Strip {
    /// The title of the columns, and their names; a row may have fewer cells.
    pub columns: (String, Vec<String>),
    /// A name and its cells. What is not a number has not been measured and is shown crossed out.
    pub rows: Vec<(String, Vec<f64>)>,
}

/// The widest spread of values that is small: within it all cells look nearly alike.
const SMALL: f64 = 2.0;

/// Draws the cells with the scale of their colours below. The axis says what the values are.
pub fn strip(description: &str, values: &Axis, strip: &Strip) -> Svg {
    let cells = strip.rows.iter().flat_map(|(_, cells)| cells.iter().copied());
    let held: Vec<f64> = cells.filter(|value| values.holds(*value)).collect();
    let ends =
        held.iter().copied().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let scale = values.scale(widened(ends).into_iter(), (0, 1));
    let strength = |value: f64| 0.08 + 0.92 * scale.share(value).clamp(0.0, 1.0);
    let columns = strip.rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0).clamp(1, 10_000) as i32;
    let widest = strip.rows.iter().map(|(name, _)| text_width(name)).max().unwrap_or(0);
    let left = (widest + 24).clamp(20, 380);
    let edge = |column: i32| left + (RIGHT - left) * column / columns;
    let bottom = TOP + ROW * strip.rows.len().clamp(1, 10_000) as i32;
    draw(description, bottom + 210, |canvas| {
        canvas.text(&values.label(), (12, TOP / 2), Side::RightOf, INK);
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
                    values.holds(*value).then(|| strength(*value)),
                );
            }
        }
        column_names(canvas, strip, edge, bottom);
        match held.is_empty() {
            true => canvas.text("no values", (WIDTH / 2, bottom + 130), Side::Centred, QUIET),
            false => colour_scale(canvas, strength, ends, bottom + 120),
        }
    })
}

fn cell(canvas: &mut Canvas, corner: (i32, i32), opposite: (i32, i32), strength: Option<f64>) {
    match strength {
        Some(strength) => canvas.shaded(corner, opposite, HEAT, strength),
        None => {
            canvas.area(corner, opposite, GRID);
            canvas.line(corner, opposite, QUIET, 2);
            canvas.line((corner.0, opposite.1), (opposite.0, corner.1), QUIET, 2);
        }
    }
}

/// Every name of a column, or every second, fifth, tenth …, as there is room for, and what they count.
fn column_names(canvas: &mut Canvas, strip: &Strip, edge: impl Fn(i32) -> i32, bottom: i32) {
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

fn colour_scale(canvas: &mut Canvas, strength: impl Fn(f64) -> f64, (low, high): (f64, f64), top: i32) {
    let (left, right, pieces) = (200, WIDTH - 200, 40);
    for piece in 0..pieces {
        let value = low + (high - low) * f64::from(piece) / f64::from(pieces - 1);
        let edge = |piece: i32| left + (right - left) * piece / pieces;
        canvas.shaded((edge(piece), top), (edge(piece + 1), top + 30), HEAT, strength(value));
    }
    canvas.text(&short(low), (left - 14, top + 15), Side::LeftOf, INK);
    canvas.text(&short(high), (right + 14, top + 15), Side::RightOf, INK);
    let spread = 100.0 * (high - low) / high.abs().max(low.abs());
    let text = match widened((low, high)) == [low, high] {
        true => "fainter is less".to_owned(),
        false if high > low => format!("fainter is less; all within {} %", short(spread.max(0.1))),
        false => "all are equal".to_owned(),
    };
    canvas.text(&text, (WIDTH / 2, top + 58), Side::Centred, QUIET);
}

/// The ends of the colours: those of the values, or farther ones where the values are nearly alike and the full range of
/// colours would show differences that mean nothing.
fn widened((low, high): (f64, f64)) -> [f64; 2] {
    let is_small = low > 0.0 && high < SMALL * low;
    let middle = (low * high).sqrt();
    if is_small { [middle / SMALL, middle * SMALL] } else { [low, high] }
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

    /// The strengths of the cells and of the scale below them.
    fn strengths(svg: &str) -> Vec<f64> {
        let parts = svg.split("fill-opacity=\"").skip(1);
        parts.map(|part| part.split_once('"').unwrap().0.parse().unwrap()).collect()
    }

    #[test]
    fn more_is_stronger() {
        let svg = plot(&[&[0.01, 0.02, 0.05, 0.1]]);
        let strengths = strengths(&svg);
        assert!(strengths[..4].windows(2).all(|pair| pair[0] < pair[1]), "{strengths:?}");
        assert!(strengths[4..].windows(2).all(|pair| pair[0] < pair[1]), "{strengths:?}");
        assert!(svg.contains(">fainter is less<"), "{svg}");
    }

    #[test]
    fn values_that_are_nearly_alike_look_alike_and_the_picture_says_so() {
        let svg = plot(&[&[0.00526, 0.0054, 0.00554]]);
        let strengths = strengths(&svg);
        let (low, high) = strengths.iter().fold((1.0f64, 0.0f64), |(low, high), s| (low.min(*s), high.max(*s)));
        assert!(high - low < 0.1 && low > 0.3 && high < 0.8, "{strengths:?}");
        assert!(svg.contains("all within 5.05 %") && svg.contains(">0.00526<") && svg.contains(">0.00554<"), "{svg}");
    }

    #[test]
    fn each_value_has_a_cell_and_what_was_not_measured_is_crossed_out() {
        let svg = plot(&[&[0.01, 0.02, f64::NAN], &[0.1]]);
        // Three values, the ground of the missing one, 40 pieces of scale.
        assert_eq!(svg.matches("<rect").count(), 3 + 1 + 40, "{svg}");
        assert_eq!(svg.matches("<line").count(), 2, "{svg}");
        assert!(svg.contains("attn&lt;q&gt;") && svg.contains(">0.01<") && svg.contains(">0.1<"), "{svg}");
    }

    #[test]
    fn degenerate_values_make_a_picture() {
        assert!(plot(&[]).contains("no values"));
        assert!(plot(&[&[]]).contains("no values"));
        assert!(plot(&[&[0.0, -1.0]]).contains("no values"));
        assert!(plot(&[&[0.5, 0.5]]).contains("all are equal"));
        assert_eq!(plot(&[&[0.5, 0.1]]), plot(&[&[0.5, 0.1]]));
    }
}
