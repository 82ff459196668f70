//! Is live offline? The demo model in several types over recordings, offline, live with text committed at the end of
//! every utterance, and live with the default rule.
//!
//! ```text
//! cargo run --release --example equality -- TYPE[,TYPE]... JOIN FILE...
//! ```
//!
//! The type `demo` is the model inside the program, which cuts utterances sooner than the others. With JOIN above 0, recordings are joined, 0.5 s between them, until each is that many seconds long. A line for every
//! recording that differs, and sums for every type. Rates have Wilson's interval of 95 %.

use qasr::audio::{Pcm16k, ReadOptions, read_path};
use qasr::stream::{Commit, Final, Partial};
use qasr::{Model, ModelFiles, ModelOptions, Options, Stream, StreamOptions, Transcript, Update, transcribe};
use qasr_convert::{ConvertOptions, FileType, Recipe, convert};
use qasr_measure::scoring::{Errors, align};
use std::path::Path;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let usage = "give types, seconds to join to or 0, and recordings";
    let types = arguments.next().ok_or(usage)?;
    let join: f64 = arguments.next().ok_or(usage)?.parse()?;
    let files: Vec<String> = arguments.collect();
    let recordings = read(&files, join)?;
    let seconds: f64 = recordings.iter().map(|(_, audio)| audio.len() as f64 / 16_000.0).sum();
    println!("{} recordings, {seconds:.0} s", recordings.len());
    for kind in types.split(',') {
        compare(kind, &recordings)?;
    }
    Ok(())
}

fn read(files: &[String], join: f64) -> Result<Vec<(String, Pcm16k)>, Failure> {
    let mut recordings: Vec<(String, Vec<f32>)> = Vec::new();
    for file in files {
        let audio = read_path(file.as_ref(), &ReadOptions::default())?.pcm;
        match recordings.last_mut() {
            Some((name, samples)) if (samples.len() as f64) < join * 16_000.0 => {
                name.push('+');
                samples.resize(samples.len() + 8000, 0.0);
                samples.extend_from_slice(audio.samples());
            }
            _ => recordings.push((file.clone(), audio.samples().to_vec())),
        }
    }
    recordings.into_iter().map(|(name, samples)| Ok((name, Pcm16k::new(samples)?))).collect()
}

/// What was seen with one type.
#[derive(Default)]
struct Seen {
    utterances: usize,
    /// Offline's words, and how many the default rule promised before the end of their utterance.
    words: usize,
    promised: usize,
    /// Of the promised ones, those that offline does not have there.
    broken: usize,
    differ: Vec<String>,
    /// With the default rule.
    steady_utterances: usize,
    steady_words: usize,
    refused: usize,
    closest: f32,
    /// User time of the three runs.
    user: [f64; 3],
}

fn compare(kind: &str, recordings: &[(String, Pcm16k)]) -> Result<(), Failure> {
    let model = open(kind)?;
    let mut seen = Seen { closest: f32::INFINITY, ..Seen::default() };
    for (name, audio) in recordings {
        let start = user_seconds();
        let offline = transcribe(&model, audio, &Options::default(), &mut |_| {})?;
        let offline_done = user_seconds();
        let (_, finals, whole) = live(&model, audio, Commit::Utterance)?;
        let live_done = user_seconds();
        let (partials, steady_finals, steady) = live(&model, audio, Commit::default())?;
        let spent = [offline_done - start, live_done - offline_done, user_seconds() - live_done];
        seen.user.iter_mut().zip(spent).for_each(|(sum, spent)| *sum += spent);
        seen.utterances += offline.segments.len();
        seen.closest = finals.iter().map(|last| last.closest).fold(seen.closest, f32::min);
        if !is_same(&whole, &offline) {
            let closest = finals.iter().map(|last| last.closest).fold(f32::INFINITY, f32::min);
            println!("{kind}: {name} differs, closest {closest:.1e}");
            println!("    offline {:?}", offline.text);
            println!("    live    {:?}", whole.text);
            seen.differ.push(name.clone());
        }
        for (last, segment) in steady_finals.iter().zip(&offline.segments) {
            let Some(partial) = partials.iter().rev().find(|partial| partial.utterance == last.utterance) else {
                continue;
            };
            let promised = words(&partial.committed);
            let same = promised.iter().zip(words(&segment.text)).take_while(|(one, other)| **one == *other).count();
            seen.promised += promised.len();
            seen.broken += promised.len() - same;
        }
        for (one, other) in steady.segments.iter().zip(&offline.segments) {
            seen.words += other.text.split_whitespace().count();
            if one.text != other.text {
                let errors = Errors::count(&align(&words(&other.text), &words(&one.text))).total();
                seen.steady_utterances += 1;
                seen.steady_words += errors;
                println!("{kind}: {name}, steady, {:.1} s: {errors} words differ", other.start.seconds());
                println!("    offline {:?}", other.text);
                println!("    live    {:?}", one.text);
            }
        }
        seen.refused += steady_finals.iter().map(|last| last.revisions_refused).sum::<usize>();
    }
    report(kind, recordings.len(), &seen);
    Ok(())
}

