//! Live equals offline where the model is unsure, for every type that is written: noise, tones, speech with noise over it,
//! speech played backwards and too fast. Choices are near there, and the last bits of a logit decide them. No tolerance:
//! the ids are the same, and so are those of every partial with and without drafts.
//!
//! The CPU features of the build decide which kernels run, so this is run for more than one, see `docs/STREAMING.md`.

use crate::common::{convert, demo_checkpoint, say};

use qasr::audio::{Pcm16k, ReadOptions, read_path};
use qasr::options::Reuse;
use qasr::stream::{Commit, Final, Partial};
use qasr::{Model, ModelOptions, Options, Segment, Stream, StreamOptions, Update, transcribe};
use std::path::Path;

/// Types and recipes of whole files.
const KINDS: [&str; 13] =
    ["f32", "f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_0", "q4_k_m", "q4_0", "iq4_nl", "balanced", "small", "safe"];

/// Values between -1 and 1 of a seeded generator.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// A second or so; `smooth` near 1 leaves only the low frequencies.
    fn samples(mut self, count: usize, smooth: f32, level: f32) -> Vec<f32> {
        let mut last = 0.0;
        let scale = level / (1.0 - smooth).sqrt();
        (0..count)
            .map(|_| {
                last = smooth * last + (1.0 - smooth) * self.next();
                (last * scale).clamp(-1.0, 1.0)
            })
            .collect()
    }
}

fn speech(name: &str) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("speech/heldout").join(name);
    read_path(&path, &ReadOptions::default()).unwrap_or_else(|error| panic!("{error}")).pcm.samples().to_vec()
}

/// Recordings that the demo model does not know what to make of.
fn recordings() -> Vec<(&'static str, Pcm16k)> {
    let backwards = |name| speech(name).into_iter().rev().collect::<Vec<_>>();
    let fast = |name| speech(name).chunks_exact(3).flat_map(|three| [three[0], three[2]]).collect::<Vec<_>>();
    let noisy = |name| {
        let noise = Noise(11).samples(16_000 * 30, 0.9, 0.3);
        speech(name).iter().zip(noise).map(|(sample, noise)| (sample + noise).clamp(-1.0, 1.0)).collect::<Vec<_>>()
    };
    let tones = (0..16_000).map(|at| {
        let time = at as f32 / 16_000.0;
        0.2 * ((2765.0 * time).sin() + (4775.0 * time * (1.0 + 0.1 * time)).sin())
    });
    [
        ("white noise", Noise(1).samples(16_000, 0.0, 0.3)),
        ("soft noise", Noise(2).samples(16_000, 0.9, 0.1)),
        ("low noise", Noise(3).samples(24_000, 0.98, 0.5)),
        ("tones", tones.collect()),
        ("speech in noise", noisy("001.opus")),
        ("speech backwards", backwards("002.opus")),
        ("speech too fast", fast("003.opus")),
    ]
    .map(|(name, samples)| (name, Pcm16k::new(samples).unwrap()))
    .into()
}

fn live(model: &Model, audio: &Pcm16k, reuse: Reuse) -> (Vec<Partial>, Vec<Final>) {
    let mut options = StreamOptions::default();
    options.step = 8000;
    options.commit = Commit::Utterance;
    options.recognition.reuse = reuse;
    let mut stream = Stream::new(model, options).unwrap();
    let mut updates = Vec::new();
    for block in audio.samples().chunks(1600) {
        updates.extend(stream.feed(block).unwrap());
    }
    updates.extend(stream.end().unwrap());
    let (mut partials, mut finals) = (Vec::new(), Vec::new());
    for update in updates {
        match update {
            Update::Partial(partial) => partials.push(partial),
            Update::Final(last) => finals.push(last),
        }
    }
    (partials, finals)
}

/// The parts of two segments that have to be equal.
fn parts(segment: &Segment) -> (u64, u64, &str, &[u32]) {
    (segment.start.0, segment.end.0, &segment.text, &segment.tokens)
}

#[test]
fn live_is_offline_where_the_model_is_unsure() {
    let recordings = recordings();
    let mut lines = Vec::new();
    for kind in KINDS {
        let (_folder, files) = convert(&demo_checkpoint(), kind);
        let mut options = ModelOptions::default();
        options.threads = 1;
        let model = Model::open(&files, &options).unwrap();
        let (mut kept, mut closest) = (0, f32::INFINITY);
        for (name, audio) in &recordings {
            let offline = transcribe(&model, audio, &Options::default(), &mut |_| {}).unwrap();
            let (partials, finals) = live(&model, audio, Reuse::default());
            let heard: Vec<_> = finals.iter().map(|last| parts(&last.segment)).collect();
            let expected: Vec<_> = offline.segments.iter().map(parts).collect();
            assert_eq!(heard, expected, "{kind}, {name}");
            let (generated, _) = live(&model, audio, Reuse { drafts: false, ..Reuse::default() });
            for (one, other) in partials.iter().zip(&generated) {
                let at = one.up_to.seconds();
                assert_eq!(one.tokens, other.tokens, "{kind}, {name} at {at:.1} s: a draft changed the text");
                assert_eq!(one.closest, other.closest, "{kind}, {name} at {at:.1} s: a draft changed a logit");
            }
            kept += partials.iter().map(|partial| partial.cost.tokens_kept).sum::<usize>();
            kept += finals.iter().map(|last| last.cost.tokens_kept).sum::<usize>();
            closest = finals.iter().map(|last| last.closest).fold(closest, f32::min);
        }
        assert!(kept > 0, "{kind}: no draft stood, so nothing was tried");
        lines.push(format!("{kind} {kept} (closest {closest:.0e})"));
    }
    say(&format!(
        "unsure: {} recordings, live is offline; ids of drafts that stood: {}",
        recordings.len(),
        lines.join(", ")
    ));
}
