//! Errors, and how a program can word them for its own users.
//!
//! ```text
//! cargo run --release --example errors
//! ```

use qasr::audio::{ReadOptions, read_path};
use qasr::{Error, ErrorKind, Model, ModelFiles, ModelOptions, Options, Remedy, Result, transcribe};
use std::path::Path;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/convert/demo");

fn main() {
    for line in lines() {
        println!("{line}");
    }
}

type Attempt = fn() -> Result<String>;

/// One line for each of some attempts.
pub fn lines() -> Vec<String> {
    let attempts: [(&str, Attempt); 5] = [
        ("a folder without a model", || open("src")),
        ("a model that is not there", || open("no-such-model.gguf")),
        ("a recording that is none", || hear("README.md", &Options::default())),
        ("an impossible option", || {
            let mut options = Options::default();
            options.segment_seconds = Some(5000.0);
            hear("sample.flac", &options)
        }),
        ("work that somebody stopped", || {
            let options = Options::default();
            // From any thread, with a clone of `options.cancel`.
            options.cancel.cancel();
            hear("sample.flac", &options)
        }),
    ];
    attempts.map(|(name, attempt)| format!("{name}: {}", attempt().unwrap_or_else(|error| in_own_words(&error)))).into()
}

/// The kind decides what a program does; message and remedy are for its user.
fn in_own_words(error: &Error) -> String {
    let what = match error.kind() {
        ErrorKind::Usage => "cannot be done",
        ErrorKind::Audio => "cannot be heard",
        ErrorKind::Model => "cannot be loaded",
        ErrorKind::Output => "cannot be written",
        ErrorKind::Interrupted => return "stopped, as you wished".into(),
        _ => "is a fault of this program, please report it",
    };
    // Remedies are values, because every program has other words, flags or buttons for them.
    let remedy = match error.remedy() {
        Some(Remedy::ConvertCheckpoint) => " (press *Get a model*)".to_owned(),
        Some(other) => format!(" ({other})"),
        None => String::new(),
    };
    format!("{what}: {}{remedy}", error.message())
}

fn open(name: &str) -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = Model::open(&ModelFiles::find(&folder.join(name))?, &ModelOptions::default())?;
    Ok(format!("opened {}", model.info().name))
}

fn hear(name: &str, options: &Options) -> Result<String> {
    let model = Model::open_demo(&ModelOptions::default())?;
    let recording = read_path(&Path::new(FOLDER).join(name), &ReadOptions::default())?;
    Ok(transcribe(&model, &recording.pcm, options, &mut |_| {})?.text)
}
