//! Live audio that does not wait: samples that nobody takes in time are counted at their place, and a device that disappears ends
//! the audio, not the program.

use crate::optional;

use qasr::ErrorKind;
use qasr::audio::live::{self, Block, Feeder, Source};
use qasr::audio::{Pcm16k, RawFormat, ReadOptions, read_stream};
use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longer than any of these tests may wait for something that must come.
const SOON: Duration = Duration::from_secs(60);
const MONO: RawFormat = RawFormat { rate: 16_000, channels: 1 };

/// A level that encodes the number of the sample modulo 65,536.
fn numbered(n: u64) -> f32 {
    (n % 65_536) as f32 / 65_536.0
}

/// Feeds samples that are numbered from `from` on; returns the next number.
fn feed(feeder: &mut Feeder, from: u64, count: u64) -> u64 {
    let samples: Vec<f32> = (from..from + count).map(numbered).collect();
    feeder.push(&samples, |sample| sample);
    from + count
}

/// A random number that is the same every time.
fn dice(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// A consumer of numbered samples that checks that each stands where it says.
struct Listener {
    source: Source,
    position: u64,
    dropped: u64,
}

impl Listener {
    fn new(source: Source) -> Self {
        Self { source, position: 0, dropped: 0 }
    }

    /// Takes a block; false when it is over.
    fn listen(&mut self, wait: Duration, most: usize) -> bool {
        let Some(block) = self.source.next(wait, most).expect("no error") else { return false };
        assert!(block.samples.len() <= most);
        self.position += block.dropped;
        self.dropped += block.dropped;
        for sample in block.samples {
            assert_eq!(sample, numbered(self.position), "at {}", self.position);
            self.position += 1;
        }
        true
    }
}

#[test]
fn a_full_ring_drops_and_says_exactly_how_much_and_where() {
    let (mut feeder, source) = live::ring("device", MONO, 1).expect("a usable format");
    let mut listener = Listener::new(source);
    let fed = feed(&mut feeder, 0, 10_000);
    let fed = feed(&mut feeder, fed, 10_000); // 6000 fit
    let fed = feed(&mut feeder, fed, 7); // none fit
    assert!(listener.listen(SOON, 15_000));
    let fed = feed(&mut feeder, fed, 500);
    assert!(listener.listen(SOON, 5000));
    assert_eq!((listener.position, listener.dropped), (16_000, 0));
    assert!(listener.listen(SOON, 5000));
    assert_eq!((listener.position, listener.dropped), (fed, 4007));
    // Samples missing at the end are reported too.
    let fed = feed(&mut feeder, fed, 16_001);
    drop(feeder);
    while listener.listen(SOON, 9000) {}
    assert_eq!((listener.position, listener.dropped), (fed, 4008));
}

#[test]
fn positions_are_right_after_any_number_of_gaps() {
    let mut seed = 7;
    let mut gaps = 0;
    for _ in 0..10 {
        let (mut feeder, source) = live::ring("device", MONO, 1).expect("a usable format");
        let mut listener = Listener::new(source);
        let mut fed = 0;
        for _ in 0..3000 {
            fed = feed(&mut feeder, fed, dice(&mut seed, 2000));
            let before = listener.dropped;
            if dice(&mut seed, 3) == 0 {
                listener.listen(Duration::ZERO, 1 + dice(&mut seed, 3000) as usize);
            }
            gaps += usize::from(listener.dropped > before);
        }
        drop(feeder);
        while listener.listen(SOON, 9000) {}
        assert_eq!(listener.position, fed);
    }
    assert!(gaps > 300, "only {gaps} gaps");
}

#[test]
fn two_threads_lose_nothing_that_is_not_counted() {
    let (mut feeder, source) = live::ring("device", MONO, 1).expect("a usable format");
    let feeding = std::thread::spawn(move || (0..20_000).fold(0, |fed, _| feed(&mut feeder, fed, 160)));
    let mut listener = Listener::new(source);
    while listener.listen(SOON, usize::MAX) {}
    assert_eq!(listener.position, feeding.join().expect("the feeder"));
}

/// Two channels of tones, interleaved.
fn tones(rate: u32, frames: usize) -> Vec<f32> {
    (0..frames * 2).map(|n| (n as f32 / 2.0 * [1900.0, 2300.0][n % 2] / rate as f32).sin() * 0.5).collect()
}

#[test]
fn any_rate_and_sample_type_gives_what_a_file_gives() {
    for rate in [16_000u32, 44_100, 48_000] {
        let whole: Vec<i16> = tones(rate, rate as usize / 3).iter().map(|s| (s * 32_768.0) as i16).collect();
        let bytes: Vec<u8> = whole.iter().flat_map(|s| s.to_le_bytes()).collect();
        let format = RawFormat { rate, channels: 2 };
        let options = ReadOptions { raw: Some(format), ..Default::default() };
        let file = read_stream(Cursor::new(bytes), "file", &options).expect("readable");
        let (mut feeder, mut source) = live::ring("device", format, 2).expect("a usable format");
        assert_eq!(source.format(), Some(format));
        let mut samples = Vec::new();
        for portion in whole.chunks(2 * 441) {
            feeder.push(portion, |sample| f32::from(sample) / 32_768.0);
            let block = source.next(Duration::ZERO, usize::MAX).expect("no error").expect("not over");
            samples.extend(block.samples);
        }
        // Half a filter and one block of 10 ms may be held back.
        assert!(file.pcm.len() - samples.len() <= 252, "{rate} Hz: {} of {}", samples.len(), file.pcm.len());
        drop(feeder);
        while let Some(block) = source.next(SOON, 100).expect("no error") {
            samples.extend(block.samples);
        }
        assert!(samples == file.pcm.samples(), "{rate} Hz");
    }
}

#[test]
fn gaps_keep_their_place_at_any_rate() {
    for rate in [44_100u32, 48_000, 8000, 11_025] {
        let (mut feeder, mut source) = live::ring("device", RawFormat { rate, channels: 2 }, 1).expect("usable");
        let (mut frames, mut position, mut dropped, mut seed) = (0u64, 0u64, 0u64, 11);
        for _ in 0..200 {
            let count = dice(&mut seed, u64::from(rate) / 5);
            let portion: Vec<f32> = (0..count).flat_map(|_| [0.5f32, 0.25]).collect();
            feeder.push(&portion, |sample| sample);
            frames += count;
            if dice(&mut seed, 4) == 0 {
                let block = source.next(Duration::ZERO, usize::MAX).expect("no error").expect("not over");
                position += block.dropped + block.samples.len() as u64;
                dropped += block.dropped;
            }
        }
        drop(feeder);
        while let Some(block) = source.next(SOON, usize::MAX).expect("no error") {
            position += block.dropped + block.samples.len() as u64;
            dropped += block.dropped;
        }
        let exact = frames * 16_000 / u64::from(rate);
        assert!(position.abs_diff(exact) <= 1, "{rate} Hz: {position} instead of {exact}");
        assert!(dropped > 16_000, "{rate} Hz: {dropped} dropped");
    }
}

#[test]
fn a_device_that_disappears_ends_the_audio_after_all_that_was_heard() {
    for rate in [16_000, 48_000] {
        let (mut feeder, mut source) = live::ring("Headset", RawFormat { rate, channels: 1 }, 1).expect("usable");
        let alarm = feeder.alarm();
        let device = Arc::new(());
        source.keep(device.clone());
        feeder.push(&vec![0.5f32; rate as usize / 10], |sample| sample);
        alarm.gone("is gone: connect it and start again");
        alarm.gone("something that only follows from it");
        let mut count = 0;
        let error = loop {
            match source.next(SOON, 300) {
                Ok(block) => count += block.expect("an error, not an end").samples.len(),
                Err(error) => break error,
            }
        };
        assert_eq!(count, 1600, "{rate} Hz");
        assert_eq!(Arc::strong_count(&device), 1, "the device is still held");
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Audio, "Headset: is gone: connect it and start again")
        );
        assert_eq!(source.next(SOON, 300).expect("over is over"), None);
        // The callback may outlive it and must not mind.
        feeder.push(&[0.5f32; 10], |sample| sample);
        assert_eq!(source.next(SOON, 300).expect("over is over"), None);
    }
}

