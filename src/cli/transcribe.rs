//! `qasr transcribe`: recordings in, text out.

use super::args::TranscribeArgs;
use super::cost;
use super::exit::{Exit, Tally};
use super::messages::Messages;
use super::output::{self, Format, ModelSummary, Report};
use super::shared::OpenModel;
use qasr::audio::{self, ReadOptions, Recording};
use qasr::error::{Error, Result};
use qasr::units::{SAMPLE_RATE, SampleIndex};
use qasr::{Model, Options, Progress, Transcript, transcribe};
use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One recording, and where its result goes.
#[derive(Debug)]
struct Job {
    input: PathBuf,
    /// What standard output gets.
    stdout: Format,
    files: Vec<(Format, PathBuf)>,
}

/// Runs the subcommand.
pub fn run(args: &TranscribeArgs) -> Exit {
    let messages = Messages::new(args.no_prints, args.progress);
    let prepared = plan(args).and_then(|jobs| Ok((jobs, Transcriber::open(args, &messages)?)));
    let (jobs, transcriber) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return messages.failure(&error),
    };
    let mut tally = Tally::default();
    for job in &jobs {
        tally.add(transcriber.run(job).unwrap_or_else(|error| messages.failure(&error)));
        if transcriber.reader_is_gone.get() && jobs.iter().all(|job| job.files.is_empty()) {
            break;
        }
    }
    tally.exit()
}

/// What every recording shares.
struct Transcriber<'a> {
    args: &'a TranscribeArgs,
    messages: &'a Messages,
    model: Model,
    summary: ModelSummary,
    options: Options,
    /// Nobody reads standard output any more (`qasr … | head`).
    reader_is_gone: Cell<bool>,
}

impl<'a> Transcriber<'a> {
    /// Opens the model once for all recordings.
    fn open(args: &'a TranscribeArgs, messages: &'a Messages) -> Result<Self> {
        let OpenModel { model, summary, .. } = args.model.open(messages)?;
        let mut options = args.text.options();
        // Times are those of the recording as it is, not of the part that is kept.
        options.origin = SampleIndex(args.offset.saturating_mul(u64::from(SAMPLE_RATE)) / 1000);
        Ok(Self { args, messages, model, summary, options, reader_is_gone: Cell::new(false) })
    }

    /// Transcribes one recording and puts the result everywhere it was asked for.
    fn run(&self, job: &Job) -> Result<Exit> {
        let name = display_name(&job.input);
        let transcript = self.transcribe(&job.input, &name)?;
        self.messages.clear_progress();
        let report = Report { transcript: &transcript, model: &self.summary, peak_rss_bytes: cost::peak_rss_bytes() };
        let mut tally = Tally::default();
        // What can be written is written, even where something else cannot be.
        let mut count = |written: Result<()>| match written {
            Ok(()) => {}
            Err(error) => tally.add(self.messages.failure(&error)),
        };
        count(self.print(&report, job.stdout));
        for (format, path) in &job.files {
            count(output::write_file(&report, *format, path).inspect(|()| {
                self.messages.note(format_args!("{name}: wrote {}", path.display()));
            }));
        }
        for warning in &transcript.warnings {
            self.messages.warning(named(&name, &warning.message));
        }
        self.messages.note(format_args!("{name}: {}", cost::summary(&transcript)));
        tally.add(if transcript.complete { Exit::Success } else { Exit::Incomplete });
        Ok(tally.exit())
    }

    /// Prints the result in the given form. A reader that went away has what it wanted: no failure.
    fn print(&self, report: &Report<'_>, format: Format) -> Result<()> {
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        match output::write(report, format, &mut stdout).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_is_gone.set(true);
                Ok(())
            }
            Err(error) => Err(Error::output(format!("cannot write the text to standard output: {error}"))),
        }
    }

    fn transcribe(&self, input: &Path, name: &str) -> Result<Transcript> {
        let started = Instant::now();
        let recording = self.read(input)?;
        let audio_time = started.elapsed();
        self.messages.progress(name, 0, recording.pcm.len() as u64);
        let mut show = |progress: Progress<'_>| self.messages.progress(name, progress.done.0, progress.total.0);
        let mut transcript = transcribe(&self.model, &recording.pcm, &self.options, &mut show)?;
        transcript.timings.load = self.model.load_time();
        transcript.timings.audio = audio_time;
        transcript.warnings.splice(0..0, recording.warnings);
        Ok(transcript)
    }

    fn read(&self, input: &Path) -> Result<Recording> {
        let milliseconds = |value: u64| (value > 0).then(|| Duration::from_millis(value));
        let options = ReadOptions {
            raw: self.args.raw.format(),
            offset: milliseconds(self.args.offset),
            duration: milliseconds(self.args.duration),
        };
        if is_stdin(input) {
            audio::read_stream(io::stdin(), "standard input", &options)
        } else {
            audio::read_path(input, &options)
        }
    }
}

