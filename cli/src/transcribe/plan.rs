//! Where every result goes, decided before any work: a place that cannot be written should not cost a transcription.

use super::inputs::{Input, expand, is_stdin};
use crate::args::TranscribeArgs;
use crate::output::{self, Format};
use crate::places::place;
use qasr::error::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// One recording, and where its result goes.
#[derive(Debug)]
pub struct Job {
    pub input: PathBuf,
    /// Why it cannot be read, where that is known already.
    pub fault: Option<Error>,
    /// The form for standard output.
    pub stdout: Format,
    pub files: Vec<(Format, PathBuf)>,
    /// All its files are there already, and were asked to stay.
    pub is_done: bool,
}

/// The jobs of a command line.
pub fn plan(args: &TranscribeArgs) -> Result<Vec<Job>> {
    let inputs = expand(args.files_by_flag.iter().chain(&args.files), args.recursive)?;
    if inputs.iter().filter(|input| is_stdin(&input.path)).count() > 1 {
        return Err(Error::usage("`-` was given twice, but standard input can be read only once"));
    }
    if inputs.iter().any(|input| is_stdin(&input.path)) && io::stdin().is_terminal() {
        return Err(Error::usage(
            "`-` reads a recording from standard input, but that is a terminal: redirect a file into it",
        ));
    }
    let formats = formats(args);
    check_formats(&formats)?;
    let bases = &args.output_base;
    if args.output_dir.is_some() && !bases.is_empty() {
        return Err(Error::usage("--output-dir and -of both name the output files: give one of them"));
    }
    let without_format = [
        (args.output_dir.is_some(), "--output-dir names a folder for output files"),
        (!bases.is_empty(), "-of names output files"),
        (args.skip_existing, "--skip-existing looks for output files"),
    ];
    if let Some((_, reason)) = without_format.iter().find(|(is_given, _)| *is_given && formats.is_empty()) {
        return Err(Error::usage(format!(
            "{reason}, but no format was asked for: add -otxt, -osrt, -ovtt, -ojson or -otsv"
        )));
    }
    if !bases.is_empty() && bases.len() != inputs.len() {
        return Err(Error::usage(format!(
            "-of was given {} times for {} recordings: give one for each",
            bases.len(),
            inputs.len()
        )));
    }
    let mut jobs = Vec::new();
    let mut planned = Vec::new();
    for (index, input) in inputs.into_iter().enumerate() {
        let base = base(&input, bases.get(index), args.output_dir.as_deref(), &formats)?;
        let stdout = if matches!(base, Base::Stdout) { formats[0] } else { Format::Txt };
        planned.push(base);
        jobs.push(Job { input: input.path, fault: input.fault, stdout, files: Vec::new(), is_done: false });
    }
    name_files(&mut jobs, &planned, &formats);
    check_names(&jobs)?;
    for job in jobs.iter_mut().filter(|_| args.skip_existing) {
        job.is_done = !job.files.is_empty() && job.files.iter().all(|(_, path)| path.exists());
    }
    Ok(jobs)
}

/// Two forms of one extension would write the same file.
fn check_formats(formats: &[Format]) -> Result<()> {
    let mut extensions = HashMap::new();
    for format in formats {
        if let Some(other) = extensions.insert(format.extension(), format.name()) {
            return Err(Error::usage(format!(
                "{other} and {} would write the same file, which ends in .{}: ask for one of them",
                format.name(),
                format.extension()
            )));
        }
    }
    Ok(())
}

/// Makes the folders that were named, and tries every place.
///
/// # Errors
/// An output error that names the place.
pub fn try_places(args: &TranscribeArgs, jobs: &[Job]) -> Result<()> {
    let places = || jobs.iter().filter(|job| !job.is_done).flat_map(|job| &job.files);
    if args.output_dir.is_some() {
        let folders: HashSet<&Path> = places().filter_map(|(_, path)| path.parent()).collect();
        for folder in folders {
            fs::create_dir_all(folder).map_err(|error| {
                let folder = folder.display();
                Error::output(format!("{folder}: cannot make the folder: {error}; name another with --output-dir"))
            })?;
        }
    }
    places().try_for_each(|(_, path)| output::try_place(path, output::OTHER_PLACE))
}

/// Where the files of a recording go, without extension.
enum Base {
    /// No file was asked for.
    Nowhere,
    Stdout,
    /// As it was typed.
    Typed(PathBuf),
    /// In this folder, under the recording's name.
    Own {
        folder: PathBuf,
    },
}

