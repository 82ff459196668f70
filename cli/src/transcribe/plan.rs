//! Where every result goes, decided before any work: a place that cannot be written should not cost a transcription.

use crate::args::TranscribeArgs;
use crate::output::{self, Format};
use qasr::error::{Error, Result};
use std::collections::HashSet;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// One recording, and where its result goes.
#[derive(Debug)]
pub struct Job {
    pub input: PathBuf,
    /// What standard output gets.
    pub stdout: Format,
    pub files: Vec<(Format, PathBuf)>,
}

/// The jobs of a command line.
pub fn plan(args: &TranscribeArgs) -> Result<Vec<Job>> {
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
    if args.output_dir.is_some() {
        if !bases.is_empty() {
            return Err(Error::usage("--output-dir and -of both name the output files: give one of them"));
        }
        if formats.is_empty() {
            return Err(Error::usage(
                "--output-dir names a folder for output files, but no format was asked for: add -otxt, -osrt, -ovtt, \
                 -ojson or -otsv",
            ));
        }
    }
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
        jobs.push(job(input, bases.get(index), args.output_dir.as_deref(), &formats)?);
    }
    check_names(&jobs)?;
    Ok(jobs)
}

/// Makes the folder that was named, and tries every place.
///
/// # Errors
/// An output error that names the place.
pub fn try_places(args: &TranscribeArgs, jobs: &[Job]) -> Result<()> {
    if let Some(folder) = &args.output_dir {
        fs::create_dir_all(folder).map_err(|error| {
            let folder = folder.display();
            Error::output(format!("{folder}: cannot make the folder: {error}; name another with --output-dir"))
        })?;
    }
    jobs.iter().flat_map(|job| &job.files).try_for_each(|(_, path)| output::try_place(path, output::OTHER_PLACE))
}

fn job(input: &Path, base: Option<&PathBuf>, folder: Option<&Path>, formats: &[Format]) -> Result<Job> {
    let mut job = Job { input: input.to_path_buf(), stdout: Format::Txt, files: Vec::new() };
    if base.is_some_and(|base| base.as_os_str() == "-") {
        match formats {
            [format] => job.stdout = *format,
            _ => return Err(Error::usage("`-of -` writes to standard output, which has room for one format only")),
        }
        return Ok(job);
    }
    // `-of d/` names a folder.
    let folder = folder.or(base.filter(|base| is_folder_name(base)).map(PathBuf::as_path));
    let base = match (folder, base) {
        _ if formats.is_empty() => return Ok(job),
        (None, None) | (Some(_), _) if is_stdin(input) => {
            return Err(Error::usage(
                "a recording from standard input has no name to give to its output files: add -of BASE",
            ));
        }
        (Some(folder), _) => folder.join(input.file_name().unwrap_or(input.as_os_str())),
        (None, base) => base.map_or(input, PathBuf::as_path).to_path_buf(),
    };
    job.files = formats.iter().map(|format| (*format, output::file_name(&base, *format))).collect();
    Ok(job)
}

/// True for a path that ends in a separator.
fn is_folder_name(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
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

pub fn is_stdin(input: &Path) -> bool {
    input.as_os_str() == "-"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::spelling::to_long_forms;
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
