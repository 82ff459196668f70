//! Recognizes one utterance after another, each as often as asked while it grows, and always as if it ended there.
//!
//! ```text
//! samples ─ windows ─▶ encoder rows, finished windows kept ─ decoding ─▶ ids ─ answer ─▶ language, text
//!                                     attention kept, the last text verified
//! ```
//!
//! Both drivers use it: offline asks once per utterance, live once per step. What is kept between two questions never
//! changes an answer; [`crate::options::Reuse`] switches it off to show that.

mod cost;
mod decode;
mod driver;
mod windows;

pub(crate) use cost::Stopwatch;
pub use cost::{Clock, StepCost};
pub use decode::Script;

use crate::endpoint::split::pad_piece;
use crate::error::{Error, Remedy, Result};
use crate::mel;
use crate::model::Model;
use crate::model::config::EncoderConfig;
use crate::options::{Options, PeakPolicy};
use crate::text::{Answer, ControlTokens, Prompt, Tokenizer, answer, repetition};
use crate::transcript::{Segment, Warning, WarningCode};
use crate::units::{HOP, SAMPLE_RATE, SampleIndex};
use decode::{Decoded, Limits};
use driver::{Driver, Finished, Ticket};
use std::borrow::Cow;
use std::ops::Range;
use windows::Windows;

/// How long the loudest energy of an utterance counts for later ones, in samples: one minute, so that one loud moment
/// does not clamp a stream for ever.
const PEAK_COUNTS: u64 = 60 * SAMPLE_RATE as u64;

/// The result of recognizing an utterance.
#[derive(Debug, Clone)]
pub struct Recognized {
    /// Generated ids, the end token not included.
    pub tokens: Vec<u32>,
    /// For every id, the distance of its logit to the next largest; infinite where it was forced.
    pub margins: Vec<f32>,
    /// For every id, the natural logarithm of its probability after the ids before it.
    pub log_probabilities: Vec<f32>,
    /// False when a limit ended the text.
    pub complete: bool,
    /// Language and text, parsed.
    pub answer: Answer,
    /// The smallest distance between the two largest logits over all choices: how near another text was.
    pub closest: f32,
    /// Forced ids that the model would not have chosen.
    pub objections: usize,
    /// Encoder rows that the text was read from.
    pub audio_tokens: usize,
    /// Tokens that were allowed.
    pub token_limit: usize,
    /// The work it took.
    pub cost: StepCost,
}

impl Recognized {
    /// An empty result marked incomplete, used when the model failed.
    pub(crate) fn nothing() -> Self {
        Self {
            tokens: Vec::new(),
            margins: Vec::new(),
            log_probabilities: Vec::new(),
            complete: false,
            answer: Answer::default(),
            closest: f32::INFINITY,
            objections: 0,
            audio_tokens: 0,
            token_limit: 0,
            cost: StepCost::default(),
        }
    }
}

impl Recognized {
    /// The text with its place in the recording, which begins at `origin`.
    pub(crate) fn segment(&self, place: Range<SampleIndex>, origin: SampleIndex) -> Segment {
        Segment {
            start: origin + place.start.0,
            end: origin + place.end.0,
            language: self.answer.language.clone(),
            text: self.answer.text.clone(),
            tokens: self.tokens.clone(),
            log_probabilities: self.log_probabilities.clone(),
            complete: self.complete,
            channel: None,
        }
    }
}

/// Everything that changes while utterances are recognized; the model itself is shared.
pub struct Recognizer {
    model: Model,
    options: Options,
    prompt: Prompt,
    windows: Windows,
    /// Where the running utterance began.
    begun: SampleIndex,
    /// Loudest energies of the utterances before, and where they ended.
    peaks: Vec<(SampleIndex, f32)>,
    driver: Driver,
    /// Utterances that are being decoded, and what their results will say beside the text.
    running: Vec<Waiting>,
    /// Results that needed no decoder.
    ready: Vec<(Ticket, Recognized)>,
    asr_text: u32,
    clock: Option<Clock>,
}

/// What is known of an utterance before its text.
struct Waiting {
    ticket: Ticket,
    audio_tokens: usize,
    token_limit: usize,
    /// Of its attention cache, with an ordinary text.
    cache_bytes: usize,
}

impl Recognizer {
    /// For utterances of up to `longest` samples; memory for the attention is made at once when the first comes.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when such an utterance and the context text are longer than the model's positions;
    /// [`crate::ErrorKind::Model`] when the vocabulary lacks a control token.
    pub fn new(model: &Model, options: &Options, longest: usize, clock: Option<Clock>) -> Result<Self> {
        Self::batched(model, options, longest, clock, 1)
    }

