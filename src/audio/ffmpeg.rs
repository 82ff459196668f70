//! The program `ffmpeg`, for what nothing here decodes, where the user allows it. It is run as it is found on the path,
//! without a shell; it may open no file but the one that it is given, and nothing from a network.

use super::collect::Collector;
use super::containers::Bytes;
use super::fault::Fault;
use super::samples::{Encoding, Layout, read_samples};
use super::source::Source;
use crate::transcript::WarningCode;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

const PROGRAM: &str = "ffmpeg";
/// Of its last words, as many are repeated.
const LAST_WORDS: usize = 300;

/// Where it is; `None` where it is not on the path.
fn path() -> Option<PathBuf> {
    let name = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?)
        // A relative entry would run what lies beside a recording.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file())
}

pub(crate) fn is_there() -> bool {
    path().is_some()
}

/// The sentence for a codec that nothing here decodes.
pub(crate) fn refusal(codec: &str, more: &str) -> Fault {
    let remedy = match is_there() {
        true => "allow the program ffmpeg to decode it (decoder `auto`)",
        false => "install the program ffmpeg and allow it to decode it (decoder `auto`)",
    };
    format!("holds {codec}, which is not supported here{more}: {remedy}, or convert it to WAV, FLAC or MP3")
}

/// Lets ffmpeg decode the audio track with this index (its own choice without one). `codec` is the reason, for the note.
pub(crate) fn read(
    source: Source,
    track: Option<usize>,
    codec: Option<&str>,
    collector: &mut Collector,
) -> Result<String, Fault> {
    let program =
        path().ok_or("cannot be decoded by ffmpeg, which is not on the path: install it, or choose another decoder")?;
    let mut command = Command::new(program);
    command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-protocol_whitelist", "file,pipe,fd", "-i"]);
    let stdin = match source.path() {
        Some(path) => {
            // A name cannot be taken for an option or a protocol.
            let mut name = OsString::from("file:");
            name.push(std::path::absolute(path).map_err(|e| format!("cannot be named to ffmpeg: {e}"))?);
            command.arg(name);
            Stdio::null()
        }
        None => {
            command.arg("pipe:0");
            Stdio::piped()
        }
    };
    let map = track.map_or_else(|| "0:a:0".to_owned(), |index| format!("0:a:{index}"));
    // Holes and a late start become silence, so that times stay those of the film. One WAV header says rate and channels.
    command.args(["-map", &map, "-vn", "-sn", "-dn", "-af", "aresample=async=1:first_pts=0"]);
    command.args(["-c:a", "pcm_f32le", "-f", "wav", "-bitexact", "pipe:1"]);
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot be decoded by ffmpeg, which cannot be started: {e}"))?;
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut running = Running(child);
    if let (Some(mut input), Source::Stream(_)) = (input, &source) {
        let mut bytes = Bytes::new(source, false);
        // It ends when ffmpeg does, at its next write; a source that blocks for good keeps only this thread.
        thread::spawn(move || {
            let mut block = vec![0; 1 << 16];
            while let Ok(count @ 1..) = Read::read(&mut bytes, &mut block) {
                if input.write_all(&block[..count]).is_err() {
                    break;
                }
            }
        });
    }
    let said = thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(errors) = errors {
            // The first words name the cause; the rest is read, so that nobody waits, and forgotten.
            let mut errors = errors;
            drop((&mut errors).take(1 << 16).read_to_end(&mut said));
            drop(std::io::copy(&mut errors, &mut std::io::sink()));
        }
        String::from_utf8_lossy(&said).into_owned()
    });
    let mut output = output.ok_or("cannot be decoded by ffmpeg: it has no output")?;
    let header = wave_header(&mut output);
    let decoded = match header {
        Some((rate, channels)) => {
            let layout = Layout { encoding: Encoding::Float32, big_endian: false, channels, rate };
            read_samples(&mut output, layout, None, collector).map(drop)
        }
        None => Ok(()),
    };
    // It has ended, or nobody wants more of it.
    let ended = matches!(output.read(&mut [0]), Ok(0));
    drop(output);
    let failed = ended && !running.0.wait().is_ok_and(|status| status.success());
    drop(running);
    let said = said.join().unwrap_or_default();
    let said = last_words(&said);
    decoded?;
    if collector.frames() == 0 {
        let why = if said.is_empty() { String::new() } else { format!(" ({said})") };
        return Err(match codec {
            Some(codec) => {
                format!("holds {codec}, which ffmpeg cannot decode either{why}: convert it to WAV, FLAC or MP3")
            }
            None => format!("cannot be decoded by ffmpeg{why}: convert it to WAV, FLAC or MP3"),
        });
    }
    let what = codec.map_or_else(|| "was decoded".to_owned(), |codec| format!("holds {codec}, which was decoded"));
    collector.warn(WarningCode::AudioDecoder, format!("{what} by the program ffmpeg"));
    if ended && (failed || !said.is_empty()) {
        collector.damaged(format!("ffmpeg reports: {}", if said.is_empty() { "it failed" } else { &said }));
    }
    Ok(format!("ffmpeg ({})", codec.unwrap_or("its choice")))
}

/// A child that does not outlive its reader.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both do nothing after it has ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Rate and channels of a WAV header whose samples begin where this ends.
fn wave_header(output: &mut impl Read) -> Option<(u32, u16)> {
    let mut head = [0; 12];
    output.read_exact(&mut head).ok()?;
    let mut format = None;
    loop {
        let mut chunk = [0; 8];
        output.read_exact(&mut chunk).ok()?;
        let size = u64::from(u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]));
        if &chunk[..4] == b"data" {
            return format;
        }
        let mut content = Vec::new();
        output.take(size + size % 2).read_to_end(&mut content).ok()?;
        if &chunk[..4] == b"fmt " && content.len() >= 16 {
            let rate = u32::from_le_bytes([content[4], content[5], content[6], content[7]]);
            format = Some((rate, u16::from_le_bytes([content[2], content[3]])));
        }
    }
}

/// On one line, without control characters.
fn last_words(said: &str) -> String {
    let mut lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.dedup();
    let line: String = lines.join("; ").chars().filter(|c| !c.is_control()).take(LAST_WORDS).collect();
    line
}
