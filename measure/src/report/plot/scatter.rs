//! Points with names between two axes.

use super::canvas::{INK, LETTERS, QUIET, Side, Svg, colour, draw, text_width};
use super::frame::{BOTTOM, END, Frame, LEFT, RIGHT, TOP, tell_missing};
use super::legend::Legend;
use super::scale::Axis;

/// A point with a name.
#[derive(Debug, Clone)]
pub struct Point {
    /// Beside the point.
    pub name: String,
    /// On the horizontal axis.
    pub x: f64,
    /// On the vertical axis.
    pub y: f64,
    /// Ends of the interval that `y` is known to lie in, where there is one.
    pub interval: Option<(f64, f64)>,
    /// Filled, or a ring. The caption says which property that is.
    pub is_filled: bool,
}

/// Draws the points. Each has its name beside it; where one name has no room, all have numbers that a legend explains.
pub fn scatter(description: &str, x: &Axis, y: &Axis, points: &[Point]) -> Svg {
    let shown: Vec<&Point> = points.iter().filter(|point| x.holds(point.x) && y.holds(point.y)).collect();
    let interval = |point: &Point| point.interval.filter(|(low, high)| y.holds(*low) && y.holds(*high));
    let xs: Vec<f64> = shown.iter().map(|point| point.x).collect();
    let ends = shown.iter().filter_map(|point| interval(point)).flat_map(|(low, high)| [low, high]);
    let ys: Vec<f64> = shown.iter().map(|point| point.y).chain(ends).collect();
    // The names are placed before anything is drawn: whether they need the legend decides the height.
    let places = Frame::places((x, &xs), (y, &ys));
    let centres: Vec<(i32, i32)> = shown.iter().map(|point| places.place((point.x, point.y))).collect();
    let whiskers: Vec<Option<(i32, i32)>> = shown
        .iter()
        .map(|point| interval(point).map(|(low, high)| (places.y.place(low), places.y.place(high))))
        .collect();
    let mut filled: Vec<Filled> = centres.iter().map(|(x, y)| (x - 13, y - 13, x + 13, y + 13)).collect();
    filled.extend(centres.iter().zip(&whiskers).filter_map(|((x, _), ends)| {
        let (low, high) = (*ends)?;
        Some((x - 9, high, x + 9, low))
    }));
    let names: Vec<String> = shown.iter().map(|point| point.name.clone()).collect();
    let (labels, at, explained) = match place_all(&names, &centres, &filled) {
        Some(at) => (names, at, Vec::new()),
        None => {
            let numbers: Vec<String> = (1..=shown.len()).map(|number| number.to_string()).collect();
            let beside = || centres.iter().map(|(x, y)| (x + 16, y - 20)).collect();
            // The intervals of points that nearly meet leave no room between them: a number may cross one.
            let at = place_all(&numbers, &centres, &filled)
                .or_else(|| place_all(&numbers, &centres, &filled[..centres.len()]))
                .unwrap_or_else(beside);
            let explained = numbers.iter().zip(&names).map(|(number, name)| format!("{number} {name}")).collect();
            (numbers, at, explained)
        }
    };
    let legend = Legend::new(explained.iter().map(String::as_str));
    draw(description, END + legend.height(), |canvas| {
        Frame::draw(canvas, (x, &xs), (y, &ys));
        let mark = |canvas: &mut super::canvas::Canvas, index: usize, at| match shown[index].is_filled {
            true => canvas.circle(at, 12, colour(0)),
            false => canvas.ring(at, 10, QUIET),
        };
        for (index, (x, y)) in centres.iter().enumerate() {
            let ink = if shown[index].is_filled { colour(0) } else { QUIET };
            if let Some((low, high)) = whiskers[index] {
                canvas.line((*x, low), (*x, high), ink, 2);
                for end in [low, high] {
                    canvas.line((x - 8, end), (x + 8, end), ink, 2);
                }
            }
            mark(canvas, index, (*x, *y));
        }
        for (text, at) in labels.iter().zip(&at) {
            canvas.text(text, *at, Side::RightOf, INK);
        }
        tell_missing(canvas, shown.len(), points.len() - shown.len());
        legend.draw(canvas, END, mark);
    })
}

/// A rectangle that something fills: left, top, right, bottom.
type Filled = (i32, i32, i32, i32);

/// The left end of the middle line of each text, beside its point, where it meets no point, interval, other text or
/// edge; `None` where one has no such place.
fn place_all(texts: &[String], centres: &[(i32, i32)], filled: &[Filled]) -> Option<Vec<(i32, i32)>> {
    let mut filled = filled.to_vec();
    let place = |(text, centre): (&String, &(i32, i32))| {
        let place = free_place(text, *centre, &filled)?;
        filled.push(area(text, place));
        Some(place)
    };
    texts.iter().zip(centres).map(place).collect()
}

fn area(text: &str, (x, y): (i32, i32)) -> Filled {
    (x - 2, y - LETTERS / 2, x + text_width(text) + 2, y + LETTERS / 2)
}

