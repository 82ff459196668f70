//! `qasr inspect`: what a file says about itself. Of a model, what it is and what it needs, then its header; of a
//! recording, its container and tracks.

mod model;
mod recording;

use super::args::InspectArgs;
use super::exit::Exit;
use super::messages::{self, Messages};
use super::real_model;
use qasr::ModelFiles;
use qasr::audio::{ReadOptions, survey};
use qasr::error::{Error, Result};
use std::io::Read;
use std::path::Path;

/// Longest line printed; chat templates are pages long.
const MAX_LINE_CHARS: usize = 200;

/// Runs the subcommand.
pub fn run(args: &InspectArgs) -> Exit {
    match found(args) {
        Ok(text) => messages::print_result(&text),
        Err(error) => Messages::default().failure(&error),
    }
}

fn found(args: &InspectArgs) -> Result<String> {
    if let Some(repository) = real_model::repository(&args.file) {
        return Err(Error::model(real_model::not_downloaded(repository)));
    }
    if args.file.is_dir() {
        let files = ModelFiles::find(&args.file)?;
        let mut text = model::pair(&files)?;
        if args.tensors {
            text += &format!("\n{}\n{}", listed(&files.decoder)?, listed(&files.encoder)?);
        }
        return Ok(with_short_lines(&text));
    }
    if !is_model(&args.file)
        && let Some(found) = survey(&args.file, &ReadOptions::default())?
    {
        return Ok(with_short_lines(&recording::listed(&found)));
    }
    let listed = listed(&args.file)?;
    Ok(match model::file(&args.file)? {
        Some(summary) if args.tensors => with_short_lines(&format!("{summary}\n{listed}")),
        Some(summary) => with_short_lines(&format!("{summary}all keys and tensors: --tensors\n")),
        // Another file in this format is all details.
        None => with_short_lines(&listed),
    })
}

/// Every key and every tensor of a file.
fn listed(file: &Path) -> Result<String> {
    // The error type keeps what a damaged file holds on one line, and out of the terminal's hands.
    qasr_convert::inspect(file).map_err(|error| Error::model(error.to_string()))
}

/// By its first bytes; a file that cannot be read has none.
fn is_model(file: &Path) -> bool {
    let mut magic = [0; 4];
    // A path that is no file, such as a named pipe, would wait, and lose the bytes that are read.
    let is_file = file.metadata().is_ok_and(|file| file.is_file());
    !is_file || std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut magic)).is_err() || &magic == b"GGUF"
}

fn with_short_lines(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for line in text.lines() {
        let mut shown = line.chars();
        result.extend(shown.by_ref().take(MAX_LINE_CHARS));
        result.push_str(if shown.next().is_some() { " …\n" } else { "\n" });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut() {
        let long = "ä".repeat(MAX_LINE_CHARS);
        assert_eq!(with_short_lines(&long), format!("{long}\n"));
        assert_eq!(with_short_lines(&format!("{long}ä")), format!("{long} …\n"));
    }
}
