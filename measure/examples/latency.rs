//! How late a reader sees a word: from its last sample to its first appearance and to its commit, in `qasr listen`'s
//! replay with the clock on.
//!
//! ```text
//! cargo run --release --example latency -- QASR DIGITS [FLAGS OF QASR LISTEN...]
//! ```
//!
//! DIGITS is the folder of spoken digits with its lists. Words of a string are joined 200 ms apart, strings 1.5 s
//! apart; the words are trimmed tight, so the end of one is its last sample. Only utterances whose final text is
//! exactly the words spoken in them count, since a wrong word has no time of its own. Without `-m` among the flags the
//! demo model listens.

use hound::{SampleFormat, WavSpec, WavWriter};
use qasr::audio::{ReadOptions, read_path};
use qasr::units::SAMPLE_RATE;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const RATE: usize = SAMPLE_RATE as usize;
const BETWEEN_WORDS: usize = RATE / 5;
const BETWEEN_STRINGS: usize = RATE * 3 / 2;
/// What each speaker's median peak is brought to: the median, so that one loud clip does not leave the others faint.
const PEAK: f32 = 0.3;
/// Most that a single clip is brought to.
const LOUDEST: f32 = 0.9;
/// -70 dBFS as the root mean square of uniform noise.
const NOISE: f32 = 3.162_277_7e-4 * 1.732_050_8;

