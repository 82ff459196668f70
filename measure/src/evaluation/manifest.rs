//! The list of recordings and their texts: a table (TSV or CSV), one JSON object per line, or a folder.
//!
//! | column or key | |
//! | --- | --- |
//! | `file` or `audio_filepath` | relative to the manifest; required |
//! | `text` or `transcript` | the text that is said; empty: nothing is |
//! | `language` | code or name; empty, `none`, `auto` or `unknown`: not known |
//! | `category` | any word; results are also grouped by it |
//! | `transcript_source` | where the text is from: only `human`, `reference` and `script` count as truth |
//!
//! Others are passed over. A table has one header line and any order of columns. Fields of a TSV are separated by tabs and
//! never quoted, those of a CSV by commas. In a folder the text of `talk.wav` is that of `talk.txt` or `talk.wav.txt`.

use crate::identity::FileIdentity;
use qasr::audio::{EXTENSIONS, is_recording_name};
use qasr::error::{Error, ErrorKind, Result};
use qasr::text::Language;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One recording of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As the manifest has it.
    pub name: String,
    /// Where it is.
    pub file: PathBuf,
    /// The reference text; empty if nothing is said, `None` if it is not known.
    pub text: Option<String>,
    /// In which language, where that is known.
    pub language: Option<Language>,
    /// The group of a recording in the manifest.
    pub category: Option<String>,
    /// Line in the manifest, counted from 1; 0 in a folder.
    pub line: usize,
    /// The file that has the text of this recording alone, in a folder.
    pub text_file: Option<PathBuf>,
}

/// Recordings, in order, each there and listed once.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The list or the folder.
    pub path: PathBuf,
    /// Of the manifest itself; of a folder, of its names and texts.
    pub identity: FileIdentity,
    /// Its recordings, in order.
    pub entries: Vec<Entry>,
}

/// Values of `transcript_source` that vouch for a text. Others (`model:NAME`, `slots`, `none`) do not.
const TRUTHS: [&str; 3] = ["human", "reference", "script"];

/// Names of the column with the recording; the second is NeMo's.
const FILE: [&str; 2] = ["file", "audio_filepath"];

/// Names of the column with the text.
const TEXT: [&str; 2] = ["text", "transcript"];

/// Values of `language` that name none.
const NO_LANGUAGES: [&str; 4] = ["", "none", "auto", "unknown"];

/// Most names of files in one sentence.
const MOST_NAMES: usize = 20;

/// The fields of one entry by name, before they mean anything.
type Fields = HashMap<String, String>;

impl Manifest {
    /// Reads a manifest: a folder, JSON lines where its name ends in `.jsonl` or `.ndjson` or its first line is an object,
    /// else a table: CSV where its first line has commas and no tab, else TSV.
    ///
    /// # Errors
    /// [`qasr::ErrorKind::Usage`] with file, line and remedy: no regular file, not UTF-8, no column `file`, no text, a row that does not
    /// fit its header, bad JSON, an unknown language, a recording listed twice, recordings that are not there (all of
    /// them in one sentence), no entry at all.
    pub fn read(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return in_folder(path);
        }
        let shown = path.display();
        let failed = |error: std::io::Error| Error::usage(format!("the manifest {shown} cannot be read: {error}"));
        // A pipe can be read once only, and the process of every model reads the manifest again.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::usage(format!("the manifest {shown} is no regular file: save the list as one")));
        }
        let content = fs::read(path).map_err(failed)?;
        let identity = FileIdentity::of(&content);
        let text = String::from_utf8(content).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            Error::usage(format!("{shown}, line {line}: is not UTF-8; save the manifest in that encoding"))
        })?;
        let text = text.trim_start_matches('\u{FEFF}');
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_json = ["jsonl", "ndjson", "json"].contains(&extension.as_str()) || text.trim_start().starts_with('{');
        let rows = if is_json { json_rows(path, text)? } else { table_rows(path, text)? };
        let folder = path.parent().unwrap_or(Path::new(""));
        let entries =
            rows.into_iter().map(|(line, fields)| entry(path, folder, line, &fields)).collect::<Result<Vec<_>>>()?;
        check_files(path, &entries)?;
        Ok(Self { path: path.to_path_buf(), identity, entries })
    }

    /// A hash over the manifest and the content of all its recordings, which are read for it: what was measured on one
    /// fingerprint says nothing about another.
    ///
    /// # Errors
    /// [`qasr::ErrorKind::Audio`] for a recording that cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        let mut all = self.identity.sha256.clone();
        for entry in &self.entries {
            all.push_str(&FileIdentity::read(&entry.file, ErrorKind::Audio)?.sha256);
        }
        Ok(FileIdentity::of(all.as_bytes()).sha256)
    }
}

