//! Measures the endpoint room; docs/ENDPOINT.md reads its tables.
//!
//! `cargo run --release --example endpoint -- ../shared`

use qasr::audio::{ReadOptions, SampleBuffer, read_path};
use qasr::endpoint::{Cut, Detector, EndReason, EndpointOptions, Endpointer};
use std::f64::consts::TAU;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

const RATE: usize = 16_000;

/// One utterance.
struct Utterance {
    range: Range<usize>,
    why: EndReason,
}

fn utterances(samples: &[f32], detector: Detector, longest_seconds: usize) -> Vec<Utterance> {
    let mut endpointer = Endpointer::new(&EndpointOptions { detector, longest: longest_seconds * RATE });
    let (mut cuts, mut audio) = (Vec::new(), SampleBuffer::default());
    for block in samples.chunks(RATE / 10) {
        audio.append(block);
        endpointer.advance(&audio, &mut cuts);
        audio.forget_before(endpointer.keep_from());
    }
    endpointer.finish(&audio, &mut cuts);
    let pairs = cuts.chunks_exact(2).map(|pair| match *pair {
        [Cut::Begin(start), Cut::End { at, why }] => Utterance { range: start.0 as usize..at.0 as usize, why },
        _ => panic!("cuts do not alternate: {pair:?}"),
    });
    pairs.collect()
}

/// A clip or a word at its place in a stream, and the middles of its frames that are speech.
struct Spoken {
    range: Range<usize>,
    speech: Vec<usize>,
}

impl Spoken {
    /// Of a recording without noise; `below` and `floor` as in [`loud_frames`].
    fn new(start: usize, samples: &[f32], below: f64, floor: f64) -> Self {
        let speech = loud_frames(samples, below, floor).into_iter().map(|frame| start + frame * 160 + 80);
        Self { range: start..start + samples.len(), speech: speech.collect() }
    }
}

/// What matters about the utterances of a recording.
#[derive(Default)]
struct Sums {
    samples: usize,
    kept: usize,
    utterances: usize,
    length_cuts: usize,
    longest: usize,
    /// Frames of 10 ms that are speech, and those of them outside.
    speech: usize,
    lost: usize,
    /// Words or clips, those that a cut by length touches, and those with speech outside.
    spoken: usize,
    spoken_cut: usize,
    spoken_lost: usize,
}

impl Sums {
    fn add(&mut self, samples: usize, found: &[Utterance], spoken: &[Spoken]) {
        let outside = |at: usize| {
            let next = found.partition_point(|u| u.range.end <= at);
            found.get(next).is_none_or(|u| u.range.start > at)
        };
        self.samples += samples;
        self.kept += found.iter().map(|u| u.range.len()).sum::<usize>();
        self.utterances += found.len();
        self.length_cuts += found.iter().filter(|u| u.why == EndReason::Length).count();
        self.longest = found.iter().map(|u| u.range.len()).fold(self.longest, usize::max);
        self.spoken += spoken.len();
        for Spoken { range, speech } in spoken {
            let lost = speech.iter().filter(|&&at| outside(at)).count();
            self.speech += speech.len();
            self.lost += lost;
            self.spoken_lost += usize::from(lost > 0);
            let cut =
                |u: &Utterance| u.why == EndReason::Length && range.start < u.range.end && u.range.end < range.end;
            self.spoken_cut += usize::from(found.iter().any(cut));
        }
    }

    fn row(&self, name: &str) {
        let percent = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
        println!(
            "{name:<38} {:>8.1} {:>7.1} {:>6} {:>6} {:>7.2} {:>8} {:>6} {:>6} {:>5} {:>5}",
            self.samples as f64 / RATE as f64,
            percent(self.kept, self.samples),
            self.utterances,
            self.length_cuts,
            self.longest as f64 / RATE as f64,
            self.speech,
            self.lost,
            self.spoken,
            self.spoken_cut,
            self.spoken_lost,
        );
    }
}