const LISTS: [&str; 2] = ["strings_dev.tsv", "strings_test_seen.tsv"];
const CLIPS: [&str; 3] = ["dev.tsv", "train.tsv", "test_seen.tsv"];

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [qasr, digits, flags @ ..] = arguments.as_slice() else {
        return Err("give the qasr command, the folder of the digits, and flags of qasr listen if any".into());
    };
    let (samples, words) = join(digits.as_ref())?;
    let folder = tempfile::tempdir()?;
    let recording = folder.path().join("strings.wav");
    write(&recording, &samples)?;
    println!(
        "{} words in {:.1} s; times in ms from a word's last sample",
        words.len(),
        samples.len() as f64 / RATE as f64
    );
    println!("exact: words of utterances whose final text is exactly what was spoken; the others are left out");
    println!("last: the exact words that end their utterance, which wait for its pause; before: all other exact words");
    println!("changed: exact words that were shown right and then otherwise for a while");
    println!("taken back: committed words of any utterance that a later event or the final text lacks");
    if flags.iter().any(|flag| flag == "-m" || flag == "--model") {
        println!("listens with {}; the work of a step is in the times\n", flags.join(" "));
    } else {
        println!(
            "the demo model listens; the work of a step (last columns) is in the times, and a larger model's is too:"
        );
        println!("-m MODEL among the flags measures it\n");
    }
    println!(
        "                                          first appearance            commit           changed  taken     step  "
    );
    println!(
        "step  commit     words       number     p50    p95    max     p50    p95    max           back   p50   p95"
    );
    let mut kept = true;
    for step in ["500", "1000", "2000"] {
        for commit in ["steady", "utterance"] {
            let fixed = ["--simulate", "--json", "--step", step, "--commit", commit, "-t", "1", "--input"];
            let output = Command::new(qasr).arg("listen").args(fixed).arg(&recording).args(flags).output()?;
            if !output.status.success() {
                return Err(
                    format!("{qasr} listen: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into()
                );
            }
            let heard = Heard::new(&String::from_utf8(output.stdout)?)?;
            let told = Told::new(&words, &heard);
            told.print(&format!("{step:>4}  {commit:9}"), words.len(), &heard);
            kept &= heard.taken_back() == 0;
        }
    }
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A spoken word; places in ms of the recording.
struct Word {
    text: String,
    middle: f64,
    end: f64,
}

/// A row of a table of clips.
struct Clip {
    pack: String,
    start: usize,
    frames: usize,
    text: String,
    speaker: String,
    peak: f32,
}

/// All strings of the lists as one recording, and its words.
fn join(digits: &Path) -> Result<(Vec<f32>, Vec<Word>)> {
    let clips = clips(digits)?;
    let mut spoken = Vec::new();
    for list in LISTS {
        for row in rows(&digits.join(list))? {
            let names = row["utts"].split(' ').map(|name| clips.get(name).ok_or(format!("{list}: no clip {name}")));
            spoken.push(names.collect::<std::result::Result<Vec<&Clip>, String>>()?);
        }
    }
    let mut peaks: HashMap<&str, Vec<f32>> = HashMap::new();
    let mut packs = HashMap::new();
    for clip in spoken.iter().flatten() {
        peaks.entry(&clip.speaker).or_default().push(clip.peak);
        if !packs.contains_key(&clip.pack) {
            packs.insert(&clip.pack, read_path(&digits.join(&clip.pack), &ReadOptions::default())?.pcm);
        }
    }
    for peaks in peaks.values_mut() {
        peaks.sort_by(f32::total_cmp);
    }
    let (mut samples, mut words) = (vec![0.0; BETWEEN_STRINGS], Vec::new());
    for string in &spoken {
        for clip in string {
            let of_speaker = &peaks[clip.speaker.as_str()];
            let gain = (PEAK / of_speaker[of_speaker.len() / 2]).min(LOUDEST / clip.peak);
            let pcm = &packs[&clip.pack].samples()[clip.start..clip.start + clip.frames];
            let place = |sample: usize| sample as f64 * 1000.0 / RATE as f64;
            let (middle, end) = (place(samples.len() + clip.frames / 2), place(samples.len() + clip.frames));
            words.push(Word { text: clip.text.clone(), middle, end });
            samples.extend(pcm.iter().map(|sample| sample * gain));
            samples.resize(samples.len() + BETWEEN_WORDS, 0.0);
        }
        samples.resize(samples.len() + BETWEEN_STRINGS - BETWEEN_WORDS, 0.0);
    }
    let mut state = 1u64;
    for sample in &mut samples {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *sample += NOISE * ((state >> 40) as f32 / (1 << 23) as f32 - 1.0);
    }
    Ok((samples, words))
}

fn clips(digits: &Path) -> Result<HashMap<String, Clip>> {
    let mut clips = HashMap::new();
    for table in CLIPS {
        for mut row in rows(&digits.join(table))? {
            let mut take = |column: &str| row.remove(column).ok_or(format!("{table}: no column {column}"));
            let name = take("utt")?;
            let clip = Clip {
                pack: take("pack")?,
                start: take("start")?.parse()?,
                frames: take("frames")?.parse()?,
                text: take("text")?,
                speaker: take("speaker")?,
                peak: take("peak")?.parse()?,
            };
            clips.insert(name, clip);
        }
    }
    Ok(clips)
}

/// The rows of a table, by column.
fn rows(table: &Path) -> Result<Vec<HashMap<String, String>>> {
    let text = std::fs::read_to_string(table).map_err(|e| format!("{}: {e}", table.display()))?;
    let mut lines = text.lines().map(|line| line.split('\t').map(str::to_owned));
    let columns: Vec<String> = lines.next().ok_or(format!("{}: empty", table.display()))?.collect();
    Ok(lines.map(|line| columns.iter().cloned().zip(line).collect()).collect())
}

fn write(recording: &Path, samples: &[f32]) -> Result<()> {
    if let Some(loud) = samples.iter().find(|sample| sample.abs() > 1.0) {
        return Err(format!("a sample of {loud} is beyond full scale: lower LOUDEST").into());
    }
    let (bits_per_sample, sample_format) = (16, SampleFormat::Int);
    let spec = WavSpec { channels: 1, sample_rate: SAMPLE_RATE, bits_per_sample, sample_format };
    let mut writer = WavWriter::create(recording, spec)?;
    for sample in samples {
        writer.write_sample((sample * 32767.0).round() as i16)?;
    }
    Ok(writer.finalize()?)
}

/// What was shown of an utterance at one time, in ms.
struct Shown {
    at: f64,
    committed: String,
    tentative: String,
}

/// What was shown of an utterance; the last is the final text. Places in ms.
#[derive(Default)]
struct Utterance {
    shown: Vec<Shown>,
    start: f64,
    end: f64,
}

/// What a run said.
struct Heard {
    utterances: Vec<Utterance>,
    /// Of one step, in ms.
    median_step: f64,
    p95_step: f64,
}

impl Heard {
    fn new(lines: &str) -> Result<Self> {
        let mut utterances: BTreeMap<u64, Utterance> = BTreeMap::new();
        let mut end = None;
        for line in lines.lines() {
            let event: Value = serde_json::from_str(line)?;
            let number = |name: &str| event[name].as_f64().ok_or(format!("no number {name} in {line}"));
            let text = |name: &str| event[name].as_str().map(str::to_owned).ok_or(format!("no text {name} in {line}"));
            let (committed, tentative) = match event["event"].as_str() {
                Some("partial") => (text("committed")?, text("tentative")?),
                Some("final") => (text("text")?, String::new()),
                Some("end") => {
                    end = Some((number("median_step_ms")?, number("p95_step_ms")?));
                    continue;
                }
                _ => continue,
            };
            let utterance = utterances.entry(number("utterance")? as u64).or_default();
            utterance.shown.push(Shown { at: number("shown_ms")?, committed, tentative });
            if event["event"] == "final" {
                (utterance.start, utterance.end) = (number("start")? * 1000.0, number("end")? * 1000.0);
            }
        }
        let (median_step, p95_step) = end.ok_or("no event end")?;
        Ok(Self { utterances: utterances.into_values().collect(), median_step, p95_step })
    }

    /// Committed words that what was shown later lacks. Must be 0.
    fn taken_back(&self) -> usize {
        let pairs = self.utterances.iter().flat_map(|utterance| utterance.shown.windows(2));
        let broken = pairs.filter(|pair| !pair[1].committed.starts_with(&pair[0].committed));
        broken
            .map(|pair| {
                let (before, after) = (words_of(&pair[0].committed), words_of(&pair[1].committed));
                let same = before.iter().zip(&after).take_while(|(before, after)| before == after).count();
                (before.len() - same).max(1)
            })
            .sum()
    }
}

/// From a word's last sample to what a reader sees of it, in ms.
struct Delay {
    first: f64,
    commit: f64,
    /// It ends its utterance.
    is_last: bool,
    /// It was shown right, then otherwise.
    changed: bool,
}

/// The exact words of a run.
struct Told {
    delays: Vec<Delay>,
}

impl Told {
    fn new(words: &[Word], heard: &Heard) -> Self {
        let mut delays = Vec::new();
        for utterance in &heard.utterances {
            let inside: Vec<&Word> =
                words.iter().filter(|word| (utterance.start..utterance.end).contains(&word.middle)).collect();
            let events: Vec<[Vec<String>; 2]> = utterance
                .shown
                .iter()
                .map(|shown| [words_of(&format!("{}{}", shown.committed, shown.tentative)), words_of(&shown.committed)])
                .collect();
            let is_exact = events.last().is_some_and(|[text, _]| {
                text.len() == inside.len() && text.iter().zip(&inside).all(|(text, word)| *text == word.text)
            });
            if !is_exact {
                continue;
            }
            for (k, word) in inside.iter().enumerate() {
                let right = |texts: &[Vec<String>; 2], which: usize| texts[which].get(k) == Some(&word.text);
                let (Some(first), Some(commit)) =
                    (events.iter().position(|texts| right(texts, 0)), events.iter().position(|texts| right(texts, 1)))
                else {
                    continue;
                };
                delays.push(Delay {
                    first: utterance.shown[first].at - word.end,
                    commit: utterance.shown[commit].at - word.end,
                    is_last: k + 1 == inside.len(),
                    changed: events[first..].iter().any(|texts| !right(texts, 0)),
                });
            }
        }
        Self { delays }
    }

    fn print(&self, name: &str, words: usize, heard: &Heard) {
        let taken_back = heard.taken_back();
        type Choice = fn(&Delay) -> bool;
        let groups: [(&str, Choice); 3] =
            [("exact", |_| true), ("before", |delay| !delay.is_last), ("last", |delay| delay.is_last)];
        for (group, is_in) in groups {
            let delays: Vec<&Delay> = self.delays.iter().filter(|delay| is_in(delay)).collect();
            let first = ranks(delays.iter().map(|delay| delay.first).collect());
            let commit = ranks(delays.iter().map(|delay| delay.commit).collect());
            let changed = delays.iter().filter(|delay| delay.changed).count();
            let count = delays.len();
            let (of, whole) = if group == "exact" {
                (
                    format!("{count} of {words}"),
                    format!("{taken_back:6} {:6.1} {:5.1}", heard.median_step, heard.p95_step),
                )
            } else {
                (count.to_string(), String::new())
            };
            let name = if group == "exact" { name } else { "" };
            println!(
                "{}",
                format!("{name:15}  {group:6} {of:>12}  {first}  {commit}  {changed:7}  {whole}").trim_end()
            );
        }
    }
}

/// p50, p95 (the smallest value that so many do not exceed) and the largest.
fn ranks(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let rank = |share: f64| values.get(((values.len() as f64 * share).ceil() as usize).saturating_sub(1));
    let shown = [0.5, 0.95, 1.0].map(|share| rank(share).map_or_else(|| "-".into(), |value| format!("{value:.0}")));
    format!("{:>6} {:>6} {:>6}", shown[0], shown[1], shown[2])
}

/// The words of a text, without case and punctuation.
fn words_of(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}
