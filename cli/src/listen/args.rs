//! Flags of `qasr listen` and `qasr replay`.

use crate::shared::{ModelArgs, RawArgs, TextArgs};
use clap::{Args, ValueEnum};
use qasr::options::Reuse;
use qasr::stream::{Commit, OfficialRule, Policy, SteadyRule, StreamOptions};
use qasr::units::SAMPLE_RATE;
use std::path::PathBuf;
use std::time::Duration;

/// A delay that listeners accept without doubting the program.
const PATIENCE: Duration = Duration::from_secs(4);

const LISTEN_NOTES: &str = "\
The text goes to standard output, everything else to standard error. On a
terminal, text that is certain stands plain, text that may still change dim;
elsewhere one line is printed for each finished utterance, and with --json one
line for each event. Ctrl-C finishes the running utterance and prints the rest;
a second one ends at once. The flags of whisper-stream that cannot be honoured
are refused.

Examples:
  qasr listen -m model.gguf
  qasr listen -m model.gguf -c \"USB Audio\" -l de --context \"Ölpumpe, Ximenez\"
  arecord -t raw -f S16_LE -r 16000 | qasr listen --raw-rate 16000 -
  ffmpeg -i rtsp://camera/1 -f wav - | qasr listen --json - | jq -r 'select(.event==\"final\").text'
  qasr listen --input talk.flac --realtime
  qasr listen --input talk.flac --trace talk.trace && qasr replay talk.trace

Exit codes:
  0 done, also by Ctrl-C   1 other failure   2 usage            3 audio broke off
  4 bad model              5 a text is incomplete               6 output not written
  130 by a second Ctrl-C";

const REPLAY_NOTES: &str = "\
A trace is FILE, one line of JSON for each block of audio and each event, and
FILE.wav, the audio. The same blocks are given to the model again and the events
compared, times and counts of work included, durations not.

Exit codes: 0 the same events   1 a different one   2 usage   3 bad trace   4 bad model";

/// Turn speech into text while it is spoken
#[derive(Debug, Args)]
#[command(override_usage = "qasr listen [OPTIONS] [-]", after_long_help = LISTEN_NOTES)]
pub struct ListenArgs {
    /// `-`: standard input (WAV, or raw) instead of the microphone
    #[arg(value_name = "-")]
    pub stdin: Option<PathBuf>,

    /// Microphone: part of its name, or its number [default: the system's]
    ///
    /// Names and numbers are those of --list-devices.
    #[arg(short = 'c', long, value_name = "NAME", conflicts_with_all = ["stdin", "input"], help_heading = "Input")]
    pub device: Option<String>,

    /// Print the microphones and end
    #[arg(long, help_heading = "Input")]
    pub list_devices: bool,

    /// A recording instead of the microphone, as fast as it goes
    #[arg(long, value_name = "FILE", conflicts_with = "stdin", help_heading = "Input")]
    pub input: Option<PathBuf>,

    /// Play the recording at the speed of speech
    #[arg(long, requires = "input", conflicts_with_all = ["simulate", "stdin"], help_heading = "Input")]
    pub realtime: bool,

    #[command(flatten)]
    pub raw: RawArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub text: TextArgs,

    /// Print the languages of the model and end
    #[arg(long, help_heading = "Text")]
    pub list_languages: bool,

    /// Milliseconds between two steps, 100 to 60000
    ///
    /// A step recognizes the running utterance as far as it has been spoken. A longer one is less work.
    #[arg(long, value_name = "MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(100..=60_000), help_heading = "Live")]
    pub step: u32,

    /// When text is certain: steady or utterance [default: steady]
    ///
    /// steady: once steps have agreed on it. utterance: only when the utterance is over; then the text is that of
    /// transcribe.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = CommitName::Steady, hide_default_value = true, hide_possible_values = true, help_heading = "Live")]
    pub commit: CommitName,

    /// Print one line of JSON for each event
    ///
    /// ready, partial, final, dropped, warning, end.
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Print the time of each finished utterance before its text
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    pub timestamps: bool,

    /// Write finished text to FILE as it comes: .txt, .srt, .vtt
    ///
    /// May be repeated.
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Vec<PathBuf>,

    /// Only the text, warnings and errors [also -np]
    #[arg(long, help_heading = "Messages")]
    pub no_prints: bool,

    /// Times of the steps, and which settings came from where
    #[arg(short, long, conflicts_with = "no_prints", help_heading = "Messages")]
    pub verbose: bool,

