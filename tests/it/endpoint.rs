//! Where utterances begin and end, on generated sound, the committed sample and, where they are, the shared clips.

use crate::optional;

use qasr::audio::{ReadOptions, SampleBuffer, read_path};
use qasr::endpoint::{Cut, Detector, EndReason, EndpointOptions, Endpointer};
use qasr::units::SampleIndex;
use std::f32::consts::TAU;
use std::ops::Range;
use std::path::Path;

const SECOND: usize = 16_000;
const DETECTORS: [Detector; 3] = [Detector::Energy, Detector::Neural, Detector::Off];

/// An endpointer with its stream, of which it keeps what it says is needed.
struct Cutter {
    audio: SampleBuffer,
    endpointer: Endpointer,
}

impl Cutter {
    fn new(detector: Detector, longest: usize) -> Self {
        Self { audio: SampleBuffer::default(), endpointer: Endpointer::new(&EndpointOptions { detector, longest }) }
    }

    fn append(&mut self, block: &[f32], cuts: &mut Vec<Cut>) {
        self.audio.append(block);
        self.endpointer.advance(&self.audio, cuts);
        self.audio.forget_before(self.endpointer.keep_from());
    }

    fn finish(&mut self, cuts: &mut Vec<Cut>) {
        self.endpointer.finish(&self.audio, cuts);
    }
}

/// The cuts of a stream that arrives in blocks of these sizes, in turn.
fn cuts(samples: &[f32], detector: Detector, longest: usize, blocks: &[usize]) -> Vec<Cut> {
    let mut cutter = Cutter::new(detector, longest);
    let (mut cuts, mut at) = (Vec::new(), 0);
    for &size in blocks.iter().cycle() {
        let end = samples.len().min(at + size);
        cutter.append(&samples[at..end], &mut cuts);
        at = end;
        if at == samples.len() {
            break;
        }
    }
    cutter.finish(&mut cuts);
    assert_eq!(cutter.endpointer.heard(), SampleIndex(samples.len() as u64));
    cuts
}

/// The utterances of a stream, after a check of everything that holds for all cuts.
fn utterances(samples: &[f32], detector: Detector, longest: usize) -> Vec<(Range<usize>, EndReason)> {
    let cuts = cuts(samples, detector, longest, &[SECOND / 10]);
    let mut found: Vec<(Range<usize>, EndReason)> = Vec::new();
    for pair in cuts.chunks(2) {
        let [Cut::Begin(start), Cut::End { at, why }] = *pair else { panic!("cuts do not alternate: {cuts:?}") };
        let range = start.0 as usize..at.0 as usize;
        assert!(range.start < range.end && range.end <= samples.len(), "{detector:?}: {range:?}");
        assert!(range.len() <= longest.max(1), "{detector:?}: {range:?} is longer than {longest}");
        if let Some((before, why)) = found.last() {
            assert!(before.end <= range.start, "{detector:?}: {range:?} overlaps {before:?}");
            assert!(
                *why != EndReason::Length || before.end == range.start,
                "{detector:?}: a gap after a cut by length"
            );
        }
        assert!(
            why != EndReason::Input || range.end == samples.len(),
            "{detector:?}: {range:?} is not the input's end"
        );
        found.push((range, why));
    }
    assert!(found.iter().rev().skip(1).all(|(_, why)| *why != EndReason::Input), "{detector:?}: {found:?}");
    found
}

/// Something like a vowel: harmonics of 120 Hz under two resonances, four syllables per second.
fn vowels(samples: usize, peak: f32) -> Vec<f32> {
    let weights: Vec<f32> = (1..30)
        .map(|n| n as f32 * 120.0)
        .map(|hz| 1.0 / (1.0 + ((hz - 600.0) / 150.0).powi(2)) + 0.5 / (1.0 + ((hz - 1500.0) / 200.0).powi(2)) + 0.01)
        .collect();
    let sound = |at: usize| {
        let t = at as f32 / SECOND as f32;
        let voice: f32 = weights.iter().enumerate().map(|(n, w)| w * (TAU * 120.0 * (n + 1) as f32 * t).sin()).sum();
        voice * (0.55 - 0.45 * (TAU * 4.0 * t).cos())
    };
    let sounds: Vec<f32> = (0..samples).map(sound).collect();
    let loudest = sounds.iter().fold(1e-9f32, |a, b| a.max(b.abs()));
    sounds.iter().map(|x| x * peak / loudest).collect()
}

