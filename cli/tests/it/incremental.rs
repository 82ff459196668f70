//! Text that comes while the recording still does, runs that are stopped, and channels one by one, through the command.

use crate::command::{Scratch, qasr, wav};
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const WORDS: &str = "seven six nine two five go";
const RATE: usize = 16_000;

fn speech() -> Vec<i16> {
    fs::read(RECORDING).unwrap()[44..].as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect()
}

/// The words, and then silence that ends their utterance.
fn utterance() -> Vec<i16> {
    [speech(), vec![0; 3 * RATE]].concat()
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Starts `qasr transcribe -` on raw samples, of which it gets two utterances; the input stays open.
fn started(more: &[&str]) -> Child {
    let arguments = [&["transcribe", "-np", "-m", "demo", "--raw-rate", "16000", "-"], more].concat();
    let mut command = qasr(&arguments).command();
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let samples = [utterance(), utterance()].concat();
    child.stdin.as_mut().unwrap().write_all(&bytes(&samples)).unwrap();
    child
}

/// Output of the command until both utterances are printed. Where they are held back, an error, not a test without an end.
fn two_utterances(child: &mut Child) -> String {
    let wanted = format!("{WORDS} {WORDS}");
    let mut stdout = child.stdout.take().unwrap();
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        while text.len() < wanted.len() {
            let mut byte = [0];
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it ended after {:?}", String::from_utf8_lossy(&text));
            text.push(byte[0]);
        }
        done.send((text, stdout)).unwrap();
    });
    let found = result.recv_timeout(Duration::from_secs(120));
    let (text, stdout) = found.inspect_err(|_| child.kill().unwrap()).expect("both texts, while the input is open");
    child.stdout = Some(stdout);
    String::from_utf8(text).unwrap()
}

fn rest(mut child: Child) -> (Option<i32>, String, String) {
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (child.wait().unwrap().code(), stdout, stderr)
}

#[test]
fn text_comes_utterance_by_utterance_into_a_pipe() {
    let mut child = started(&[]);
    // The input has not ended: these words cannot have waited for its end.
    assert_eq!(two_utterances(&mut child), format!("{WORDS} {WORDS}"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes(&speech())).unwrap();
    drop(stdin);
    assert_eq!(rest(child), (Some(0), format!(" {WORDS}\n"), String::new()));
}

/// A header promises a length, so that utterances could wait for those that follow: from a slow source they do not.
#[test]
fn text_of_a_known_length_comes_as_fast_too() {
    let mut command = qasr(&["transcribe", "-np", "-m", "demo", "--batch", "8", "-"]).command();
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let all = wav(&[utterance(), utterance(), speech()].concat());
    let (first, last) = all.split_at(all.len() - 2 * speech().len());
    child.stdin.as_mut().unwrap().write_all(first).unwrap();
    assert_eq!(two_utterances(&mut child), format!("{WORDS} {WORDS}"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(last).unwrap();
    drop(stdin);
    assert_eq!(rest(child), (Some(0), format!(" {WORDS}\n"), String::new()));
}

#[cfg(unix)]
#[test]
fn a_stopped_run_prints_and_writes_the_finished_utterances() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let scratch = Scratch::new(&format!("stopped-{signal}"));
        let mut child = started(&["-of", &scratch.path("x"), "-osrt", "-ojson", "-otxt"]);
        let text = two_utterances(&mut child);
        let input = child.stdin.take();
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let (code, stdout, stderr) = rest(child);
        drop(input);
        assert_eq!((code, stdout.as_str()), (Some(130), "\n"), "{stderr}");
        assert_eq!(scratch.names(), ["x.json", "x.srt", "x.txt"]);
        assert_eq!(scratch.read("x.txt"), format!("{text}\n"));
        assert_eq!(scratch.read("x.srt").matches(WORDS).count(), 2);
        let json = json(&scratch.read("x.json"));
        assert_eq!((&json["complete"], &json["text"]), (&false.into(), &text.into()));
        assert_eq!(json["warnings"][0]["code"], "interrupted");
        assert!(stderr.contains("not finished; the text ends at"), "{stderr}");
    }
}

#[cfg(unix)]
#[test]
fn a_run_is_stopped_wherever_it_is() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let scratch = Scratch::new("stopped-anywhere");
    let samples: Vec<i16> = (0..40).flat_map(|_| utterance()).collect();
    let recording = scratch.write("long.wav", &wav(&samples));
    let whole = vec![WORDS; 40].join(" ");
    let mut ended_early = 0;
    for (number, after) in [0u64, 10, 30, 60, 100, 200, 400, 700, 1000, 1500].into_iter().enumerate() {
        let base = scratch.path(&format!("out{number}"));
        let mut command = qasr(&["transcribe", "-np", &recording, "-of", &base, "-otxt", "-osrt"]).command();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(after));
        kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let status = child.wait().unwrap();
        // Before it takes care of signals the shell's rule holds: ended by the signal, nothing done.
        let Some(code) = status.code() else { continue };
        assert!([0, 130].contains(&code), "{after} ms: {status} {stderr}");
        ended_early += usize::from(code == 130);
        let text = stdout.trim_end();
        assert!(whole.starts_with(text), "{after} ms: {text}");
        if code == 0 {
            assert_eq!(text, whole);
        }
        if fs::exists(format!("{base}.txt")).unwrap() {
            assert_eq!(fs::read_to_string(format!("{base}.txt")).unwrap(), stdout, "{after} ms");
            let cues = fs::read_to_string(format!("{base}.srt")).unwrap().matches(WORDS).count();
            assert_eq!(cues, text.matches(WORDS).count(), "{after} ms");
        } else {
            // Stopped while the model was opened.
            assert_eq!(text, "", "{after} ms");
        }
    }
    assert!(ended_early > 0, "no run was still running when it was stopped");
}