    /// The same for `width` utterances at once.
    pub(crate) fn batched(
        model: &Model,
        options: &Options,
        longest: usize,
        clock: Option<Clock>,
        width: usize,
    ) -> Result<Self> {
        let control = ControlTokens::find(model.tokenizer())?;
        let mut ends = model.decoder_config().end_tokens.clone();
        ends.extend([control.im_end, control.end_of_text]);
        let prompt = Prompt::build(model.tokenizer(), &options.context_text, options.language.as_ref())?;
        let positions = prompt.positions(EncoderConfig::audio_tokens(longest / HOP));
        let max = model.decoder_config().max_positions;
        if positions >= max {
            let seconds = longest as f64 / f64::from(SAMPLE_RATE);
            return Err(Error::usage(format!(
                "context text and utterances of up to {seconds:.0} s need {positions} positions and the model has {max}"
            ))
            .with_remedy(Remedy::ShorterPrompt));
        }
        let expected = positions.saturating_add(options.token_budget(longest)).min(max);
        Ok(Self {
            model: model.clone(),
            options: options.clone(),
            prompt,
            windows: Windows::default(),
            begun: SampleIndex(0),
            peaks: Vec::new(),
            driver: Driver::new(model, options, ends, expected, width),
            running: Vec::new(),
            ready: Vec::new(),
            asr_text: control.asr_text,
            clock,
        })
    }

    /// Begins another utterance, at `start` in its stream. `previous` is all text before it, of which it is given the
    /// end as context if the options say so.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the vocabulary is damaged.
    pub fn begin(&mut self, start: SampleIndex, previous: &str) -> Result<()> {
        let own = self.windows.own_peak().filter(|_| self.options.peak == PeakPolicy::Stream);
        let begun = std::mem::replace(&mut self.begun, start);
        self.peaks.extend(own.map(|(peak, samples)| (begun + samples, peak)));
        self.peaks.retain(|(when, _)| start.0.saturating_sub(when.0) < PEAK_COUNTS);
        self.windows = Windows::after(self.peaks.iter().map(|(_, peak)| *peak).reduce(f32::max));
        if self.options.carried_characters > 0 {
            let context = with_carried(&self.options.context_text, previous, self.options.carried_characters);
            self.prompt = Prompt::build(self.model.tokenizer(), &context, self.options.language.as_ref())?;
        }
        Ok(())
    }

    /// The text of the utterance as if it ended with `audio`: all its samples so far, mono at 16 kHz. `is_recording`
    /// says that they are a whole recording; pieces are filled up to 0.5 s. At most `most_generated` tokens are
    /// generated one by one; where that cuts the text, it is not complete.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when the prompt is longer than the model's positions; [`crate::ErrorKind::Model`]
    /// when the model gives no numbers; [`crate::ErrorKind::Interrupted`] when [`Options::cancel`] was used.
    pub fn recognize(
        &mut self,
        audio: &[f32],
        is_recording: bool,
        script: Script<'_>,
        most_generated: usize,
    ) -> Result<Recognized> {
        let ticket = self.submit(audio, is_recording, script, most_generated)?;
        loop {
            let mut done = self.advance()?;
            if let Some(at) = done.iter().position(|(other, _)| *other == ticket) {
                return Ok(done.swap_remove(at).1);
            }
        }
    }

    /// Whether another utterance can be given to [`Self::submit`]: there is a slot, and the attention caches of those that run
    /// leave memory for it.
    pub(crate) fn has_room(&self) -> bool {
        let bytes = self.running.iter().map(|waiting| waiting.cache_bytes).sum();
        self.driver.has_room() && self.options.may_join(bytes)
    }

    /// Encodes an utterance, as [`Self::recognize`] does, and begins to decode it. [`Self::advance`] gives its result, under
    /// the number returned.
    ///
    /// # Errors
    /// As [`Self::recognize`].
    pub(crate) fn submit(
        &mut self,
        audio: &[f32],
        is_recording: bool,
        script: Script<'_>,
        most_generated: usize,
    ) -> Result<Ticket> {
        let mut cost = StepCost::default();
        let mut watch = Stopwatch::start(self.clock);
        let filled = pad_piece(audio, !is_recording);
        if filled.len() <= mel::TOO_SHORT {
            let ticket = Ticket::MAX - self.ready.len() as Ticket;
            self.ready.push((ticket, Recognized { complete: true, cost, ..Recognized::nothing() }));
            return Ok(ticket);
        }
        // The utterance does not go on with the zeros that fill it up: rows computed with them are not kept.
        let mut filled_up = Windows::after(self.windows.carried_peak());
        let windows = match &filled {
            Cow::Owned(_) => {
                self.windows.append(audio);
                &mut filled_up
            }
            Cow::Borrowed(_) => &mut self.windows,
        };
        let embeddings = windows.encode(self.model.encoder(), &filled, &self.options, &mut cost, &mut watch)?;
        let token_limit = self.options.token_budget(filled.len());
        let limits = Limits { tokens: token_limit, generated: most_generated };
        let audio_tokens = embeddings.rows();
        let ticket = self.driver.start(&self.prompt, embeddings, script, limits, cost)?;
        let cache_bytes = self.model.cache_bytes(filled.len() as f64 / f64::from(SAMPLE_RATE));
        self.running.push(Waiting { ticket, audio_tokens, token_limit, cache_bytes });
        Ok(ticket)
    }

