//! Who is compared: a command for each, the files it needs, and what it says about itself.

use super::args::CompareArgs;
use super::run::Outcome;
use qasr::ModelFiles;
use qasr::error::{Error, Result};
use qasr_measure::command;
use qasr_measure::identity::{FileIdentity, Identities};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The places of a command.
const PLACES: [&str; 4] = ["file", "model", "threads", "language"];

/// A command that turns a recording into text.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Its name on the page; names are unique.
    pub name: String,
    /// Its command, program first, with [`PLACES`] in the other words.
    pub words: Vec<String>,
    /// The file for `{model}`.
    pub model: Option<PathBuf>,
    /// Every file of the model.
    pub model_files: Vec<PathBuf>,
    /// Why only its speed is of interest.
    pub speed_only: Option<String>,
    version: Version,
}

#[derive(Debug, Clone)]
enum Version {
    Known(String),
    /// The output of `--version`.
    Asked,
    Unknown,
}

/// The identity of an engine's files, to notice when they change.
#[derive(Debug, Clone, serde::Serialize)]
pub struct EngineIdentity {
    pub name: String,
    pub command: Vec<String>,
    pub program: Option<FileIdentity>,
    pub model_files: Vec<FileIdentity>,
}

/// All engines that were asked for: this one's models, whisper.cpp's, other commands.
///
/// # Errors
/// One sentence that names the flag: a program or file that is not there, a template that makes no sense, a name used
/// twice or nowhere.
pub fn gather(args: &CompareArgs) -> Result<Vec<Engine>> {
    let mut engines = own(&args.models)?;
    engines.extend(whisper(args)?);
    engines.extend(commands(args)?);
    for (index, engine) in engines.iter().enumerate() {
        if engines[..index].iter().any(|earlier| earlier.name == engine.name) {
            return Err(Error::usage(format!("two engines are called `{}`: give each model once", engine.name)));
        }
    }
    for name in &args.speed_only {
        let engine = engines.iter().position(|engine| engine.name == *name).ok_or_else(|| {
            let names: Vec<String> = engines.iter().map(|engine| format!("`{}`", engine.name)).collect();
            Error::usage(format!("--speed-only `{name}`: no engine is called so; there are {}", names.join(", ")))
        })?;
        engines[engine].speed_only = Some("asked for with --speed-only".into());
    }
    Ok(engines)
}

fn own(models: &[PathBuf]) -> Result<Vec<Engine>> {
    let program = std::env::current_exe()
        .map_err(|error| Error::internal(format!("the path of this program is not known: {error}")))?;
    let version = format!("{} ({})", qasr::VERSION, qasr::REVISION);
    let engine = |name: String, model: Option<PathBuf>, encoder: Option<&Path>, model_files: Vec<PathBuf>| {
        let mut words = vec![text(&program)?];
        words.extend(["transcribe", "-np", "-t", "{threads}", "-l", "{language}"].map(str::to_owned));
        if model.is_some() {
            words.extend(["-m", "{model}"].map(str::to_owned));
        }
        if let Some(encoder) = encoder {
            words.extend(["--mmproj".to_owned(), text(encoder)?]);
        }
        words.extend(["--", "{file}"].map(str::to_owned));
        let speed_only = marked_random(&model_files);
        let version = Version::Known(version.clone());
        Ok(Engine { name, words, model, model_files, speed_only, version })
    };
    if models.is_empty() {
        return Ok(vec![engine("qasr demo".into(), None, None, Vec::new())?]);
    }
    let engines = models.iter().map(|model| {
        let (decoder, encoder) = decoder_and_encoder(model);
        let found = match &encoder {
            None => ModelFiles::find(&decoder),
            Some(encoder) => ModelFiles::with_encoder(&decoder, encoder),
        };
        let files = found.map_err(|error| error.at(format_args!("-m {}", model.display())))?;
        let encoder_name = encoder.as_ref().map_or(String::new(), |encoder| format!(" + {}", stem(encoder)));
        let name = format!("qasr {}{encoder_name}", stem(&decoder));
        engine(name, Some(decoder), encoder.as_deref(), vec![files.decoder, files.encoder])
    });
    engines.collect()
}

/// `DECODER,ENCODER`, unless a file has that whole name.
fn decoder_and_encoder(model: &Path) -> (PathBuf, Option<PathBuf>) {
    match model.to_str().and_then(|text| text.split_once(',')).filter(|_| !model.exists()) {
        Some((decoder, encoder)) => (decoder.into(), Some(encoder.into())),
        None => (model.to_path_buf(), None),
    }
}

fn whisper(args: &CompareArgs) -> Result<Vec<Engine>> {
    if args.whisper_models.is_empty() {
        return Ok(Vec::new());
    }
    let program = match &args.whisper_cli {
        Some(path) => resolve(&text(path)?).ok_or_else(|| {
            Error::usage(format!("--whisper-cli {}: there is no such program that can be run", path.display()))
        })?,
        None => resolve("whisper-cli")
            .ok_or_else(|| Error::usage("whisper-cli is not on the path: say where it is with --whisper-cli PATH"))?,
    };
    let more = command::split(&args.whisper_args)
        .map_err(|why| Error::usage(format!("--whisper-args `{}`: {why}", args.whisper_args)))?;
    let engines = args.whisper_models.iter().map(|model| {
        need_file("--whisper-model", model)?;
        let mut words = vec![text(&program)?];
        let flags = ["-m", "{model}", "-f", "{file}", "-t", "{threads}", "-l", "{language}", "-nt", "-np"];
        words.extend(flags.map(str::to_owned).into_iter().chain(more.iter().cloned()));
        Ok(Engine {
            name: format!("whisper.cpp {}", stem(model)),
            words,
            model: Some(model.clone()),
            speed_only: marked_random(std::slice::from_ref(model)),
            model_files: vec![model.clone()],
            version: Version::Asked,
        })
    });
    engines.collect()
}

