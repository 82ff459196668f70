//! Offline: the same utterances, recognized by the same steps as live, each asked for once.
//!
//! ```text
//! blocks ─ endpoint ─▶ utterances;  each: recognizer (mel, encoder, prompt, decoder) ─▶ text ─▶ Segment
//! ```
//!
//! A [`Transcriber`] is given a recording block by block and keeps no more of it than the running utterance, so a
//! recording can be decoded while it is recognized. [`transcribe()`] does the same with one that is in memory.

use crate::audio::{Pcm16k, SampleBuffer};
use crate::endpoint::split::split;
use crate::endpoint::{Cut, Detector, EndReason, EndpointOptions, Endpointer};
use crate::error::{Error, Result};
use crate::mel;
use crate::model::Model;
use crate::options::{Options, PeakPolicy};
use crate::recognizer::{Recognized, Recognizer, Script, StepCost};
use crate::transcript::{Joining, Segment, Transcript, Warning, WarningCode};
use crate::units::{SAMPLE_RATE, SampleIndex};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The official package's longest utterance, in samples: 1200 s.
const OFFICIAL_LIMIT: usize = 1200 * SAMPLE_RATE as usize;
/// Samples that go to the detector at a time.
const BLOCK: usize = SAMPLE_RATE as usize;

/// How far a transcription has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Samples transcribed.
    pub done: SampleIndex,
    /// Samples in all.
    pub total: SampleIndex,
    /// The segment just finished.
    pub segment: &'a Segment,
}