/// Numbers from 0 up to 1, the same on every run.
fn random(seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    })
}

/// White noise of this level in dB of full scale.
fn noise(samples: usize, level: f32) -> Vec<f32> {
    // Even between -1 and 1 has a mean square of 1/3.
    let scale = 3f32.sqrt() * 10f32.powf(level / 20.0);
    random(5).take(samples).map(|x| (2.0 * x - 1.0) * scale).collect()
}

/// Adds `sound` at a place of `stream`.
fn add(stream: &mut [f32], at: usize, sound: &[f32]) {
    stream[at..at + sound.len()].iter_mut().zip(sound).for_each(|(a, b)| *a += b);
}

/// Silence, words, noise, a long reading, a click and words again: 60 s.
fn programme() -> Vec<f32> {
    let mut stream = vec![0.0; 60 * SECOND];
    for (at, length) in [(3.0, 0.4), (3.7, 0.6), (6.0, 2.0), (14.0, 15.0), (31.0, 0.3), (40.2, 1.5), (43.0, 1.0)] {
        add(&mut stream, (at * SECOND as f32) as usize, &vowels((length * SECOND as f32) as usize, 0.2));
    }
    add(&mut stream, 9 * SECOND, &noise(41 * SECOND, -50.0));
    stream[55 * SECOND] = 1.0;
    stream
}

#[test]
fn cuts_do_not_depend_on_the_blocks() {
    let stream = programme();
    let blocks: Vec<usize> = random(11).map(|x| (x.powi(4) * 40_000.0) as usize).take(500).collect();
    for detector in DETECTORS {
        for longest in [SECOND, 8 * SECOND, 30 * SECOND] {
            let whole = cuts(&stream, detector, longest, &[stream.len()]);
            assert!(whole.len() >= 4, "{detector:?}: {whole:?}");
            for blocks in [&[160][..], &[333], &[1600], &blocks] {
                assert_eq!(cuts(&stream, detector, longest, blocks), whole, "{detector:?}, {longest}, {blocks:?}");
            }
        }
        let short = &stream[2 * SECOND..8 * SECOND + 77];
        assert_eq!(cuts(short, detector, 30_000, &[1]), cuts(short, detector, 30_000, &[short.len()]), "{detector:?}");
    }
}

#[test]
fn what_is_told_between_the_cuts_holds() {
    let stream = programme();
    for detector in DETECTORS {
        let (mut cut, mut whole) = (Cutter::new(detector, 8 * SECOND), Cutter::new(detector, 8 * SECOND));
        let (mut cuts, mut seen, mut kept, mut quiet) = (Vec::new(), 0, SampleIndex(0), 0);
        for (number, second) in stream.chunks(SECOND / 7).enumerate() {
            for block in second.chunks(93) {
                cut.append(block, &mut cuts);
            }
            whole.append(second, &mut Vec::new());
            assert_eq!(
                (cut.endpointer.heard(), cut.endpointer.quiet_for()),
                (whole.endpointer.heard(), whole.endpointer.quiet_for()),
                "{detector:?}, {number}"
            );
            assert_eq!(cut.endpointer.keep_from(), whole.endpointer.keep_from(), "{detector:?}, {number}");
            for cut in &cuts[seen..] {
                let (Cut::Begin(at) | Cut::End { at, .. }) = *cut;
                assert!(kept <= at && at <= whole.endpointer.heard(), "{detector:?}: {cut:?}, told {kept:?} before");
            }
            (seen, kept) = (cuts.len(), cut.endpointer.keep_from());
            let running = matches!(cuts.last(), Some(Cut::Begin(_)));
            match (running, cuts.last()) {
                (true, Some(&Cut::Begin(start))) => assert_eq!(kept, start, "{detector:?}"),
                _ => {
                    // Nothing is kept for longer than the look-back, however long nothing is said.
                    assert!(
                        cut.endpointer.heard() - kept <= 5 * SECOND as u64 / 2,
                        "{detector:?}: {kept:?} at {:?}",
                        cut.endpointer.heard()
                    );
                    assert_eq!(cut.endpointer.quiet_for(), 0);
                }
            }
            quiet = quiet.max(cut.endpointer.quiet_for());
        }
        if detector != Detector::Off {
            assert!(
                (SECOND / 2..SECOND).contains(&(quiet as usize)),
                "{detector:?}: the longest pause told is {quiet}"
            );
        }
        cut.finish(&mut cuts);
        let told = cuts.len();
        cut.append(&stream, &mut cuts);
        cut.finish(&mut cuts);
        assert_eq!(
            (cuts.len(), cut.endpointer.heard().0),
            (told, stream.len() as u64),
            "{detector:?}: something after the end"
        );
    }
}

