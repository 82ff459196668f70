//! The state of one live stream.

use super::policy::{Commit, Promises};
use super::{Final, Partial, Policy, Update};
use crate::audio::SampleBuffer;
use crate::endpoint::{Cut, EndReason, EndpointOptions, Endpointer};
use crate::error::{Error, Result};
use crate::mel;
use crate::model::Model;
use crate::options::Options;
use crate::recognizer::{Clock, Recognized, Recognizer, Script, StepCost};
use crate::transcript::{Joining, Segment, Transcript, Warning, WarningCode};
use crate::units::{HOP, SAMPLE_RATE, SampleIndex};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// A step lies this many samples after a whole multiple of its length: a chunk or an attention window that is full
/// then is also finished.
const BEHIND_FULL: u64 = mel::BEHIND_FRAME as u64;

/// A step that falls into a pause of at least this many samples waits: either speech goes on, or the utterance is over
/// and its last step says what this one would have said.
const PAUSE: u64 = 3200;

/// Samples looked at as one piece when a block is long: nothing has to be held for more than it.
const LONGEST_PIECE: usize = SAMPLE_RATE as usize;

/// How a stream is to be recognized. All fields have sensible defaults. Serialized as [`Options`] are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StreamOptions {
    /// Settings of recognition: as offline, so that the text of the same audio is the same.
    pub recognition: Options,
    /// Samples from one step to the next.
    pub step: u64,
    /// How a step treats the text of the step before.
    pub policy: Policy,
    /// When text is promised.
    pub commit: Commit,
    /// Most tokens that a step generates one by one while the utterance runs; the next step goes on from there.
    pub tokens_per_step: usize,
    /// Lends a clock for the durations in [`StepCost`]. The engine does nothing else with it. Not serialized.
    #[serde(skip)]
    pub clock: Option<Clock>,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            recognition: Options::default(),
            step: u64::from(SAMPLE_RATE),
            policy: Policy::default(),
            commit: Commit::default(),
            tokens_per_step: 64,
            clock: None,
        }
    }
}

/// Counts over a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Steps while utterances ran.
    pub steps: u64,
    /// Steps that waited because of a pause, and were then not needed.
    pub steps_saved: u64,
    /// Steps left out because a later step, or the end of the utterance, lay in the same block.
    pub steps_skipped: u64,
    /// Utterances that are over.
    pub utterances: u64,
    /// Hypotheses that disagreed with committed text, which stayed.
    pub revisions_refused: u64,
    /// Samples outside utterances, not recognized.
    pub samples_skipped: u64,
    /// The work of all steps.
    pub cost: StepCost,
}

/// The running utterance.
struct Running {
    number: u64,
    start: SampleIndex,
    /// Steps that are over.
    steps: usize,
    next_step: SampleIndex,
    /// The next step waits for the end of a pause.
    waits: bool,
    hypothesis: Vec<u32>,
    promises: Promises,
    /// The committed text, and the number of ids of the hypothesis that it has.
    committed_text: String,
    committed_ids: usize,
    revisions_refused: usize,
    /// The step of the last refusal: it counts once, however it shows.
    refused_at: usize,
}

impl Running {
    fn begin(number: u64, start: SampleIndex, next_step: SampleIndex) -> Self {
        Self {
            number,
            start,
            steps: 0,
            next_step,
            waits: false,
            hypothesis: Vec::new(),
            promises: Promises::default(),
            committed_text: String::new(),
            committed_ids: 0,
            revisions_refused: 0,
            refused_at: usize::MAX,
        }
    }
}

/// One live stream over a shared model: feed it audio, get text.
pub struct Stream {
    options: StreamOptions,
    recognizer: Recognizer,
    endpointer: Endpointer,
    cuts: Vec<Cut>,
    audio: SampleBuffer,
    running: Option<Running>,
    /// One past the last sample of the last utterance.
    last_end: SampleIndex,
    /// Not handed out yet.
    updates: Vec<Update>,
    transcript: Transcript,
    statistics: Statistics,
    is_over: bool,
}

