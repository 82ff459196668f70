//! Recordings, which wait for the engine: as fast as it goes, or on a virtual clock.

use super::events::{Event, Said};
use super::session::Session;
use super::sources::DEVICE_BLOCK;
use crate::interrupt;
use qasr::audio::live::Source;
use qasr::error::Result;
use qasr::units::{SAMPLE_RATE, SampleIndex};
use std::time::Duration;

/// How long one look at the decoder waits for samples.
const WAIT: Duration = Duration::from_secs(1);

/// Gives the recording in blocks of one step; every step is made, and the events are the same at every run. `show`
/// returns false when nobody reads any more. Returns why the audio is over.
pub fn as_fast_as_possible(
    session: &mut Session,
    source: &mut Source,
    step: usize,
    show: &mut dyn FnMut(Event) -> bool,
) -> Result<&'static str> {
    loop {
        let block = next_step(source, step.max(1))?;
        let mut is_read = true;
        for warning in source.warnings() {
            is_read &= show(Event::Warning(Said::from(&warning)));
        }
        if block.is_empty() {
            return Ok("input");
        }
        let said = session.feed(&block)?;
        let heard = session.totals.heard;
        for update in &said.updates {
            is_read &= show(session.event(update, heard, None));
        }
        if interrupt::is_wanted() || !is_read {
            return Ok("interrupt");
        }
    }
}

/// The samples of one step; fewer only at the end of the recording, none after it.
fn next_step(source: &mut Source, step: usize) -> Result<Vec<f32>> {
    let mut samples = Vec::new();
    while samples.len() < step
        && let Some(block) = source.next(WAIT, step - samples.len())?
    {
        samples.extend(block.samples);
    }
    Ok(samples)
}

/// `--simulate`: audio arrives at the speed of speech by a virtual clock, in the blocks of a device, and the
/// clock moves by what each call of the engine really took. At each call the engine gets everything that has arrived by
/// then, so it catches up, or falls behind, as it would live. `show` gets each event with the clock's time.
///
/// Returns why the audio is over, and the time.
pub fn simulate(
    session: &mut Session,
    samples: &[f32],
    show: &mut dyn FnMut(Event) -> bool,
) -> Result<(&'static str, Duration)> {
    let mut now = Duration::ZERO;
    let mut fed = 0;
    while fed < samples.len() {
        let due = (fed + DEVICE_BLOCK).min(samples.len());
        now = now.max(time_of(due));
        let arrived = arrived_by(now, samples.len());
        let said = session.feed(&samples[fed..arrived])?;
        fed = arrived;
        now += said.took;
        let captured = SampleIndex(arrived_by(now, samples.len()) as u64);
        let mut is_read = true;
        for update in &said.updates {
            is_read &= show(session.event(update, captured, Some(now)));
        }
        if interrupt::is_wanted() || !is_read {
            return Ok(("interrupt", now));
        }
    }
    Ok(("input", now))
}

/// When the device hands over the block that ends with this many samples.
fn time_of(samples: usize) -> Duration {
    Duration::from_nanos(samples as u64 * (1_000_000_000 / u64::from(SAMPLE_RATE)))
}

/// Samples that the device has handed over by a time: whole blocks, and the last one.
fn arrived_by(now: Duration, length: usize) -> usize {
    let spoken = usize::try_from(now.as_nanos() * u128::from(SAMPLE_RATE) / 1_000_000_000).unwrap_or(usize::MAX);
    if spoken >= length { length } else { spoken - spoken % DEVICE_BLOCK }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_arrives_in_whole_blocks() {
        for (samples, arrived) in [(0, 0), (319, 0), (320, 320), (650, 640), (999, 960), (1000, 1000), (5000, 1000)] {
            assert_eq!(arrived_by(time_of(samples), 1000), arrived, "{samples}");
        }
    }
}