    /// Like --realtime, without waiting (for measuring)
    ///
    /// Audio arrives by a virtual clock that each step moves on by the time it really takes; events carry it as `shown_ms`.
    #[arg(long, requires = "input", conflicts_with = "stdin", help_heading = "For developers")]
    pub simulate: bool,

    /// Text of a step: exact or official [default: exact]
    ///
    /// exact gives the text that transcribe would give for the audio so far; official is the rule of the published
    /// streaming.
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = PolicyName::Exact, hide_default_value = true, hide_possible_values = true, help_heading = "For developers")]
    pub policy: PolicyName,

    /// (official policy) first N steps start from scratch [default: 2]
    #[arg(long, value_name = "N", help_heading = "For developers")]
    pub unfixed_chunks: Option<u16>,

    /// (official policy) last N tokens are made again [default: 5]
    #[arg(long, value_name = "N", help_heading = "For developers")]
    pub rollback: Option<u16>,

    /// Caches to switch off; changes no text
    ///
    /// chunks, windows, attention, drafts or all, separated by commas.
    #[arg(
        long,
        value_name = "CACHE",
        value_enum,
        value_delimiter = ',',
        hide_possible_values = true,
        help_heading = "For developers"
    )]
    pub no_reuse: Vec<Kept>,

    /// Record audio and events, for `qasr replay`
    ///
    /// FILE has the events, FILE.wav the audio (230 MB an hour).
    #[arg(long, value_name = "FILE", help_heading = "For developers")]
    pub trace: Option<PathBuf>,
}

/// (developers) Re-run a recorded listen session
#[derive(Debug, Args)]
#[command(after_long_help = REPLAY_NOTES, arg_required_else_help = true)]
pub struct ReplayArgs {
    /// The file of `qasr listen --trace FILE`, with FILE.wav beside it
    #[arg(value_name = "FILE")]
    pub trace: PathBuf,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Print one line of JSON for each event
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Only the text, warnings and errors [also -np]
    #[arg(long, help_heading = "Messages")]
    pub no_prints: bool,
}

/// How a step makes its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PolicyName {
    Exact,
    Official,
}

/// When text becomes certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CommitName {
    Steady,
    Utterance,
}

/// What is kept from one step to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kept {
    Chunks,
    Windows,
    Attention,
    Drafts,
    All,
}

impl ListenArgs {
    /// A step, in samples.
    pub fn step_samples(&self) -> u64 {
        u64::from(self.step) * u64::from(SAMPLE_RATE) / 1000
    }

    /// Whether sound comes at the speed of speech, or as it was piped.
    pub fn is_live(&self) -> bool {
        self.input.is_none() || self.realtime
    }

    /// How late a text may be before the model is too slow: a step, and some seconds. `None` where nothing says when
    /// the audio was spoken: a pipe may have all of it at once.
    pub fn patience(&self) -> Option<Duration> {
        let is_on_time = self.is_live() && self.stdin.is_none();
        is_on_time.then(|| Duration::from_millis(u64::from(self.step)) + PATIENCE)
    }

    /// The same for the library, without a clock.
    ///
    /// # Errors
    /// One sentence where flags contradict each other.
    pub fn stream_options(&self) -> qasr::Result<StreamOptions> {
        let mut options = StreamOptions::default();
        options.recognition = self.text.options();
        options.recognition.reuse = self.reuse();
        options.step = self.step_samples();
        options.policy = match self.policy {
            PolicyName::Official => {
                let mut rule = OfficialRule::default();
                rule.steps_without_prefix = self.unfixed_chunks.map_or(rule.steps_without_prefix, usize::from);
                rule.rollback = self.rollback.map_or(rule.rollback, usize::from);
                Policy::Official(rule)
            }
            PolicyName::Exact if self.unfixed_chunks.is_some() || self.rollback.is_some() => {
                return Err(qasr::Error::usage(
                    "--unfixed-chunks and --rollback belong to the official rule: add --policy official",
                ));
            }
            PolicyName::Exact => Policy::Exact,
        };
        options.commit = match self.commit {
            CommitName::Steady => Commit::Steady(SteadyRule::default()),
            CommitName::Utterance => Commit::Utterance,
        };
        Ok(options)
    }

    fn reuse(&self) -> Reuse {
        let is_kept = |what| !self.no_reuse.contains(&what) && !self.no_reuse.contains(&Kept::All);
        Reuse {
            chunks: is_kept(Kept::Chunks),
            windows: is_kept(Kept::Windows),
            attention: is_kept(Kept::Attention),
            drafts: is_kept(Kept::Drafts),
        }
    }
}