impl Stream {
    /// A stream that has heard nothing.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] for options out of range.
    pub fn new(model: &Model, options: StreamOptions) -> Result<Self> {
        let longest = options.recognition.longest(model)?;
        if !STEPS.contains(&options.step) {
            return Err(Error::usage(format!(
                "steps of {} samples: give {} to {} (0.1 to 1200 s)",
                options.step,
                STEPS.start(),
                STEPS.end()
            )));
        }
        let recognizer = Recognizer::new(model, &options.recognition, longest, options.clock)?;
        let endpointer = Endpointer::new(&EndpointOptions { detector: options.recognition.detector, longest });
        Ok(Self {
            options,
            recognizer,
            endpointer,
            cuts: Vec::new(),
            audio: SampleBuffer::default(),
            running: None,
            last_end: SampleIndex(0),
            updates: Vec::new(),
            transcript: Transcript { complete: true, ..Transcript::default() },
            statistics: Statistics::default(),
            is_over: false,
        })
    }

    /// Hears one block of any length, mono at 16 kHz; what is beyond [-1, 1] counts as full scale, what is no number as
    /// 0. Steps lie at whole multiples of the step length from the utterance's start; a block that covers several gets
    /// only the last one, so that a slow machine catches up.
    ///
    /// # Errors
    /// When the model fails. The audio is heard all the same, updates come with the next call, and an utterance whose
    /// last step failed has a [`Final`] with what was committed, not complete and with a warning.
    pub fn feed(&mut self, block: &[f32]) -> Result<Vec<Update>> {
        if self.is_over {
            return Err(Error::internal("audio after the end of the stream"));
        }
        let (mut due, mut failure) = (None, None);
        let mut rest = block;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(self.next_piece().min(rest.len()));
            rest = later;
            self.audio.append(piece);
            self.endpointer.advance(&self.audio, &mut self.cuts);
            self.take_cuts(&mut due, &mut failure);
            self.look_for_step(&mut due);
            self.forget();
        }
        if let Some(up_to) = due {
            match self.step(up_to) {
                Ok(partial) => self.updates.push(Update::Partial(partial)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        self.hand_out(failure)
    }

    /// The audio is over: finishes the running utterance. Nothing more can be fed.
    ///
    /// # Errors
    /// As [`Stream::feed`]; a second call then has the updates.
    pub fn end(&mut self) -> Result<Vec<Update>> {
        let mut failure = None;
        if !self.is_over {
            self.is_over = true;
            self.endpointer.finish(&self.audio, &mut self.cuts);
            self.take_cuts(&mut None, &mut failure);
            self.statistics.samples_skipped += self.heard() - self.last_end.min(self.heard());
        }
        self.hand_out(failure)
    }

    /// The text of the whole stream. Where the model failed, it is not complete and has a warning.
    pub fn finish(mut self) -> Transcript {
        // The utterance reports its failure.
        let _ = self.end();
        self.statistics.cost.put_times(&mut self.transcript.timings);
        self.transcript.duration = self.heard();
        self.transcript.explain_missing_text();
        self.transcript
    }

    fn hand_out(&mut self, failure: Option<Error>) -> Result<Vec<Update>> {
        match failure {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut self.updates)),
        }
    }

    /// One past the last sample fed.
    pub fn heard(&self) -> SampleIndex {
        self.audio.end()
    }

    /// Samples that are kept: those of the running utterance, or some seconds in which the next may begin.
    pub fn held_samples(&self) -> usize {
        self.audio.len()
    }

    /// Counts so far.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// How many samples to look at as one piece: up to the next step, or, while one waits for the end of a pause, up
    /// to the next frame, so that what is decided does not depend on the blocks.
    fn next_piece(&self) -> usize {
        let heard = self.heard();
        let until = match &self.running {
            None => LONGEST_PIECE as u64,
            Some(running) if running.waits => HOP as u64 - heard.0 % HOP as u64,
            Some(running) => running.next_step.0.saturating_sub(heard.0).max(1),
        };
        until.min(LONGEST_PIECE as u64) as usize
    }