fn base(input: &Input, base: Option<&PathBuf>, folder: Option<&Path>, formats: &[Format]) -> Result<Base> {
    if base.is_some_and(|base| base.as_os_str() == "-") {
        return match formats {
            [_] => Ok(Base::Stdout),
            _ => Err(Error::usage("`-of -` writes to standard output, which has room for one format only")),
        };
    }
    // `-of d/` names a folder.
    let folder = folder.or(base.filter(|base| is_folder_name(base)).map(PathBuf::as_path));
    match (folder, base) {
        _ if formats.is_empty() => Ok(Base::Nowhere),
        (None, None) | (Some(_), _) if is_stdin(&input.path) => {
            Err(Error::usage("a recording from standard input has no name to give to its output files: add -of BASE"))
        }
        (Some(folder), _) => Ok(Base::Own { folder: folder.join(&input.below) }),
        (None, Some(base)) => Ok(Base::Typed(base.clone())),
        (None, None) => Ok(Base::Own { folder: input.path.parent().unwrap_or(Path::new("")).to_owned() }),
    }
}

/// Gives every job its files. They are named as whisper-cli's, by the whole name of the recording: `talk.wav.txt`. The
/// transcript that a person keeps in `talk.txt` is not replaced. Subtitles lose the recording's extension, because players
/// look for `film.srt` beside `film.mp4`, unless two recordings would share a file or an output would replace a recording.
fn name_files(jobs: &mut [Job], bases: &[Base], formats: &[Format]) {
    let short = |job: &Job, folder: &Path| folder.join(job.input.file_stem().unwrap_or(job.input.as_os_str()));
    let mut uses: HashMap<PathBuf, usize> = HashMap::new();
    for (job, base) in jobs.iter().zip(bases) {
        if let Base::Own { folder } = base {
            *uses.entry(place(&short(job, folder))).or_default() += 1;
        }
    }
    let inputs: HashSet<PathBuf> = jobs.iter().filter_map(|job| job.input.canonicalize().ok()).collect();
    let replaces = |file: &Path| file.canonicalize().is_ok_and(|file| inputs.contains(&file));
    for (job, base) in jobs.iter_mut().zip(bases) {
        let name = |format: Format| match base {
            Base::Nowhere | Base::Stdout => None,
            Base::Typed(base) => Some(output::file_name(base, format)),
            Base::Own { folder } => {
                let short = short(job, folder);
                let subtitles = output::file_name(&short, format);
                let is_free = uses.get(&place(&short)).is_none_or(|uses| *uses == 1) && !replaces(&subtitles);
                let whole = folder.join(job.input.file_name().unwrap_or(job.input.as_os_str()));
                let for_players = format.is_for_players() && is_free;
                Some(if for_players { subtitles } else { output::file_name(&whole, format) })
            }
        };
        job.files = formats.iter().filter_map(|format| Some((*format, name(*format)?))).collect();
    }
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

/// The formats asked for, each once, in the order of [`Format::ALL`].
fn formats(args: &TranscribeArgs) -> Vec<Format> {
    let by_flag = |format| match format {
        Format::Txt => args.output_txt,
        Format::Srt => args.output_srt,
        Format::Vtt => args.output_vtt,
        Format::OpenAi => args.output_verbose_json,
        Format::Whisper => args.output_json && !args.output_json_full,
        Format::WhisperFull => args.output_json_full,
        Format::Tsv => args.output_tsv,
        Format::Csv => args.output_csv,
        Format::Lrc => args.output_lrc,
    };
    let by_name = |format| args.output_format.iter().any(|set| set.0.contains(&format));
    Format::ALL.into_iter().filter(|format| by_flag(*format) || by_name(*format)).collect()
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
    fn outputs_lie_beside_their_inputs() {
        let jobs = planned(&["d/a.wav", "b.v2.mp3", "-osrt", "--output-format", "json,srt"]).unwrap();
        assert_eq!(files(&jobs), ["d/a.srt", "d/a.wav.json", "b.v2.srt", "b.v2.mp3.json"]);
        assert!(jobs.iter().all(|job| job.stdout == Format::Txt));
        let jobs = planned(&["d/a.wav", "b.mp3", "-ovtt", "--output-dir", "o"]).unwrap();
        assert_eq!(files(&jobs), ["o/a.vtt", "o/b.vtt"]);
    }

    #[test]
    fn the_extension_stays_where_two_recordings_would_share_a_file() {
        let jobs = planned(&["d/a.wav", "a.mp3", "d/a.mp3", "-osrt"]).unwrap();
        assert_eq!(files(&jobs), ["d/a.wav.srt", "a.srt", "d/a.mp3.srt"]);
        let jobs = planned(&["d/a.wav", "a.mp3", "-osrt", "--output-dir", "o"]).unwrap();
        assert_eq!(files(&jobs), ["o/a.wav.srt", "o/a.mp3.srt"]);
    }

    #[test]
    fn only_subtitles_lose_the_extension_of_the_recording() {
        let jobs = planned(&["d/a.wav", "-otxt", "-osrt", "-ovtt", "-ojson"]).unwrap();
        let given = &jobs[0].files;
        let names: Vec<&Path> = given.iter().map(|(_, path)| path.as_path()).collect();
        assert_eq!(names, ["d/a.wav.txt", "d/a.srt", "d/a.vtt", "d/a.wav.json"].map(Path::new));
    }

    #[test]
    fn one_kind_of_json_is_written() {
        let format = |flag| planned(&["a.wav", flag]).unwrap()[0].files[0].0;
        assert_eq!(format("-ojson"), Format::OpenAi);
        assert_eq!((format("-oj"), format("-ojf")), (Format::Whisper, Format::WhisperFull));
        assert_eq!(planned(&["a.wav", "-oj", "-ojf"]).unwrap()[0].files.len(), 1);
        assert!(planned(&["a.wav", "-oj", "--output-format", "json"]).unwrap_err().to_string().contains("same file"));
        assert_eq!(planned(&["a.wav", "--output-format", "all"]).unwrap()[0].files.len(), 7);
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
        assert_eq!((jobs[0].stdout, jobs[0].files.len()), (Format::OpenAi, 0));
        assert!(planned(&["a.wav", "-ojson", "-osrt", "-of", "-"]).is_err());
    }

    #[test]
    fn names_that_cannot_work_are_refused_before_any_work() {
        for typed in [
            &["a.wav", "b.wav", "-of", "x", "-otxt"][..],
            &["a.wav", "-of", "x"],
            &["a.wav", "--skip-existing"],
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
        let folder = tempfile::tempdir().unwrap();
        let recording = folder.path().join("talk.txt");
        std::fs::write(&recording, b"RIFF").unwrap();
        let (typed, base) = (recording.to_str().unwrap(), folder.path().join("talk"));
        let error = planned(&[typed, "-otxt", "-of", base.to_str().unwrap()]).unwrap_err();
        assert!(error.to_string().contains("would replace a recording"), "{error}");
        assert_eq!(files(&planned(&[typed, "-otxt"]).unwrap()), [format!("{typed}.txt")]);
    }

    #[test]
    fn a_folder_gives_its_recordings_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("sub/deep")).unwrap();
        for name in ["b.WAV", "a.flac", ".hidden.wav", "notes.txt", "sub/c.mp3", "sub/deep/a.flac", "a.srt"] {
            fs::write(path(name), b"").unwrap();
        }
        let typed = folder.path().to_str().unwrap();
        let names = |typed: &[&str]| -> Vec<String> {
            let jobs = planned(typed).unwrap();
            let inside = |job: &Job| job.input.strip_prefix(folder.path()).unwrap().display().to_string();
            jobs.iter().map(inside).collect()
        };
        assert_eq!(names(&[typed]), ["a.flac", "b.WAV"]);
        assert_eq!(names(&[typed, "--recursive"]), ["a.flac", "b.WAV", "sub/c.mp3", "sub/deep/a.flac"]);
        // The folders are kept, so nothing of the same name is in the way.
        let jobs = planned(&[typed, "-r", "-osrt", "--output-dir", "o"]).unwrap();
        assert_eq!(files(&jobs), ["o/a.srt", "o/b.srt", "o/sub/c.srt", "o/sub/deep/a.srt"]);
        let jobs = planned(&[typed, "-osrt", "--skip-existing"]).unwrap();
        assert_eq!(jobs.iter().map(|job| job.is_done).collect::<Vec<_>>(), [true, false]);
        let deep = path("sub/deep");
        fs::remove_file(path("sub/c.mp3")).unwrap();
        let error = planned(&[path("sub").to_str().unwrap()]).unwrap_err().to_string();
        assert!(error.contains("no recordings") && error.contains("--recursive"), "{error}");
        #[cfg(unix)]
        {
            // A link in a circle is followed once.
            std::os::unix::fs::symlink(folder.path(), deep.join("circle")).unwrap();
            assert_eq!(names(&[typed, "-r"]), ["a.flac", "b.WAV", "sub/deep/a.flac"]);
        }
    }
}
