//! The one decode step: prompt and audio into the decoder, as much of them as is not there already; then the script
//! (what must stand and what probably stands) in batches; then token by token.
//!
//! A text must not depend on what was expected of it, on how much of it came at once, or on what was kept. So the passes
//! of prompt and audio have the same rows whatever is there already and whatever is expected: the prompt, every full
//! window, the last window with the closing tokens. And every token of a text, expected or not, is computed as if it
//! came alone ([`crate::model::DecoderSession::append_each`]).

use super::cost::{StepCost, Stopwatch};
use crate::error::{Error, Remedy, Result};
use crate::model::decoder::{Choice, DecoderSession, Input, log_probability, most_likely};
use crate::model::{AudioEmbeddings, EncodedWindow, Model, Watch};
use crate::options::{Cancel, Options, Reuse};
use crate::text::Prompt;

/// Expectations about a text before it is decoded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Script<'a> {
    /// Ids that the text begins with, whatever the model would say.
    pub forced: &'a [u32],
    /// Ids that probably follow. They are verified: the text is the same as without them.
    pub draft: &'a [u32],
}

/// How far a text may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Tokens in all.
    pub(super) tokens: usize,
    /// Tokens generated one by one in this step.
    pub(super) generated: usize,
}

/// A greedy text.
#[derive(Debug, Clone)]
pub(super) struct Decoded {
    /// Its ids, the end token not included.
    pub(super) tokens: Vec<u32>,
    /// For every id, its distance to the next likely one; infinite where it was forced.
    pub(super) margins: Vec<f32>,
    /// For every id, the natural logarithm of its probability after the ids before it.
    pub(super) log_probabilities: Vec<f32>,
    /// False when a limit ended it.
    pub(super) complete: bool,
    /// The smallest distance between the two most likely tokens, over all that were chosen.
    pub(super) closest: f32,
    /// Forced ids that the model would not have chosen.
    pub(super) objections: usize,
}

/// A decoder session and what it holds from position 0 on.
pub(super) struct Decoding {
    model: Model,
    cancel: Cancel,
    watch: Watch,
    reuse: Reuse,
    ends: Vec<u32>,
    session: Option<Box<dyn DecoderSession>>,
    /// Room to make at once, in positions.
    expected: usize,
    before: Vec<u32>,
    windows: Vec<EncodedWindow>,
}

impl Decoding {
    /// No session yet; the first will have `expected` positions or more.
    pub(super) fn new(model: &Model, options: &Options, ends: Vec<u32>, expected: usize) -> Self {
        Self {
            model: model.clone(),
            cancel: options.cancel.clone(),
            watch: options.watch.clone(),
            reuse: options.reuse,
            ends,
            session: None,
            expected,
            before: Vec::new(),
            windows: Vec::new(),
        }
    }

    /// Decodes greedily what follows `prompt` with the audio in it.
    pub(super) fn decode(
        &mut self,
        prompt: &Prompt,
        audio: &AudioEmbeddings,
        script: Script<'_>,
        limits: Limits,
        cost: &mut StepCost,
        watch: &mut Stopwatch,
    ) -> Result<Decoded> {
        let positions = prompt.positions(audio.rows());
        let max = self.model.decoder_config().max_positions;
        if positions + script.forced.len() >= max {
            return Err(Error::usage(format!(
                "context text and audio need {positions} positions and the model has {max}"
            ))
            .with_remedy(Remedy::ShorterPrompt));
        }
        let budget = limits.tokens.max(script.forced.len()).min(max - positions);
        self.make_room((positions + budget).min(max))?;
        let (full, rest) = audio.full_and_rest();
        let held = if self.reuse.attention { self.keep_common(prompt, full)? } else { self.keep_nothing()? };
        cost.tokens_reused += held;
        cost.tokens_prefilled += positions - held;

        if self.before.is_empty() {
            self.append(&[Input::Tokens(&prompt.before)], 0)?;
            self.before.clone_from(&prompt.before);
        }
        for window in &full[self.windows.len()..] {
            self.append(&[Input::Rows(window.values())], 0)?;
            self.windows.push(window.clone());
        }
        let draft = if self.reuse.drafts { script.draft } else { &[] };
        let expected: Vec<u32> = script.forced.iter().chain(draft).copied().take(budget).collect();
        self.append(&[Input::Rows(rest), Input::Tokens(&prompt.after)], 1)?;
        let mut decoded = Decoded {
            tokens: Vec::new(),
            margins: Vec::new(),
            log_probabilities: Vec::new(),
            complete: false,
            closest: f32::INFINITY,
            objections: 0,
        };
        let mut next = self.verify(&expected, script.forced.len(), &mut decoded)?;
        cost.tokens_verified += expected.len();
        cost.tokens_kept += decoded.tokens.len();
        cost.prefill += watch.lap();

        // With drafts off, tokens that match the draft do not count against the step's limit, so the text is as long as with drafts on.
        let mut saved = if self.reuse.drafts { &[] } else { script.draft };
        let mut counted = 0;
        while !self.ends.contains(&next.token) && decoded.tokens.len() < budget && counted < limits.generated {
            saved = match saved {
                [first, rest @ ..] if *first == next.token => rest,
                _ => {
                    counted += 1;
                    &[]
                }
            };
            decoded.closest = decoded.closest.min(next.margin);
            decoded.margins.push(next.margin);
            decoded.log_probabilities.push(next.log_probability);
            decoded.tokens.push(next.token);
            self.append_each(&[next.token])?;
            next = most_likely(self.session()?.logits(0))?;
            cost.tokens_generated += 1;
        }
        decoded.complete = self.ends.contains(&next.token);
        if decoded.complete {
            decoded.closest = decoded.closest.min(next.margin);
        }
        cost.decode += watch.lap();
        Ok(decoded)
    }

