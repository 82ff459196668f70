//! Depth 4: what the model expects at every token of a given text, beside what the reference expects there.
//!
//! ```text
//! clip ─ encoder ─▶ rows ┐
//! prompt, ids of a text ─┴─ decoder, a batch at a time ─▶ logits before each id ─ KL, top token, −ln p(id)
//! ```
//!
//! The text is forced on both models alike ("teacher forcing"), so that one early difference does not make everything
//! after it incomparable: position for position both have read the same.

use super::metrics::{kl, log_probability, top1};
use super::{Clip, Spread};
use qasr::error::{Error, Result};
use qasr::mel::log_mel;
use qasr::model::Model;
use qasr::model::decoder::{Input, OUTPUTS_AT_ONCE};
use qasr::options::Options;
use qasr::recognizer::{Recognizer, Script};
use qasr::text::{ControlTokens, Prompt};
use qasr::units::SampleIndex;
use serde::{Deserialize, Serialize};

/// Most memory for the reference's logits. They are kept whole, in single precision, so that the divergence of a variant
/// that hardly differs is not the rounding of a store: 3500 tokens of text at the published vocabulary.
pub const MOST_BYTES: usize = 2 << 30;

/// Has `model` read `samples` (one utterance, mono at 16 kHz) and then `ids`, whatever it would say itself. For each id
/// in turn `see` gets its index and the logits before it.
///
/// # Errors
/// [`qasr::ErrorKind::Usage`] when audio and ids are longer than the model's positions, or an id is not in its
/// vocabulary; [`qasr::ErrorKind::Model`] when a logit is not a finite number; what `see` returns.
pub fn force(
    model: &Model,
    samples: &[f32],
    ids: &[u32],
    see: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    let Some((_, read)) = ids.split_last() else { return Ok(()) };
    let config = model.decoder_config();
    if let Some(id) = ids.iter().find(|id| u64::from(**id) >= config.sizes.vocabulary) {
        let vocabulary = config.sizes.vocabulary;
        return Err(Error::usage(format!(
            "token {id} is not in the model's vocabulary of {vocabulary}: compare types of one model"
        )));
    }
    let audio = model.encoder().encode(&log_mel(samples))?;
    let prompt = Prompt::build(model.tokenizer(), "", None)?;
    let positions = prompt.positions(audio.rows()) + ids.len();
    if positions > config.max_positions {
        let max = config.max_positions;
        return Err(Error::usage(format!(
            "audio and text need {positions} positions and the model has {max}: give a shorter clip"
        )));
    }
    // The same passes as in recognition: every whole window by itself, its tail together with what follows.
    let mut session = model.session(positions)?;
    session.append(&[Input::Tokens(&prompt.before)], 0)?;
    let (full, rest_of_audio) = audio.full_and_rest();
    for window in full {
        session.append(&[Input::Rows(window.values())], 0)?;
    }
    // The first pass also gives what is expected before any id was read.
    let (first, rest) = read.split_at(read.len().min(OUTPUTS_AT_ONCE - 1));
    session
        .append(&[Input::Rows(rest_of_audio), Input::Tokens(&prompt.after), Input::Tokens(first)], first.len() + 1)?;
    let mut index = 0;
    let mut outputs = first.len() + 1;
    let mut batches = rest.chunks(OUTPUTS_AT_ONCE);
    loop {
        for output in 0..outputs {
            let logits = session.logits(output);
            if logits.is_empty() || logits.iter().any(|logit| !logit.is_finite()) {
                return Err(Error::model(
                    "the decoder gave a number that is not finite: the model file is damaged, convert or download it again",
                ));
            }
            see(index, logits)?;
            index += 1;
        }
        let Some(batch) = batches.next() else { return Ok(()) };
        session.append(&[Input::Tokens(batch)], batch.len())?;
        outputs = batch.len();
    }
}

