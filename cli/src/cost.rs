//! The cost of a run: time per stage and memory.

use super::progress::{clock, factor};
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

/// The run in one line for a person: `2.75 s in 26 s (0.1x real time), 661 MiB`.
pub fn summary(transcript: &Transcript) -> String {
    let took = processing_time(&transcript.timings).as_secs_f64();
    let times = transcript.duration.seconds() / took;
    let speed = if times.is_normal() { format!(" ({}x real time)", factor(times)) } else { String::new() };
    let peak = peak_rss_bytes().map_or(String::new(), |bytes| format!(", {} MiB", bytes >> 20));
    format!("{} in {}{speed}{peak}", length(transcript.duration.seconds()), length(took))
}

/// The time of every stage, for a person.
pub fn details(transcript: &Transcript) -> String {
    let Timings { load, audio, mel, encode, prefill, decode, audio_tokens, new_tokens } = transcript.timings;
    let factor = real_time_factor(transcript).map_or(String::new(), |factor| format!("; RTF {factor:.3}"));
    let seconds = |duration: Duration| format!("{:.3} s", duration.as_secs_f64());
    format!(
        "audio {}, mel {}, encode {} ({audio_tokens} audio tokens), prefill {}, decode {} ({new_tokens} new tokens); load \
         {}{factor}",
        seconds(audio),
        seconds(mel),
        seconds(encode),
        seconds(prefill),
        seconds(decode),
        seconds(load),
    )
}

/// Seconds, with fewer digits the more there are, and minutes from one on.
fn length(seconds: f64) -> String {
    match seconds {
        60.0.. => clock(seconds),
        10.0.. => format!("{seconds:.0} s"),
        _ => format!("{seconds:.2} s"),
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
        assert!(summary(&transcript).starts_with("10 s in 3.00 s (3.3x real time)"), "{}", summary(&transcript));
        assert!(details(&transcript).ends_with("load 5.000 s; RTF 0.300"), "{}", details(&transcript));
        assert!(summary(&Transcript::default()).starts_with("0.00 s in 0.00 s"), "{}", summary(&Transcript::default()));
    }

    #[test]
    fn long_times_are_minutes() {
        assert_eq!(
            [0.4, 9.996, 26.3, 59.4, 61.0, 4000.0].map(length),
            ["0.40 s", "10.00 s", "26 s", "59 s", "1:01", "1:06:40"]
        );
    }
}
