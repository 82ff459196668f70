//! From values to places: linear and logarithmic scales, and the values written beside them.

/// The quantity of an axis.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    label: String,
    is_logarithmic: bool,
    from_zero: bool,
    most: Option<f64>,
}

impl Axis {
    /// From the smallest to the largest value; the label says what and in which unit.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// The same with equal steps for equal factors.
    pub fn logarithmic(self) -> Self {
        Self { is_logarithmic: true, ..self }
    }

    /// The same beginning at zero, where no value is below it.
    pub fn from_zero(self) -> Self {
        Self { from_zero: true, ..self }
    }

    /// The same with bars that are cut at this value, so that one long bar does not hide the others.
    pub fn up_to(self, most: f64) -> Self {
        Self { most: Some(most), ..self }
    }

    /// The value at which bars are cut.
    pub(super) fn most(&self) -> f64 {
        self.most.unwrap_or(f64::INFINITY)
    }

    /// Its quantity, and whether equal steps are equal factors.
    pub fn label(&self) -> String {
        format!("{}{}", self.label, if self.is_logarithmic { " (log scale)" } else { "" })
    }

    /// Whether a value has a place on it. What is not a number has none, and neither have numbers beyond 1e200:
    /// differences of them would overflow.
    pub(super) fn holds(&self, value: f64) -> bool {
        value.abs() < 1e200 && (!self.is_logarithmic || value > 1e-200)
    }

    /// The scale on which all values that have a place are found between two places on the canvas.
    pub(super) fn scale(&self, values: impl Iterator<Item = f64>, places: (i32, i32)) -> Scale {
        let held: Vec<f64> = values.filter(|value| self.holds(*value)).map(|value| self.step(value)).collect();
        let mut low = held.iter().copied().fold(f64::INFINITY, f64::min);
        let mut high = held.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if held.is_empty() {
            (low, high) = (0.0, 1.0);
        }
        let smallest = low;
        // One value, or equal ones: some room around, of the value's own size where it has one.
        let room = if high - low > 1e-9 * low.abs().max(high.abs()) {
            0.06 * (high - low)
        } else if self.is_logarithmic || low == 0.0 {
            0.5
        } else {
            0.5 * low.abs()
        };
        (low, high) = (low - room, high + room);
        if self.from_zero && !self.is_logarithmic && smallest >= 0.0 {
            low = 0.0;
        }
        Scale { low, high, is_logarithmic: self.is_logarithmic, places }
    }

    fn step(&self, value: f64) -> f64 {
        if self.is_logarithmic { value.log10() } else { value }
    }
}

/// Places of values between two ends.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    is_logarithmic: bool,
    places: (i32, i32),
}

impl Scale {
    /// The place of a value that the axis holds.
    pub fn place(&self, value: f64) -> i32 {
        let (first, last) = (f64::from(self.places.0), f64::from(self.places.1));
        (first + self.share(value).clamp(-0.1, 1.1) * (last - first)).round() as i32
    }

    /// The same as a share of the whole way, 0 at the low end and 1 at the high one.
    pub fn share(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// Round values across the scale and how to write them, at most about `wished`.
    pub fn ticks(&self, wished: usize) -> Vec<(f64, String)> {
        let wished = wished.max(2) as f64;
        if !self.is_logarithmic {
            let step = round_step((self.high - self.low) / wished);
            return multiples(self.low, self.high, step).map(|value| (value, written(value, step))).collect();
        }
        let decades = self.high - self.low;
        if decades < 0.8 {
            // Powers of ten would be too distant: round values as on a linear scale.
            let (low, high) = (10f64.powf(self.low), 10f64.powf(self.high));
            let step = round_step((high - low) / wished);
            return multiples(low, high, step)
                .filter(|value| *value > 0.0)
                .map(|value| (value, written(value, step)))
                .collect();
        }
        if decades < wished / 2.0 {
            let powers = multiples(self.low.floor(), self.high, 1.0);
            let values = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|factor| (factor, 10f64.powf(power))));
            return values
                .map(|(factor, power)| (factor * power, written(factor * power, power)))
                .filter(|(value, _)| (self.low..=self.high).contains(&value.log10()))
                .collect();
        }
        let step = (decades / wished).ceil().max(1.0);
        multiples(self.low, self.high, step).map(|power| (10f64.powf(power), short(10f64.powf(power)))).collect()
    }
}