/// Interleaved: words on the left from the start, on the right from a later second on.
fn call() -> Vec<i16> {
    let pause = vec![0i16; 9 * RATE];
    let left = [speech(), pause.clone(), speech()].concat();
    let right = [pause.clone(), speech(), pause].concat();
    let length = left.len().min(right.len());
    (0..length).flat_map(|at| [left[at], right[at]]).collect()
}

/// A 16-bit WAV file at 16 kHz of two channels.
fn stereo(samples: &[i16]) -> Vec<u8> {
    let mut file = wav(samples);
    file[22] = 2;
    file[28..32].copy_from_slice(&64_000u32.to_le_bytes());
    file[32] = 4;
    file
}

#[test]
fn a_channel_can_be_chosen() {
    let scratch = Scratch::new("channel");
    let loud_right: Vec<i16> = speech().iter().flat_map(|&sample| [0, sample]).collect();
    let recording = scratch.write("right.wav", &stereo(&loud_right));
    for (channel, text) in [("right", WORDS), ("2", WORDS), ("mix", WORDS)] {
        let run = qasr(&["transcribe", "-np", &recording, "--channel", channel]).succeeds();
        assert_eq!(run.stdout, format!("{text}\n"), "{channel}");
    }
    for channel in ["left", "1"] {
        let run = qasr(&["transcribe", "-np", &recording, "--channel", channel]).succeeds();
        assert_eq!(run.stdout, "\n", "{channel}");
    }
    let run = qasr(&["transcribe", "-np", &recording, "--channel", "3"]).fails_with(3);
    assert!(run.stderr.contains("has 2 channels, so there is no channel 3"), "{}", run.stderr);
    qasr(&["transcribe", "-np", &recording, "--channel", "0"]).fails_with(2);
    // What the channels' mean would cancel out is there in each.
    let inverted: Vec<i16> = speech().iter().flat_map(|&sample| [sample, -sample]).collect();
    let inverted = scratch.write("inverted.wav", &stereo(&inverted));
    assert_eq!(qasr(&["transcribe", "-np", &inverted, "--channel", "left"]).succeeds().stdout, format!("{WORDS}\n"));
}

#[test]
fn channels_of_a_call_are_recognized_one_by_one_and_merged_by_time() {
    let scratch = Scratch::new("split");
    let recording = scratch.write("call.wav", &stereo(&call()));
    let arguments = ["transcribe", "-np", "--split-channels", "-ojson", "-osrt", "-ovtt", &recording];
    let run = qasr(&arguments).succeeds();
    let lines = format!("[left] {WORDS}\n[right] {WORDS}\n[left] {WORDS}\n");
    assert_eq!(run.stdout, lines);
    let json = json(&scratch.read("call.wav.json"));
    let segments = json["segments"].as_array().unwrap();
    let channels: Vec<u64> = segments.iter().map(|segment| segment["channel"].as_u64().unwrap()).collect();
    assert_eq!(channels, [1, 2, 1]);
    let starts: Vec<f64> = segments.iter().map(|segment| segment["start"].as_f64().unwrap()).collect();
    assert!(starts.is_sorted() && starts[1] > 8.0 && starts[2] > 14.0, "{starts:?}");
    assert!(scratch.read("call.srt").contains(&format!("\n[right] {WORDS}\n")));
    assert!(scratch.read("call.vtt").contains(&format!("\n<v right>{WORDS}\n")));
    let piped = ["transcribe", "-np", "--split-channels", "-"];
    assert_eq!(qasr(&piped).stdin(stereo(&call())).succeeds().stdout, lines);
    qasr(&["transcribe", "-np", "--split-channels", "--channel", "left", &recording]).fails_with(2);
}