/// Where every result goes, decided before any work: a name that cannot work should not cost a transcription.
fn plan(args: &TranscribeArgs) -> Result<Vec<Job>> {
    let inputs: Vec<&PathBuf> = args.files_by_flag.iter().chain(&args.files).collect();
    if inputs.iter().filter(|input| is_stdin(input)).count() > 1 {
        return Err(Error::usage("`-` was given twice, but standard input can be read only once"));
    }
    if inputs.iter().any(|input| is_stdin(input)) && io::stdin().is_terminal() {
        return Err(Error::usage(
            "`-` reads a recording from standard input, but that is a terminal: redirect a file into it",
        ));
    }
    let formats = formats(args);
    let bases = &args.output_base;
    if !bases.is_empty() && formats.is_empty() {
        return Err(Error::usage(
            "-of names output files, but no format was asked for: add -otxt, -osrt, -ovtt, -ojson or -otsv",
        ));
    }
    if !bases.is_empty() && bases.len() != inputs.len() {
        return Err(Error::usage(format!(
            "-of was given {} times for {} recordings: give one for each",
            bases.len(),
            inputs.len()
        )));
    }
    let mut jobs = Vec::new();
    for (index, input) in inputs.into_iter().enumerate() {
        jobs.push(job(input, bases.get(index), &formats)?);
    }
    check_names(&jobs)?;
    Ok(jobs)
}

fn job(input: &Path, base: Option<&PathBuf>, formats: &[Format]) -> Result<Job> {
    let mut job = Job { input: input.to_path_buf(), stdout: Format::Txt, files: Vec::new() };
    match base {
        Some(base) if base.as_os_str() == "-" => match formats {
            [format] => job.stdout = *format,
            _ => return Err(Error::usage("`-of -` writes to standard output, which has room for one format only")),
        },
        None if is_stdin(input) && !formats.is_empty() => {
            return Err(Error::usage(
                "a recording from standard input has no name to give to its output files: add -of BASE",
            ));
        }
        _ => {
            let base = base.map_or(input, PathBuf::as_path);
            job.files = formats.iter().map(|format| (*format, output::file_name(base, *format))).collect();
        }
    }
    Ok(job)
}

/// No output may replace a recording, or the output of another recording.
fn check_names(jobs: &[Job]) -> Result<()> {
    let inputs: HashSet<PathBuf> = jobs.iter().filter_map(|job| job.input.canonicalize().ok()).collect();
    let mut outputs = HashSet::new();
    for (_, path) in jobs.iter().flat_map(|job| &job.files) {
        let place = place(path);
        if path.canonicalize().is_ok_and(|path| inputs.contains(&path)) {
            return Err(Error::usage(format!(
                "the output `{}` would replace a recording: choose another name with -of",
                path.display()
            )));
        }
        if !outputs.insert(place) {
            return Err(Error::usage(format!(
                "two recordings would write `{}`: give each its own name with -of",
                path.display()
            )));
        }
    }
    Ok(())
}

/// Where a file lies whatever the spelling of its folder: `a/../b.txt` and `b.txt` are one place.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        // Writing will fail and say why.
        _ => path.to_path_buf(),
    }
}

/// The formats asked for, each once, in the order of [`Format::ALL`].
fn formats(args: &TranscribeArgs) -> Vec<Format> {
    let by_flag = |format| match format {
        Format::Txt => args.output_txt,
        Format::Srt => args.output_srt,
        Format::Vtt => args.output_vtt,
        Format::Json => args.output_json,
        Format::Tsv => args.output_tsv,
        Format::Csv => args.output_csv,
        Format::Lrc => args.output_lrc,
    };
    let by_name = |format| args.output_format.iter().any(|set| set.0.contains(&format));
    Format::ALL.into_iter().filter(|format| by_flag(*format) || by_name(*format)).collect()
}

