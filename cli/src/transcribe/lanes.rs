//! The way from a recording's samples to its transcript: one lane, or one for every channel, whose utterances are merged
//! by time.

use crate::output::{channel_label, labelled};
use qasr::audio::Channel;
use qasr::audio::live::Source;
use qasr::error::Result;
use qasr::transcript::{Segment, Timings, Warning};
use qasr::units::{SAMPLE_RATE, SampleIndex};
use qasr::{Model, Options, Transcriber, Transcript};
use std::time::{Duration, Instant};

/// Samples given to the recognizer at a time.
const BLOCK: usize = SAMPLE_RATE as usize;
/// How long samples are waited for before an interruption is looked for.
const WAIT: Duration = Duration::from_millis(100);
/// A source that lets us wait so long is slower than the recognition: a pipe from a microphone, not a file.
const SLOW: Duration = Duration::from_millis(50);

/// The lanes of one recording.
pub struct Lanes {
    lanes: Vec<Lane>,
    /// Utterances that another channel may still get before, in no order.
    waiting: Vec<Segment>,
    /// Characters of the text that were handed on.
    handed_on: usize,
}

struct Lane {
    channel: Option<u16>,
    source: Source,
    transcriber: Transcriber,
    heard: u64,
    /// Where the first sample lies in the recording.
    start: SampleIndex,
    is_over: bool,
    /// Time spent waiting for samples.
    waited: Duration,
    warnings: Vec<Warning>,
}

impl Lane {
    fn new(channel: Option<u16>, source: Source, model: &Model, options: &Options) -> Result<Self> {
        Ok(Self {
            channel,
            source,
            transcriber: Transcriber::new(model, options)?,
            heard: 0,
            start: options.origin,
            is_over: false,
            waited: Duration::ZERO,
            warnings: Vec::new(),
        })
    }

    /// Samples before the first whose text is missing.
    fn done(&self) -> u64 {
        if self.is_over { self.heard } else { (self.transcriber.settled() - self.start).min(self.heard) }
    }

    /// Takes the next block, and what it ends. `each` gets the transcript after every utterance.
    fn step(&mut self, each: &mut dyn FnMut(&Transcript)) -> Result<()> {
        let started = Instant::now();
        let block = self.source.next(WAIT, BLOCK);
        let waited = started.elapsed();
        self.waited += waited;
        self.warnings.append(&mut self.source.warnings());
        match block? {
            Some(block) => {
                if self.heard == 0 && !block.samples.is_empty() {
                    self.start = self.start + self.source.start().0;
                    self.transcriber.starts_at(self.source.start());
                }
                if let Some(expected) = self.source.expected() {
                    self.transcriber.expect(expected);
                }
                self.heard += block.samples.len() as u64;
                self.transcriber.feed(&block.samples, each)?;
                // Text is not held back for what comes slowly.
                if waited >= SLOW { self.transcriber.catch_up(each) } else { Ok(()) }
            }
            None => {
                self.is_over = true;
                self.transcriber.finish(each)
            }
        }
    }
}

impl Lanes {
    /// All channels as one, or the one that `source` was opened for.
    pub fn one(source: Source, model: &Model, options: &Options) -> Result<Self> {
        Ok(Self::new(vec![Lane::new(None, source, model, options)?]))
    }

    /// A lane for every channel. `open` opens the recording for one.
    pub fn by_channel(open: impl Fn(Channel) -> Result<Source>, model: &Model, options: &Options) -> Result<Self> {
        let first = open(Channel::Only(0))?;
        first.wait_for_samples();
        let format = first.format();
        let mut lanes = vec![Lane::new(Some(0), first, model, options)?];
        for channel in 1..format.map_or(1, |format| format.channels) {
            lanes.push(Lane::new(Some(channel), open(Channel::Only(channel))?, model, options)?);
        }
        Ok(Self::new(lanes))
    }

    fn new(lanes: Vec<Lane>) -> Self {
        Self { lanes, waiting: Vec::new(), handed_on: 0 }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lanes.len()
    }

    /// How far the text of all lanes has come, the samples whose text is on its way, and how far it probably goes.
    pub fn position(&self) -> (SampleIndex, u64, Option<SampleIndex>) {
        let done = self.lanes.iter().map(Lane::done).min().unwrap_or(0);
        let pending = self.next().map_or(0, |lane| lane.heard.saturating_sub(lane.done()) / self.lanes.len() as u64);
        (SampleIndex(done), pending, self.lanes.first().and_then(|lane| lane.source.expected()))
    }