/// An error about one line.
fn at(path: &Path, line: usize, what: impl std::fmt::Display) -> Error {
    Error::usage(format!("{}, line {line}: {what}", path.display()))
}

/// Lines with something in them, and their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.trim().is_empty())
}

fn table_rows(path: &Path, text: &str) -> Result<Vec<(usize, Fields)>> {
    let first = lines(text).next().map_or("", |(_, line)| line);
    let is_csv = first.contains(',') && !first.contains('\t');
    let (delimiter, separator) = if is_csv { (b',', "a comma") } else { (b'\t', "a tab") };
    let mut reader = csv::ReaderBuilder::new();
    reader.delimiter(delimiter).quoting(is_csv).has_headers(false).trim(csv::Trim::All);
    let mut columns: Option<csv::StringRecord> = None;
    let mut rows = Vec::new();
    // Line by line, so that every one has its number: no text has line breaks.
    for (line, row) in lines(text) {
        let record = reader.from_reader(row.as_bytes()).into_records().next().unwrap_or(Ok(csv::StringRecord::new()));
        let record = record.map_err(|error| at(path, line, format_args!("is no line of a table: {error}")))?;
        let Some(columns) = &columns else {
            check_columns(path, line, &record.iter().map(str::to_owned).collect::<Vec<_>>())?;
            columns = Some(record);
            continue;
        };
        if record.len() != columns.len() {
            let (has, header) = (record.len(), columns.len());
            let why =
                format!("has {has} fields, the header {header}: put {separator} between fields and none inside them");
            return Err(at(path, line, if is_csv { why + " without quotes" } else { why }));
        }
        rows.push((
            line,
            columns.iter().zip(&record).map(|(name, field)| (name.to_owned(), field.to_owned())).collect(),
        ));
    }
    Ok(rows)
}

fn check_columns(path: &Path, line: usize, columns: &[String]) -> Result<()> {
    let has = |names: &[&str]| columns.iter().any(|column| names.contains(&column.as_str()));
    let listed = columns.join(", ");
    let missing = if !has(&FILE) {
        format!(
            "the header has no column `file` (it has: {listed}): name the columns in the first line, with tabs or commas \
             between them"
        )
    } else if !has(&TEXT) && !has(&["transcript_source"]) {
        format!(
            "the header has no column `text` or `transcript` (it has: {listed}): add one, or, where no text is known, a \
             column `transcript_source` with `none` in every row"
        )
    } else if let Some((_, twice)) = columns.iter().enumerate().find(|(index, name)| columns[..*index].contains(name)) {
        format!("the header has the column `{twice}` twice: rename one")
    } else {
        return Ok(());
    };
    Err(at(path, line, missing))
}

/// The recordings of a folder, by name.
fn in_folder(folder: &Path) -> Result<Manifest> {
    let failed = |error| Error::usage(format!("the folder {} cannot be read: {error}", folder.display()));
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.is_file() && is_recording_name(&file) {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (text_file, text) = text_beside(&file)?.unzip();
            entries.push(Entry { name, file, text, language: None, category: None, line: 0, text_file });
        }
    }
    if entries.is_empty() {
        let (folder, known) = (folder.display(), EXTENSIONS[..9].join(", "));
        return Err(Error::usage(format!("{folder}: there are no recordings in this folder ({known}, …)")));
    }
    entries.sort_by(|one, other| one.file.cmp(&other.file));
    let content: String = entries.iter().map(|entry| format!("{:?} {:?}\n", entry.name, entry.text)).collect();
    Ok(Manifest { path: folder.to_path_buf(), identity: FileIdentity::of(content.as_bytes()), entries })
}