#[test]
fn every_longest_utterance_is_kept_to() {
    let stream = &programme()[..48 * SECOND + 5];
    for detector in DETECTORS {
        // The smallest limits make an utterance per sample: a short recording shows as much.
        for longest in [0, 1, 2, 159, 1000, 3201] {
            utterances(&stream[3 * SECOND..5 * SECOND], detector, longest);
        }
        for longest in [4000, SECOND / 2, SECOND, 2 * SECOND + 1, 5 * SECOND, usize::MAX] {
            utterances(stream, detector, longest);
        }
    }
}

#[test]
fn silence_and_clicks_are_nothing() {
    let mut stream = vec![0.0; 300 * SECOND];
    for detector in [Detector::Energy, Detector::Neural] {
        assert_eq!(utterances(&stream, detector, 30 * SECOND), [], "{detector:?}, silence");
        // The last bit of 16, with an offset that steps are made of.
        stream.iter_mut().zip(random(2)).for_each(|(x, r)| *x = if r < 0.5 { 0.0 } else { 1.0 / 32_768.0 });
        assert_eq!(utterances(&stream, detector, 30 * SECOND), [], "{detector:?}, the last bit");
        for at in (1..300).step_by(10) {
            add(&mut stream, at * SECOND, &vowels(32, 0.8));
        }
        assert_eq!(utterances(&stream, detector, 30 * SECOND), [], "{detector:?}, clicks");
    }
}

#[test]
fn what_is_always_there_is_nothing_after_a_while() {
    let samples = 300 * SECOND;
    let hum = |level: f32| (0..samples).map(move |at| level * (TAU * (at % 320) as f32 / 320.0).sin());
    let offset = |level: f32| noise(samples, level).iter().map(|x| x + 0.1).collect::<Vec<f32>>();
    let streams = [
        ("noise, -70", noise(samples, -70.0)),
        ("noise, -45", noise(samples, -45.0)),
        ("noise, -25", noise(samples, -25.0)),
        ("hum", hum(0.1).collect()),
        ("hum in noise", hum(0.02).zip(noise(samples, -60.0)).map(|(a, b)| a + b).collect()),
        ("noise with an offset", offset(-60.0)),
    ];
    for (name, stream) in streams {
        let found = utterances(&stream, Detector::Energy, 30 * SECOND);
        assert!(found.len() <= 1 && found.iter().all(|(range, _)| range.end < 30 * SECOND), "{name}: {found:?}");
    }
}

#[test]
fn a_short_recording_with_any_sound_is_one_utterance() {
    let lengths = [1, 2, 159, 160, 161, 400, 1000, 4000, 16_000, 31_999, 32_000, 5 * SECOND];
    for level in [-70.0, -40.0, -10.0] {
        // A few faint samples are less than the last bit of 16 over a whole window.
        for length in lengths.into_iter().filter(|&length| length >= 400 || level == -10.0) {
            let found = utterances(&noise(length, level), Detector::Energy, 30 * SECOND);
            assert_eq!(found, [(0..length, EndReason::Input)], "{level} dB, {length} samples");
        }
    }
    for length in [400, 4000, 32_000] {
        let mut samples = vec![0.0; length];
        samples[length / 2] = 0.5;
        let found = utterances(&samples, Detector::Energy, 30 * SECOND);
        let start = (length / 2 / 160 * 160).saturating_sub(4800);
        assert_eq!(found, [(start..length, EndReason::Input)], "a click in {length} samples");
        let mut cutter = Cutter::new(Detector::Energy, SECOND);
        cutter.append(&samples, &mut Vec::new());
        let kept = cutter.endpointer.keep_from();
        assert!(kept.0 as usize <= start, "{kept:?} for {start}");
        assert_eq!(utterances(&vec![0.0; length], Detector::Energy, 30 * SECOND), []);
    }
    assert_eq!(utterances(&[], Detector::Off, SECOND), []);
}