fn free_place(text: &str, (x, y): (i32, i32), filled: &[Filled]) -> Option<(i32, i32)> {
    let width = text_width(text);
    let steps = [0, -30, 30, -64, 64, -98, 98, -132, 132];
    let mut candidates =
        steps.into_iter().flat_map(|step| [x + 20, x - 20 - width, x - width / 2].map(|left| (left, y + step)));
    candidates.find(|place| {
        let (l, t, r, b) = area(text, *place);
        let inside = l >= LEFT + 4 && r <= RIGHT + 30 && t >= TOP - 10 && b <= BOTTOM - 2;
        inside && filled.iter().all(|(fl, ft, fr, fb)| r <= *fl || *fr <= l || b <= *ft || *fb <= t)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, x: f64, y: f64) -> Point {
        Point { name: name.into(), x, y, interval: None, is_filled: false }
    }

    fn plot(points: &[Point]) -> String {
        scatter("cost", &Axis::new("MB").logarithmic(), &Axis::new("WER %"), points).as_str().to_owned()
    }

    #[test]
    fn names_meet_nothing() {
        let crowd: Vec<Point> = (0..6)
            .map(|i| Point {
                interval: Some((3.0, 7.0)),
                ..point(&format!("type {i}"), 100.0 * f64::from(1 << i), 5.0)
            })
            .collect();
        let svg = plot(&crowd);
        let texts: Vec<&str> = svg.lines().filter(|line| line.contains(">type ")).collect();
        let number = |line: &str, key: &str| -> i32 {
            line.split_once(key).unwrap().1.split_once('"').unwrap().0.parse().unwrap()
        };
        let areas: Vec<Filled> =
            texts.iter().map(|line| area("type 0", (number(line, " x=\""), number(line, " y=\"")))).collect();
        assert_eq!(areas.len(), 6, "{svg}");
        let whiskers: Vec<(i32, i32, i32)> = svg
            .lines()
            .filter(|line| line.starts_with("<line") && line.contains("quiet"))
            .map(|line| (number(line, "x1=\""), number(line, "y1=\""), number(line, "y2=\"")))
            .filter(|(_, y1, y2)| y1 != y2)
            .collect();
        assert_eq!(whiskers.len(), 6, "{svg}");
        for (index, a) in areas.iter().enumerate() {
            assert!(
                areas[index + 1..].iter().all(|b| a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1),
                "{areas:?}"
            );
            assert!(whiskers.iter().all(|(x, _, _)| *x <= a.0 || a.2 <= *x), "{a:?} {whiskers:?}");
        }
    }

    #[test]
    fn two_points_side_by_side_have_readable_numbers() {
        let sizes = [13.7, 8.1, 6.4, 5.8, 5.2, 5.1];
        let names = ["f16", "q8_0", "balanced", "q5_0", "small", "q4_0"];
        let with = |(name, x)| Point { interval: Some((0.0, 6.0)), ..point(name, x, 2.4) };
        let svg = plot(&names.into_iter().zip(sizes).map(with).collect::<Vec<_>>());
        let area_of = |number: usize| -> Filled {
            let line = svg.lines().find(|line| line.ends_with(&format!("\"ink\">{number}</text>"))).unwrap();
            let value = |key: &str| line.split_once(key).unwrap().1.split_once('"').unwrap().0.parse().unwrap();
            area("1", (value(" x=\""), value(" y=\"")))
        };
        for (one, other) in (1..=6).flat_map(|one| (one + 1..=6).map(move |other| (one, other))) {
            let (a, b) = (area_of(one), area_of(other));
            assert!(a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1, "{one} {a:?} and {other} {b:?}");
        }
    }

    #[test]
    fn without_room_for_every_name_all_are_numbers_with_a_legend() {
        let crowd: Vec<Point> =
            (0..12).map(|i| point(&format!("type number {i}"), 100.0, 5.0)).chain([point("far", 1.0, 1.0)]).collect();
        let svg = plot(&crowd);
        assert!((0..12).all(|i| svg.contains(&format!(">{} type number {i}<", i + 1))), "{svg}");
        assert!(svg.contains(">13 far<") && svg.contains(">13<") && !svg.contains(">far<"), "{svg}");
    }

    #[test]
    fn intervals_are_drawn_and_count_for_the_axis_and_filled_is_as_asked() {
        let with = Point { interval: Some((1.0, 9.0)), is_filled: true, ..point("a", 3.0, 5.0) };
        let svg = plot(&[with, point("b", 9.0, 5.0)]);
        assert!(svg.contains(">8<") && svg.contains(">2<") && svg.contains(">MB (log scale)<"), "{svg}");
        let circles: Vec<&str> = svg.lines().filter(|line| line.starts_with("<circle")).collect();
        assert!(circles.len() == 2 && circles[0].contains("\"c0\"") && circles[1].contains("line quiet"), "{svg}");
    }

    #[test]
    fn degenerate_points_make_a_picture() {
        assert!(plot(&[]).contains("no values"));
        let svg = plot(&[point("a", f64::NAN, 1.0), point("b", 1.0, 1.0)]);
        assert!(svg.contains("1 value cannot be shown") && !svg.contains("NaN"), "{svg}");
    }
}