/// The reference model's probabilities along the text of every clip.
pub struct Reference {
    clips: Vec<Forced>,
    vocabulary: usize,
}

/// One clip with the ids that all models read, and the reference's logits before each of them.
struct Forced {
    clip: Clip,
    ids: Vec<u32>,
    /// `[ids, vocabulary]`.
    logits: Vec<f32>,
}

impl Reference {
    /// Measures `model`, of the most exact type there is. The ids are, where a clip has a text, the header with its
    /// language as the model writes it, that text and the end token; otherwise what `model` itself says. A text without
    /// language gets the header that `model` writes. `progress` gets the number of clips done.
    ///
    /// # Errors
    /// As [`force`], with the clip's name; [`qasr::ErrorKind::Usage`] for a clip too short to be heard, and when all
    /// logits together take more than [`MOST_BYTES`].
    pub fn measure(model: &Model, clips: &[Clip], progress: &mut dyn FnMut(usize)) -> Result<Self> {
        let vocabulary = model.decoder_config().sizes.vocabulary as usize;
        let mut reference = Self { clips: Vec::with_capacity(clips.len()), vocabulary };
        let mut bytes = 0_usize;
        for clip in clips {
            let named = |error: Error| error.at(&clip.name);
            let ids = text_ids(model, clip).map_err(named)?;
            bytes = bytes.saturating_add(ids.len().saturating_mul(vocabulary).saturating_mul(size_of::<f32>()));
            if bytes > MOST_BYTES {
                return Err(Error::usage(format!(
                    "{}: with this clip the reference's logits take more than {} MiB: measure fewer or shorter clips",
                    clip.name,
                    MOST_BYTES >> 20
                )));
            }
            let mut logits = Vec::with_capacity(ids.len() * vocabulary);
            force(model, &clip.samples, &ids, &mut |_, row| {
                logits.extend_from_slice(row);
                Ok(())
            })
            .map_err(named)?;
            reference.clips.push(Forced { clip: clip.clone(), ids, logits });
            progress(reference.clips.len());
        }
        Ok(reference)
    }

    /// Tokens of all texts together, the end tokens included.
    pub fn positions(&self) -> usize {
        self.clips.iter().map(|clip| clip.ids.len()).sum()
    }
}

/// The ids that `model` reads after the audio of `clip`.
fn text_ids(model: &Model, clip: &Clip) -> Result<Vec<u32>> {
    let control = ControlTokens::find(model.tokenizer())?;
    let greedy = || -> Result<(Vec<u32>, Option<usize>, bool)> {
        let mut recognizer = Recognizer::new(model, &Options::default(), clip.samples.len(), None)?;
        recognizer.begin(SampleIndex(0), "")?;
        let recognized = recognizer.recognize(&clip.samples, true, Script::default(), usize::MAX)?;
        let header = recognizer.header(&recognized.tokens);
        Ok((recognized.tokens, header, recognized.complete))
    };
    if log_mel(&clip.samples).frames == 0 {
        return Err(Error::usage("the clip is too short to be heard: leave it out"));
    }
    let Some(text) = &clip.text else {
        let (mut ids, _, complete) = greedy()?;
        // A text that a limit cut does not end there.
        if complete {
            ids.push(control.im_end);
        }
        return Ok(ids);
    };
    let mut ids = match clip.language {
        Some(language) => {
            let mut header = model.tokenizer().encode(&format!("language {}", language.name()))?;
            header.push(control.asr_text);
            header
        }
        None => {
            let (mut tokens, header, _) = greedy()?;
            tokens.truncate(header.unwrap_or(0));
            tokens
        }
    };
    ids.extend(model.tokenizer().encode(text)?);
    ids.push(control.im_end);
    Ok(ids)
}

