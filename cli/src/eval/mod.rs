//! `qasr eval`: models over a manifest, each in a process of its own, and what came of it as a table and as files.

pub mod args;
mod lock;
mod models;
mod outputs;
mod report;
mod table;
mod worker;

use super::exit::{Exit, Tally};
use super::interrupt;
use super::messages::{self, Messages};
use super::places::place;
use args::EvalArgs;
use models::Chosen;
use qasr::error::{Error, ErrorKind, Result};
use qasr_measure::evaluation::{EvaluationOptions, FileResult, Manifest, ResultJournal, run_identity};
use qasr_measure::identity::{FileIdentity, ModelIdentity};
use qasr_measure::journal::{Fault, JournalError};
use report::Measured;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs the subcommand.
pub fn run(args: &EvalArgs) -> Exit {
    let messages = Messages::new(args.no_prints, args.progress);
    if let Some(name) = &args.worker {
        return worker::run(args, name, &messages);
    }
    measure(args, &messages).unwrap_or_else(|error| messages.failure(&error))
}

/// State shared by all models of a run.
struct Plan {
    manifest: Manifest,
    options: EvaluationOptions,
    folder: PathBuf,
    /// How to go on when this run was stopped.
    same_command: &'static str,
}

impl Plan {
    fn new(args: &EvalArgs) -> Result<Self> {
        let manifest = Manifest::read(&args.manifest)?;
        let mut options = EvaluationOptions::default();
        options.transcribe = args.text.options();
        options.use_manifest_language = args.manifest_language;
        options.normalizer = args.normalizer;
        options.limit = args.limit.map(|limit| limit as usize);
        let folder = args.output_dir.clone().unwrap_or_else(|| {
            // `.` has a name only where it lies.
            let manifest = if args.manifest.is_dir() { place(&args.manifest) } else { args.manifest.clone() };
            let mut name = manifest.file_stem().unwrap_or_default().to_owned();
            name.push(".eval");
            PathBuf::from(name)
        });
        // That flag again would throw away what was just measured.
        let same_command =
            if args.restart { "the same command again without --restart" } else { "the same command again" };
        Ok(Self { manifest, options, folder, same_command })
    }

    fn journal(&self, chosen: &Chosen) -> PathBuf {
        // A type's name can have a slash, and a recipe's or a file's whole path be one.
        let name = chosen.name.replace(['/', '\\'], "_");
        self.folder.join(format!("{name}.jsonl"))
    }

    /// Opens the journal of a model, which says what was run: also how it computes, since times are kept.
    fn open_journal(&self, chosen: &Chosen, args: &EvalArgs, messages: &Messages) -> Result<ResultJournal> {
        let mut options = self.options.identity()?;
        options["threads"] = json!(args.compute.threads);
        options["mmap"] = json!(!args.compute.no_mmap);
        options["kv_type"] = json!(args.compute.kv_type_name());
        let model = ModelIdentity::read(chosen.files.as_ref())?;
        let identity = run_identity(&self.manifest.identity, &model, qasr::BUILD, &options);
        let path = self.journal(chosen);
        let open = if args.restart { ResultJournal::restart } else { ResultJournal::open };
        let journal = open(&path, &identity).map_err(unusable)?;
        if journal.was_torn() {
            messages.note(format_args!("{}: the last line had no end and was dropped", path.display()));
        }
        Ok(journal)
    }
}

/// The error of a journal, with the remedy.
fn unusable(error: JournalError) -> Error {
    let remedy = match error.fault {
        Fault::Other(_) => "keep it and give another folder (-o), or measure anew with --restart",
        Fault::Damaged { .. } => "measure anew with --restart",
        _ => "give another folder (-o)",
    };
    Error::new(error.kind(), format!("{error}: {remedy}"))
}

/// Everything in its order.
fn measure(args: &EvalArgs, messages: &Messages) -> Result<Exit> {
    let plan = Plan::new(args)?;
    // Before types are made, which can take long, and again when it is known which files they are.
    outputs::check(args, &plan, &[])?;
    let models = models::chosen(args, &plan.folder)?;
    outputs::check(args, &plan, &models)?;
    fs::create_dir_all(&plan.folder).map_err(|error| {
        Error::output(format!(
            "cannot make the folder {}: {error}; choose another place with -o",
            plan.folder.display()
        ))
    })?;
    let _lock = lock::take(&plan.folder)?;
    worker::take_care_of_interrupts()?;
    // All of them before the first is measured: hours later is too late to hear that one cannot be.
    let journals = models.iter().map(|chosen| plan.open_journal(chosen, args, messages)).collect::<Result<Vec<_>>>()?;
    let mut recordings = Recordings::read(&plan);
    let mut tally = Tally::default();
    let mut measured = Vec::new();
    for (chosen, journal) in models.into_iter().zip(journals) {
        match finish(&chosen, journal, &plan, &mut recordings, messages)? {
            Finished::All(journal, results) => measured.push(Measured::new(chosen, &journal, results)),
            Finished::Failed(exit) => tally.add(exit),
            Finished::Interrupted(count) => {
                messages.note(format_args!(
                    "interrupted: {count} of {} recordings of {} are finished and kept in {}; type {} to go on",
                    recordings.0.len(),
                    chosen.name,
                    plan.folder.display(),
                    plan.same_command
                ));
                return Ok(Exit::Interrupted);
            }
        }
    }
    for result in measured.iter().flat_map(|measured| &measured.results) {
        tally.add(match &result.failure {
            Some(failure) if failure.is_of_model => Exit::BadModel,
            Some(_) => Exit::BadAudio,
            None if !result.complete => Exit::Incomplete,
            None => Exit::Success,
        });
    }
    if !measured.is_empty() {
        tell(args, &plan, &measured, &mut tally, messages);
    }
    Ok(tally.exit())
}