/// Transcribes a whole recording. `progress` is called after each utterance.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] for options out of range; [`crate::ErrorKind::Model`] when the model gives no numbers.
pub fn transcribe(
    model: &Model,
    audio: &Pcm16k,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Transcript> {
    let total = audio.duration();
    let mut transcriber = Transcriber::new(model, options)?;
    transcriber.expect(total);
    let mut each = |transcript: &Transcript| {
        if let Some(segment) = transcript.segments.last() {
            progress(Progress { done: SampleIndex(segment.end - options.origin), total, segment });
        }
    };
    for block in audio.samples().chunks(BLOCK) {
        transcriber.feed(block, &mut each)?;
    }
    transcriber.finish(&mut each)?;
    Ok(transcriber.into_transcript())
}

/// One recording that is transcribed while it arrives. The text is the same however it is cut into blocks.
pub struct Transcriber {
    model: Model,
    options: Options,
    longest: usize,
    joining: Joining,
    /// `None` where the official rule cuts, which has to know the whole recording.
    endpointer: Option<Endpointer>,
    /// Samples that probably come in all.
    expected: Option<SampleIndex>,
    audio: SampleBuffer,
    /// Where the running utterance began.
    begun: Option<u64>,
    /// Utterances that have ended and were not begun, and whether each is the whole recording.
    waiting: VecDeque<(Range<u64>, bool)>,
    /// Utterances that are being decoded, in the order of the recording.
    running: VecDeque<Running>,
    /// Made for the first utterance.
    recognizer: Option<Recognizer>,
    transcript: Transcript,
    cost: StepCost,
    finished: bool,
}

/// An utterance that is being decoded, or whose text waits for those of earlier ones.
struct Running {
    place: Range<u64>,
    ticket: u64,
    recognized: Option<Recognized>,
}

impl Transcriber {
    /// For a recording that begins.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] for options out of range.
    pub fn new(model: &Model, options: &Options) -> Result<Self> {
        let longest = options.longest(model)?;
        let mut options = options.clone();
        // Without a detector and at the official package's limit, its rule cuts, which looks ahead, and its pieces know
        // nothing of each other; otherwise the live rule.
        let officially = options.detector == Detector::Off && longest >= OFFICIAL_LIMIT;
        if officially {
            options.peak = PeakPolicy::Utterance;
        }
        let endpoint = EndpointOptions { detector: options.detector, longest };
        Ok(Self {
            model: model.clone(),
            options,
            longest,
            joining: if officially { Joining::Nothing } else { Joining::ByScript },
            endpointer: (!officially).then(|| Endpointer::new(&endpoint)),
            expected: None,
            audio: SampleBuffer::default(),
            begun: None,
            waiting: VecDeque::new(),
            running: VecDeque::new(),
            recognizer: None,
            transcript: Transcript::default(),
            cost: StepCost::default(),
            finished: false,
        })
    }

    /// Where the first sample lies in the recording, to be said before it is fed; [`Options::origin`] is added.
    pub fn starts_at(&mut self, start: SampleIndex) {
        self.options.origin = start + self.options.origin.0;
    }

    /// How long the recording probably is, to be said before it is fed. A short one needs less memory for its attention; a
    /// wrong value costs time. Utterances are decoded together only where this was said: the rest of the recording then comes
    /// as fast as it is asked for.
    pub fn expect(&mut self, total: SampleIndex) {
        self.expected = Some(total);
    }

    /// Takes the next samples (mono, 16 kHz, in [-1, 1]) and recognizes utterances that have ended: the first at once, later
    /// ones together with those that follow them ([`Options::batch`]). `each` is called after every one, in their order, with
    /// the transcript so far.
    ///
    /// # Errors
    /// As [`transcribe()`]; [`crate::ErrorKind::Interrupted`] when [`Options::cancel`] was used. The transcript so far
    /// stays.
    pub fn feed(&mut self, samples: &[f32], each: &mut dyn FnMut(&Transcript)) -> Result<()> {
        for block in samples.chunks(BLOCK) {
            self.audio.append(block);
            let mut cuts = Vec::new();
            if let Some(endpointer) = &mut self.endpointer {
                endpointer.advance(&self.audio, &mut cuts);
            }
            self.note_cuts(&cuts);
            self.recognize_waiting(false, each)?;
            self.forget();
        }
        Ok(())
    }

    /// Recognizes all utterances that have ended, none of which waits for company: for when the next samples are slow to come.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn catch_up(&mut self, each: &mut dyn FnMut(&Transcript)) -> Result<()> {
        self.recognize_waiting(true, each)
    }

    /// The recording is over: recognizes what is left of it.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn finish(&mut self, each: &mut dyn FnMut(&Transcript)) -> Result<()> {
        let heard = self.audio.end();
        self.expected = Some(heard);
        if heard.0 > mel::TOO_SHORT as u64 {
            match &mut self.endpointer {
                Some(endpointer) => {
                    let mut cuts = Vec::new();
                    endpointer.finish(&self.audio, &mut cuts);
                    self.note_cuts(&cuts);
                }
                None => {
                    let pieces = split(self.audio.range(SampleIndex(0)..heard), self.longest);
                    let is_recording = pieces.len() == 1;
                    let places = pieces.into_iter().map(|piece| piece.start as u64..piece.end as u64);
                    self.waiting.extend(places.map(|place| (place, is_recording)));
                }
            }
            self.recognize_waiting(true, each)?;
        }
        self.finished = true;
        Ok(())
    }

    /// Nothing that is recognized later lies before this position: the start of the first utterance whose text is
    /// missing, or shortly before the end of what was heard.
    pub fn settled(&self) -> SampleIndex {
        let next = self.endpointer.as_ref().map_or(0, |endpointer| endpointer.keep_from().0);
        let next = if self.finished { self.audio.end().0 } else { next };
        let waiting = self.waiting.front().map_or(next, |(place, _)| place.start);
        let waiting = self.running.front().map_or(waiting, |running| running.place.start);
        self.options.origin + waiting.min(self.begun.unwrap_or(waiting))
    }

    /// The transcript so far. Unless [`Self::finish`] succeeded, it is not complete, and says where it ends.
    pub fn into_transcript(mut self) -> Transcript {
        let transcript = &mut self.transcript;
        transcript.duration = self.audio.end();
        transcript.complete = self.finished && transcript.segments.iter().all(|segment| segment.complete);
        if self.finished {
            transcript.explain_missing_text();
        } else {
            let end = transcript.segments.last().map_or(self.options.origin, |segment| segment.end);
            transcript.warnings.push(Warning {
                code: WarningCode::Interrupted,
                message: format!("the transcription was not finished; the text ends at {:.1} s", end.seconds()),
            });
        }
        self.cost.put_times(&mut transcript.timings);
        self.transcript
    }

    fn note_cuts(&mut self, cuts: &[Cut]) {
        for cut in cuts {
            match *cut {
                Cut::Begin(at) => self.begun = Some(at.0),
                Cut::End { at, why } => {
                    let start = self.begun.take().unwrap_or(at.0);
                    self.waiting.push_back((start..at.0, start == 0 && why == EndReason::Input));
                }
            }
        }
    }

    /// Recognizes what waits, as many utterances at once as there is room for. Unless all are to be recognized now, those that
    /// run wait for company while there is room for it, but for the first: its text is not delayed by any other.
    fn recognize_waiting(&mut self, all: bool, each: &mut dyn FnMut(&Transcript)) -> Result<()> {
        if self.waiting.is_empty() && (!all || self.running.is_empty()) {
            return Ok(());
        }
        loop {
            let is_first = self.transcript.segments.is_empty();
            while let Some((place, is_recording)) = self.waiting.front().cloned() {
                if !self.running.is_empty() && (is_first || !self.recognizer()?.has_room()) {
                    break;
                }
                self.begin(place, is_recording)?;
                self.waiting.pop_front();
            }
            if self.running.is_empty() || (!all && !is_first && self.recognizer()?.has_room()) {
                return Ok(());
            }
            for (ticket, recognized) in self.recognizer()?.advance()? {
                if let Some(running) = self.running.iter_mut().find(|running| running.ticket == ticket) {
                    running.recognized = Some(recognized);
                }
            }
            while self.running.front().is_some_and(|running| running.recognized.is_some()) {
                if let Some(Running { place, recognized: Some(recognized), .. }) = self.running.pop_front() {
                    self.add(place, recognized)?;
                    each(&self.transcript);
                }
            }
        }
    }

    fn recognizer(&mut self) -> Result<&mut Recognizer> {
        if self.recognizer.is_none() {
            let whole = self.expected.map(|total| total.0.max(self.audio.end().0));
            let longest = whole.map_or(self.longest, |whole| self.longest.min(whole as usize));
            // Of a recording whose length nobody knows the rest may come slowly: no utterance waits for it.
            let width = if whole.is_some() { self.options.width(&self.model) } else { 1 };
            let made = Recognizer::batched(&self.model, &self.options, longest, Some(since_first_use), width)?;
            self.recognizer = Some(made);
        }
        self.recognizer.as_mut().ok_or_else(|| Error::internal("no recognizer was made"))
    }

    /// Encodes an utterance and begins to decode it.
    fn begin(&mut self, place: Range<u64>, is_recording: bool) -> Result<()> {
        self.recognizer()?;
        let Some(recognizer) = &mut self.recognizer else { return Ok(()) };
        recognizer.begin(SampleIndex(place.start), &self.transcript.text)?;
        let samples = self.audio.range(SampleIndex(place.start)..SampleIndex(place.end));
        let ticket = recognizer.submit(samples, is_recording, Script::default(), usize::MAX)?;
        self.running.push_back(Running { place, ticket, recognized: None });
        Ok(())
    }

    fn add(&mut self, place: Range<u64>, recognized: Recognized) -> Result<()> {
        let warnings = self.recognizer()?.warnings(&recognized);
        let segment = recognized.segment(SampleIndex(place.start)..SampleIndex(place.end), self.options.origin);
        self.transcript.add(segment, &warnings, recognized.audio_tokens, self.joining);
        self.cost += recognized.cost;
        Ok(())
    }

    /// Lets go of samples that no later utterance can have.
    fn forget(&mut self) {
        let Some(endpointer) = &self.endpointer else { return };
        let waiting = self.waiting.front().map_or(u64::MAX, |(place, _)| place.start);
        let needed = endpointer.keep_from().0.min(self.begun.unwrap_or(u64::MAX)).min(waiting);
        self.audio.forget_before(SampleIndex(needed));
    }
}

/// A clock for the timings.
fn since_first_use() -> Duration {
    static FIRST_USE: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST_USE.elapsed()
}
