//! The live engine through its public interface, on the demo model: its inputs and its failures.

use qasr::audio::{Pcm16k, ReadOptions, read_path};
use qasr::endpoint::Detector;
use qasr::stream::{Commit, Final};
use qasr::text::Language;
use qasr::{ErrorKind, Model, ModelOptions, Options, Stream, StreamOptions, Update, transcribe};
use std::path::Path;

const RATE: usize = 16_000;

fn model() -> Model {
    let mut options = ModelOptions::default();
    options.threads = 1;
    Model::open_demo(&options).unwrap()
}

/// Six words, 3 s.
fn six_words() -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/six_words.wav");
    read_path(&path, &ReadOptions::default()).unwrap().pcm.samples().to_vec()
}

/// The six words, `times` times with pauses between.
fn repeated(times: usize) -> Vec<f32> {
    let mut samples = Vec::new();
    for _ in 0..times {
        samples.extend(six_words());
        samples.resize(samples.len() + 2 * RATE, 0.0);
    }
    samples
}

fn finals(updates: &[Update]) -> Vec<&Final> {
    updates.iter().filter_map(|update| if let Update::Final(last) = update { Some(last) } else { None }).collect()
}

fn partials(updates: &[Update]) -> usize {
    updates.len() - finals(updates).len()
}

fn run(model: &Model, samples: &[f32], options: StreamOptions, block: usize) -> (Vec<Update>, Stream) {
    let mut stream = Stream::new(model, options).unwrap();
    let mut updates = Vec::new();
    for block in samples.chunks(block) {
        updates.extend(stream.feed(block).unwrap());
    }
    updates.extend(stream.end().unwrap());
    (updates, stream)
}

#[test]
fn a_late_block_gets_one_step_and_the_same_finals() {
    let (model, samples) = (model(), repeated(4));
    let options = || {
        let mut options = StreamOptions::default();
        options.step = RATE as u64 / 2;
        options
    };
    let (every, in_time) = run(&model, &samples, options(), 160);
    let (few, late) = run(&model, &samples, options(), 2 * RATE);
    assert_eq!(in_time.statistics().steps_skipped, 0);
    assert!(late.statistics().steps_skipped > 0 && partials(&few) < partials(&every));
    let text = |updates: &[Update]| finals(updates).iter().map(|last| last.segment.text.clone()).collect::<Vec<_>>();
    assert_eq!(text(&few), text(&every));
    assert_eq!(text(&every).len(), 4);
    assert_eq!(in_time.finish().text, late.finish().text);
}

#[test]
fn steps_lie_at_multiples_of_the_step_whatever_the_blocks() {
    let (model, samples) = (model(), six_words());
    let places = |block: usize| -> Vec<(u64, String)> {
        let (updates, _) = run(&model, &samples, StreamOptions::default(), block);
        let partial = |update: &Update| match update {
            Update::Partial(partial) => {
                Some((partial.up_to.0 - partial.start.0, format!("{}{}", partial.committed, partial.tentative)))
            }
            Update::Final(_) => None,
        };
        updates.iter().filter_map(partial).collect()
    };
    let fine = places(37);
    assert!(fine.len() >= 2, "{fine:?}");
    for (index, (place, _)) in fine.iter().enumerate() {
        assert_eq!(*place, 16_000 * (index as u64 + 1) + 40, "{fine:?}");
    }
    for block in [1, 160, 1600, 15_999] {
        assert_eq!(places(block), fine, "blocks of {block}");
    }
}

#[test]
fn silence_is_neither_heard_nor_kept() {
    let model = model();
    let mut stream = Stream::new(&model, StreamOptions::default()).unwrap();
    let second = vec![0.0; RATE];
    for _ in 0..3600 {
        assert!(stream.feed(&second).unwrap().is_empty());
    }
    assert!(stream.held_samples() < 5 * RATE, "{} samples held", stream.held_samples());
    // It still listens.
    let mut updates = stream.feed(&six_words()).unwrap();
    updates.extend(stream.feed(&vec![0.0; 2 * RATE]).unwrap());
    assert!(stream.held_samples() < 8 * RATE, "{} samples held", stream.held_samples());
    let heard = finals(&updates);
    assert_eq!(heard.len(), 1);
    assert!(
        heard[0].segment.start.0 >= 3599 * RATE as u64 && heard[0].segment.text.split(' ').count() == 6,
        "{:?}",
        heard[0]
    );
    let statistics = stream.statistics();
    assert!(statistics.samples_skipped > 3598 * RATE as u64, "{statistics:?}");
}

#[test]
fn what_is_held_is_bounded_by_the_longest_utterance() {
    let model = model();
    let mut options = StreamOptions::default();
    options.recognition.detector = Detector::Off;
    options.recognition.segment_seconds = Some(4.0);
    options.step = 4 * RATE as u64;
    let mut stream = Stream::new(&model, options).unwrap();
    let (mut most, mut ended) = (0, 0);
    for block in repeated(8).chunks(1600) {
        ended += finals(&stream.feed(block).unwrap()).len();
        most = most.max(stream.held_samples());
    }
    assert!(ended >= 8, "{ended} utterances");
    assert!(most <= 6 * RATE, "{most} samples held for utterances of {} at most", 4 * RATE);
}