#[test]
fn words_in_noise_lie_inside_utterances() {
    for (level, ratio) in [(-80.0, 60.0), (-60.0, 40.0), (-40.0, 20.0), (-30.0, 10.0), (-30.0, 5.0), (-30.0, 0.0)] {
        let mut stream = noise(90 * SECOND, level);
        let word = vowels(SECOND / 2, 0.5);
        let rms = (word.iter().map(|x| x * x).sum::<f32>() / word.len() as f32).sqrt();
        let gain = 10f32.powf((level + ratio) / 20.0) / rms;
        let word: Vec<f32> = word.iter().map(|x| x * gain).collect();
        let places: Vec<usize> = (35..90).step_by(5).map(|second| second * SECOND).collect();
        for &at in &places {
            add(&mut stream, at, &word);
        }
        let found = utterances(&stream, Detector::Energy, 30 * SECOND);
        let later: Vec<_> = found.iter().map(|(range, _)| range.clone()).filter(|r| r.end > 33 * SECOND).collect();
        assert_eq!(later.len(), places.len(), "{ratio} dB: {found:?}");
        for (range, at) in later.iter().zip(places) {
            assert!(range.start <= at + 800 && at + word.len() - 800 <= range.end, "{ratio} dB: {at} in {found:?}");
            assert!(range.len() <= word.len() + 14_000, "{ratio} dB: {range:?} is far longer than its word");
        }
    }
}

/// Words of 0.5 s with these pauses (in milliseconds) after them, in faint noise that has been there for 20 s.
fn with_pauses(pauses: &[usize]) -> (Vec<f32>, Vec<Range<usize>>) {
    let (mut at, mut words) = (20 * SECOND, Vec::new());
    for pause in pauses {
        words.push(at..at + SECOND / 2);
        at += SECOND / 2 + pause * 16;
    }
    let mut stream = noise(at, -75.0);
    for word in &words {
        add(&mut stream, word.start, &vowels(word.len(), 0.3));
    }
    (stream, words)
}

#[test]
fn the_pause_that_ends_an_utterance_shrinks_with_its_length() {
    let words_inside = |pauses: &[usize], longest: usize| {
        let (stream, words) = with_pauses(pauses);
        let found = utterances(&stream, Detector::Energy, longest);
        let found: Vec<_> = found.into_iter().filter(|(range, _)| range.end > words[0].start).collect();
        let count =
            |range: &Range<usize>| words.iter().filter(|w| range.start <= w.start && w.end <= range.end).count();
        found.iter().map(|(range, why)| (count(range), *why)).collect::<Vec<_>>()
    };
    use EndReason::{Input, Pause};
    assert_eq!(words_inside(&[500, 500, 500], 30 * SECOND), [(3, Input)]);
    assert_eq!(words_inside(&[500, 1200, 500], 30 * SECOND), [(2, Pause), (1, Input)]);
    // 8 s: with a second per word, the fifth and later ones are past the middle, where 0.5 s gets to be enough.
    let found = words_inside(&[500; 14], 8 * SECOND);
    assert!(found.iter().all(|(count, why)| (5..=7).contains(count) && *why == Pause || *why == Input), "{found:?}");
    assert_eq!(found.iter().map(|(count, _)| count).sum::<usize>(), 14, "{found:?}");
}

#[test]
fn an_utterance_begins_before_its_first_word_and_ends_after_its_last() {
    let (stream, words) = with_pauses(&[300, 2000, 1500]);
    let found = utterances(&stream, Detector::Energy, 30 * SECOND);
    let [.., (first, EndReason::Pause), (last, EndReason::Pause)] = &found[..] else { panic!("{found:?}") };
    for (range, words) in [(first, &words[..2]), (last, &words[2..])] {
        let before = words[0].start - range.start;
        let after = range.end - words[words.len() - 1].end;
        assert!((3200..=6400).contains(&before), "{range:?}: {before} samples before {words:?}");
        assert!((3200..=8000).contains(&after), "{range:?}: {after} samples after {words:?}");
    }
}

