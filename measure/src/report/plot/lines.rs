//! Several series of points joined by lines: error against clip length.

use super::canvas::{Svg, draw};
use super::frame::{END, Frame, tell_missing};
use super::legend::Legend;
use super::scale::Axis;

/// A line with a name. A point that cannot be shown interrupts it.
#[derive(Debug, Clone)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// x and y, in the order in which they are joined.
    pub points: Vec<(f64, f64)>,
}

/// Draws the series between two axes with a legend below.
pub fn lines(description: &str, x: &Axis, y: &Axis, series: &[Series]) -> Svg {
    let holds = |point: &(f64, f64)| x.holds(point.0) && y.holds(point.1);
    let all: Vec<(f64, f64)> = series.iter().flat_map(|series| series.points.iter().copied()).collect();
    let shown: Vec<(f64, f64)> = all.iter().copied().filter(holds).collect();
    let legend = Legend::new(series.iter().map(|series| series.name.as_str()));
    draw(description, END + legend.height(), |canvas| {
        let (xs, ys): (Vec<f64>, Vec<f64>) = shown.iter().copied().unzip();
        let frame = Frame::draw(canvas, (x, &xs), (y, &ys));
        for (index, series) in series.iter().enumerate() {
            for run in series.points.split(|point| !holds(point)) {
                let places: Vec<(i32, i32)> = run.iter().map(|point| frame.place(*point)).collect();
                if places.len() > 1 {
                    canvas.series(index, &places);
                }
                places.iter().for_each(|place| canvas.marker(index, *place));
            }
        }
        tell_missing(canvas, shown.len(), all.len() - shown.len());
        legend.draw(canvas, END, |canvas, index, (x, y)| {
            canvas.series(index, &[(x - 30, y), (x + 30, y)]);
            canvas.marker(index, (x, y));
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: &[(f64, f64)]) -> String {
        let series = [Series { name: "q4_0 <x>".into(), points: points.to_vec() }];
        lines("error", &Axis::new("clip length, s"), &Axis::new("error").logarithmic(), &series).as_str().to_owned()
    }

    #[test]
    fn points_are_joined_marked_and_named() {
        let svg = plot(&[(1.0, 0.01), (10.0, 0.1), (60.0, 0.2)]);
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (2, 4), "{svg}");
        assert!(svg.contains("q4_0 &lt;x&gt;") && svg.contains("clip length, s"), "{svg}");
        assert_eq!(svg, plot(&[(1.0, 0.01), (10.0, 0.1), (60.0, 0.2)]));
    }

    #[test]
    fn a_value_without_a_place_breaks_the_line_and_is_counted() {
        let svg = plot(&[(1.0, 0.1), (2.0, 0.1), (3.0, f64::NAN), (4.0, 0.0), (5.0, 0.2), (6.0, 0.1)]);
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (3, 5), "{svg}");
        assert!(svg.contains("2 values cannot be shown") && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn nothing_and_one_point_make_a_picture() {
        assert!(plot(&[]).contains("no values"));
        assert!(plot(&[(1.0, f64::INFINITY)]).contains("1 value cannot be shown"));
        let one = plot(&[(3.0, 0.5)]);
        assert_eq!((one.matches("<polyline").count(), one.matches("<circle").count()), (1, 2), "{one}");
        assert!(lines("", &Axis::new(""), &Axis::new(""), &[]).as_str().contains("no values"));
    }
}