#[test]
fn live_and_offline_agree_under_every_option() {
    let (model, samples) = (model(), repeated(3));
    let pcm = Pcm16k::new(samples.clone()).unwrap();
    let english = || Some(Language::get("en").unwrap());
    let mut variants: Vec<(&str, Options)> = Vec::new();
    let mut add = |name, change: &dyn Fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        variants.push((name, options));
    };
    add("default", &|_| {});
    add("language", &|options| options.language = english());
    add("context", &|options| options.context_text = "one two three".into());
    add("carried text", &|options| options.carried_characters = 20);
    add("network", &|options| options.detector = Detector::Neural);
    add("no detector", &|options| options.detector = Detector::Off);
    add("short utterances", &|options| options.segment_seconds = Some(1.0));
    add("one token", &|options| options.max_new_tokens = Some(1));
    add("few tokens", &|options| options.tokens_per_second = Some(1.0));
    add("places", &|options| options.origin = qasr::units::SampleIndex(12_345));
    for (name, recognition) in variants {
        let offline = transcribe(&model, &pcm, &recognition, &mut |_| {}).unwrap();
        for commit in [Commit::Utterance, Commit::default()] {
            let mut options = StreamOptions::default();
            options.recognition = recognition.clone();
            options.commit = commit;
            options.step = 4000;
            let (_, stream) = run(&model, &samples, options, 700);
            let live = stream.finish();
            assert_eq!(live.text, offline.text, "{name}, {commit:?}");
            assert_eq!(live.complete, offline.complete, "{name}");
            assert_eq!(live.languages, offline.languages, "{name}");
            assert_eq!(live.warnings, offline.warnings, "{name}");
            let places = |transcript: &qasr::Transcript| {
                transcript.segments.iter().map(|s| (s.start, s.end, s.complete, s.tokens.clone())).collect::<Vec<_>>()
            };
            assert_eq!(places(&live), places(&offline), "{name}");
            assert_eq!(live.timings.audio_tokens, offline.timings.audio_tokens, "{name}");
        }
    }
}

#[test]
fn samples_out_of_range_harm_nothing_that_follows() {
    let (model, mut samples) = (model(), repeated(2));
    let (_, clean) = run(&model, &samples, StreamOptions::default(), 1600);
    let first = clean.finish().segments[0].text.clone();
    samples.splice(0..0, [f32::NAN, f32::INFINITY, 1e30, -1e30].repeat(400).into_iter().chain([0.0; 32_000]));
    let (_, stream) = run(&model, &samples, StreamOptions::default(), 1600);
    let transcript = stream.finish();
    assert!(
        transcript.complete && transcript.segments.last().is_some_and(|segment| segment.text == first),
        "{transcript:?}"
    );
}

#[test]
fn recordings_without_text_say_why_in_both_drivers() {
    let model = model();
    for (samples, code) in [(Vec::new(), "too_short"), (vec![0.1; 200], "too_short"), (vec![0.0; RATE], "no_speech")] {
        let offline =
            transcribe(&model, &Pcm16k::new(samples.clone()).unwrap(), &Options::default(), &mut |_| {}).unwrap();
        let (updates, stream) = run(&model, &samples, StreamOptions::default(), 100);
        let live = stream.finish();
        assert!(updates.is_empty(), "{updates:?}");
        assert_eq!((live.segments.len(), offline.segments.len()), (0, 0));
        assert_eq!((live.text.as_str(), offline.text.as_str()), ("", ""));
        assert_eq!(offline.warnings.iter().map(|warning| warning.code.as_str()).collect::<Vec<_>>(), [code]);
        assert_eq!(live.warnings, offline.warnings);
    }
}

#[test]
fn options_out_of_range_and_audio_after_the_end_are_refused() {
    let model = model();
    let refused = |change: &dyn Fn(&mut StreamOptions)| {
        let mut options = StreamOptions::default();
        change(&mut options);
        Stream::new(&model, options).err().map(|error| error.kind())
    };
    assert_eq!(refused(&|options| options.step = 1599), Some(ErrorKind::Usage));
    assert_eq!(refused(&|options| options.recognition.segment_seconds = Some(0.5)), Some(ErrorKind::Usage));
    assert_eq!(refused(&|options| options.recognition.segment_seconds = Some(f64::NAN)), Some(ErrorKind::Usage));
    assert_eq!(refused(&|options| options.step = u64::MAX), Some(ErrorKind::Usage));
    assert_eq!(refused(&|options| options.recognition.tokens_per_second = Some(f64::INFINITY)), Some(ErrorKind::Usage));
    assert_eq!(refused(&|options| options.step = 1600), None);
    let mut stream = Stream::new(&model, StreamOptions::default()).unwrap();
    stream.feed(&[]).unwrap();
    stream.end().unwrap();
    assert!(stream.end().unwrap().is_empty());
    assert!(stream.feed(&[0.0]).is_err());
}