fn head(title: &str) {
    println!("\n{title}");
    println!(
        "{:<38} {:>8} {:>7} {:>6} {:>6} {:>7} {:>8} {:>6} {:>6} {:>5} {:>5}",
        "", "seconds", "kept %", "utter.", "length", "longest", "speech", "lost", "items", "cut", "lost"
    );
}

/// Frames within `below` dB of the loudest frame and above `floor` dB of full scale: speech, in a recording without
/// noise. Rumble is taken out first, by two first-order high-passes at 150 Hz.
fn loud_frames(samples: &[f32], below: f64, floor: f64) -> Vec<usize> {
    let mut sound: Vec<f64> = samples.iter().map(|&x| f64::from(x)).collect();
    for _ in 0..2 {
        let (mut before, mut out) = (0.0, 0.0);
        for x in &mut sound {
            out = 0.943 * (out + *x - before);
            before = std::mem::replace(x, out);
        }
    }
    let powers: Vec<f64> = sound.chunks_exact(160).map(|frame| frame.iter().map(|x| x * x / 160.0).sum()).collect();
    let least = powers.iter().copied().fold(0.0, f64::max) * 10f64.powf(-below / 10.0);
    let least = least.max(10f64.powf(floor / 10.0));
    (0..powers.len()).filter(|&frame| powers[frame] > least).collect()
}

/// The same numbers on every run.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of mean 0 and mean square 1.
    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (TAU * self.uniform()).cos()
    }

    fn between(&mut self, low: f64, high: f64) -> usize {
        ((low + (high - low) * self.uniform()) * RATE as f64) as usize
    }
}

#[derive(Clone, Copy)]
enum Noise {
    White,
    Pink,
    Hum,
    /// White, with a level that wanders by 3 dB up and down within 20 s.
    Breathing,
}

/// Noise of this mean square, in dB of full scale.
fn noise(kind: Noise, samples: usize, level: f64, random: &mut Random) -> Vec<f32> {
    let gain = 10f64.powf(level / 20.0);
    let mut slow = [0.0; 3];
    (0..samples)
        .map(|at| {
            let t = at as f64 / RATE as f64;
            let value = match kind {
                Noise::White => random.normal(),
                Noise::Breathing => random.normal() * 10f64.powf(3.0 * (TAU * t / 20.0).sin() / 20.0),
                // Three one-pole filters an octave and a half apart and what is left: 3 dB per octave, nearly.
                Noise::Pink => {
                    let white = random.normal();
                    slow[0] = 0.99765 * slow[0] + white * 0.0990460;
                    slow[1] = 0.96300 * slow[1] + white * 0.2965164;
                    slow[2] = 0.57000 * slow[2] + white * 1.0526913;
                    (slow.iter().sum::<f64>() + 0.1848 * white) / 2.3
                }
                Noise::Hum => [1.0, 0.7, 0.5, 0.3, 0.2, 0.1]
                    .iter()
                    .enumerate()
                    .map(|(i, share)| share * (TAU * 50.0 * (i + 1) as f64 * t + i as f64).sin())
                    .sum(),
            };
            (value * gain) as f32
        })
        .collect()
}

