//! whisper.cpp with the flags of its own whisper-cli that `qasr compare` uses: one recording in, its text on standard
//! output, each segment as soon as it is there.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters};

const HELP: &str = "\
usage: whisper-cli -m MODEL -f FILE [-t N] [-l LANG] [-bs N] [-bo N] [-nf] [-nfa] [-nt] [-np] [-ng]

  -m,  --model FILE      model in whisper.cpp's own format
  -f,  --file FILE       recording: WAV, 16,000 Hz, one channel
  -t,  --threads N       threads (4, or as many cores as there are if fewer)
  -l,  --language LANG   code of the language, or auto (en)
  -bs, --beam-size N     width of the beam; 1 is greedy (5)
  -bo, --best-of N       candidates where a temperature is used (5); with -bs 1 only
  -nf, --no-fallback     no second attempt at a higher temperature
  -fa, --flash-attn      attention without its whole matrix (on)
  -nfa, --no-flash-attn  attention with it
  -nt, --no-timestamps   accepted: times are never printed
  -np, --no-prints       nothing but the text, and errors
  -ng, --no-gpu          accepted: there is no GPU in this build
       --version         version of whisper.cpp, and what it was built for";

/// The parsed command line.
struct Options {
    model: PathBuf,
    recording: PathBuf,
    threads: i32,
    language: String,
    beam_size: i32,
    /// As typed.
    best_of: Option<i32>,
    has_flash_attention: bool,
    has_fallback: bool,
    has_timestamps: bool,
    is_quiet: bool,
}

/// A sentence for a person, and the exit code: 2 usage, 3 recording, 4 model, 1 anything else.
type Fault = (u8, String);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--version"] => print(&format!(
            "whisper.cpp {}: {}\n",
            whisper_rs::get_whisper_version(),
            whisper_rs::print_system_info().trim()
        )),
        [] | ["-h" | "--help"] => print(&format!("{HELP}\n")),
        _ => parse(arguments.into_iter()).and_then(|options| transcribe(&options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, sentence)) => {
            let _ = writeln!(io::stderr(), "whisper-cli: error: {sentence}");
            ExitCode::from(code)
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, Fault> {
    let cores = std::thread::available_parallelism().map_or(4, |cores| cores.get().min(4) as i32);
    let (mut model, mut recording) = (None, None);
    let mut options = Options {
        model: PathBuf::new(),
        recording: PathBuf::new(),
        threads: cores,
        language: "en".into(),
        beam_size: 5,
        best_of: None,
        has_flash_attention: true,
        has_fallback: true,
        has_timestamps: true,
        is_quiet: false,
    };
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| (2, format!("`{flag}` needs a value")));
        match flag.as_str() {
            "-m" | "--model" => model = Some(value()?),
            "-f" | "--file" => recording = Some(value()?),
            "-l" | "--language" => options.language = value()?,
            "-t" | "--threads" => options.threads = count(&flag, &value()?)?,
            "-bs" | "--beam-size" => options.beam_size = count(&flag, &value()?)?,
            "-bo" | "--best-of" => options.best_of = Some(count(&flag, &value()?)?),
            "-nf" | "--no-fallback" => options.has_fallback = false,
            "-fa" | "--flash-attn" => options.has_flash_attention = true,
            "-nfa" | "--no-flash-attn" => options.has_flash_attention = false,
            "-nt" | "--no-timestamps" => options.has_timestamps = false,
            "-np" | "--no-prints" => options.is_quiet = true,
            "-ng" | "--no-gpu" => {}
            _ => return Err((2, format!("`{flag}` is not known here (help: whisper-cli --help)"))),
        }
    }
    if options.best_of.is_some() && options.beam_size > 1 {
        // whisper-rs has no way to say both; with a beam, whisper.cpp then takes its library's number.
        return Err((2, "-bo cannot be set beside a beam here: give -bs 1 with it, or leave it out".into()));
    }
    let named = |what: &str, path: Option<String>| path.map(PathBuf::from).ok_or((2, format!("name {what}")));
    options.model = named("the model with -m", model)?;
    options.recording = named("the recording with -f", recording)?;
    let is_language = options.language == "auto" || whisper_rs::get_lang_id(&options.language).is_some();
    if options.language.contains('\0') || !is_language {
        return Err((2, format!("whisper.cpp knows no language `{}`", options.language)));
    }
    Ok(options)
}

fn count(flag: &str, value: &str) -> Result<i32, Fault> {
    let number = value.parse().ok().filter(|number| (1..=512).contains(number));
    number.ok_or_else(|| (2, format!("`{flag} {value}`: give a number from 1 to 512")))
}

fn transcribe(options: &Options) -> Result<(), Fault> {
    if options.is_quiet {
        // Without a log to go to, the messages of whisper.cpp and its ggml are dropped.
        whisper_rs::install_logging_hooks();
    }
    let samples = read(&options.recording)?;
    let bad_model = |error| (4, format!("{}: whisper.cpp cannot load it: {error}", options.model.display()));
    let mut parameters = WhisperContextParameters::new();
    parameters.use_gpu(false);
    // whisper-rs turns it off, whisper.cpp's own command on.
    parameters.flash_attn(options.has_flash_attention);
    let context = WhisperContext::new_with_params(&options.model, parameters).map_err(bad_model)?;
    let mut state = context.create_state().map_err(bad_model)?;

    let strategy = match options.beam_size {
        1 => SamplingStrategy::Greedy { best_of: options.best_of.unwrap_or(5) },
        beam_size => SamplingStrategy::BeamSearch { beam_size, patience: -1.0 },
    };
    let mut full = FullParams::new(strategy);
    full.set_n_threads(options.threads);
    full.set_language(Some(&options.language));
    full.set_no_timestamps(!options.has_timestamps);
    full.set_temperature_inc(if options.has_fallback { 0.2 } else { 0.0 });
    full.set_print_special(false);
    full.set_print_progress(false);
    full.set_print_realtime(false);
    full.set_print_timestamps(false);
    // A reader that went away ends nothing: the text is worthless then, the time it took is not.
    full.set_segment_callback_safe_lossy(|segment: whisper_rs::SegmentCallbackData| drop(print(&segment.text)));
    state.full(full, &samples).map_err(|error| (1, format!("whisper.cpp failed: {error}")))?;
    print("\n")
}

fn print(text: &str) -> Result<(), Fault> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| (1, format!("cannot write to standard output: {error}")))
}

/// The samples, in [-1, 1].
fn read(path: &Path) -> Result<Vec<f32>, Fault> {
    let fault = |what: String| (3, format!("{}: {what}", path.display()));
    let mut reader =
        hound::WavReader::open(path).map_err(|error| fault(format!("is no readable WAV file: {error}")))?;
    let format = reader.spec();
    if (format.sample_rate, format.channels) != (16_000, 1) {
        return Err(fault(format!(
            "has {} channels at {} Hz; this program reads one channel at 16000 Hz (ffmpeg -i IN -ar 16000 -ac 1 OUT.wav)",
            format.channels, format.sample_rate
        )));
    }
    let samples: Result<Vec<f32>, hound::Error> = match format.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect(),
        hound::SampleFormat::Int => {
            let scale = 1.0 / (1u64 << format.bits_per_sample.clamp(1, 32).saturating_sub(1)) as f32;
            reader.samples::<i32>().map(|sample| sample.map(|sample| sample as f32 * scale)).collect()
        }
    };
    samples.map_err(|error| fault(format!("its samples cannot be read: {error}")))
}
