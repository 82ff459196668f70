//! What a run took: time per stage and memory.

use qasr::transcript::{Timings, Transcript};
use std::time::Duration;

/// Time spent on the recording itself: everything but opening the model.
pub fn processing_time(timings: &Timings) -> Duration {
    timings.audio + timings.mel + timings.encode + timings.prefill + timings.decode
}

/// Processing time by audio time: smaller is better. `None` where there was no audio.
pub fn real_time_factor(transcript: &Transcript) -> Option<f64> {
    let seconds = transcript.duration.seconds();
    (seconds > 0.0).then(|| processing_time(&transcript.timings).as_secs_f64() / seconds)
}

/// Most memory this process has held so far, as Linux counts it (mapped model pages included); `None` elsewhere.
pub fn peak_rss_bytes() -> Option<u64> {
    peak_from_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn peak_from_status(status: &str) -> Option<u64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?;
    kilobytes.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The run in one line for a person.
pub fn summary(transcript: &Transcript) -> String {
    let timings = &transcript.timings;
    let rtf = real_time_factor(transcript).map_or(String::new(), |rtf| format!(" (RTF {rtf:.3})"));
    let peak = peak_rss_bytes().map_or(String::new(), |bytes| format!(", peak memory {} MiB", bytes >> 20));
    format!(
        "{:.2} s of audio in {}{rtf}: audio {}, mel {}, encode {} ({} audio tokens), prefill {}, decode {} ({} new tokens); \
         load {}{peak}",
        transcript.duration.seconds(),
        short(processing_time(timings)),
        short(timings.audio),
        short(timings.mel),
        short(timings.encode),
        timings.audio_tokens,
        short(timings.prefill),
        short(timings.decode),
        timings.new_tokens,
        short(timings.load),
    )
}

/// Milliseconds up to ten seconds, then seconds.
fn short(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds @ ..10_000 => format!("{milliseconds} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qasr::units::SampleIndex;

    #[test]
    fn the_peak_is_read_from_the_status_text() {
        assert_eq!(peak_from_status("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(peak_from_status("VmRSS:\t 1 kB\n"), None);
    }

    #[test]
    fn loading_does_not_count_as_processing() {
        let second = Duration::from_secs(1);
        let timings = Timings { load: 5 * second, audio: second, decode: 2 * second, ..Timings::default() };
        let transcript = Transcript { timings, duration: SampleIndex(160_000), ..Transcript::default() };
        assert_eq!(real_time_factor(&transcript), Some(0.3));
        assert_eq!(real_time_factor(&Transcript::default()), None);
        assert!(
            summary(&transcript).starts_with("10.00 s of audio in 3000 ms (RTF 0.300)"),
            "{}",
            summary(&transcript)
        );
    }
}
