//! `qasr listen` and `qasr replay` from the outside, on the embedded demo model and bundled recordings.

use crate::command::{Finished, Prepared, Scratch, qasr, wav};
use serde_json::Value;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const SIX_WORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/sample.flac");
const RATE: usize = 16_000;

/// `qasr listen` on one thread, with only text and warnings, and with the demo model unless another is named.
fn listen(args: &[&str]) -> Prepared {
    let demo: &[&str] = if args.contains(&"-m") { &[] } else { &["-m", "demo"] };
    qasr(&[&["listen", "-t", "1", "-np"], demo, args].concat())
}

fn six_words() -> Vec<i16> {
    let bytes = fs::read(SIX_WORDS).unwrap();
    bytes[44..].as_chunks::<2>().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
}

fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// The six words `times` times, each time after a pause that ends an utterance.
fn with_pauses(times: usize) -> Vec<i16> {
    let mut samples = Vec::new();
    for _ in 0..times {
        samples.extend([0; 3 * RATE / 2]);
        samples.extend(six_words());
    }
    samples.extend([0; 2 * RATE]);
    samples
}

/// The text that `qasr transcribe` gives for it.
fn transcribed(path: &str) -> String {
    qasr(&["transcribe", "-t", "1", "-np", path]).succeeds().stdout.trim_end().to_owned()
}

