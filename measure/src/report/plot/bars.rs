//! Horizontal bars with intervals, each below its name: long names need no room beside them.

use super::canvas::{GRID, INK, LETTERS, QUIET, Side, Svg, WIDTH, colour, draw, fitted, text_width};
use super::scale::{Axis, short};

const LEFT: i32 = 30;
const RIGHT: i32 = WIDTH - 30;
const ROW: i32 = 96;
const TOP: i32 = 60;

/// A bar from zero to its value.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Under the bar.
    pub name: String,
    /// Its height.
    pub value: f64,
    /// Ends of the interval that the value is known to lie in, where there is one.
    pub interval: Option<(f64, f64)>,
}

/// Draws the bars from top to bottom. A value that is not a number, or below zero, is said to be missing; a bar that is
/// cut ends in an arrow.
pub fn bars(description: &str, axis: &Axis, bars: &[Bar]) -> Svg {
    let axis = axis.clone().from_zero();
    let holds = |value: f64| axis.holds(value) && value >= 0.0;
    let interval = |bar: &Bar| bar.interval.filter(|(low, high)| holds(*low) && holds(*high));
    let text = |bar: &Bar| match interval(bar) {
        _ if !holds(bar.value) => "no value".to_owned(),
        Some((low, high)) => format!("{} ({} – {})", short(bar.value), short(low), short(high)),
        None => short(bar.value),
    };
    let values = bars.iter().flat_map(|bar| [Some(bar.value), interval(bar).map(|(_, high)| high)]).flatten();
    let values = values.filter(|value| holds(*value)).map(|value| value.min(axis.most()));
    let scale = axis.scale(values.chain([0.0]), (LEFT, RIGHT));
    let place = |value: f64| scale.place(value.min(axis.most()));
    let height = TOP + ROW * bars.len().clamp(1, 10_000) as i32 + 20;
    draw(description, height, |canvas| {
        canvas.text(&axis.label(), (LEFT, TOP / 2), Side::RightOf, QUIET);
        if bars.is_empty() {
            canvas.text("no values", (WIDTH / 2, TOP + ROW / 2), Side::Centred, QUIET);
        }
        canvas.line((LEFT, TOP), (LEFT, height - 16), INK, 2);
        for (index, bar) in bars.iter().enumerate() {
            let top = TOP + ROW * index as i32;
            let (text, middle) = (text(bar), top + 66);
            let room = WIDTH - LEFT - 60 - text_width(&text);
            canvas.text(&fitted(&bar.name, room), (LEFT + 12, top + 24), Side::RightOf, INK);
            canvas.text(&text, (RIGHT, top + 24), Side::LeftOf, INK);
            canvas.line((LEFT, top + ROW - 2), (RIGHT, top + ROW - 2), GRID, 1);
            if !holds(bar.value) {
                continue;
            }
            let end = place(bar.value).max(LEFT + 2);
            canvas.area((LEFT, middle - 14), (end, middle + 14), colour(5));
            if bar.value > axis.most() {
                canvas.path(&[(end - 12, middle - 14), (end + 4, middle), (end - 12, middle + 14)], INK, 4);
            }
            if let Some((low, high)) = interval(bar) {
                let (low, high) = (place(low), place(high));
                canvas.line((low, middle), (high, middle), INK, 3);
                for end in [low, high] {
                    canvas.line((end, middle - LETTERS / 3), (end, middle + LETTERS / 3), INK, 3);
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(values: &[(f64, Option<(f64, f64)>)]) -> String {
        let rows: Vec<Bar> = values
            .iter()
            .map(|(value, interval)| Bar { name: "<x>".into(), value: *value, interval: *interval })
            .collect();
        bars("errors", &Axis::new("WER %").up_to(100.0), &rows).as_str().to_owned()
    }

    fn widths(svg: &str) -> Vec<i32> {
        let rects = svg.lines().filter(|line| line.starts_with("<rect"));
        rects.map(|line| line.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn lengths_are_as_the_values_and_intervals_are_written() {
        let svg = plot(&[(1.0, None), (2.0, Some((1.5, 4.0)))]);
        let widths = widths(&svg);
        assert!((widths[1] - 2 * widths[0]).abs() <= 1, "{widths:?}");
        assert!(svg.contains("2 (1.5 – 4)") && svg.contains("&lt;x&gt;"), "{svg}");
    }

    #[test]
    fn a_bar_beyond_the_limit_is_cut_and_its_value_is_written() {
        let svg = plot(&[(50.0, None), (953.0, Some((800.0, 1200.0)))]);
        let widths = widths(&svg);
        assert!((widths[1] - 2 * widths[0]).abs() <= 1 && svg.matches("<polyline").count() == 1, "{svg}");
        assert!(svg.contains("953 (800 – 1200)"), "{svg}");
    }

    #[test]
    fn degenerate_values_make_a_picture() {
        assert!(plot(&[]).contains("no values"));
        assert_eq!(widths(&plot(&[(0.0, None)])), [2]);
        let svg = plot(&[(f64::NAN, None), (-1.0, None), (3.0, Some((f64::NAN, 4.0)))]);
        assert_eq!((svg.matches(">no value<").count(), widths(&svg).len()), (2, 1), "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
    }
}