/// The cost of a variant at one token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PositionCost {
    /// Which clip, counted from 0 in the order given.
    pub clip: usize,
    /// Which token of its text.
    pub index: usize,
    /// Divergence of the variant's distribution from the reference's, in nats.
    pub kl: f64,
    /// Whether another token is the most likely one.
    pub flipped: bool,
    /// −ln of the probability that the reference gives to the token that follows.
    pub nll_reference: f64,
    /// The same of the variant.
    pub nll: f64,
}

/// Sums over one clip, for intervals over clips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipCost {
    /// The clip's name.
    pub name: String,
    /// Its condition.
    pub condition: String,
    /// Tokens of its text.
    pub positions: usize,
    /// Sum of their divergences.
    pub kl: f64,
    /// How many have another most likely token.
    pub flips: usize,
    /// Sum of the reference's −ln p.
    pub nll_reference: f64,
    /// Sum of the variant's.
    pub nll: f64,
}

/// The cost of a variant over all clips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogitsCost {
    /// Divergence per token, in nats.
    pub kl: Spread,
    /// Share of tokens where another one is the most likely.
    pub flip_rate: f64,
    /// exp of the reference's mean −ln p over all tokens.
    pub perplexity_reference: f64,
    /// The same of the variant.
    pub perplexity: f64,
    /// Clip by clip, in the order given.
    pub clips: Vec<ClipCost>,
    /// Token by token.
    pub positions: Vec<PositionCost>,
}

/// Measures `model` along the texts of `reference`. `progress` gets the number of clips done.
///
/// # Errors
/// As [`force`], with the clip's name; [`qasr::ErrorKind::Model`] when the vocabularies differ.
pub fn compare(model: &Model, reference: &Reference, progress: &mut dyn FnMut(usize)) -> Result<LogitsCost> {
    let vocabulary = model.decoder_config().sizes.vocabulary as usize;
    if vocabulary != reference.vocabulary {
        return Err(Error::model(format!(
            "{} has a vocabulary of {vocabulary}, the reference one of {}: compare types of one model",
            model.info().name,
            reference.vocabulary
        )));
    }
    let mut positions = Vec::with_capacity(reference.positions());
    let mut clips = Vec::with_capacity(reference.clips.len());
    for (clip, forced) in reference.clips.iter().enumerate() {
        let begin = positions.len();
        force(model, &forced.clip.samples, &forced.ids, &mut |index, logits| {
            let expected = &forced.logits[index * vocabulary..(index + 1) * vocabulary];
            let id = forced.ids[index] as usize;
            positions.push(PositionCost {
                clip,
                index,
                kl: kl(expected, logits),
                flipped: top1(expected) != top1(logits),
                nll_reference: -log_probability(expected, id),
                nll: -log_probability(logits, id),
            });
            Ok(())
        })
        .map_err(|error| error.at(&forced.clip.name))?;
        clips.push(clip_cost(&forced.clip, &positions[begin..]));
        progress(clips.len());
    }
    Ok(summarize(clips, positions))
}

fn clip_cost(clip: &Clip, positions: &[PositionCost]) -> ClipCost {
    ClipCost {
        name: clip.name.clone(),
        condition: clip.condition.clone(),
        positions: positions.len(),
        kl: positions.iter().map(|position| position.kl).sum(),
        flips: positions.iter().filter(|position| position.flipped).count(),
        nll_reference: positions.iter().map(|position| position.nll_reference).sum(),
        nll: positions.iter().map(|position| position.nll).sum(),
    }
}

fn summarize(clips: Vec<ClipCost>, positions: Vec<PositionCost>) -> LogitsCost {
    let count = positions.len().max(1) as f64;
    let mean = |value: &dyn Fn(&ClipCost) -> f64| clips.iter().map(value).sum::<f64>() / count;
    LogitsCost {
        kl: Spread::of(positions.iter().map(|position| position.kl).collect()),
        flip_rate: mean(&|clip| clip.flips as f64),
        perplexity_reference: mean(&|clip| clip.nll_reference).exp(),
        perplexity: mean(&|clip| clip.nll).exp(),
        clips,
        positions,
    }
}