    /// Ends and begins utterances where the endpointer says so.
    fn take_cuts(&mut self, due: &mut Option<SampleIndex>, failure: &mut Option<Error>) {
        for cut in std::mem::take(&mut self.cuts) {
            match cut {
                Cut::Begin(start) => {
                    if let Err(error) = self.recognizer.begin(start, &self.transcript.text) {
                        failure.get_or_insert(error);
                    }
                    self.statistics.samples_skipped += start - self.last_end;
                    self.running = Some(Running::begin(
                        self.statistics.utterances,
                        start,
                        first_step(start, self.heard(), self.options.step),
                    ));
                }
                Cut::End { at, why } => {
                    self.last_end = at;
                    self.statistics.steps_skipped += u64::from(due.take().is_some());
                    let Some(running) = self.running.take() else { continue };
                    self.statistics.steps_saved += u64::from(running.waits);
                    let is_too_short = running.start.0 == 0 && why == EndReason::Input && at.0 <= mel::TOO_SHORT as u64;
                    if !is_too_short {
                        let last = self.last_step(running, at, why, failure);
                        self.updates.push(Update::Final(last));
                    }
                }
            }
        }
    }

    /// Notes the last step that has become due.
    fn look_for_step(&mut self, due: &mut Option<SampleIndex>) {
        let (heard, quiet) = (self.endpointer.heard(), self.endpointer.quiet_for());
        let Some(running) = self.running.as_mut().filter(|running| heard >= running.next_step) else { return };
        running.waits = quiet >= PAUSE;
        if running.waits {
            return;
        }
        self.statistics.steps_skipped += u64::from(due.is_some());
        *due = Some(heard);
        while running.next_step <= heard {
            running.next_step = running.next_step + self.options.step;
        }
    }

    /// Lets go of samples that no utterance can need any more.
    fn forget(&mut self) {
        let begin = self.running.as_ref().map_or(self.endpointer.keep_from(), |running| running.start);
        self.audio.forget_before(begin);
    }

    /// Asks for the text of the running utterance up to `up_to`.
    fn step(&mut self, up_to: SampleIndex) -> Result<Partial> {
        let mut running = self.running.take().ok_or_else(|| Error::internal("a step without an utterance"))?;
        let told = self.recognize(&mut running, up_to, None).map(|recognized| {
            self.statistics.steps += 1;
            self.advance(&mut running, &recognized, up_to);
            let tentative = self.behind_committed(&running, &recognized);
            Partial {
                utterance: running.number,
                start: running.start,
                up_to,
                committed: running.committed_text.clone(),
                tentative,
                language: recognized.answer.language,
                tokens: recognized.tokens,
                margins: recognized.margins,
                complete: recognized.complete,
                closest: recognized.closest,
                cost: recognized.cost,
            }
        });
        self.running = Some(running);
        told
    }

    /// Promises what the rule allows, where whole characters say it and nothing promised before would change.
    fn advance(&mut self, running: &mut Running, recognized: &Recognized, up_to: SampleIndex) {
        running.steps += 1;
        running.hypothesis.clone_from(&recognized.tokens);
        let surely_inside = self.endpointer.earliest_length_cut(running.start);
        let count = running.promises.advance(
            &recognized.tokens,
            &recognized.margins,
            up_to,
            surely_inside,
            self.options.commit,
        );
        let ids = &recognized.tokens[..count];
        if count <= running.committed_ids || self.recognizer.header(ids).is_none() {
            return;
        }
        let text = self.recognizer.read(ids).text;
        let is_whole = !text.ends_with(char::REPLACEMENT_CHARACTER);
        if is_whole && text.starts_with(&running.committed_text) && recognized.answer.text.starts_with(&text) {
            (running.committed_text, running.committed_ids) = (text, count);
        }
    }