/// 1, 2 or 5 times a power of ten, not below the wished step.
fn round_step(wished: f64) -> f64 {
    let power = 10f64.powf(wished.abs().max(1e-250).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= wished).unwrap_or(10.0 * power)
}

/// The multiples of a step between two values. Counted, so that no rounding makes them endless.
fn multiples(low: f64, high: f64, step: f64) -> impl Iterator<Item = f64> {
    let first = (low / step - 1e-9).ceil();
    (0..32).map(move |count| (first + f64::from(count)) * step).take_while(move |value| *value <= high + 1e-9 * step)
}

/// A value among others at distances of one step.
fn written(value: f64, step: f64) -> String {
    let decimals = -step.abs().max(1e-250).log10().floor();
    if value != 0.0 && (decimals > 4.0 || value.abs() >= 1e6) {
        return short(value);
    }
    format!("{:.*}", decimals.max(0.0) as usize, if value.abs() < 1e-9 * step { 0.0 } else { value })
}

/// A value by itself with three digits that count.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-3..1e6).contains(&size) {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    let decimals = if size == 0.0 { 0 } else { (2.0 - size.log10().floor()).clamp(0.0, 5.0) as usize };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks(5).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn linear_ticks_are_round_and_inside() {
        let scale = Axis::new("x").from_zero().scale([0.3, 9.7].into_iter(), (0, 100));
        assert_eq!(labels(&scale), ["0", "5", "10"]);
        assert_eq!((scale.place(0.0), scale.low), (0, 0.0));
        let small = Axis::new("x").scale([0.00012, 0.00019].into_iter(), (0, 100));
        assert!(labels(&small).iter().all(|text| text.contains("e-4")), "{:?}", labels(&small));
    }

    #[test]
    fn logarithmic_ticks_are_powers_of_ten_or_round_values() {
        let axis = Axis::new("x").logarithmic();
        assert_eq!(labels(&axis.scale([1e-4, 1.0].into_iter(), (0, 100))), ["1e-4", "0.001", "0.01", "0.1", "1"]);
        assert_eq!(labels(&axis.scale([1.0, 30.0].into_iter(), (0, 100))), ["1", "2", "5", "10", "20"]);
        assert_eq!(labels(&axis.scale([300.0, 600.0].into_iter(), (0, 100))), ["300", "400", "500", "600"]);
    }

    #[test]
    fn nothing_one_value_and_equal_values_have_a_scale() {
        for values in [vec![], vec![3.0], vec![0.0, 0.0], vec![-2.0, -2.0], vec![f64::NAN], vec![1e300, f64::INFINITY]]
        {
            for axis in [Axis::new("x"), Axis::new("x").logarithmic(), Axis::new("x").from_zero()] {
                let scale = axis.scale(values.iter().copied(), (0, 100));
                assert!(scale.high > scale.low && !scale.ticks(5).is_empty(), "{values:?} {scale:?}");
                assert!(values.iter().filter(|v| axis.holds(**v)).all(|v| (0..=100).contains(&scale.place(*v))));
            }
        }
    }

    #[test]
    fn what_has_no_place_is_known() {
        let axis = Axis::new("x").logarithmic();
        assert_eq!(
            [f64::NAN, f64::INFINITY, 0.0, -1.0, 0.5].map(|value| axis.holds(value)),
            [false, false, false, false, true]
        );
        assert!(Axis::new("x").holds(0.0));
    }

    #[test]
    fn values_are_short() {
        let values = [0.0, 1.0, 12.345, 0.012345, 1234.5, 0.00001, 2.5e7, -3.0];
        assert_eq!(values.map(short), ["0", "1", "12.3", "0.0123", "1234", "1e-5", "2.5e7", "-3"]);
    }
}
