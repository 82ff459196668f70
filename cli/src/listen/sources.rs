//! Which sound is listened to.

use super::args::ListenArgs;
use super::record::audio_path;
use crate::exit::Exit;
use crate::messages::{Messages, print_result};
use qasr::audio::live::{self, HAS_MICROPHONE, Source};
use qasr::audio::{self, ReadOptions, Recording};
use qasr::error::{Error, Result};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

/// Length that a microphone keeps when `hearing` is full, 30 s in all; later audio is dropped and counted.
const RING_SECONDS: u32 = 5;

/// A recording is played at the clock's speed in blocks of 20 ms, as a microphone gives them.
pub const DEVICE_BLOCK: usize = 320;

/// Sound, ready to be heard.
pub enum Sound {
    /// Arrives whether somebody takes it or not.
    Live(Source),
    /// Waits, and is decoded while it is heard.
    Recording(Source),
    /// Waits, and is all there.
    Whole(Recording),
}

/// Prints the microphones, with the numbers that `--device` takes.
pub fn list_devices(messages: &Messages) -> Exit {
    match live::devices() {
        Ok(devices) if devices.is_empty() => messages.failure(&Error::audio(
            "no microphone was found: plug one in, or listen to standard input (`-`) or a recording (--input FILE)",
        )),
        Ok(devices) => {
            let lines = devices.iter().enumerate().map(|(index, device)| {
                let (from, to) = device.rates;
                let rates = if from == to { format!("{to}") } else { format!("{from} to {to}") };
                let default = if device.is_default { ", the default" } else { "" };
                format!("{index}: {} ({rates} Hz, up to {} channels{default})\n", device.name, device.channels)
            });
            print_result(&lines.collect::<String>())
        }
        Err(error) => messages.failure(&without_microphone(error)),
    }
}

/// Refuses what cannot work before a model is opened for it.
pub fn check(args: &ListenArgs) -> Result<()> {
    match (&args.stdin, &args.input) {
        (Some(typed), _) if typed.as_os_str() != "-" => {
            return Err(Error::usage(format!(
                "`{}`: only `-`, standard input, can stand here; a recording is given with --input",
                typed.display()
            )));
        }
        (Some(_), _) if io::stdin().is_terminal() => {
            return Err(Error::usage(
                "`-` listens to standard input, but that is a terminal: pipe audio into it, or leave `-` out for the \
                 microphone",
            ));
        }
        (None, None) if !HAS_MICROPHONE => return Err(without_microphone(Error::usage(""))),
        _ => {}
    }
    if args.raw.raw_rate.is_some() && args.stdin.is_none() && args.input.is_none() {
        return Err(Error::usage("--raw-rate is about audio without a header: add `-` or --input FILE"));
    }
    if let Some(input) = &args.input {
        let is_input = |path: &Path| matches!((path.canonicalize(), input.canonicalize()), (Ok(a), Ok(b)) if a == b);
        if let Some(output) = args.output.iter().find(|output| is_input(output)) {
            return Err(Error::usage(format!(
                "the text `{}` would replace the recording: choose another name with --output",
                output.display()
            )));
        }
        let Some(trace) = &args.trace else { return Ok(()) };
        if is_input(trace) || is_input(&audio_path(trace)) {
            return Err(Error::usage(format!(
                "the trace `{}` would replace the recording: choose another name with --trace",
                trace.display()
            )));
        }
    }
    Ok(())
}

/// Opens what [`check`] has let pass.
pub fn open(args: &ListenArgs) -> Result<Sound> {
    if args.stdin.is_some() {
        return live::stream(io::stdin(), "standard input", args.raw.format()).map(Sound::Live);
    }
    let Some(input) = &args.input else {
        return live::microphone(device(args.device.as_deref())?.as_deref(), RING_SECONDS).map(Sound::Live);
    };
    let options = ReadOptions { raw: args.raw.format(), ..Default::default() };
    if args.realtime {
        let recording = audio::read_path(input, &options)?;
        return Ok(Sound::Live(live::replay(recording.pcm, true, DEVICE_BLOCK)));
    }
    if args.simulate {
        return audio::read_path(input, &options).map(Sound::Whole);
    }
    let mut source = audio::open_path(input, &options)?;
    source.wait_for_samples();
    if source.format().is_none() {
        // It is no audio: an error before anything is said.
        source.next(Duration::from_secs(1), 1)?;
    }
    Ok(Sound::Recording(source))
}

/// A number means a line of `--list-devices`; everything else is for the library to find.
fn device(typed: Option<&str>) -> Result<Option<String>> {
    let Some(index) = typed.and_then(|typed| typed.parse::<usize>().ok()) else {
        return Ok(typed.map(str::to_owned));
    };
    let devices = live::devices()?;
    match devices.get(index) {
        Some(device) => Ok(Some(device.id.clone())),
        None => Err(Error::usage(format!(
            "there is no microphone {index}: {} were found; `qasr listen --list-devices` names them",
            devices.len()
        ))),
    }
}

/// The sentence for a build without microphones.
fn without_microphone(error: Error) -> Error {
    if HAS_MICROPHONE {
        return error;
    }
    Error::usage(
        "this build cannot listen to a microphone: build it with `--features mic` (on Linux that needs ALSA's headers, \
         Debian's libasound2-dev), or listen to standard input (`-`) or a recording (--input FILE)",
    )
}