    /// The lane with the earliest position.
    fn next(&self) -> Option<&Lane> {
        self.lanes.iter().filter(|lane| !lane.is_over).min_by_key(|lane| lane.heard)
    }

    /// Does the next piece of work, on the lane with the earliest position, and hands every new utterance to `each`, with the
    /// characters that it adds to the text. False when all is done.
    pub fn step(&mut self, each: &mut dyn FnMut(&Segment, &str)) -> Result<bool> {
        let is_one = self.lanes.len() == 1;
        let (waiting, handed_on) = (&mut self.waiting, &mut self.handed_on);
        let Some(lane) = self.lanes.iter_mut().filter(|lane| !lane.is_over).min_by_key(|lane| lane.heard) else {
            return Ok(false);
        };
        let channel = lane.channel;
        let result = lane.step(&mut |transcript| {
            let Some(segment) = transcript.segments.last() else { return };
            if is_one {
                each(segment, &transcript.text[*handed_on..]);
                *handed_on = transcript.text.len();
            } else {
                waiting.push(Segment { channel, ..segment.clone() });
            }
        });
        self.hand_on_settled(each);
        result.map(|()| true)
    }

    /// Hands on the utterances that no other channel can get before any more.
    fn hand_on_settled(&mut self, each: &mut dyn FnMut(&Segment, &str)) {
        let going_on = self.lanes.iter().filter(|lane| !lane.is_over);
        let settled = going_on.map(|lane| lane.transcriber.settled()).min();
        let (mut ready, waiting) =
            self.waiting.drain(..).partition(|segment| settled.is_none_or(|settled| segment.start < settled));
        self.waiting = waiting;
        sort(&mut ready);
        for segment in &ready {
            each(segment, &line(segment, self.lanes.len()));
        }
    }

    /// The result, complete or not.
    pub fn into_transcript(self, load: Duration) -> Transcript {
        let count = self.lanes.len();
        let mut whole = Transcript { complete: true, ..Transcript::default() };
        for lane in self.lanes {
            let Lane { channel, transcriber, waited, warnings, .. } = lane;
            let part = transcriber.into_transcript();
            // A fault of the recording is found once in every channel.
            for warning in warnings {
                if !whole.warnings.contains(&warning) {
                    whole.warnings.push(warning);
                }
            }
            let label = channel.map_or(String::new(), |channel| format!("{}: ", channel_label(channel, count)));
            whole.warnings.extend(
                part.warnings
                    .into_iter()
                    .map(|warning| Warning { message: format!("{label}{}", warning.message), ..warning }),
            );
            for language in part.languages {
                if count == 1 || !whole.languages.contains(&language) {
                    whole.languages.push(language);
                }
            }
            whole.complete &= part.complete;
            whole.duration = whole.duration.max(part.duration);
            whole.timings = sum(whole.timings, part.timings);
            whole.timings.audio += waited;
            whole.text = part.text;
            whole.segments.extend(part.segments.into_iter().map(|segment| Segment { channel, ..segment }));
        }
        whole.timings.load = load;
        if count > 1 {
            sort(&mut whole.segments);
            let lines: String = whole.segments.iter().map(|segment| line(segment, count)).collect();
            whole.text = lines.trim_end().to_owned();
        }
        whole
    }
}

fn sort(segments: &mut [Segment]) {
    segments.sort_by_key(|segment| (segment.start, segment.channel));
}

/// An utterance of one channel as a line of the text; nothing where nothing was said.
fn line(segment: &Segment, channels: usize) -> String {
    if segment.text.is_empty() { String::new() } else { format!("{}\n", labelled(segment, channels)) }
}

fn sum(a: Timings, b: Timings) -> Timings {
    Timings {
        load: a.load + b.load,
        audio: a.audio + b.audio,
        mel: a.mel + b.mel,
        encode: a.encode + b.encode,
        prefill: a.prefill + b.prefill,
        decode: a.decode + b.decode,
        audio_tokens: a.audio_tokens + b.audio_tokens,
        new_tokens: a.new_tokens + b.new_tokens,
    }
}