fn commands(args: &CompareArgs) -> Result<Vec<Engine>> {
    if let Some((name, _)) =
        args.command_models.iter().find(|(name, _)| !args.commands.iter().any(|(command, _)| command == name))
    {
        return Err(Error::usage(format!("--command-model {name}=…: there is no --command {name}=…")));
    }
    let engines = args.commands.iter().map(|(name, typed)| {
        let fault = |why: &str| Error::usage(format!("--command {name}=…: {why}"));
        let words = command::split(typed).and_then(|words| command::check_places(&words, &PLACES).map(|()| words));
        let words = words.map_err(|why| fault(&why))?;
        let Some(program) = words.first().filter(|program| !program.is_empty()) else {
            return Err(fault("it names no program"));
        };
        resolve(program).ok_or_else(|| fault(&format!("there is no program `{program}`")))?;
        if !has(&words, "file") {
            return Err(fault("it has no {file}, the place of the recording"));
        }
        let model = args.command_models.iter().find(|(owner, _)| owner == name).map(|(_, file)| PathBuf::from(file));
        if let Some(model) = &model {
            need_file("--command-model", model)?;
        } else if has(&words, "model") {
            return Err(fault(&format!("it has a {{model}}: say which with --command-model {name}=FILE")));
        }
        let model_files: Vec<PathBuf> = model.iter().cloned().collect();
        let speed_only = marked_random(&model_files);
        Ok(Engine { name: name.clone(), words, model, model_files, speed_only, version: Version::Unknown })
    });
    engines.collect()
}

impl Engine {
    /// The command for one recording.
    pub fn command(&self, recording: &Path, threads: usize, language: &str) -> Vec<String> {
        let model = self.model.as_ref().map_or(String::new(), |model| model.to_string_lossy().into_owned());
        let value = |place: &str| match place {
            "file" => Some(recording.to_string_lossy().into_owned()),
            "model" => Some(model.clone()),
            "threads" => Some(threads.to_string()),
            "language" => Some(language.to_owned()),
            _ => None,
        };
        // The program is taken as it is: its path may have braces of its own.
        let (program, arguments) = self.words.split_at(self.words.len().min(1));
        program.iter().cloned().chain(arguments.iter().map(|word| command::fill(word, &value))).collect()
    }

    /// Whether its command passes something on to it.
    pub fn has(&self, place: &str) -> bool {
        has(&self.words[1..], place)
    }

    /// Bytes of its model's files; `None` where none were named. The demo model's are inside this program.
    pub fn model_bytes(&self) -> Option<u64> {
        if self.model_files.is_empty() && matches!(self.version, Version::Known(_)) {
            return Some(qasr::model::demo::content().iter().map(|content| content.len() as u64).sum());
        }
        let sizes = self.model_files.iter().map(|file| file.metadata().ok().map(|metadata| metadata.len()));
        (!self.model_files.is_empty()).then(|| sizes.sum()).flatten()
    }

    /// Its own description.
    pub fn version(&self) -> Option<String> {
        match &self.version {
            Version::Known(version) => Some(version.clone()),
            Version::Unknown => None,
            Version::Asked => {
                let words = [self.words.first()?.clone(), "--version".to_owned()];
                let outcome = Outcome::of(&words, Duration::from_secs(10)).ok()?;
                let line = outcome.text.lines().next()?.chars().take(200).collect();
                outcome.failure.is_none().then_some(line)
            }
        }
    }

    /// Reads its files, which also brings them into the system's cache before anything is timed.
    ///
    /// # Errors
    /// A model error with the path of one that cannot be read.
    pub fn identity(&self, files: &Identities) -> Result<EngineIdentity> {
        let read = |path: &PathBuf| files.of(path);
        let program = self.words.first().and_then(|program| resolve(program));
        let program = program.as_ref().map(read).transpose()?;
        let model_files = self.model_files.iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(EngineIdentity { name: self.name.clone(), command: self.words.clone(), program, model_files })
    }
}

fn has(words: &[String], place: &str) -> bool {
    words.iter().any(|word| command::places(word).any(|found| found == place))
}

/// Where a program is: as named where that has a folder in it, else on the path.
fn resolve(program: &str) -> Option<PathBuf> {
    which::which(program).ok()
}

fn need_file(flag: &str, path: &Path) -> Result<()> {
    match path.is_file() {
        true => Ok(()),
        false => Err(Error::model(format!("{flag} {}: there is no such file", path.display()))),
    }
}

fn marked_random(files: &[PathBuf]) -> Option<String> {
    let is_marked =
        |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().contains("random"));
    files.iter().any(is_marked).then(|| "its model's name says that the weights are random".to_owned())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::usage(format!("{}: the path is not UTF-8, which commands need here", path.display())))
}
