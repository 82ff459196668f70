//! `qasr transcribe`: recordings in, text out, utterance by utterance.

mod inputs;
mod lanes;
mod plan;
mod printer;
mod reporting;

use super::args::TranscribeArgs;
use super::cost;
use super::exit::{Exit, Tally};
use super::interrupt;
use super::messages::{Messages, warning_sentence};
use super::output::{self, Cutting, ModelSummary, Report};
use super::shared::OpenModel;
use inputs::is_stdin;
use lanes::Lanes;
use plan::{Job, plan, try_places};
use printer::{Form, Printer};
use qasr::audio::{ReadOptions, live::Source};
use qasr::error::{Error, ErrorKind, Result};
use qasr::{Model, Options, Transcript, audio};
use reporting::{Outcomes, brief, wrote};
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Runs the subcommand.
pub fn run(args: &TranscribeArgs) -> Exit {
    let messages = Messages::new(args.no_prints, args.progress);
    let prepared = plan(args).and_then(|jobs| {
        printer::check(&jobs)?;
        try_places(args, &jobs)?;
        interrupt::install()?;
        // Where nothing is left to do, no model is needed.
        let run = jobs.iter().any(|job| !job.is_done).then(|| Run::open(args, &messages)).transpose()?;
        Ok((jobs, run))
    });
    let (jobs, run) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return messages.failure(&error),
    };
    let mut tally = Tally::default();
    let mut outcomes = Outcomes::new(jobs.len());
    for (index, job) in jobs.iter().enumerate() {
        let Some(run) = run.as_ref().filter(|_| !job.is_done) else {
            outcomes.skip();
            continue;
        };
        let exit = run.job(job, (index + 1, jobs.len())).unwrap_or_else(|error| messages.failure(&error));
        tally.add(exit);
        outcomes.add(display_name(&job.input), exit);
        if interrupt::is_wanted() || (run.reader_is_gone.get() && jobs.iter().all(|job| job.files.is_empty())) {
            break;
        }
    }
    if let Some(line) = outcomes.line() {
        messages.note(line);
    }
    if interrupt::is_wanted() { Exit::Interrupted } else { tally.exit() }
}

/// State shared by all recordings of a command line.
struct Run<'a> {
    args: &'a TranscribeArgs,
    messages: &'a Messages,
    model: Model,
    summary: ModelSummary,
    options: Options,
    /// Nobody reads standard output any more (`qasr … | head`).
    reader_is_gone: Cell<bool>,
}

impl<'a> Run<'a> {
    /// Opens the model once for all recordings.
    fn open(args: &'a TranscribeArgs, messages: &'a Messages) -> Result<Self> {
        let OpenModel { model, summary, .. } = args.model.open(messages)?;
        let mut options = args.text.options();
        options.batch = args.batch.map_or(0, usize::from);
        options.cancel = interrupt::cancel();
        Ok(Self { args, messages, model, summary, options, reader_is_gone: Cell::new(false) })
    }

    /// Transcribes one recording and puts the result everywhere it was asked for: all of it, or what was finished when
    /// the work was stopped.
    fn job(&self, job: &Job, place: (usize, usize)) -> Result<Exit> {
        if let Some(fault) = &job.fault {
            return Err(fault.clone());
        }
        let name = display_name(&job.input);
        self.messages.begin(&short_name(&job.input), place);
        let mut lanes = self.lanes(&job.input)?;
        let form = Form::new(job.stdout, self.args.lines, self.args.no_timestamps);
        let mut printer = Printer::new(form, self.cutting(), lanes.count());
        let stopped = self.work(&short_name(&job.input), job, &mut lanes, &mut printer).err();
        self.messages.clear_progress();
        let kind = stopped.as_ref().map(Error::kind);
        let channels = lanes.count();
        let transcript = lanes.into_transcript(self.model.load_time());
        // Nothing was begun: there is no result, not even an empty one.
        if let Some(error) =
            stopped.as_ref().filter(|_| kind != Some(ErrorKind::Interrupted) && transcript.segments.is_empty())
        {
            return Err(error.clone());
        }
        let is_whole = stopped.is_none();
        let mut tally = Tally::default();
        if let Some(error) = stopped.filter(|error| error.kind() != ErrorKind::Interrupted) {
            printer.end_line();
            tally.add(self.messages.failure(&error));
        }
        tally.add(self.report(job, &name, &transcript, channels, printer, is_whole));
        Ok(if kind == Some(ErrorKind::Interrupted) { Exit::Interrupted } else { tally.exit() })
    }

    fn cutting(&self) -> Cutting {
        Cutting { most_characters: self.args.max_len, keep_words: self.args.split_on_word }
    }

