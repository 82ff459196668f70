//! What a rule for committing text costs and breaks: runs the demo model live over recordings, forcing nothing, and
//! asks every rule of a grid what it would have promised.
//!
//! ```text
//! cargo run --release --example steady -- STEP_MS JOIN FILE...
//! ```
//!
//! With JOIN above 0, recordings are joined, 0.5 s between them, until each is that many seconds long.
//!
//! Per rule: how many hypotheses (the final text among them) differed behind the commit point, in how many
//! recordings, how many tokens were promised before the end of their utterance, and the median time from a token's
//! first appearance to its promise.

use qasr::audio::{ReadOptions, read_path};
use qasr::stream::{Commit, Promises, SteadyRule};
use qasr::units::SampleIndex;
use qasr::{Model, ModelOptions, Stream, StreamOptions, Update};
use std::collections::BTreeSet;

/// One hypothesis of an utterance; the last one is final.
struct Hypothesis {
    tokens: Vec<u32>,
    margins: Vec<f32>,
    up_to: SampleIndex,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "give the step in ms, seconds to join to or 0, then recordings";
    let step: u64 = arguments.next().ok_or(usage)?.parse()?;
    let join: f64 = arguments.next().ok_or(usage)?.parse()?;
    let mut options = ModelOptions::default();
    options.threads = 1;
    let model = Model::open_demo(&options)?;
    let mut utterances = Vec::new();
    let mut recordings: Vec<Vec<f32>> = Vec::new();
    for file in arguments {
        let audio = read_path(file.as_ref(), &ReadOptions::default())?.pcm;
        match recordings.last_mut() {
            Some(samples) if (samples.len() as f64) < join * 16_000.0 => {
                samples.resize(samples.len() + 8000, 0.0);
                samples.extend_from_slice(audio.samples());
            }
            _ => recordings.push(audio.samples().to_vec()),
        }
    }
    let files = recordings.len();
    for (number, samples) in recordings.iter().enumerate() {
        utterances.extend(hypotheses(&model, samples, step * 16)?.into_iter().map(|utterance| (number, utterance)));
    }
    println!("step {step} ms, {files} recordings, {} utterances", utterances.len());
    println!("steps  seconds  behind  margin   changed  recordings  promised early  tokens  median s");
    for (steps, seconds, tokens_behind, margin) in GRID {
        let rule = SteadyRule { steps, samples: (seconds * 16_000.0) as u64, tokens_behind, margin };
        judge(rule, seconds, &utterances);
    }
    Ok(())
}

/// Steps, seconds, tokens behind, margin.
const GRID: [(usize, f64, usize, f32); 18] = [
    (2, 1.0, 1, 0.0),
    (2, 1.0, 2, 0.0),
    (3, 1.0, 2, 0.0),
    (2, 2.0, 2, 0.0),
    (3, 2.0, 3, 0.0),
    (2, 1.0, 1, 2.0),
    (2, 1.0, 1, 4.0),
    (2, 1.0, 2, 2.0),
    (2, 1.0, 2, 4.0),
    (2, 1.0, 2, 6.0),
    (2, 2.0, 2, 4.0),
    (3, 2.0, 3, 8.0),
    (2, 1.0, 2, 8.0),
    (3, 2.0, 2, 4.0),
    (3, 2.0, 2, 6.0),
    (4, 3.0, 2, 4.0),
    (4, 3.0, 2, 6.0),
    (4, 3.0, 2, 8.0),
];

fn hypotheses(model: &Model, samples: &[f32], step: u64) -> Result<Vec<Vec<Hypothesis>>, Box<dyn std::error::Error>> {
    let mut options = StreamOptions::default();
    options.step = step;
    options.commit = Commit::Utterance;
    let mut stream = Stream::new(model, options)?;
    let mut updates = Vec::new();
    for block in samples.chunks(160) {
        updates.extend(stream.feed(block)?);
    }
    updates.extend(stream.end()?);
    let mut utterances = vec![Vec::new()];
    for update in updates {
        let running = utterances.last_mut().ok_or("no utterance")?;
        match update {
            Update::Partial(partial) => {
                running.push(Hypothesis { tokens: partial.tokens, margins: partial.margins, up_to: partial.up_to })
            }
            Update::Final(last) => {
                let margins = vec![f32::INFINITY; last.segment.tokens.len()];
                running.push(Hypothesis { tokens: last.segment.tokens, margins, up_to: last.segment.end });
                utterances.push(Vec::new());
            }
        }
    }
    utterances.pop();
    Ok(utterances)
}

fn judge(rule: SteadyRule, seconds: f64, utterances: &[(usize, Vec<Hypothesis>)]) {
    let (mut changed, mut recordings, mut early, mut total, mut waits) = (0, BTreeSet::new(), 0, 0, Vec::new());
    for (file, hypotheses) in utterances {
        let Some(last) = hypotheses.last() else { continue };
        let mut promises = Promises::default();
        let mut committed: Vec<u32> = Vec::new();
        let mut seen: Vec<(u32, SampleIndex)> = Vec::new();
        for hypothesis in hypotheses {
            if !hypothesis.tokens.starts_with(&committed) {
                changed += 1;
                recordings.insert(*file);
            }
            let same = seen.iter().zip(&hypothesis.tokens).take_while(|(seen, token)| seen.0 == **token).count();
            seen.truncate(same);
            seen.extend(hypothesis.tokens[same..].iter().map(|token| (*token, hypothesis.up_to)));
            if std::ptr::eq(hypothesis, last) {
                break;
            }
            let count = promises.advance(
                &hypothesis.tokens,
                &hypothesis.margins,
                hypothesis.up_to,
                SampleIndex(u64::MAX),
                Commit::Steady(rule),
            );
            if count > committed.len() {
                waits.extend(seen[committed.len()..count].iter().map(|(_, since)| hypothesis.up_to - *since));
                committed = hypothesis.tokens[..count].to_vec();
            }
        }
        early += committed.len();
        total += last.tokens.len();
    }
    waits.sort_unstable();
    let median = waits.get(waits.len() / 2).map_or(f64::NAN, |samples| *samples as f64 / 16_000.0);
    let SteadyRule { steps, tokens_behind, margin, .. } = rule;
    println!(
        "{steps:5}  {seconds:7.1}  {tokens_behind:6}  {margin:6.1}   {changed:7}  {:10}  {early:14}  {total:6}  {median:8.2}",
        recordings.len()
    );
}