#[test]
fn an_utterance_that_is_too_long_is_cut_where_it_is_quietest() {
    for detector in DETECTORS {
        let mut stream = vowels(25 * SECOND, 0.5);
        // A pause too short to end anything, 1 s before the limit, with one sample of zero in it.
        let quiet = 9 * SECOND..9 * SECOND + 2400;
        stream[quiet.clone()].copy_from_slice(&vec![1e-3; 2400]);
        stream[9 * SECOND + 1000] = 0.0;
        let found = utterances(&stream, detector, 10 * SECOND);
        assert_eq!(found[0], (0..9 * SECOND + 1000, EndReason::Length), "{detector:?}: {found:?}");
        assert_eq!(found.iter().map(|(range, _)| range.len()).sum::<usize>(), stream.len(), "{detector:?}: a gap");
        assert!(found.iter().rev().skip(1).all(|(range, _)| range.len() >= 5 * SECOND), "{detector:?}: {found:?}");
    }
}

#[test]
fn no_sample_upsets_it() {
    let mut stream = programme();
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, f32::MIN_POSITIVE / 2.0];
    for (at, value) in bad.into_iter().enumerate() {
        stream[(5 + at) * SECOND] = value;
    }
    for detector in DETECTORS {
        let found = utterances(&stream, detector, 8 * SECOND);
        let last = found.iter().filter(|(range, _)| range.contains(&(43 * SECOND + SECOND / 2))).count();
        assert_eq!(last, 1, "{detector:?}: words after the bad samples are lost: {found:?}");
    }
}

fn read(path: &Path) -> Vec<f32> {
    let recording = read_path(path, &ReadOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    recording.pcm.samples().to_vec()
}

#[test]
fn the_sample_is_one_utterance_and_two_of_them_are_two() {
    let sample = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("convert/demo/sample.flac"));
    let found = utterances(&sample, Detector::Energy, 30 * SECOND);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0.start, 0);
    let gap = 3 * SECOND;
    let twice = [sample.as_slice(), &vec![0.0; gap], &sample].concat();
    let found = utterances(&twice, Detector::Energy, 30 * SECOND);
    let [(first, EndReason::Pause), (second, EndReason::Input)] = &found[..] else { panic!("{found:?}") };
    assert!(first.start == 0 && first.end <= sample.len() + 8000, "{found:?}");
    assert!((sample.len()..=sample.len() + gap).contains(&second.start) && second.end == twice.len(), "{found:?}");
}

/// Nothing audible may lie outside: recordings whose words are not all inside would lose text silently.
#[test]
fn the_shared_clips_lose_nothing() {
    let Some(folder) = optional::shared("audio/clips/libri") else { return };
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()).collect();
    files.sort();
    assert!(files.len() >= 50, "{} has lost clips", folder.display());
    let mut joined = Vec::new();
    for file in files.iter().step_by(4) {
        let samples = read(file);
        let found = utterances(&samples, Detector::Energy, 60 * SECOND);
        assert_eq!(found[0].0.start, 0, "{}", file.display());
        joined.extend(samples);
        joined.resize(joined.len() + SECOND, 0.0);
    }
    for longest in [8, 30] {
        let found = utterances(&joined, Detector::Energy, longest * SECOND);
        let loudness = |frame: &[f32]| frame.iter().map(|x| x * x).sum::<f32>() / frame.len() as f32;
        let inside = |at: usize| found.iter().any(|(range, _)| range.contains(&at));
        let frames: Vec<_> = joined.chunks_exact(160).map(loudness).enumerate().collect();
        let loudest = frames.iter().fold(0f32, |a, (_, b)| a.max(*b));
        let lost = frames.iter().filter(|(frame, power)| *power > loudest * 1e-3 && !inside(frame * 160 + 80)).count();
        assert!(lost * 1000 < frames.len(), "{longest} s: {lost} of {} frames are lost", frames.len());
    }
}