#[test]
fn what_a_device_gives_is_made_fit() {
    let (mut feeder, mut source) = live::ring("device", RawFormat { rate: 16_000, channels: 2 }, 1).expect("usable");
    feeder.push(&[0.5, 0.25, f32::NAN, 0.5, 9.0, 9.0, f32::INFINITY, f32::NEG_INFINITY, 1.0], |sample| sample);
    assert_eq!(source.warnings(), []);
    let block = source.next(SOON, 99).expect("no error").expect("not over");
    assert_eq!(block, Block { samples: vec![0.375, 0.25, 1.0, 0.0], dropped: 0 });
    feeder.alarm().overrun();
    feeder.alarm().overrun();
    assert_eq!(source.next(Duration::ZERO, 99).expect("no error"), Some(Block::default()));
    let codes: Vec<&str> = source.warnings().iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(codes, ["audio_clipped", "device_overrun"]);
    // Told once.
    feeder.alarm().overrun();
    feeder.push(&[9.0f32; 2], |sample| sample);
    assert_eq!(source.next(SOON, 99).expect("no error").expect("not over").samples, [1.0]);
    assert_eq!(source.warnings(), []);
    for (rate, channels) in [(0, 1), (16_000, 0), (16_000, 65), (u32::MAX, 1)] {
        let error = live::ring("device", RawFormat { rate, channels }, 1).err().expect("unusable");
        assert!(error.kind() == ErrorKind::Audio && error.to_string().starts_with("device: has "), "{error}");
    }
}

