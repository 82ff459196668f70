//! Drives decode steps: those of several utterances share the passes of one decoder.
//!
//! An utterance has a slot with a sequence of its own. A round computes one pass of prompt or audio for one of them, and then
//! one token for each that has come to its text: new utterances are prefilled while others run, and no text waits longer
//! than for one window.

use super::cost::{StepCost, Stopwatch};
use super::decode::{Decode, Decoded, Held, Limits, Script};
use crate::error::{Error, Remedy, Result};
use crate::model::decoder::{Decoder, Request, Rows, Sequence};
use crate::model::{AudioEmbeddings, Model, Watch};
use crate::options::{Cancel, Options, Reuse};
use crate::text::Prompt;
use std::sync::Arc;

/// A number for an utterance that is being decoded.
pub(super) type Ticket = u64;

/// A text that is there.
pub(super) struct Finished {
    pub(super) ticket: Ticket,
    pub(super) decoded: Decoded,
    pub(super) cost: StepCost,
}

/// A sequence of the decoder, what it holds, and the utterance that is decoded in it.
#[derive(Default)]
struct Slot {
    sequence: Option<(Sequence, usize)>,
    held: Held,
    running: Option<Running>,
}

struct Running {
    ticket: Ticket,
    step: Decode,
    cost: StepCost,
}

/// A decoder and its slots.
pub(super) struct Driver {
    model: Model,
    cancel: Cancel,
    watch: Watch,
    reuse: Reuse,
    ends: Arc<[u32]>,
    /// Made for the first utterance.
    decoder: Option<Box<dyn Decoder>>,
    slots: Vec<Slot>,
    /// Room to make at once, in positions.
    expected: usize,
    next_ticket: Ticket,
}

impl Driver {
    /// For `width` utterances at once, each of probably up to `expected` positions.
    pub(super) fn new(model: &Model, options: &Options, ends: Vec<u32>, expected: usize, width: usize) -> Self {
        Self {
            model: model.clone(),
            cancel: options.cancel.clone(),
            watch: options.watch.clone(),
            reuse: options.reuse,
            ends: ends.into(),
            decoder: None,
            slots: (0..width.max(1)).map(|_| Slot::default()).collect(),
            expected,
            next_ticket: 0,
        }
    }

    /// Whether another utterance can start.
    pub(super) fn has_room(&self) -> bool {
        self.slots.iter().any(|slot| slot.running.is_none())
    }

    /// Begins to decode greedily what follows `prompt` with the audio in it. The first free slot is taken: where there is one
    /// only, what it holds is kept from one step of an utterance to the next.
    pub(super) fn start(
        &mut self,
        prompt: &Prompt,
        audio: AudioEmbeddings,
        script: Script<'_>,
        limits: Limits,
        cost: StepCost,
    ) -> Result<Ticket> {
        let positions = prompt.positions(audio.rows());
        let max = self.model.decoder_config().max_positions;
        if positions + script.forced.len() >= max {
            return Err(Error::usage(format!(
                "context text and audio need {positions} positions and the model has {max}"
            ))
            .with_remedy(Remedy::ShorterPrompt));
        }
        let budget = limits.tokens.max(script.forced.len()).min(max - positions);
        let place = self.slots.iter().position(|slot| slot.running.is_none());
        let place = place.ok_or_else(|| Error::internal("more utterances at once than there are slots"))?;
        self.make_room(place, (positions + budget).min(max))?;
        let each_at_once = self.decoder()?.each_at_once();
        let slot = &mut self.slots[place];
        // What is held is known again when the step is done.
        let held = std::mem::take(&mut slot.held);
        let held = if self.reuse.attention { held } else { Held::default() };
        let step =
            Decode::new(prompt, audio, script, self.reuse.drafts, limits, budget, &held, &self.ends, each_at_once);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        slot.running = Some(Running { ticket, step, cost });
        Ok(ticket)
    }

    /// One round. Returns the texts that are there then. After an error nothing runs any more.
    pub(super) fn round(&mut self, watch: &mut Stopwatch) -> Result<Vec<Finished>> {
        let done = self.prefill(watch).and_then(|()| self.texts(watch));
        if let Err(error) = done {
            self.slots.iter_mut().for_each(|slot| slot.running = None);
            return Err(error);
        }
        let mut finished = Vec::new();
        let several = self.slots.len() > 1;
        for slot in &mut self.slots {
            let Some(Running { ticket, step, mut cost }) =
                slot.running.take_if(|running| running.step.wants().is_none())
            else {
                continue;
            };
            let (decoded, held, counts) = step.finish();
            match (several, slot.sequence, &mut self.decoder) {
                // Another utterance comes next: what this one filled is given back.
                (true, Some((sequence, _)), Some(decoder)) => {
                    decoder.close(sequence);
                    slot.sequence = None;
                }
                _ => slot.held = held,
            }
            cost.tokens_prefilled += counts.prefilled;
            cost.tokens_reused += counts.reused;
            cost.tokens_verified += counts.verified;
            cost.tokens_kept += counts.kept;
            cost.tokens_generated += counts.generated;
            finished.push(Finished { ticket, decoded, cost });
        }
        Ok(finished)
    }