fn open(kind: &str) -> Result<Model, Failure> {
    let mut model_options = ModelOptions::default();
    model_options.threads = 1;
    if kind == "demo" {
        return Ok(Model::open_demo(&model_options)?);
    }
    let folder = tempfile::tempdir()?;
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("../convert/demo/checkpoint");
    let types = match FileType::find(kind) {
        Some(recipe) => recipe.into(),
        None => Recipe::find(Path::new(kind))?,
    };
    let mut options = ConvertOptions::new(&checkpoint, folder.path(), types);
    options.name = Some("model".into());
    convert(&options, &mut |_| {})?;
    // A mapped file stays readable after its name is gone.
    Ok(Model::open(&ModelFiles::find(folder.path())?, &model_options)?)
}

fn report(kind: &str, recordings: usize, seen: &Seen) {
    println!(
        "{kind}: {recordings} recordings, {} utterances; --commit utterance: {} differ {}; closest choice {:.1e}",
        seen.utterances,
        seen.differ.len(),
        interval(seen.differ.len(), recordings),
        seen.closest
    );
    println!(
        "{kind}: steady: {} of {} words promised early, of them not offline's: {} {}; {} refused; {} utterances differ {}; {} words {}",
        seen.promised,
        seen.words,
        seen.broken,
        interval(seen.broken, seen.promised),
        seen.refused,
        seen.steady_utterances,
        interval(seen.steady_utterances, seen.utterances),
        seen.steady_words,
        interval(seen.steady_words, seen.words)
    );
    let [offline, live, steady] = seen.user;
    println!(
        "{kind}: user seconds: offline {offline:.1}, live {live:.1} ({:.2}), steady {steady:.1} ({:.2})",
        live / offline,
        steady / offline
    );
}

/// Wilson's interval of 95 % of `k` in `n`, in per cent.
fn interval(k: usize, n: usize) -> String {
    let (k, n, z) = (k as f64, n.max(1) as f64, 1.959_964f64);
    let middle = (k + z * z / 2.0) / (n + z * z);
    let half = z / (n + z * z) * (k * (n - k) / n + z * z / 4.0).sqrt();
    format!("({:.2} %, {:.2} to {:.2})", 100.0 * k / n, 100.0 * (middle - half).max(0.0), 100.0 * (middle + half))
}

fn is_same(one: &Transcript, other: &Transcript) -> bool {
    let segments = |transcript: &Transcript| -> Vec<_> {
        transcript.segments.iter().map(|segment| (segment.start, segment.end, segment.tokens.clone())).collect()
    };
    one.text == other.text && one.languages == other.languages && segments(one) == segments(other)
}

fn live(model: &Model, audio: &Pcm16k, commit: Commit) -> Result<(Vec<Partial>, Vec<Final>, Transcript), Failure> {
    let mut options = StreamOptions::default();
    options.commit = commit;
    let mut stream = Stream::new(model, options)?;
    let (mut partials, mut finals) = (Vec::new(), Vec::new());
    let mut take = |updates: Vec<Update>| {
        for update in updates {
            match update {
                Update::Partial(partial) => partials.push(partial),
                Update::Final(last) => finals.push(last),
            }
        }
    };
    for block in audio.samples().chunks(1600) {
        take(stream.feed(block)?);
    }
    take(stream.end()?);
    Ok((partials, finals, stream.finish()))
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// User time of this process; 0 where the system does not say it.
fn user_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().nth(11).and_then(|ticks| ticks.parse::<f64>().ok()).map_or(0.0, |ticks| ticks / 100.0)
}
