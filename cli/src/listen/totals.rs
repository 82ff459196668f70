//! The sums of a run, in memory that does not grow with it.

use super::events::{End, milliseconds};
use crate::cost;
use qasr::stream::{Statistics, Update};
use qasr::units::SampleIndex;
use std::time::Duration;

/// Counts of one run.
#[derive(Debug, Default)]
pub struct Totals {
    pub heard: SampleIndex,
    pub dropped_samples: u64,
    pub finals: u64,
    /// Any text that the limit of new tokens cut.
    pub any_incomplete: bool,
    pub largest_lag_ms: u64,
    pub at_work: Duration,
    pub step_times: Histogram,
}

impl Totals {
    /// Counts one call of the engine: what it said, and how long it took.
    pub fn add(&mut self, updates: &[Update], took: Duration) {
        self.at_work += took;
        if !updates.is_empty() {
            self.step_times.add(took);
        }
        for update in updates {
            if let Update::Final(ended) = update {
                self.finals += 1;
                self.any_incomplete |= !ended.segment.complete;
            }
        }
    }

    /// The last event.
    pub fn end(&self, why: &'static str, statistics: &Statistics) -> End {
        let seconds = self.heard.seconds();
        End {
            why,
            audio: seconds,
            finals: self.finals,
            steps: statistics.steps,
            complete: !self.any_incomplete,
            median_step_ms: self.step_times.quantile(0.5).map(milliseconds),
            p95_step_ms: self.step_times.quantile(0.95).map(milliseconds),
            largest_lag_ms: self.largest_lag_ms,
            rtf: (seconds > 0.0).then(|| self.at_work.as_secs_f64() / seconds),
            dropped_samples: self.dropped_samples,
            steps_left_out: statistics.steps_saved + statistics.steps_skipped,
            revisions_refused: statistics.revisions_refused,
            peak_rss_bytes: cost::peak_rss_bytes(),
        }
    }
}

/// The last event in one line for a person.
pub fn sentence(end: &End) -> String {
    let utterances = if end.finals == 1 { "utterance" } else { "utterances" };
    let speed = end.rtf.filter(|rtf| *rtf > 0.0).map_or(String::new(), |rtf| format!(", {}", speed(rtf)));
    let late = end.largest_lag_ms as f64 / 1000.0;
    let lost = match end.dropped_samples {
        0 => String::new(),
        samples => format!(", {:.2} s dropped", SampleIndex(samples).seconds()),
    };
    format!("{:.1} s heard, {} {utterances}, text at most {late:.1} s late{speed}{lost}", end.audio, end.finals)
}

/// Audio time by time at work, in words.
pub fn speed(rtf: f64) -> String {
    match 1.0 / rtf {
        fast @ 10.0.. => format!("{fast:.0}x real time"),
        slow @ ..0.1 => format!("{slow:.2}x real time"),
        middle => format!("{middle:.1}x real time"),
    }
}

/// The steps, for those who want to know.
pub fn details(end: &End) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.0}"));
    format!(
        "{} steps (median {} ms, 95 % within {} ms), {} left out, {} revisions refused{}",
        end.steps,
        number(end.median_step_ms),
        number(end.p95_step_ms),
        end.steps_left_out,
        end.revisions_refused,
        end.peak_rss_bytes.map_or(String::new(), |bytes| format!(", peak memory {} MiB", bytes >> 20)),
    )
}

/// Advice where the text comes too late. `rtf` is the work for each second of audio, where there was any.
pub fn too_slow(lag_ms: u64, rtf: Option<f64>) -> String {
    // A first step may be late although little was done so far.
    let rtf = rtf.filter(|rtf| *rtf > 1.0);
    let work = rtf.map_or(String::new(), |rtf| format!(", and a second of audio takes {rtf:.1} s of work"));
    format!(
        "this model is too slow on this machine: the text is {:.1} s late{work}; a smaller type (q4_0, balanced) or the \
         smaller model helps, a longer --step too",
        lag_ms as f64 / 1000.0
    )
}

/// How often which duration was met, to within 5 %: a stream may run for weeks, so single ones are not kept.
#[derive(Debug)]
pub struct Histogram {
    /// Class `n` ends at `SHORTEST · RATIO^n`.
    counts: Vec<u64>,
}

const SHORTEST: f64 = 1e-4;
const RATIO: f64 = 1.05;
/// The last class begins at about 10 minutes.
const CLASSES: usize = 320;

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; CLASSES] }
    }
}

impl Histogram {
    fn add(&mut self, duration: Duration) {
        let class = (duration.as_secs_f64() / SHORTEST).max(1.0).log(RATIO).ceil() as usize;
        self.counts[class.min(CLASSES - 1)] += 1;
    }

    /// The duration that a share `q` of all did not exceed; `None` before the first.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let total: u64 = self.counts.iter().sum();
        let wanted = ((total as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        let class = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(Duration::from_secs_f64(SHORTEST * RATIO.powi(class as i32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_within_five_percent() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=100).for_each(|ms| histogram.add(Duration::from_millis(ms)));
        for (q, ms) in [(0.5, 50.0), (0.95, 95.0), (1.0, 100.0), (0.01, 1.0)] {
            let got = histogram.quantile(q).unwrap().as_secs_f64() * 1000.0;
            assert!(got >= ms * 0.9999 && got <= ms * RATIO * 1.0001, "{q}: {got} for {ms}");
        }
    }

    #[test]
    fn durations_beyond_both_ends_are_counted() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::ZERO);
        histogram.add(Duration::from_secs(1 << 30));
        assert!(histogram.quantile(0.5).unwrap() <= Duration::from_millis(1));
        assert!(histogram.quantile(1.0).unwrap() > Duration::from_secs(500));
    }
}