fn events(run: &Finished) -> Vec<Value> {
    run.stdout.lines().map(json).collect()
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

fn texts(events: &[Value]) -> Vec<&str> {
    named(events, "final").into_iter().map(|event| event["text"].as_str().unwrap()).collect()
}

/// An event without what is not the same twice.
fn timeless(event: &Value) -> Value {
    let mut event = event.clone();
    let fields = event.as_object_mut().unwrap();
    fields.retain(|name, _| !name.ends_with("_ms") && !["rtf", "peak_rss_bytes"].contains(&name.as_str()));
    if let Some(cost) = fields.get_mut("cost").and_then(Value::as_object_mut) {
        cost.retain(|name, _| !name.ends_with("_ms"));
    }
    event
}

#[test]
fn standard_input_gives_the_text_of_transcribe() {
    let words = transcribed(SIX_WORDS);
    assert!(words.split(' ').count() >= 5, "{words}");
    let joined = |run: Finished| run.stdout.lines().collect::<Vec<_>>().join(" ");
    assert_eq!(joined(listen(&["-"]).stdin(fs::read(SIX_WORDS).unwrap()).succeeds()), words);
    let raw = ["--raw-rate", "16000", "-"];
    assert_eq!(joined(listen(&raw).stdin(bytes_of(&six_words())).succeeds()), words);
    let stereo: Vec<i16> = six_words().into_iter().flat_map(|sample| [sample, sample]).collect();
    let raw = ["--raw-rate", "16000", "--raw-channels", "2", "-"];
    assert_eq!(joined(listen(&raw).stdin(bytes_of(&stereo)).succeeds()), words);
}

#[test]
fn a_recording_gives_a_line_for_each_utterance_and_nothing_else() {
    let scratch = Scratch::new("listen-lines");
    let recording = scratch.write("three.wav", &wav(&with_pauses(3)));
    let run = listen(&["--input", &recording]).succeeds();
    assert_eq!(run.stderr, "");
    assert_eq!(run.stdout.lines().count(), 3, "{}", run.stdout);
    assert_eq!(run.stdout.lines().collect::<Vec<_>>().join(" "), transcribed(&recording));
}

#[test]
fn the_last_note_sums_the_run_up() {
    let run = qasr(&["listen", "-t", "1", "--input", SAMPLE]).succeeds();
    let note = run.stderr.lines().last().unwrap_or_default();
    assert!(note.starts_with("qasr: 2.7 s heard, 1 utterance, text at most 0."), "{note}");
    assert!(note.ends_with("x real time") && !run.stderr.contains("median"), "{}", run.stderr);
    // The steps are for those who ask.
    let run = qasr(&["listen", "-v", "-t", "1", "--input", SAMPLE]).succeeds();
    let note = run.stderr.lines().last().unwrap_or_default();
    for part in [" steps (median ", "95 % within ", "left out", "0 revisions refused", "peak memory"] {
        assert!(note.contains(part), "no `{part}` in {note}");
    }
}

#[test]
fn as_fast_as_possible_and_at_the_speed_of_the_clock_give_the_same_finals() {
    let finals = |run: &Finished| -> Vec<Value> {
        named(&events(run), "final")
            .into_iter()
            .map(|event| serde_json::json!([event["text"], event["tokens"], event["start"], event["end"]]))
            .collect()
    };
    let fast = listen(&["--json", "--input", SAMPLE]).succeeds();
    let started = Instant::now();
    let realtime = listen(&["--json", "--input", SAMPLE, "--realtime"]).succeeds();
    assert!(started.elapsed() >= Duration::from_millis(2700), "{:?}", started.elapsed());
    assert_eq!(finals(&fast), finals(&realtime));
    assert_eq!(finals(&fast)[0][0], transcribed(SAMPLE).as_str());
    // Two steps in 2.7 s, each reported before the rest arrived.
    assert_eq!(named(&events(&realtime), "partial").len(), 2, "{}", realtime.stdout);
}

const COST: [&str; 13] = [
    "chunks_convolved",
    "windows_encoded",
    "windows_reused",
    "tokens_prefilled",
    "tokens_reused",
    "tokens_verified",
    "tokens_kept",
    "tokens_generated",
    "mel_ms",
    "encode_ms",
    "prefill_ms",
    "decode_ms",
    "total_ms",
];

fn has_fields(event: &Value, fields: &[&str]) {
    let mut found: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    found.retain(|name| *name != "event");
    let mut expected = fields.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{event}");
}

#[test]
fn every_event_has_its_fields() {
    let scratch = Scratch::new("listen-json");
    let recording = scratch.write("two.wav", &wav(&with_pauses(2)));
    let run = listen(&["--json", "--input", &recording]).succeeds();
    let events = events(&run);
    has_fields(&events[0], &["version", "model", "input", "step_ms", "policy", "commit"]);
    assert_eq!((&events[0]["event"], &events[0]["model"]), (&"ready".into(), &"demo".into()));
    let mut utterance = 0;
    for event in &events[1..events.len() - 1] {
        assert_eq!(event["utterance"], utterance, "{event}");
        for field in ["lag_ms", "closest"] {
            assert!(event[field].is_number() || event[field].is_null(), "{field}: {event}");
        }
        has_fields(&event["cost"], &COST);
        assert!(event["cost"]["encode_ms"].as_f64().unwrap() > 0.0, "{event}");
        assert_eq!((&event["language"], &event["language_name"]), (&"en".into(), &"English".into()));
        let common =
            ["utterance", "start", "language", "language_name", "tokens", "complete", "closest", "lag_ms", "cost"];
        if event["event"] == "partial" {
            has_fields(event, &[&common[..], &["up_to", "committed", "tentative"]].concat());
            assert!(event["up_to"].as_f64() > event["start"].as_f64(), "{event}");
        } else {
            assert_eq!(event["event"], "final");
            has_fields(event, &[&common[..], &["end", "text", "why", "warnings", "revisions_refused"]].concat());
            assert_eq!(event["why"], "pause");
            // The pauses are no part of it.
            assert!(event["end"].as_f64().unwrap() - event["start"].as_f64().unwrap() < 7.0, "{event}");
            utterance += 1;
        }
    }
    assert_eq!(utterance, 2);
    let end = events.last().unwrap();
    has_fields(
        end,
        &[
            "why",
            "audio",
            "finals",
            "steps",
            "complete",
            "median_step_ms",
            "p95_step_ms",
            "largest_lag_ms",
            "rtf",
            "dropped_samples",
            "revisions_refused",
            "steps_left_out",
            "peak_rss_bytes",
        ],
    );
    assert_eq!((&end["event"], &end["why"], &end["finals"]), (&"end".into(), &"input".into(), &2.into()));
    assert_eq!((end["audio"].as_f64(), &end["dropped_samples"]), (Some(17.0), &0.into()));
    assert_eq!(end["steps"], named(&events, "partial").len());
}

#[test]
fn committed_text_only_grows_and_begins_the_final_text() {
    let scratch = Scratch::new("listen-commit");
    let recording = scratch.write("two.wav", &wav(&with_pauses(2)));
    for (commit, step) in [("steady", "500"), ("steady", "1000"), ("utterance", "500")] {
        let run = listen(&["--json", "--commit", commit, "--step", step, "--input", &recording]).succeeds();
        let mut committed = String::new();
        let mut any = false;
        for event in events(&run) {
            if event["event"] == "partial" {
                let now = event["committed"].as_str().unwrap();
                assert!(now.starts_with(&committed), "{committed:?} became {now:?}");
                committed = now.to_owned();
                any |= !now.is_empty();
                assert_eq!(event["tentative"].as_str().unwrap().starts_with(' '), !now.is_empty(), "{event}");
            } else if event["event"] == "final" {
                assert!(event["text"].as_str().unwrap().starts_with(&committed), "{committed:?}: {event}");
                committed.clear();
            }
        }
        assert_eq!(any, commit == "steady", "{commit}");
    }
}

#[test]
fn the_virtual_clock_only_goes_forward_and_the_text_is_that_of_every_run() {
    let scratch = Scratch::new("listen-simulate");
    let recording = scratch.write("two.wav", &wav(&with_pauses(2)));
    let started = Instant::now();
    let args = ["--json", "--simulate", "--input", &recording];
    let runs = [listen(&args).succeeds(), listen(&args).succeeds()];
    assert!(started.elapsed() < Duration::from_secs(17), "it waited: {:?}", started.elapsed());
    let [first, second] = runs.map(|run| events(&run));
    assert_eq!(texts(&first), texts(&second));
    assert_eq!(texts(&first).join(" "), transcribed(&recording));
    let mut last = 0.0;
    for event in first.iter().filter(|event| event["event"] == "partial" || event["event"] == "final") {
        let shown = event["shown_ms"].as_f64().unwrap();
        let heard = event["up_to"].as_f64().or(event["end"].as_f64()).unwrap() * 1000.0;
        assert!(shown >= last && shown > heard, "{event}");
        // The clock has moved on by as long as the work took, and by no more than a device block and the pause.
        let late = shown - heard;
        assert!(late >= event["cost"]["total_ms"].as_f64().unwrap() && late < 3000.0, "{late}: {event}");
        let lag = event["lag_ms"].as_f64().unwrap();
        assert!((late - lag).abs() <= 21.0, "{late}: {event}");
        last = shown;
    }
    assert!(last > 10_000.0, "{last}");
}

#[test]
fn a_trace_gives_the_same_events_again() {
    let scratch = Scratch::new("listen-trace");
    let recording = scratch.write("two.wav", &wav(&with_pauses(2)));
    let trace = scratch.path("talk.trace");
    let options = ["--step", "700", "--context", "three", "-l", "en", "--policy", "official", "--rollback", "3"];
    let args = [&["--json", "--trace", &trace, "--input", &recording][..], &options].concat();
    let recorded = events(&listen(&args).succeeds());
    assert_eq!(scratch.names(), ["talk.trace", "talk.trace.wav", "two.wav"]);
    let replayed = qasr(&["replay", &trace, "--json"]).succeeds();
    let said: Vec<Value> = recorded[1..recorded.len() - 1].iter().map(timeless).map(without_closest).collect();
    assert_eq!(events(&replayed), said);
    assert!(replayed.stderr.contains(&format!("the same {} events", said.len())), "{}", replayed.stderr);
    // As text.
    let replayed = qasr(&["replay", "-np", &trace]).succeeds();
    assert_eq!((replayed.stdout, replayed.stderr), (texts(&recorded).join("\n") + "\n", String::new()));
    // The audio is an ordinary recording of exactly what was heard.
    let run = qasr(&["transcribe", "-t", "1", "-np", &scratch.path("talk.trace.wav")]).succeeds();
    assert_eq!(run.stdout.trim_end(), transcribed(&recording));
}

fn without_closest(mut event: Value) -> Value {
    event.as_object_mut().unwrap().remove("closest");
    event
}

/// A short trace as text, and how many of its lines are there.
fn short_trace(scratch: &Scratch) -> (String, String) {
    let trace = scratch.path("short.trace");
    listen(&["--trace", &trace, "--input", SAMPLE]).succeeds();
    (trace.clone(), fs::read_to_string(trace).unwrap())
}

#[test]
fn a_changed_event_is_found_and_named() {
    let scratch = Scratch::new("listen-changed");
    let (trace, text) = short_trace(&scratch);
    let word = transcribed(SAMPLE);
    let (first, _) = word.split_once(' ').unwrap();
    let line = text.lines().position(|line| line.contains("\"final\"")).unwrap() + 1;
    for (from, to, expected) in [
        (format!("\"text\":\"{first}"), "\"text\":\"x".to_owned(), format!("(line {line}) differs: text is ")),
        ("\"up_to\":1".into(), "\"up_to\":9".into(), "differs: up_to is 9".into()),
        ("\"tokens_generated\":".into(), "\"tokens_generated\":7".into(), "cost: tokens_generated is 7".into()),
        ("\"why\":\"input\",".into(), String::new(), "why is missing in the trace".into()),
    ] {
        assert!(text.contains(&from), "{from} is not in the trace");
        fs::write(&trace, text.replacen(&from, &to, 1)).unwrap();
        let run = qasr(&["replay", "-np", &trace]).fails_with(1);
        assert!(run.stderr.contains(&expected) && run.stderr.lines().count() == 1, "{expected}: {}", run.stderr);
    }
    // An event that is not in the trace, and one that is there twice.
    let last = text.lines().find(|line| line.contains("\"final\"")).unwrap();
    fs::write(&trace, text.replace(&format!("{last}\n"), "")).unwrap();
    assert!(qasr(&["replay", &trace]).fails_with(1).stderr.contains("is said now and is not in the trace"));
    fs::write(
        &trace,
        text.replace(last, &format!("{last}\n{last}")).replace("{\"end\":true}\n", "") + "{\"end\":true}\n",
    )
    .unwrap();
    assert!(qasr(&["replay", &trace]).fails_with(1).stderr.contains("is not said now"));
}

/// As a header was before the options of the library described themselves.
const OTHER_VERSION: &str = r#"{"qasr_trace":1,"version":"0.1.0","model":{"name":"demo","decoder":null,"encoder":null,"bytes":1,"threads":null,"kv_type":null},"options":{"language":null,"context":"","step_samples":16000}}
"#;

#[test]
fn a_damaged_trace_is_refused_in_one_sentence() {
    let scratch = Scratch::new("listen-damaged");
    let (trace, text) = short_trace(&scratch);
    let wav_path = format!("{trace}.wav");
    let audio = fs::read(&wav_path).unwrap();
    let refused = |what: &str, code: i32, expected: &str| {
        let run = qasr(&["replay", "-np", &trace]).fails_with(code);
        assert!(run.stderr.contains(expected) && run.stderr.lines().count() == 1, "{what}: {}", run.stderr);
        assert!(run.stderr.contains(&trace), "{what}: {}", run.stderr);
    };
    for (what, changed, expected) in [
        ("empty", String::new(), "does not begin with the header"),
        ("no trace", "RIFF\n".to_owned(), "does not begin with the header"),
        ("another form", text.replacen("\"qasr_trace\":2", "\"qasr_trace\":9", 1), "form 9"),
        ("another version", OTHER_VERSION.to_owned(), "is a trace of form 1, and this program reads form 2"),
        ("no peak", text.replacen("\"peak\":\"stream\",", "", 1), "missing field `peak`"),
        ("an option too many", text.replacen("\"peak\":", "\"speed\":1,\"peak\":", 1), "unknown field `speed`"),
        ("no JSON", text.replacen("{\"feed\":", "{feed:", 1), "line 2 is no line of JSON"),
        ("unknown line", text.replacen("{\"feed\":", "{\"food\":", 1), "line 2 is neither a block nor an event"),
        ("a number that is none", text.replacen("{\"feed\":", "{\"feed\":-", 1), "line 2 is neither"),
        ("more than there is", text.replacen("{\"feed\":", "{\"feed\":999", 1), "ends before the 999"),
        ("the largest number", text.replacen("{\"feed\":16000", "{\"feed\":18446744073709551615", 1), "ends before"),
        ("a language that is none", text.replacen("\"language\":null", "\"language\":\"Klingon\"", 1), "Klingon"),
    ] {
        assert_ne!(changed, text, "{what}");
        fs::write(&trace, changed).unwrap();
        refused(what, 3, expected);
    }
    fs::write(&trace, &text).unwrap();
    fs::write(&wav_path, &audio[..audio.len() / 2]).unwrap();
    refused("cut audio", 3, "it was cut");
    let mut loud = audio.clone();
    loud[44..48].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&wav_path, loud).unwrap();
    refused("NaN", 3, "outside [-1, 1]");
    fs::copy(SIX_WORDS, &wav_path).unwrap();
    refused("other audio", 3, "is not the audio of the trace");
    fs::remove_file(&wav_path).unwrap();
    refused("no audio", 3, "cannot be opened");
    // Whole again.
    fs::write(&wav_path, &audio).unwrap();
    qasr(&["replay", "-np", &trace]).succeeds();
}