    /// Puts `expected` into the decoder, a batch at a time, as long as the model agrees; the first `forced` ids without
    /// asking. Returns what it chooses next; `decoded.tokens` is what is there then.
    fn verify(&mut self, expected: &[u32], forced: usize, decoded: &mut Decoded) -> Result<Choice> {
        let start = self.session()?.position();
        // Ids in the decoder, and which of the last logits follow them as far as they were looked at.
        let (mut placed, mut row) = (0, 0);
        for (index, id) in expected.iter().enumerate() {
            let logits = self.session()?.logits(row);
            let choice = most_likely(logits)?;
            let agrees = choice.token == *id;
            if index < forced {
                decoded.objections += usize::from(!agrees);
                decoded.margins.push(f32::INFINITY);
                decoded.log_probabilities.push(log_probability(logits, *id));
            } else if agrees {
                decoded.margins.push(choice.margin);
                decoded.log_probabilities.push(choice.log_probability);
                decoded.closest = decoded.closest.min(choice.margin);
            } else {
                if index < placed {
                    self.session()?.truncate(start + index);
                }
                decoded.tokens.extend_from_slice(&expected[..index]);
                return Ok(choice);
            }
            row += 1;
            if index == placed {
                let at_once = self.session()?.each_at_once();
                let batch = &expected[placed..expected.len().min(placed + at_once)];
                self.append_each(batch)?;
                (placed, row) = (placed + batch.len(), 0);
            }
        }
        decoded.tokens.extend_from_slice(expected);
        most_likely(self.session()?.logits(row))
    }

    /// Forgets what does not belong to this prompt and these windows; returns the positions that stay.
    fn keep_common(&mut self, prompt: &Prompt, full: &[EncodedWindow]) -> Result<usize> {
        if self.before != prompt.before {
            return self.keep_nothing();
        }
        let same = self.windows.iter().zip(full).take_while(|(held, wanted)| held == wanted).count();
        self.windows.truncate(same);
        let held = self.before.len() + self.windows.iter().map(EncodedWindow::rows).sum::<usize>();
        self.session()?.truncate(held);
        Ok(held)
    }

    fn keep_nothing(&mut self) -> Result<usize> {
        self.before.clear();
        self.windows.clear();
        self.session()?.truncate(0);
        Ok(0)
    }

    /// A session of at least `capacity` positions: the one there if it is large enough, else a new one.
    fn make_room(&mut self, capacity: usize) -> Result<()> {
        if self.session.as_ref().is_none_or(|session| session.capacity() < capacity) {
            // The old one goes first: two would double the peak.
            self.session = None;
            self.session = Some(self.model.watched_session(capacity.max(self.expected), &self.watch)?);
            self.keep_nothing()?;
        }
        Ok(())
    }

    fn session(&mut self) -> Result<&mut Box<dyn DecoderSession>> {
        self.session.as_mut().ok_or_else(|| Error::internal("no decoder session was opened"))
    }

    fn append(&mut self, inputs: &[Input<'_>], outputs: usize) -> Result<()> {
        self.cancel.check()?;
        self.session()?.append(inputs, outputs)
    }

    fn append_each(&mut self, ids: &[u32]) -> Result<()> {
        self.cancel.check()?;
        self.session()?.append_each(ids)
    }
}