fn read(path: &Path) -> Vec<f32> {
    let recording = read_path(path, &ReadOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    recording.pcm.samples().to_vec()
}

fn table(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// Every clip by itself, by category.
fn clips(folder: &Path, detector: Detector, longest: usize) {
    head(&format!(
        "clips, each a stream of its own, {detector:?}, longest {longest} s; speech = frames within 25 dB of the loudest"
    ));
    let rows = table(&folder.join("manifest.tsv"));
    let mut categories: Vec<&str> = rows.iter().map(|row| row[8].as_str()).collect();
    categories.sort_unstable();
    categories.dedup();
    let mut all = Sums::default();
    for category in categories {
        let mut sums = Sums::default();
        for row in rows.iter().filter(|row| row[8] == category) {
            let samples = read(&folder.join(&row[0]));
            let found = utterances(&samples, detector, longest);
            let spoken = [Spoken::new(0, &samples, 25.0, -90.0)];
            sums.add(samples.len(), &found, &spoken);
            all.add(samples.len(), &found, &spoken);
        }
        sums.row(category);
    }
    all.row("all");
}

/// LibriSpeech utterances with 1 to 4 s between them, after 60 s of the noise they are mixed with.
fn in_noise(folder: &Path, detector: Detector) {
    head(&format!(
        "50 read utterances 1-4 s apart from 60 s on, in noise, {detector:?}, longest 30 s; speech = clean frames within 25 dB of the loudest and not under the noise"
    ));
    const SPEECH_LEVEL: f64 = -26.0;
    let mut random = Random(1);
    let mut clean = vec![0.0; 60 * RATE];
    let mut places = Vec::new();
    let mut files: Vec<_> =
        std::fs::read_dir(folder.join("libri")).expect("libri").flatten().map(|e| e.path()).collect();
    files.sort();
    for file in files.iter().take(50) {
        let mut samples = read(file);
        let frames = loud_frames(&samples, 25.0, -90.0);
        let sounds = frames.iter().flat_map(|&frame| &samples[frame * 160..][..160]);
        let power = sounds.map(|&x| f64::from(x).powi(2)).sum::<f64>() / (frames.len() * 160) as f64;
        let gain = (10f64.powf(SPEECH_LEVEL / 10.0) / power).sqrt();
        samples.iter_mut().for_each(|x| *x *= gain as f32);
        places.push((clean.len(), samples.clone()));
        clean.extend(&samples);
        clean.resize(clean.len() + random.between(1.0, 4.0), 0.0);
    }
    for (name, kind) in
        [("white", Noise::White), ("pink", Noise::Pink), ("hum", Noise::Hum), ("breathing", Noise::Breathing)]
    {
        for ratio in [30.0, 20.0, 10.0, 5.0, 0.0, -5.0] {
            let floor = SPEECH_LEVEL - ratio;
            let mixed: Vec<f32> =
                clean.iter().zip(noise(kind, clean.len(), floor, &mut random)).map(|(a, b)| a + b).collect();
            let spoken: Vec<Spoken> =
                places.iter().map(|(start, samples)| Spoken::new(*start, samples, 25.0, floor)).collect();
            let mut sums = Sums::default();
            sums.add(mixed.len(), &utterances(&mixed, detector, 30), &spoken);
            sums.row(&format!("{name}, {ratio} dB"));
        }
    }
    let spoken: usize = places.iter().map(|(_, samples)| samples.len()).sum();
    println!("the utterances are {:.1} % of it", 100.0 * spoken as f64 / clean.len() as f64);
}

/// Spoken digits at known places: strings as of the digits corpus (2-10 words 60-350 ms apart), 0.4-3 s apart.
fn digits(folder: &Path, detector: Detector, longest: usize) {
    head(&format!(
        "strings of spoken digits, {detector:?}, longest {longest} s; noise in dB of full scale, from 40 s before the first word; speech = frames within 25 dB of the word's loudest and not under the noise"
    ));
    for pack in ["fsdd_theo", "fsdd_jackson", "fsdd_lucas", "fsdd_nicolas", "fsdd_yweweler"] {
        let sound = read(&folder.join(format!("{pack}.flac")));
        let mut rows = Vec::new();
        for list in ["dev", "train", "test_seen"] {
            rows.extend(
                table(&folder.join(format!("{list}.tsv"))).into_iter().filter(|row| row[1] == format!("{pack}.flac")),
            );
        }
        for level in [f64::NEG_INFINITY, -75.0, -60.0, -50.0] {
            let mut random = Random(7);
            let mut clean = vec![0f32; 40 * RATE];
            let (mut words, mut left) = (Vec::new(), 0);
            for _ in 0..500 {
                if left == 0 {
                    left = 2 + (random.uniform() * 9.0) as usize;
                    clean.resize(clean.len() + random.between(0.4, 3.0), 0.0);
                }
                left -= 1;
                let row = &rows[(random.uniform() * rows.len() as f64) as usize];
                let (start, frames): (usize, usize) = (row[2].parse().expect("start"), row[3].parse().expect("frames"));
                words.push(Spoken::new(clean.len(), &sound[start..start + frames], 25.0, level));
                clean.extend(&sound[start..start + frames]);
                clean.resize(clean.len() + random.between(0.06, 0.35), 0.0);
            }
            if level > f64::NEG_INFINITY {
                let faint = noise(Noise::Pink, clean.len(), level, &mut random);
                clean.iter_mut().zip(faint).for_each(|(a, b)| *a += b);
            }
            let mut sums = Sums::default();
            sums.add(clean.len(), &utterances(&clean, detector, longest), &words);
            sums.row(&format!("{pack}, {level}"));
        }
    }
}

/// An hour of nothing: how much is kept, and until when.
fn hours(digits: &Path, detector: Detector) {
    println!("\nan hour without speech, {detector:?}, longest 30 s");
    println!("{:<38} {:>8} {:>12} {:>8} {:>14}", "", "kept s", "after 30 s", "utter.", "us per second");
    let click = |at: usize| if at % (600 * RATE) < 48 && at > RATE { 0.5 } else { 0.0 };
    let mut random = Random(3);
    let samples = 3600 * RATE;
    let row = |name: &str, samples: Vec<f32>| {
        let started = Instant::now();
        let found = utterances(&samples, detector, 30);
        let micros = started.elapsed().as_secs_f64() * 1e6 / 3600.0;
        let seconds = |from: usize| {
            found.iter().map(|u| u.range.end.saturating_sub(u.range.start.max(from))).sum::<usize>() as f64
                / RATE as f64
        };
        println!("{name:<38} {:>8.1} {:>12.1} {:>8} {:>14.0}", seconds(0), seconds(30 * RATE), found.len(), micros);
    };
    row("digital silence", vec![0.0; samples]);
    row("digital silence, clicks of 3 ms", (0..samples).map(click).collect());
    for (name, kind, level) in [
        ("white noise, -70 dBFS", Noise::White, -70.0),
        ("white noise, -60 dBFS", Noise::White, -60.0),
        ("white noise, -40 dBFS", Noise::White, -40.0),
        ("white noise, -20 dBFS", Noise::White, -20.0),
        ("pink noise, -60 dBFS", Noise::Pink, -60.0),
        ("pink noise, -40 dBFS", Noise::Pink, -40.0),
        ("50 Hz hum and harmonics, -40 dBFS", Noise::Hum, -40.0),
        ("breathing noise, -50 dBFS", Noise::Breathing, -50.0),
    ] {
        row(name, noise(kind, samples, level, &mut random));
    }
    let mut clicks = noise(Noise::Pink, samples, -60.0, &mut random);
    clicks.iter_mut().enumerate().for_each(|(at, x)| *x += click(at));
    row("pink noise, -60 dBFS, clicks", clicks);
    let recorded = ["gsc_train_noise.flac", "gsc_dev_noise.flac"].map(|pack| read(&digits.join(pack))).concat();
    row("recorded noises, another each second", recorded.iter().copied().cycle().take(samples).collect());
}

/// `endpoint FOLDER [energy|neural [part …]]`
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let shared = Path::new(arguments.first().expect("the folder of the shared recordings"));
    let (clip_folder, digit_folder) = (shared.join("audio/clips"), shared.join("digits"));
    let wanted = |place: usize, name: &str| arguments.len() <= place || arguments[place..].iter().any(|a| a == name);
    for (name, detector) in [("energy", Detector::Energy), ("neural", Detector::Neural)] {
        if arguments.get(1).is_some_and(|wanted| wanted != name) {
            continue;
        }
        for longest in [8, 30] {
            if wanted(2, "clips") {
                clips(&clip_folder, detector, longest);
            }
            if wanted(2, "digits") {
                digits(&digit_folder, detector, longest);
            }
        }
        if wanted(2, "noise") {
            in_noise(&clip_folder, detector);
        }
        if wanted(2, "hours") {
            hours(&digit_folder, detector);
        }
    }
}