    /// Decodes a little of every utterance that was submitted: of one that is new a window, of others a token. Returns the
    /// results that are there then.
    ///
    /// # Errors
    /// As [`Self::recognize`]. After an error no utterance runs any more.
    pub(crate) fn advance(&mut self) -> Result<Vec<(Ticket, Recognized)>> {
        if !self.ready.is_empty() {
            return Ok(std::mem::take(&mut self.ready));
        }
        let mut watch = Stopwatch::start(self.clock);
        let finished = self.driver.round(&mut watch).inspect_err(|_| self.running.clear())?;
        Ok(finished.into_iter().filter_map(|finished| self.result(finished)).collect())
    }

    fn result(&mut self, finished: Finished) -> Option<(Ticket, Recognized)> {
        let Finished { ticket, decoded, cost } = finished;
        let at = self.running.iter().position(|waiting| waiting.ticket == ticket)?;
        let Waiting { audio_tokens, token_limit, .. } = self.running.swap_remove(at);
        let text = self.model.tokenizer().decode(&decoded.tokens);
        let answer = answer::parse(&text, self.options.language.as_ref(), decoded.complete);
        let Decoded { tokens, margins, log_probabilities, complete, closest, objections } = decoded;
        let recognized = Recognized {
            tokens,
            margins,
            log_probabilities,
            complete,
            answer,
            closest,
            objections,
            audio_tokens,
            token_limit,
            cost,
        };
        Some((ticket, recognized))
    }

    /// Language and text of the first ids of a text.
    pub fn read(&self, tokens: &[u32]) -> Answer {
        answer::parse(&self.model.tokenizer().decode(tokens), self.options.language.as_ref(), false)
    }

    /// The text of ids that go on where others ended: without loops, and without white space at its end.
    pub fn continuation(&self, tokens: &[u32]) -> String {
        repetition::repair(&self.tokenizer().decode(tokens)).trim_end().to_owned()
    }

    /// The vocabulary.
    pub fn tokenizer(&self) -> &Tokenizer {
        self.model.tokenizer()
    }

    /// How many of the first ids are no text: the language header, if the model writes one. `None` if it has not
    /// come to its end.
    pub fn header(&self, tokens: &[u32]) -> Option<usize> {
        match self.options.language {
            Some(_) => Some(0),
            None => tokens.iter().position(|token| *token == self.asr_text).map(|at| at + 1),
        }
    }

    /// Warnings for a reader of the finished text.
    pub fn warnings(&self, recognized: &Recognized) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if !recognized.complete {
            let budget = recognized.token_limit;
            warnings.push(Warning {
                code: WarningCode::TokenLimit,
                message: format!("the text was cut at the limit of {budget} new tokens and may lack its end"),
            });
        }
        if recognized.answer.repaired {
            warnings.push(Warning {
                code: WarningCode::RepetitionRepaired,
                message: "the model repeated itself; the repeats were reduced to one".into(),
            });
        }
        warnings
    }
}

/// The context text, then the last `most` characters of the text so far, from a word's beginning.
fn with_carried(context: &str, previous: &str, most: usize) -> String {
    let start = previous.char_indices().rev().nth(most - 1).map_or(0, |(at, _)| at);
    let tail = &previous[start..];
    let tail = match tail.split_once(' ') {
        Some((_, rest)) if start > 0 && !previous[..start].ends_with(' ') => rest,
        _ => tail,
    };
    [context, tail].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carried_text_begins_with_a_whole_word() {
        assert_eq!(with_carried("", "one two three", 9), "two three");
        assert_eq!(with_carried("", "one two three", 8), "three");
        assert_eq!(with_carried("names", "one two", 50), "names one two");
        assert_eq!(with_carried("names", "", 50), "names");
        assert_eq!(with_carried("", "今天天气", 2), "天气");
    }
}
