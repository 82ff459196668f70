//! Writes a model file for whisper.cpp with true shapes and random weights: enough to measure speed and memory, which
//! do not depend on the values, and never good for a text.

mod shapes;
mod weights;

use shapes::{Init, Shape, Tensor};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use weights::{Random, Storage};

const HELP: &str = "\
usage: random-model SIZE OUT [--type f16|q8_0|q5_0] [--seed N]

  SIZE    tiny, base or small
  OUT     the file to write; its name has to contain `random`, so that nobody takes its text for a result";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() || arguments.iter().any(|argument| ["-h", "--help"].contains(&argument.as_str())) {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let outcome = parse(&arguments).and_then(|(shape, path, storage, seed)| {
        write_beside(Path::new(path), |file| write(file, &shape, storage, seed))
            .map_err(|error| (6, format!("{path}: cannot be written: {error}")))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, sentence)) => {
            eprintln!("random-model: error: {sentence}");
            ExitCode::from(code)
        }
    }
}

fn parse(arguments: &[String]) -> Result<(Shape, &str, Storage, u64), (u8, String)> {
    let (mut named, mut storage, mut seed) = (Vec::new(), Storage::F16, 1);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().map(String::as_str).unwrap_or_default();
        match argument.as_str() {
            "--type" => {
                storage = Storage::find(value()).ok_or((2, "`--type`: use f16, q8_0 or q5_0".to_owned()))?;
            }
            "--seed" => seed = value().parse().map_err(|_| (2, "`--seed` needs a whole number".to_owned()))?,
            _ => named.push(argument.as_str()),
        }
    }
    let [size, path] = named[..] else { return Err((2, "name a size and a file (help: random-model --help)".into())) };
    let shape = Shape::find(size).ok_or((2, format!("`{size}` is no size: use tiny, base or small")))?;
    let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
    if !name.contains("random") {
        return Err((2, format!("`{path}`: the file's name has to contain `random`")));
    }
    Ok((shape, path, storage, seed))
}

/// Writes under another name in the same folder first: an interrupted run leaves no half model.
fn write_beside(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = BufWriter::new(File::create(&part)?);
    let written = content(&mut file).and_then(|()| file.flush()).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// The file as whisper.cpp reads it: magic, shape, mel filters, vocabulary, tensors; everything little-endian.
fn write(file: &mut dyn Write, shape: &Shape, storage: Storage, seed: u64) -> io::Result<()> {
    let mut int = |value: u32| file.write_all(&value.to_le_bytes());
    int(0x6767_6d6c)?;
    for value in shape.header() {
        int(value)?;
    }
    int(storage.file_type())?;

    let filters = shapes::mel_filters(shape.mels);
    int(shape.mels)?;
    int(shapes::BINS)?;
    filters.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))?;

    file.write_all(&shapes::WORDS.to_le_bytes())?;
    for word in (0..shapes::WORDS).map(shapes::word) {
        file.write_all(&(word.len() as u32).to_le_bytes())?;
        file.write_all(word.as_bytes())?;
    }

    let mut random = Random::new(seed);
    for tensor in shape.tensors() {
        write_tensor(file, &tensor, storage, &mut random)?;
    }
    Ok(())
}

fn write_tensor(file: &mut dyn Write, tensor: &Tensor, storage: Storage, random: &mut Random) -> io::Result<()> {
    let storage = match tensor.init {
        Init::Matrix => storage,
        // whisper.cpp keeps convolutions in f16 whatever the type of the rest.
        Init::Kernel => Storage::F16,
        Init::Ones | Init::Small => Storage::F32,
    };
    let header = [tensor.sizes.len() as u32, tensor.name.len() as u32, storage.tensor_type()];
    for value in header.iter().chain(&tensor.sizes) {
        file.write_all(&value.to_le_bytes())?;
    }
    file.write_all(tensor.name.as_bytes())?;
    let values: u64 = tensor.sizes.iter().map(|size| u64::from(*size)).product();
    match tensor.init {
        Init::Ones => (0..values).try_for_each(|_| file.write_all(&1f32.to_le_bytes())),
        _ => storage.write(file, values, random),
    }
}