#[test]
fn a_trace_that_breaks_off_is_replayed_as_far_as_it_goes() {
    let scratch = Scratch::new("listen-broken");
    let (trace, text) = short_trace(&scratch);
    let partial = text.find("{\"event\":\"partial\"").unwrap();
    let end_of_line = partial + text[partial..].find('\n').unwrap() + 1;
    for cut in [end_of_line, end_of_line + 5, partial] {
        fs::write(&trace, &text[..cut]).unwrap();
        let run = qasr(&["replay", "-np", &trace]).succeeds();
        let same = usize::from(cut != partial);
        assert!(
            run.stderr.contains("breaks off") && run.stderr.contains(&format!("the {same} events")),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn what_is_traced_survives_a_sudden_end() {
    let scratch = Scratch::new("listen-killed");
    let trace = scratch.path("killed.trace");
    let mut child = spawn(&["--json", "--raw-rate", "16000", "--trace", &trace, "-"], Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes_of(&six_words()[..5 * RATE])).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("\"partial\"")).unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let run = qasr(&["replay", &trace]).succeeds();
    assert!(run.stderr.contains("breaks off"), "{}", run.stderr);
    // The audio has no lengths yet and is readable all the same.
    let heard = qasr(&["transcribe", "-t", "1", "-np", &format!("{trace}.wav")]).succeeds();
    assert!(heard.stdout.starts_with("seven"), "{heard:?}");
}

#[test]
fn a_trace_never_replaces_the_recording_and_needs_a_place() {
    let scratch = Scratch::new("listen-overwrite");
    let recording = scratch.copy(SIX_WORDS, "talk.wav");
    let run = listen(&["--input", &recording, "--trace", &scratch.path("talk")]).fails_with(2);
    assert!(run.stderr.contains("would replace the recording"), "{}", run.stderr);
    assert_eq!(fs::read(&recording).unwrap(), fs::read(SIX_WORDS).unwrap());
    let nowhere = scratch.path("no-such-folder/talk");
    let run = listen(&["--input", &recording, "--trace", &nowhere]).fails_with(6);
    assert!(run.stderr.contains(&nowhere), "{}", run.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = spawn(&["--json", "--input", SIX_WORDS, "--realtime"], Stdio::piped());
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("\"ready\""), "{first}");
    let started = Instant::now();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
    // It does not listen to the end for nobody.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_has_its_own_code() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let run = listen(&["--input", SAMPLE]).stdout(full.into()).fails_with(6);
    assert!(run.stderr.contains("standard output"), "{}", run.stderr);
}

#[test]
fn input_that_stops_in_mid_sample_keeps_its_text() {
    let words = transcribed(SIX_WORDS);
    let mut whole = fs::read(SIX_WORDS).unwrap();
    whole.pop();
    let run = listen(&["-"]).stdin(whole).succeeds();
    assert_eq!(run.stdout.trim_end(), words);
    assert!(run.stderr.contains("warning:") && run.stderr.contains("whole frame"), "{}", run.stderr);
    let mut raw = bytes_of(&six_words());
    raw.pop();
    let run = listen(&["--raw-rate", "16000", "-"]).stdin(raw).succeeds();
    assert_eq!(run.stdout.trim_end(), words);
}

#[test]
fn what_is_no_audio_is_refused() {
    let run = listen(&["-"]).stdin(b"These are notes, and no recording at all.".to_vec()).fails_with(3);
    assert!(run.stderr.contains("standard input"), "{}", run.stderr);
    let run = listen(&["--input", "no-such-file.wav"]).fails_with(3);
    assert!(run.stderr.contains("no-such-file.wav"), "{}", run.stderr);
}

/// A pipe that takes no byte more, and its other end.
#[cfg(target_os = "linux")]
fn full_pipe() -> (io::PipeReader, io::PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(&[b' '; CAPACITY]).unwrap();
    (reader, writer)
}

/// Capacity of a pipe on Linux.
const CAPACITY: usize = 1 << 16;

fn spawn(args: &[&str], stdout: Stdio) -> Child {
    let mut command = listen(args).command();
    command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap()
}

/// Does what could wait for ever.
fn within<T: Send + 'static>(seconds: u64, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    result.recv_timeout(Duration::from_secs(seconds)).expect("it waits for ever")
}

/// Most memory that a running process has held, in bytes.
#[cfg(target_os = "linux")]
fn peak(child: &Child) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
#[cfg(target_os = "linux")]
fn a_consumer_that_stops_reading_stops_nothing_and_loses_no_final() {
    let blocked = |times: usize| {
        let (mut reader, writer) = full_pipe();
        let mut child = spawn(&["--json", "--raw-rate", "16000", "-"], writer.into());
        let mut stdin = child.stdin.take().unwrap();
        // The engine takes everything although not one line can be written: else this would not end, since no more than
        // 30 s fit in between.
        within(300, move || stdin.write_all(&bytes_of(&with_pauses(times))).unwrap());
        thread::sleep(Duration::from_millis(500));
        assert_eq!(child.try_wait().unwrap(), None);
        let peak = peak(&child);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        let events: Vec<Value> = text[CAPACITY..].lines().map(json).collect();
        let numbers: Vec<u64> =
            named(&events, "final").iter().map(|event| event["utterance"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..times as u64).collect::<Vec<_>>());
        assert!(texts(&events).iter().all(|text| *text == texts(&events)[0]), "{:?}", texts(&events));
        assert_eq!(events.last().unwrap()["finals"], times);
        peak
    };
    let (short, long) = (blocked(8), blocked(24));
    // 2 minutes more: 3.8 MB as 16-bit samples and twice that as floats, if they were kept.
    assert!(long < short + (3 << 20), "{short} bytes for 1 minute, {long} for 3");
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
#[cfg(unix)]
fn an_interrupt_finishes_the_utterance_and_prints_the_rest() {
    let mut child = spawn(&["--json", "--raw-rate", "16000", "-"], Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    let spoken = 4 * RATE;
    stdin.write_all(&bytes_of(&six_words()[..spoken])).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| json(&line.unwrap()));
    // All that was spoken has been heard, and standard input stays open.
    let before = lines.find(|event| event["event"] == "partial" && event["up_to"].as_f64() > Some(2.9)).unwrap();
    interrupt(&child);
    let rest: Vec<Value> = within(30, move || lines.collect());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = texts(&rest).join(" ");
    assert!(text.starts_with(before["committed"].as_str().unwrap()) && text.starts_with("seven six nine"), "{text}");
    let end = rest.last().unwrap();
    assert_eq!((&end["event"], &end["why"]), (&"end".into(), &"interrupt".into()));
    assert!(end["audio"].as_f64().unwrap() > 3.5, "{end}");
    drop(stdin);
}

#[test]
#[cfg(target_os = "linux")]
fn a_second_interrupt_ends_at_once() {
    let (reader, writer) = full_pipe();
    let mut child = spawn(&["--raw-rate", "16000", "-"], writer.into());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes_of(&with_pauses(1))).unwrap();
    // Time to come to the line that cannot be written.
    thread::sleep(Duration::from_millis(1500));
    interrupt(&child);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(child.try_wait().unwrap(), None, "the text that nobody reads is waited for");
    interrupt(&child);
    assert_eq!(within(10, move || child.wait().unwrap().code()), Some(130));
    drop((reader, stdin));
}

#[test]
fn a_cut_text_is_reported() {
    let run = listen(&["--json", "--input", SIX_WORDS, "--max-new-tokens", "5"]).fails_with(5);
    let events = events(&run);
    let ended = named(&events, "final")[0];
    assert_eq!((&ended["complete"], &ended["warnings"][0]["code"]), (&false.into(), &"token_limit".into()));
    assert_eq!(events.last().unwrap()["complete"], false);
    assert!(run.stderr.contains("warning:"), "{}", run.stderr);
}

#[test]
fn the_switches_of_the_caches_change_no_text() {
    let words = transcribed(SIX_WORDS);
    for kept in ["chunks", "windows", "attention", "drafts", "windows,drafts", "all"] {
        let run = listen(&["--commit", "utterance", "--no-reuse", kept, "--input", SIX_WORDS]).succeeds();
        assert_eq!(run.stdout.trim_end(), words, "{kept}");
    }
    let reused = |args: &[&str]| {
        let run = listen(&[&["--json", "--input", SIX_WORDS], args].concat()).succeeds();
        let sum = |field: &str| events(&run).iter().filter_map(|event| event["cost"][field].as_u64()).sum::<u64>();
        (sum("tokens_reused") > 0, sum("tokens_kept") > 0)
    };
    assert_eq!(reused(&[]), (true, true));
    assert_eq!(reused(&["--no-reuse", "attention"]), (false, true));
    assert_eq!(reused(&["--no-reuse", "drafts", "--commit", "utterance"]), (true, false));
}

#[test]
fn finished_utterances_are_saved_as_text_and_subtitles_and_have_times_on_request() {
    let scratch = Scratch::new("listen-output");
    let words = transcribed(SIX_WORDS);
    let [txt, srt, vtt] = ["t.txt", "t.srt", "t.vtt"].map(|name| scratch.path(name));
    let run = listen(&[
        "--commit",
        "utterance",
        "--timestamps",
        "-o",
        &txt,
        "-o",
        &srt,
        "--output",
        &vtt,
        "--input",
        SIX_WORDS,
    ])
    .succeeds();
    assert_eq!(run.stdout, format!("[00:00:00.000 --> 00:00:06.000]  {words}\n"));
    assert_eq!(scratch.read("t.txt"), format!("{words}\n"));
    assert_eq!(scratch.read("t.srt"), format!("1\n00:00:00,000 --> 00:00:06,000\n{words}\n\n"));
    assert_eq!(scratch.read("t.vtt"), format!("WEBVTT\n\n00:00:00.000 --> 00:00:06.000\n{words}\n\n"));
    let run = listen(&["-o", &scratch.path("t.doc"), "--input", SIX_WORDS]).fails_with(2);
    assert!(run.stderr.contains("t.doc") && run.stderr.contains(".srt"), "{}", run.stderr);
    let run = listen(&["-o", &scratch.path("nowhere/t.srt"), "--input", SIX_WORDS]).fails_with(6);
    assert!(run.stderr.contains("nowhere/t.srt"), "{}", run.stderr);
    let recording = scratch.copy(SIX_WORDS, "talk.txt");
    let run = listen(&["-o", &recording, "--input", &recording]).fails_with(2);
    assert!(run.stderr.contains("would replace the recording"), "{}", run.stderr);
    assert_eq!(fs::read(&recording).unwrap(), fs::read(SIX_WORDS).unwrap());
    assert!(listen(&["-osrt", "--input", SIX_WORDS]).fails_with(2).stderr.contains("--output FILE.txt, FILE.srt"));
}

#[test]
fn wrong_usage_is_one_sentence() {
    for (args, expected) in [
        (&["--step", "99", "-"][..], "99"),
        (&["--step", "60001", "-"], "60001"),
        (&["--max-utterance", "0", "--input", SAMPLE], "0 s"),
        (&["--max-utterance", "nan", "--input", SAMPLE], "NaN"),
        (&["--policy", "best", "-"], "official"),
        (&["--commit", "never", "-"], "utterance"),
        (&["--no-reuse", "heat", "-"], "drafts"),
        (&["--rollback", "3", "--input", SAMPLE], "--policy official"),
        (&["--unfixed-chunks", "3", "--input", SAMPLE], "--policy official"),
        (&["--realtime", "-"], "cannot be used"),
        (&["--simulate"], "--input"),
        (&["--simulate", "--realtime", "--input", SAMPLE], "--realtime"),
        (&["--input", SAMPLE, "-"], "cannot be used"),
        (&["-c", "1", "-"], "--device"),
        (&[SAMPLE], "--input"),
        (&["-kc", "-"], "--carry"),
        (&["--length", "5000"], "--max-utterance"),
        (&["-l", "klingon", "-"], "klingon"),
        (&["--kv-type", "f16", "-ctv", "q8_0", "--input", SAMPLE], "one type"),
    ] {
        let run = listen(args).stdin(Vec::new()).fails_with(2);
        assert_eq!(run.stdout, "", "{args:?}");
        assert!(run.stderr.contains(expected) && run.stderr.lines().count() == 1, "{args:?}: {}", run.stderr);
    }
    let run = qasr(&["listen", "-m", "no-such-model.gguf", "--input", SAMPLE]).fails_with(4);
    assert!(run.stderr.contains("no-such-model.gguf"), "{}", run.stderr);
    let run = qasr(&["replay", "no-such-trace"]).fails_with(3);
    assert!(run.stderr.contains("no-such-trace"), "{}", run.stderr);
}

#[test]
fn help_goes_to_standard_output() {
    for args in [&["listen", "--help"][..], &["replay", "--help"], &["listen", "-h"]] {
        let run = qasr(args).succeeds();
        assert!(run.stdout.contains("Usage: qasr") && run.stderr.is_empty(), "{args:?}");
    }
}

#[test]
#[cfg(not(feature = "mic"))]
fn a_build_without_microphones_says_how_to_get_them_and_what_else_there_is() {
    for args in [&[][..], &["--list-devices"], &["-c", "USB"]] {
        let run = listen(args).fails_with(2);
        for part in ["--features mic", "`-`", "--input FILE"] {
            assert!(run.stderr.contains(part), "{args:?}: {}", run.stderr);
        }
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
}