    /// One pass of prompt or audio, for the utterance that began first among those that want one.
    fn prefill(&mut self, watch: &mut Stopwatch) -> Result<()> {
        let wants = |slot: &&mut Slot| {
            let want = slot.running.as_ref().and_then(|running| running.step.wants());
            want.is_some_and(|want| want.rows == Rows::Together)
        };
        let ticket = |slot: &&mut Slot| slot.running.as_ref().map(|running| running.ticket);
        let Some(slot) = self.slots.iter_mut().filter(wants).min_by_key(ticket) else { return Ok(()) };
        let (Some((sequence, _)), Some(running)) = (slot.sequence, &mut slot.running) else { return Ok(()) };
        self.cancel.check()?;
        let decoder = self.decoder.as_mut().ok_or_else(no_decoder)?;
        if let Some(want) = running.step.wants() {
            let request = Request { sequence, position: want.position, inputs: &want.inputs, asked: want.asked };
            let verdicts = decoder.pass(&[request], want.rows, false)?;
            running.step.take(verdicts.first().map_or(&[], Vec::as_slice));
        }
        running.cost.prefill += watch.lap();
        Ok(())
    }

    /// One pass for all utterances that have come to their texts; several where not all rows fit into one.
    fn texts(&mut self, watch: &mut Stopwatch) -> Result<()> {
        let decoder = self.decoder.as_mut().ok_or_else(no_decoder)?;
        let most = decoder.each_at_once();
        let mut waiting: Vec<(Sequence, &mut Running)> = self
            .slots
            .iter_mut()
            .filter_map(|slot| Some((slot.sequence?.0, slot.running.as_mut()?)))
            .filter(|(_, running)| running.step.wants().is_some_and(|want| want.rows == Rows::Each))
            .collect();
        while !waiting.is_empty() {
            self.cancel.check()?;
            let mut rows = 0;
            let fits = |(_, running): &&(Sequence, &mut Running)| {
                rows += running.step.wants().map_or(0, |want| want.asked.len());
                rows <= most
            };
            let count = waiting.iter().take_while(fits).count().max(1);
            let group: Vec<_> = waiting.drain(..count).collect();
            let wants: Vec<_> =
                group.iter().filter_map(|(sequence, running)| Some((*sequence, running.step.wants()?))).collect();
            let requests: Vec<_> = wants
                .iter()
                .map(|(sequence, want)| Request {
                    sequence: *sequence,
                    position: want.position,
                    inputs: &want.inputs,
                    asked: want.asked,
                })
                .collect();
            let verdicts = decoder.pass(&requests, Rows::Each, false)?;
            let each = watch.lap() / u32::try_from(count).unwrap_or(u32::MAX);
            for ((_, running), verdicts) in group.into_iter().zip(&verdicts) {
                let generating = running.step.is_generating();
                running.step.take(verdicts);
                *(if generating { &mut running.cost.decode } else { &mut running.cost.prefill }) += each;
            }
        }
        Ok(())
    }

    /// A sequence of at least `capacity` positions in this slot: the one there if it is large enough, else a new one.
    fn make_room(&mut self, place: usize, capacity: usize) -> Result<()> {
        if self.decoder.is_none() {
            self.decoder = Some(self.model.decoder(&self.watch)?);
        }
        let decoder = self.decoder.as_mut().ok_or_else(no_decoder)?;
        let slot = &mut self.slots[place];
        if slot.sequence.is_none_or(|(_, held)| held < capacity) {
            // The old one goes first: two would double the peak.
            if let Some((sequence, _)) = slot.sequence.take() {
                decoder.close(sequence);
            }
            slot.held = Held::default();
            let capacity = capacity.max(self.expected);
            slot.sequence = Some((decoder.open(capacity)?, capacity));
        }
        Ok(())
    }

    fn decoder(&mut self) -> Result<&mut Box<dyn Decoder>> {
        self.decoder.as_mut().ok_or_else(no_decoder)
    }
}

fn no_decoder() -> Error {
    Error::internal("no decoder was opened")
}