#[test]
fn a_replay_takes_as_long_as_the_recording() {
    let pcm = Pcm16k::new((0..3200).map(numbered).collect()).expect("in range");
    let start = Instant::now();
    let mut listener = Listener::new(live::replay(pcm, true, 160));
    while listener.listen(SOON, usize::MAX) {
        assert!(
            start.elapsed() >= Duration::from_micros(listener.position * 125 / 2),
            "{} came early",
            listener.position
        );
    }
    assert_eq!(listener.position, 3200);
}

#[test]
fn microphones_are_listed_or_the_reason_is_said() {
    let listed = live::devices();
    if !live::HAS_MICROPHONE {
        for error in [listed.err(), live::microphone(None, 10).err()] {
            let error = error.expect("this build has none");
            assert!(error.kind() == ErrorKind::Usage && error.to_string().contains("feature `mic`"), "{error}");
        }
        return;
    }
    let Err(error) = live::microphone(Some("no such device"), 10) else { panic!("it was opened") };
    match listed {
        Ok(devices) if devices.is_empty() => {
            assert!(error.to_string().contains("no microphone was found"), "{error}");
            let error = live::microphone(None, 10).err().expect("there is none");
            assert!(
                error.kind() == ErrorKind::Audio && error.to_string().contains("no microphone was found"),
                "{error}"
            );
        }
        Ok(devices) => {
            assert!(error.kind() == ErrorKind::Usage && error.to_string().contains("\"no such device\""), "{error}");
            assert!(devices.iter().all(|d| error.to_string().contains(&d.id)), "{error}");
        }
        Err(reason) => assert_eq!((reason.kind(), error.to_string()), (ErrorKind::Audio, reason.to_string())),
    }
}

#[test]
fn a_device_that_nobody_listens_to_is_counted() {
    // ALSA's device of silence gives audio as fast as it is taken.
    let mut source = match live::microphone(Some("null"), 1) {
        Ok(source) => source,
        Err(error) => return optional::skip(&format!("no device of silence here: {error}")),
    };
    let rate = source.format().expect("a device has a format").rate;
    let (start, mut samples, mut dropped) = (Instant::now(), 0, 0);
    while dropped == 0 && start.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(20));
        let block = source.next(SOON, usize::MAX).expect("no error").expect("a device does not end");
        assert!(!block.samples.is_empty() && block.samples.iter().all(|sample| *sample == 0.0));
        samples += block.samples.len();
        dropped += block.dropped;
    }
    // At least one full ring came before the first gap.
    assert!(samples > 15_900 && dropped > 0, "{rate} Hz: {samples} samples, {dropped} dropped");
}