fn is_stdin(input: &Path) -> bool {
    input.as_os_str() == "-"
}

/// A warning behind the recording's name, which those from reading it carry already.
fn named(name: &str, warning: &str) -> String {
    match warning.strip_prefix(name) {
        Some(rest) if rest.starts_with(": ") => warning.to_owned(),
        _ => format!("{name}: {warning}"),
    }
}

fn display_name(input: &Path) -> String {
    if is_stdin(input) { "standard input".into() } else { input.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::args::{Cli, Command};
    use super::super::spelling::to_long_forms;
    use super::*;
    use clap::Parser;

    fn planned(typed: &[&str]) -> Result<Vec<Job>> {
        let argv = ["qasr", "transcribe"].iter().chain(typed).map(std::ffi::OsString::from).collect();
        let cli = Cli::try_parse_from(to_long_forms(argv).unwrap()).unwrap();
        match cli.command {
            Some(Command::Transcribe(args)) => plan(&args),
            other => panic!("{other:?}"),
        }
    }

    fn files(jobs: &[Job]) -> Vec<String> {
        jobs.iter().flat_map(|job| &job.files).map(|(_, path)| path.display().to_string()).collect()
    }

    #[test]
    fn outputs_lie_beside_their_inputs_under_the_full_name() {
        let jobs = planned(&["d/a.wav", "b.mp3", "-osrt", "--output-format", "json,srt"]).unwrap();
        assert_eq!(files(&jobs), ["d/a.wav.srt", "d/a.wav.json", "b.mp3.srt", "b.mp3.json"]);
        assert!(jobs.iter().all(|job| job.stdout == Format::Txt));
    }

    #[test]
    fn recordings_by_flag_come_first_and_take_their_base_in_order() {
        let jobs = planned(&["b.wav", "-f", "a.wav", "-of", "x", "-of", "y", "-otxt"]).unwrap();
        assert_eq!(jobs[0].input, Path::new("a.wav"));
        assert_eq!(files(&jobs), ["x.txt", "y.txt"]);
    }

    #[test]
    fn a_dash_as_base_is_standard_output() {
        let jobs = planned(&["a.wav", "-ojson", "-of", "-"]).unwrap();
        assert_eq!((jobs[0].stdout, jobs[0].files.len()), (Format::Json, 0));
        assert!(planned(&["a.wav", "-ojson", "-osrt", "-of", "-"]).is_err());
    }

    #[test]
    fn names_that_cannot_work_are_refused_before_any_work() {
        for typed in [
            &["a.wav", "b.wav", "-of", "x", "-otxt"][..],
            &["a.wav", "-of", "x"],
            &["a.wav", "a.wav", "-otxt"],
            &["a.wav", "./a.wav", "-otxt"],
            &["a.wav", "src/../a.wav", "-otxt"],
            &["a.wav", "b.wav", "-of", "x", "-of", "x", "-otxt"],
        ] {
            assert_eq!(planned(typed).unwrap_err().kind(), qasr::error::ErrorKind::Usage, "{typed:?}");
        }
    }

    #[test]
    fn a_warning_names_the_recording_once() {
        assert_eq!(named("s.wav", "s.wav: is damaged"), "s.wav: is damaged");
        assert_eq!(named("s.wav", "0.0-2.0 s: cut"), "s.wav: 0.0-2.0 s: cut");
        assert_eq!(named("s", "s.wav was cut"), "s: s.wav was cut");
    }

    #[test]
    fn an_output_never_replaces_a_recording() {
        let directory = std::env::temp_dir().join(format!("qasr-plan-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let recording = directory.join("talk.txt");
        std::fs::write(&recording, b"RIFF").unwrap();
        let base = directory.join("talk");
        let typed = [recording.to_str().unwrap(), "-otxt", "-of", base.to_str().unwrap()];
        let error = planned(&typed).unwrap_err();
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(error.to_string().contains("would replace a recording"), "{error}");
    }
}
