//! Text that grows while audio arrives.
//!
//! ```text
//! cargo run --release --example live                                     # the demo model hears its sample
//! arecord -q -f S16_LE -r 16000 | cargo run --release --example live -- MODEL.gguf
//! ```
//!
//! With a model, audio comes from standard input: WAV, or anything else that the library can read, as it arrives.

use qasr::audio::live::{self, Source};
use qasr::audio::{ReadOptions, open_path};
use qasr::{Model, ModelFiles, ModelOptions, Result, Stream, StreamOptions, Update};
use std::io::stdin;
use std::path::Path;
use std::time::Duration;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/convert/demo/sample.flac");
/// Samples taken at a time, at most: a tenth of a second.
const BLOCK: usize = 1600;

fn main() -> Result<()> {
    let (model, source) = match std::env::args().nth(1) {
        None => (Model::open_demo(&ModelOptions::default())?, open_path(Path::new(SAMPLE), &ReadOptions::default())?),
        Some(path) => {
            let files = ModelFiles::find(Path::new(&path))?;
            (Model::open(&files, &ModelOptions::default())?, live::stream(stdin(), "standard input", None)?)
        }
    };
    listen(&model, source, &mut |line| println!("{line}"))
}

/// Gives `show` a line for every step of the running utterance (`committed | tentative`) and one for its final text.
pub fn listen(model: &Model, mut source: Source, show: &mut dyn FnMut(&str)) -> Result<()> {
    let mut stream = Stream::new(model, StreamOptions::default())?;
    let mut report = |updates: Vec<Update>| {
        for update in updates {
            match update {
                Update::Partial(partial) => show(&format!("  {} | {}", partial.committed, partial.tentative)),
                Update::Final(last) => show(&format!("{:.2} s: {}", last.segment.start.seconds(), last.segment.text)),
            }
        }
    };
    while let Some(block) = source.next(Duration::from_millis(100), BLOCK)? {
        // A lost part would move everything that follows: silence takes its place.
        stream.feed(&vec![0.0; block.dropped as usize])?;
        report(stream.feed(&block.samples)?);
    }
    report(stream.end()?);
    Ok(())
}