/// `talk.txt` or `talk.wav.txt` beside `talk.wav`.
fn text_beside(file: &Path) -> Result<Option<(PathBuf, String)>> {
    let mut longer = file.as_os_str().to_owned();
    longer.push(".txt");
    for candidate in [file.with_extension("txt"), PathBuf::from(longer)] {
        if candidate.is_file() {
            let text = fs::read_to_string(&candidate).map_err(|error| {
                Error::usage(format!("{}: is no text that can be read as UTF-8: {error}", candidate.display()))
            })?;
            return Ok(Some((candidate, text.trim_start_matches('\u{feff}').trim().to_owned())));
        }
    }
    Ok(None)
}

fn json_rows(path: &Path, text: &str) -> Result<Vec<(usize, Fields)>> {
    lines(text)
        .map(|(line, row)| {
            let object: Map<String, Value> = serde_json::from_str(row).map_err(|error| {
                at(path, line, format_args!("is not a JSON object ({error}): write one object per line"))
            })?;
            let mut fields = Fields::new();
            let others = ["language", "category", "transcript_source"];
            for name in FILE.into_iter().chain(TEXT).chain(others) {
                match object.get(name) {
                    None | Some(Value::Null) => {}
                    Some(Value::String(value)) => drop(fields.insert(name.to_owned(), value.trim().to_owned())),
                    Some(other) => {
                        return Err(at(path, line, format_args!("`{name}` is {other}: write it as a string")));
                    }
                }
            }
            Ok((line, fields))
        })
        .collect()
}

fn entry(path: &Path, folder: &Path, line: usize, fields: &Fields) -> Result<Entry> {
    let field = |name: &str| fields.get(name).map(String::as_str);
    let first = |names: [&str; 2]| names.into_iter().find_map(field);
    let Some(name) = first(FILE).filter(|name| !name.is_empty()) else {
        return Err(at(path, line, "names no file: fill in `file`"));
    };
    let language = field("language").unwrap_or_default();
    let language = if NO_LANGUAGES.contains(&language.to_lowercase().as_str()) {
        None
    } else {
        Some(Language::get(language).map_err(|error| at(path, line, format_args!("{error}, or leave it empty")))?)
    };
    let is_truth = field("transcript_source").is_none_or(|source| TRUTHS.contains(&source));
    let text = first(TEXT).filter(|_| is_truth).map(str::to_owned);
    let category = field("category").filter(|category| !category.is_empty()).map(str::to_owned);
    Ok(Entry { name: name.to_owned(), file: folder.join(name), text, language, category, line, text_file: None })
}

/// Everything about the list that would spoil a long run, before it begins.
fn check_files(path: &Path, entries: &[Entry]) -> Result<()> {
    let shown = path.display();
    if entries.is_empty() {
        return Err(Error::usage(format!("{shown} lists no recording: add a line for each")));
    }
    let missing: Vec<&Entry> = entries.iter().filter(|entry| !entry.file.exists()).collect();
    if let Some(first) = missing.first() {
        let names: Vec<&str> = missing.iter().take(MOST_NAMES).map(|entry| entry.name.as_str()).collect();
        let more = missing.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return Err(at(
            path,
            first.line,
            format_args!(
                "{} of {} recordings are not there ({}{more}): names are relative to the manifest's folder",
                missing.len(),
                entries.len(),
                names.join(", "),
            ),
        ));
    }
    let mut seen = HashMap::new();
    for entry in entries {
        let place = entry.file.canonicalize().unwrap_or_else(|_| entry.file.clone());
        if let Some(before) = seen.insert(place, entry.line) {
            return Err(at(
                path,
                entry.line,
                format_args!("{} stands in line {before} already: list every recording once", entry.name),
            ));
        }
    }
    Ok(())
}