    /// The text of a hypothesis after the committed text. Removing a loop from the whole text could change the committed part:
    /// then only the rest is mended.
    fn behind_committed(&self, running: &Running, recognized: &Recognized) -> String {
        match recognized.answer.text.strip_prefix(running.committed_text.as_str()) {
            Some(rest) => rest.to_owned(),
            None => {
                self.recognizer.continuation(&recognized.tokens[running.committed_ids.min(recognized.tokens.len())..])
            }
        }
    }

    /// Finishes an utterance; if the model fails, with what was promised.
    fn last_step(
        &mut self,
        mut running: Running,
        end: SampleIndex,
        why: EndReason,
        failure: &mut Option<Error>,
    ) -> Final {
        let (recognized, warnings) = match self.recognize(&mut running, end, Some(why)) {
            Ok(recognized) => {
                let warnings = self.recognizer.warnings(&recognized);
                (recognized, warnings)
            }
            Err(error) => {
                let warning =
                    Warning { code: WarningCode::Failed, message: format!("the text may lack its end: {error}") };
                failure.get_or_insert(error);
                let tokens = running.hypothesis[..running.committed_ids].to_vec();
                (Recognized { answer: self.recognizer.read(&tokens), tokens, ..Recognized::nothing() }, vec![warning])
            }
        };
        let text = running.committed_text.clone() + &self.behind_committed(&running, &recognized);
        if text != recognized.answer.text && running.refused_at != running.steps {
            running.revisions_refused += 1;
        }
        self.statistics.utterances += 1;
        self.statistics.revisions_refused += running.revisions_refused as u64;
        let segment = Segment { text, ..recognized.segment(running.start..end, self.options.recognition.origin) };
        self.transcript.add(segment.clone(), &warnings, recognized.audio_tokens, Joining::ByScript);
        let Recognized { margins, closest, cost, .. } = recognized;
        Final {
            utterance: running.number,
            segment,
            why,
            warnings,
            margins,
            closest,
            revisions_refused: running.revisions_refused,
            cost,
        }
    }

    /// The text of the running utterance up to `end`, which is its last sample if `why` says what ended it.
    fn recognize(&mut self, running: &mut Running, end: SampleIndex, why: Option<EndReason>) -> Result<Recognized> {
        let tokens = &running.hypothesis;
        let committed = &tokens[..running.committed_ids];
        let prefix;
        let script = match self.options.policy {
            Policy::Exact => Script { forced: committed, draft: &tokens[committed.len()..] },
            Policy::Official(rule) => {
                prefix = rule.prefix(self.recognizer.tokenizer(), tokens, running.steps, why.is_some())?;
                let forced = if prefix.starts_with(committed) { prefix.as_slice() } else { committed };
                Script { forced, draft: &[] }
            }
        };
        let audio = self.audio.range(running.start..end);
        let is_recording = running.start.0 == 0 && why.is_none_or(|why| why == EndReason::Input);
        let most_generated = if why.is_some() { usize::MAX } else { self.options.tokens_per_step };
        let recognized = self.recognizer.recognize(audio, is_recording, script, most_generated)?;
        if self.options.policy == Policy::Exact && recognized.objections > 0 {
            running.revisions_refused += 1;
            running.refused_at = running.steps;
        }
        self.statistics.cost += recognized.cost;
        Ok(recognized)
    }
}

/// Samples that a step may have.
const STEPS: RangeInclusive<u64> = SAMPLE_RATE as u64 / 10..=1200 * SAMPLE_RATE as u64;

/// The first step of an utterance that was noticed when `heard` samples had been heard.
fn first_step(start: SampleIndex, heard: SampleIndex, step: u64) -> SampleIndex {
    let mut first = start + step + BEHIND_FULL;
    while first <= heard {
        first = first + step;
    }
    first
}
