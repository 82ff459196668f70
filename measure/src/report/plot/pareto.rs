//! Points with names between two axes on which less is better, and the front of those that none beats on both.

use super::canvas::{INK, LETTERS, QUIET, Side, Svg, colour, draw, text_width};
use super::frame::{BOTTOM, END, Frame, LEFT, RIGHT, TOP, tell_missing};
use super::legend::Legend;
use super::scale::Axis;

/// A point with a name.
#[derive(Debug, Clone)]
pub struct Point {
    pub name: String,
    pub x: f64,
    pub y: f64,
    /// Ends of the interval that `y` is known to lie in, where there is one.
    pub interval: Option<(f64, f64)>,
}

/// Draws the points; the front is joined by steps and filled. A name for which there is no room beside its point is
/// replaced by a number that a legend explains.
pub fn pareto(description: &str, x: &Axis, y: &Axis, points: &[Point]) -> Svg {
    let shown: Vec<&Point> = points.iter().filter(|point| x.holds(point.x) && y.holds(point.y)).collect();
    let xs: Vec<f64> = shown.iter().map(|point| point.x).collect();
    let ends = shown.iter().flat_map(|point| point.interval.map(|(low, high)| [low, high])).flatten();
    let ys: Vec<f64> = shown.iter().map(|point| point.y).chain(ends).collect();
    // The names are placed before anything is drawn: how many of them need the legend decides the height.
    let places = Frame::places((x, &xs), (y, &ys));
    let centres: Vec<(i32, i32)> = shown.iter().map(|point| places.place((point.x, point.y))).collect();
    let whiskers = shown.iter().zip(&centres).filter_map(|(point, (x, _))| {
        let (low, high) = point.interval.filter(|(low, high)| y.holds(*low) && y.holds(*high))?;
        Some((x - 9, places.y.place(high), x + 9, places.y.place(low)))
    });
    let labels = place_names(&shown, &centres, whiskers.collect());
    let in_legend: Vec<usize> = (0..shown.len()).filter(|index| labels[*index].is_number).collect();
    let explained: Vec<String> =
        in_legend.iter().map(|index| format!("{} {}", labels[*index].text, shown[*index].name)).collect();
    let legend = Legend::new(explained.iter().map(String::as_str));
    draw(description, END + legend.height(), |canvas| {
        let frame = Frame::draw(canvas, (x, &xs), (y, &ys));
        let front = front(&shown);
        let mut steps: Vec<(i32, i32)> = Vec::new();
        for index in &front {
            let centre = centres[*index];
            if let Some(last) = steps.last() {
                steps.push((centre.0, last.1));
            }
            steps.push(centre);
        }
        if steps.len() > 1 {
            canvas.path(&steps, colour(2), 3);
        }
        // The front comes last: where points meet, what is beaten must not cover it.
        let beaten = (0..shown.len()).filter(|index| !front.contains(index));
        for index in beaten.chain(front.iter().copied()) {
            let point = shown[index];
            let (at, is_front) = (centres[index], front.contains(&index));
            let ink = if is_front { colour(0) } else { QUIET };
            if let Some((low, high)) = point.interval.filter(|(low, high)| y.holds(*low) && y.holds(*high)) {
                let (low, high) = (frame.y.place(low), frame.y.place(high));
                canvas.line((at.0, low), (at.0, high), ink, 2);
                for end in [low, high] {
                    canvas.line((at.0 - 8, end), (at.0 + 8, end), ink, 2);
                }
            }
            if is_front { canvas.circle(at, 12, ink) } else { canvas.ring(at, 10, ink) }
        }
        for label in &labels {
            canvas.text(&label.text, label.at, Side::RightOf, INK);
        }
        tell_missing(canvas, shown.len(), points.len() - shown.len());
        legend.draw(canvas, END, |canvas, row, at| {
            let is_front = front.contains(&in_legend[row]);
            if is_front { canvas.circle(at, 12, colour(0)) } else { canvas.ring(at, 10, QUIET) }
        });
    })
}

/// The points that no other beats: as small on both axes and smaller on one. From left to right.
fn front(points: &[&Point]) -> Vec<usize> {
    let beats = |a: &Point, b: &Point| a.x <= b.x && a.y <= b.y && (a.x < b.x || a.y < b.y);
    let mut front: Vec<usize> =
        (0..points.len()).filter(|index| !points.iter().any(|other| beats(other, points[*index]))).collect();
    front.sort_by(|a, b| points[*a].x.total_cmp(&points[*b].x));
    front
}

struct Label {
    text: String,
    /// The left end of its middle line.
    at: (i32, i32),
    is_number: bool,
}