    /// Prints the rest, writes the files, reports warnings and the cost.
    fn report(
        &self,
        job: &Job,
        name: &str,
        transcript: &Transcript,
        channels: usize,
        mut printer: Printer,
        is_whole: bool,
    ) -> Exit {
        let report = Report {
            transcript,
            model: &self.summary,
            loaded: Some(&self.model),
            peak_rss_bytes: cost::peak_rss_bytes(),
            channels,
            cutting: self.cutting(),
            has_lines: self.args.lines,
            is_demo_by_default: self.args.model.is_demo_by_default(),
            language: self.options.language.map_or("auto", |language| language.code()),
        };
        let mut tally = Tally::default();
        // Every file that can be written is written, even if another cannot be.
        let mut count = |written: Result<()>| match written {
            Ok(()) => true,
            Err(error) => {
                tally.add(self.messages.failure(&error));
                false
            }
        };
        count(printer.finish(&report, job.stdout));
        self.reader_is_gone.set(printer.is_gone());
        let mut written = Vec::new();
        // Files of a part would be taken for the whole by the run that goes on with the rest.
        for (format, path) in job.files.iter().filter(|_| is_whole || !self.args.skip_existing) {
            if count(output::write_file(&report, *format, path)) {
                written.push(path.as_path());
            }
        }
        let warnings = if self.args.verbose { transcript.warnings.clone() } else { brief(&transcript.warnings) };
        for warning in &warnings {
            self.messages.warning(named(name, &warning_sentence(warning)));
        }
        if !written.is_empty() {
            self.messages.note(format_args!("wrote {}", wrote(&written)));
        }
        let short = short_name(&job.input);
        self.messages.note(format_args!("{short}: {}", cost::summary(transcript)));
        if self.args.verbose {
            self.messages.note(format_args!("{short}: {}", cost::details(transcript)));
        }
        tally.add(if transcript.complete { Exit::Success } else { Exit::Incomplete });
        tally.exit()
    }

    /// Gives the recording to the recognizer, block by block. An error leaves in `lanes` what was finished before it.
    fn work(&self, name: &str, job: &Job, lanes: &mut Lanes, printer: &mut Printer) -> Result<()> {
        loop {
            if interrupt::is_wanted() {
                return Err(interrupt::error());
            }
            let (done, pending, expected) = lanes.position();
            if !printer.is_on_screen() {
                self.messages.position(name, done, pending, expected, &self.options.cancel);
            }
            let more = lanes.step(&mut |segment, text| {
                self.messages.clear_progress();
                printer.add(segment, text);
            })?;
            if !more {
                if !printer.is_on_screen() {
                    self.messages.finished(name);
                }
                return Ok(());
            }
            if printer.is_gone() && job.files.is_empty() {
                return Ok(());
            }
        }
    }

    /// The recording as it is recognized: its channels as one, or one by one.
    fn lanes(&self, input: &Path) -> Result<Lanes> {
        if !self.args.split_channels {
            let source = self.open_source(input, self.args.channel.0)?;
            return Lanes::one(source, &self.model, &self.options);
        }
        // Every channel is decoded by itself, so standard input has to be kept.
        let kept = is_stdin(input).then(keep_stdin).transpose()?;
        let open = |channel| match &kept {
            Some(kept) => {
                let file = kept.reopen().map_err(|error| unkept(&error))?;
                audio::open_stream(file, "standard input", &self.read_options(channel))
            }
            None => audio::open_path(input, &self.read_options(channel)),
        };
        Lanes::by_channel(open, &self.model, &self.options)
    }

    fn open_source(&self, input: &Path, channel: audio::Channel) -> Result<Source> {
        let options = self.read_options(channel);
        if is_stdin(input) {
            audio::open_stream(io::stdin(), "standard input", &options)
        } else {
            audio::open_path(input, &options)
        }
    }

    fn read_options(&self, channel: audio::Channel) -> ReadOptions {
        let milliseconds = |value: u64| (value > 0).then(|| Duration::from_millis(value));
        ReadOptions {
            raw: self.args.raw.format(),
            offset: milliseconds(self.args.offset),
            duration: milliseconds(self.args.duration),
            channel,
            track: self.args.audio_track,
            decoder: self.args.decoder.into(),
        }
    }
}

/// Standard input in a temporary file.
fn keep_stdin() -> Result<tempfile::NamedTempFile> {
    let mut kept = tempfile::NamedTempFile::new().map_err(|error| unkept(&error))?;
    io::copy(&mut io::stdin().lock(), kept.as_file_mut() as &mut File).map_err(|error| unkept(&error))?;
    Ok(kept)
}

fn unkept(error: &io::Error) -> Error {
    Error::output(format!(
        "standard input cannot be kept in a temporary file, which --split-channels needs: {error}; give the recording by name"
    ))
}

/// A warning after the recording's name; warnings from reading have the name already.
fn named(name: &str, warning: &str) -> String {
    match warning.strip_prefix(name) {
        Some(rest) if rest.starts_with(": ") => warning.to_owned(),
        _ => format!("{name}: {warning}"),
    }
}

/// For a line that has to fit: a recording's name without its folders.
fn short_name(input: &Path) -> String {
    let name = input.file_name().filter(|_| !is_stdin(input));
    name.map_or_else(|| display_name(input), |name| name.to_string_lossy().into_owned())
}

fn display_name(input: &Path) -> String {
    if is_stdin(input) { "standard input".into() } else { input.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_the_recording_once() {
        assert_eq!(named("s.wav", "s.wav: is damaged"), "s.wav: is damaged");
        assert_eq!(named("s.wav", "0.0-2.0 s: cut"), "s.wav: 0.0-2.0 s: cut");
        assert_eq!(named("s", "s.wav was cut"), "s: s.wav was cut");
    }
}
