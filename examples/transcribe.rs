//! A recording becomes a text, with times.
//!
//! ```text
//! cargo run --release --example transcribe                               # the demo model and its sample
//! cargo run --release --example transcribe -- MODEL.gguf RECORDING
//! ```
//!
//! The demo model knows twenty English words. A real model has to be converted from a checkpoint first.

use qasr::audio::{ReadOptions, read_path};
use qasr::{Model, ModelFiles, ModelOptions, Options, Result, transcribe};
use std::path::Path;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/convert/demo/sample.flac");

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, recording) = match arguments.as_slice() {
        [] => (None, SAMPLE),
        [model, recording] => (Some(model.as_str()), recording.as_str()),
        _ => return Err(qasr::Error::usage("give a model and a recording, or nothing")),
    };
    for line in lines(model, recording)? {
        println!("{line}");
    }
    Ok(())
}

/// The text of every utterance after its times in seconds, and then the warnings.
pub fn lines(model: Option<&str>, recording: &str) -> Result<Vec<String>> {
    let model = match model {
        Some(path) => Model::open(&ModelFiles::find(Path::new(path))?, &ModelOptions::default())?,
        None => Model::open_demo(&ModelOptions::default())?,
    };
    let recording = read_path(Path::new(recording), &ReadOptions::default())?;
    let transcript = transcribe(&model, &recording.pcm, &Options::default(), &mut |_| {})?;
    let utterances = transcript.segments.iter();
    let utterances =
        utterances.map(|one| format!("{:6.2} {:6.2}  {}", one.start.seconds(), one.end.seconds(), one.text));
    let warnings = recording.warnings.iter().chain(&transcript.warnings).map(|warning| format!("warning: {warning}"));
    Ok(utterances.chain(warnings).collect())
}