/// A rectangle that something fills: left, top, right, bottom.
type Filled = (i32, i32, i32, i32);

/// A place for each name beside its point, where it meets no other point, interval, name or edge.
fn place_names(points: &[&Point], centres: &[(i32, i32)], intervals: Vec<Filled>) -> Vec<Label> {
    let mut filled = intervals;
    filled.extend(centres.iter().map(|(x, y)| (x - 13, y - 13, x + 13, y + 13)));
    let mut number = 0;
    let mut labels = Vec::with_capacity(points.len());
    for (point, centre) in points.iter().zip(centres) {
        let by_name = free_place(&point.name, *centre, &filled);
        let (text, place) = match by_name {
            Some(place) => (point.name.clone(), place),
            None => {
                number += 1;
                let text = number.to_string();
                let place = free_place(&text, *centre, &filled).unwrap_or((centre.0 + 16, centre.1 - 20));
                (text, place)
            }
        };
        filled.push(area(&text, place));
        labels.push(Label { text, at: place, is_number: by_name.is_none() });
    }
    labels
}

fn area(text: &str, (x, y): (i32, i32)) -> Filled {
    (x - 2, y - LETTERS / 2, x + text_width(text) + 2, y + LETTERS / 2)
}

fn free_place(text: &str, (x, y): (i32, i32), filled: &[Filled]) -> Option<(i32, i32)> {
    let width = text_width(text);
    let (right, left, middle) = (x + 20, x - 20 - width, x - width / 2);
    let (above, below, far_above, far_below) = (y - 30, y + 30, y - 64, y + 64);
    let candidates = [
        (right, y),
        (left, y),
        (middle, above),
        (middle, below),
        (right, above),
        (right, below),
        (left, above),
        (left, below),
        (middle, far_above),
        (middle, far_below),
    ];
    candidates.into_iter().find(|place| {
        let (l, t, r, b) = area(text, *place);
        let inside = l >= LEFT + 4 && r <= RIGHT + 30 && t >= TOP - 10 && b <= BOTTOM - 2;
        inside && filled.iter().all(|(fl, ft, fr, fb)| r <= *fl || *fr <= l || b <= *ft || *fb <= t)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, x: f64, y: f64) -> Point {
        Point { name: name.into(), x, y, interval: None }
    }

    fn plot(points: &[Point]) -> String {
        pareto("cost", &Axis::new("MB").logarithmic(), &Axis::new("WER %"), points).as_str().to_owned()
    }

    #[test]
    fn the_front_is_what_nothing_beats_on_both_axes() {
        let points = [
            point("a", 3.0, 1.0),
            point("b", 1.0, 3.0),
            point("c", 3.0, 3.0),
            point("d", 2.0, 2.0),
            point("e", 2.0, 2.0),
        ];
        assert_eq!(front(&points.iter().collect::<Vec<_>>()), [1, 3, 4, 0]);
        let svg = plot(&points);
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (1, 6), "{svg}");
    }

    #[test]
    fn names_never_meet_each_other_and_those_without_room_are_in_the_legend() {
        let crowd: Vec<Point> =
            (0..12).map(|i| point(&format!("type number {i}"), 100.0, 5.0)).chain([point("far", 1.0, 1.0)]).collect();
        let shown: Vec<&Point> = crowd.iter().collect();
        let centres: Vec<(i32, i32)> = (0..12).map(|_| (500, 300)).chain([(200, 500)]).collect();
        let labels = place_names(&shown, &centres, Vec::new());
        let areas: Vec<Filled> =
            labels.iter().filter(|label| !label.is_number).map(|label| area(&label.text, label.at)).collect();
        for (index, a) in areas.iter().enumerate() {
            assert!(
                areas[index + 1..].iter().all(|b| a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1),
                "{areas:?}"
            );
        }
        assert!(labels.iter().any(|label| label.is_number) && !labels[12].is_number);
        let svg = plot(&crowd);
        assert!((0..12).all(|i| svg.contains(&format!("type number {i}\n"))), "{svg}");
    }

    #[test]
    fn intervals_are_drawn_and_count_for_the_axis() {
        let with = Point { interval: Some((1.0, 9.0)), ..point("a", 3.0, 5.0) };
        let svg = plot(&[with]);
        assert!(svg.contains("\n8\n") && svg.contains("\n2\n"), "{svg}");
    }

    #[test]
    fn degenerate_points_make_a_picture() {
        assert!(plot(&[]).contains("no values"));
        let svg = plot(&[point("a", f64::NAN, 1.0), point("b", 1.0, 1.0)]);
        assert!(svg.contains("1 value cannot be shown") && !svg.contains("NaN"), "{svg}");
    }
}