/// The recordings as they are now, in the manifest's order.
struct Recordings(Vec<Option<FileIdentity>>);

impl Recordings {
    fn read(plan: &Plan) -> Self {
        let entries = plan.options.entries(&plan.manifest).iter();
        Self(entries.map(|entry| FileIdentity::read(&entry.file, ErrorKind::Audio).ok()).collect())
    }

    /// Their results in the journal.
    fn finished(&self, plan: &Plan, journal: &ResultJournal) -> Vec<FileResult> {
        let entries = plan.options.entries(&plan.manifest).iter().zip(&self.0);
        entries.filter_map(|(entry, identity)| journal.find(entry, identity.as_ref())).cloned().collect()
    }
}

/// How far the work on one model came.
enum Finished {
    /// Every recording has a result.
    All(Box<ResultJournal>, Vec<FileResult>),
    /// So many recordings have one, and the rest was not allowed.
    Interrupted(usize),
    /// It cannot be finished; why, was said.
    Failed(Exit),
}

/// Has a process do what the journal does not have.
fn finish(
    chosen: &Chosen,
    journal: ResultJournal,
    plan: &Plan,
    recordings: &mut Recordings,
    messages: &Messages,
) -> Result<Finished> {
    let (total, before) = (recordings.0.len(), recordings.finished(plan, &journal));
    if before.len() == total && journal.model().is_some() {
        let folder = plan.folder.display();
        messages.note(format_args!(
            "{}: all {total} results were there already, in {folder}; --restart measures anew",
            chosen.name
        ));
        return Ok(Finished::All(Box::new(journal), before));
    }
    if interrupt::is_wanted() {
        return Ok(Finished::Interrupted(before.len()));
    }
    if !before.is_empty() {
        messages.note(format_args!("{}: {} of {total} results were there already", chosen.name, before.len()));
    }
    drop(journal);
    let ended = worker::start(chosen)?;
    let path = plan.journal(chosen);
    let gone = || Error::output(format!("{} went away: try again", path.display()));
    let mut journal = ResultJournal::resume(&path).map_err(unusable)?.ok_or_else(gone)?;
    let mut after = recordings.finished(plan, &journal);
    if after.len() < total && ended.status.success() {
        // Some changed or went away while the process worked, which has seen them as they are now.
        *recordings = Recordings::read(plan);
        after = recordings.finished(plan, &journal);
    }
    let mut process = ended.process;
    process.files = after.len().saturating_sub(before.len());
    journal.add_process(process).map_err(unusable)?;
    if interrupt::is_wanted() {
        return Ok(Finished::Interrupted(after.len()));
    }
    match ended.status.code() {
        Some(0) if after.len() == total => Ok(Finished::All(Box::new(journal), after)),
        // The process has reported the reason.
        Some(code @ 1..=6) => Ok(Finished::Failed(Exit::from_code(code))),
        _ => {
            messages.error(format_args!(
                "{}: its process ended ({}) after {} of {total} recordings: type {} to go on, with fewer threads or a \
                 smaller model if memory was short",
                chosen.name,
                ended.status,
                after.len(),
                plan.same_command
            ));
            Ok(Finished::Failed(Exit::Failure))
        }
    }
}

/// Prints the table and writes the files; what cannot be written leaves the rest as it is.
fn tell(args: &EvalArgs, plan: &Plan, measured: &[Measured], tally: &mut Tally, messages: &Messages) {
    let report = report::json(plan, measured);
    let is_dash = |path: &&PathBuf| path.as_os_str() == "-";
    let text = match args.output_json.as_ref().filter(is_dash) {
        Some(_) => report.clone(),
        None => table::all(measured),
    };
    tally.add(messages::print_result(&text));
    let summary = plan.folder.join("summary.json");
    let details = args.details.as_deref().map(|path| (path, report::details(measured)));
    let elsewhere =
        args.output_json.as_ref().filter(|path| !is_dash(path)).map(|path| (path.as_path(), report.clone()));
    for (path, text) in [Some((summary.as_path(), report)), elsewhere, details].into_iter().flatten() {
        match write(path, &text) {
            Ok(()) => messages.note(format_args!("wrote {}", path.display())),
            Err(error) => tally.add(messages.failure(&error)),
        }
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    super::output::write_whole(path, "choose another place for it", &|out| out.write_all(text.as_bytes()))
}
