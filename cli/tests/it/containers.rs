//! Recordings whose headers, times or bytes are not as they should be, through the command: present audio is recognized, at
//! its place in time, and only what is lost is reported. Small files of our own (`recordings/containers`) for every kind of
//! fault, most of them made here by changing a few bytes.

use crate::command;
use crate::optional;

use crate::command::{Scratch, qasr};
use qasr::audio::{ReadOptions, read_path};
use std::fs;
use std::path::PathBuf;

const WORDS: &str = "one two three";

fn folder() -> PathBuf {
    crate::scratch::root().join("tests/recordings/containers")
}

fn file(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).expect("the recording is there")
}

/// The speaker that all of these files hold, as 16-bit samples at 16 kHz.
fn samples() -> Vec<i16> {
    let path = crate::scratch::root().join("convert/demo/sample.flac");
    let pcm = read_path(&path, &ReadOptions::default()).expect("readable").pcm;
    pcm.samples().iter().map(|sample| (sample * 32_767.0) as i16).collect()
}

/// Where `what` stands for the `nth` time, from 0.
fn find(bytes: &[u8], what: &[u8], nth: usize) -> usize {
    let mut places = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(what));
    places.nth(nth).unwrap_or_else(|| panic!("{} is not there {nth} times", what.escape_ascii()))
}

/// The bytes with others at a place.
fn with(mut bytes: Vec<u8>, at: usize, others: &[u8]) -> Vec<u8> {
    bytes[at..at + others.len()].copy_from_slice(others);
    bytes
}

fn without(mut bytes: Vec<u8>, range: std::ops::Range<usize>) -> Vec<u8> {
    bytes.drain(range);
    bytes
}

fn zeroed(bytes: Vec<u8>, range: std::ops::Range<usize>) -> Vec<u8> {
    with(bytes, range.start, &vec![0; range.len()])
}

/// One row: its name, its bytes, the text, and the report (empty: nothing is reported).
struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    text: &'static str,
    reported: &'static [&'static str],
}

fn row(name: &'static str, bytes: Vec<u8>, text: &'static str, reported: &'static [&'static str]) -> Row {
    Row { name, bytes, text, reported }
}

/// Transcribes all rows in one run and compares.
fn judge(test: &str, rows: &[Row]) {
    let scratch = Scratch::new(test);
    let files: Vec<String> = rows.iter().map(|row| scratch.write(row.name, &row.bytes)).collect();
    let mut arguments = vec!["transcribe", "-np"];
    arguments.extend(files.iter().map(String::as_str));
    let run = qasr(&arguments).succeeds();
    let heard: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(heard.len(), rows.len(), "{run:?}");
    let mut wrong = Vec::new();
    for ((row, heard), path) in rows.iter().zip(heard).zip(&files) {
        let reports: Vec<&str> = run.stderr.lines().filter(|line| line.contains(path.as_str())).collect();
        let is_reported = match row.reported {
            [] => reports.is_empty(),
            parts => parts.iter().all(|part| reports.iter().any(|line| line.contains(part))),
        };
        // A star stands for the words that damage left.
        let is_right = if row.text == "*" { !heard.trim().is_empty() } else { heard.trim() == row.text };
        if !is_right || !is_reported {
            wrong.push(format!("{}: \"{heard}\", {reports:?}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The start of every subtitle, in seconds.
fn starts(bytes: &[u8], name: &str) -> Vec<f64> {
    let scratch = Scratch::new(&format!("starts-{name}"));
    let path = scratch.write(name, bytes);
    let run = qasr(&["transcribe", "-np", "-osrt", "-of", "-", &path]).succeeds();
    let clock = |text: &str| {
        let (time, milliseconds) = text.split_once(',').expect("milliseconds");
        let seconds = time.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().expect("a number"));
        seconds + milliseconds.parse::<f64>().expect("a number") / 1000.0
    };
    run.stdout.lines().filter_map(|line| line.split_once(" --> ")).map(|(start, _)| clock(start)).collect()
}

#[test]
fn frames_that_are_there_win_over_counts() {
    let mp3 = file("vbr.mp3");
    let count = find(&mp3, b"Xing", 0) + 8;
    let frames = u32::from_be_bytes(mp3[count..count + 4].try_into().unwrap());
    let first = without(mp3.clone(), 0..find(&mp3, b"Xing", 0));
    let tagless =
        without(mp3.clone(), 0..mp3.len() - first.len() + find(&first, &mp3[mp3.len() - first.len() - 21..][..2], 0));
    judge(
        "counts",
        &[
            row("whole.mp3", mp3.clone(), WORDS, &[]),
            row("count_0.mp3", with(mp3.clone(), count, &[0; 4]), WORDS, &[]),
            row("count_third.mp3", with(mp3.clone(), count, &(frames / 3).to_be_bytes()), WORDS, &[]),
            row("joined.mp3", [mp3.clone(), mp3.clone()].concat(), "one two three one two three", &[]),
            row("no_note.mp3", tagless, WORDS, &[]),
            row("cut.mp3", mp3[..mp3.len() * 2 / 3].to_vec(), "*", &["is cut: its last 0.", "s are missing"]),
            row("damaged.mp3", zeroed(mp3.clone(), mp3.len() / 2..mp3.len() / 2 + 400), "*", &["damaged or lost"]),
        ],
    );
}

#[test]
fn flac_frames_count_too() {
    let path = crate::scratch::root().join("convert/demo/sample.flac");
    let flac = fs::read(path).expect("the sample is there");
    // Samples in all: 36 bits of the stream information.
    let total = |length: u32| with(with(flac.clone(), 21, &[flac[21] & 0xf0]), 22, &length.to_be_bytes());
    let length = u32::from_be_bytes(flac[22..26].try_into().unwrap());
    judge(
        "flac",
        &[
            row("unknown.flac", total(0), WORDS, &[]),
            row("third.flac", total(length / 3), WORDS, &[]),
            row("joined.flac", [&flac[..], &flac].concat(), "one two three one two three", &[]),
            row("tagged.flac", [&flac[..], b"TAG", &[b' '; 125]].concat(), WORDS, &[]),
            row("cut.flac", flac[..flac.len() * 2 / 3].to_vec(), "*", &["is cut: its last 0."]),
            row("damaged.flac", zeroed(flac.clone(), 40_000..40_400), "*", &["the audio from 0:0", "damaged or lost"]),
        ],
    );
}

#[test]
fn sizes_of_plain_samples_are_not_believed() {
    let samples = samples();
    let little: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let big: Vec<u8> = samples.iter().flat_map(|sample| sample.to_be_bytes()).collect();
    let length = little.len() as u32;
    let wav = |riff: u32, data: u32| {
        let whole = command::wav(&samples);
        with(with(whole, 4, &riff.to_le_bytes()), 40, &data.to_le_bytes())
    };
    let aiff = |size: u32| {
        let mut bytes = b"FORM\0\0\0\0AIFFCOMM\0\0\0\x12\0\x01".to_vec();
        bytes.extend((samples.len() as u32).to_be_bytes());
        bytes.extend(b"\0\x10\x40\x0c\xfa\0\0\0\0\0\0\0SSND");
        bytes.extend(size.to_be_bytes());
        [bytes, vec![0; 8], big.clone()].concat()
    };
    let caf = |size: i64| {
        let mut bytes = b"caff\0\x01\0\0desc\0\0\0\0\0\0\0\x20".to_vec();
        bytes.extend(16_000f64.to_be_bytes());
        bytes.extend(b"lpcm\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\0\0\x10data");
        bytes.extend(size.to_be_bytes());
        [bytes, vec![0; 4], big.clone()].concat()
    };
    let au = |size: u32| {
        let fields = [0x2e73_6e64u32, 24, size, 3, 16_000, 1];
        [fields.iter().flat_map(|field| field.to_be_bytes()).collect(), big.clone()].concat()
    };
    let more: &[&str] = &["more follow, which are read too"];
    judge(
        "sizes",
        &[
            row("riff36.wav", wav(36, 0), WORDS, &[]),
            row("zeros.wav", wav(0, 0), WORDS, &[]),
            row("streamed.wav", wav(u32::MAX, u32::MAX), WORDS, &[]),
            row("third.wav", wav(36 + length, length / 3), WORDS, more),
            row("both_third.wav", wav(36 + length / 3, length / 3), WORDS, more),
            row("zero.aiff", aiff(0), WORDS, &[]),
            row("piped.aiff", aiff(u32::MAX), WORDS, &[]),
            row("third.aiff", aiff(length / 3), WORDS, &[]),
            row("zero.caf", caf(0), WORDS, &[]),
            row("piped.caf", caf(-1), WORDS, &[]),
            row("third.caf", caf(i64::from(length) / 3), WORDS, &[]),
            row("zero.au", au(0), WORDS, &[]),
            row("piped.au", au(u32::MAX), WORDS, &[]),
            row("third.au", au(length / 3), WORDS, more),
            row("cut.caf", caf(i64::from(length) * 2), WORDS, &["is cut: its last 2."]),
        ],
    );
}

#[test]
fn ogg_pages_may_be_lost_damaged_and_late() {
    let ogg = file("pages.opus");
    let mut pages = Vec::new();
    let mut at = 0;
    while at < ogg.len() {
        let segments = usize::from(ogg[at + 26]);
        let size = 27 + segments + ogg[at + 27..at + 27 + segments].iter().map(|s| usize::from(*s)).sum::<usize>();
        pages.push(ogg[at..at + size].to_vec());
        at += size;
    }
    assert!(pages.len() > 6, "{} pages", pages.len());
    let joined = |pages: &[Vec<u8>]| pages.concat();
    let moved = |by: u64| {
        let mut pages = pages.clone();
        for page in &mut pages[2..] {
            let granule = u64::from_le_bytes(page[6..14].try_into().unwrap()) + by;
            page[6..14].copy_from_slice(&granule.to_le_bytes());
            let sum = checksum(page);
            page[22..26].copy_from_slice(&sum.to_le_bytes());
        }
        pages
    };
    let mut flipped = pages.clone();
    let last = flipped[5].len() - 1;
    flipped[5][last] ^= 1;
    let missing: Vec<_> = pages[..5].iter().chain(&pages[6..]).cloned().collect();
    let no_end = pages[..pages.len() - 1].to_vec();
    judge(
        "ogg",
        &[
            row("whole.opus", ogg.clone(), WORDS, &[]),
            row("flipped.opus", joined(&flipped), "*", &["the audio from 0:0", "s) is damaged or lost"]),
            row("missing.opus", joined(&missing), "*", &["the audio from 0:0", "s) is damaged or lost"]),
            row("late.opus", joined(&moved(50_000_000)), WORDS, &[]),
            row("no_end.opus", joined(&no_end), "*", &[]),
            row("chained.opus", [&ogg[..], &ogg].concat(), "one two three one two three", &[]),
            row("cut.opus", ogg[..ogg.len() - 9].to_vec(), "*", &["it is cut"]),
        ],
    );
}

/// The checksum of an Ogg page, whose own field counts as 0.
fn checksum(page: &[u8]) -> u32 {
    let mut sum = 0u32;
    for (at, byte) in page.iter().enumerate() {
        sum ^= if (22..26).contains(&at) { 0 } else { u32::from(*byte) << 24 };
        for _ in 0..8 {
            sum = sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 };
        }
    }
    sum
}

#[test]
fn matroska_needs_no_length_no_index_and_no_end() {
    let live = file("live.webm");
    let cluster = |nth| find(&live, &[0x1f, 0x43, 0xb6, 0x75], nth);
    // The last cluster is 8 s later; its time has 2 bytes.
    let time = cluster(2) + find(&live[cluster(2)..], &[0xe7, 0x82], 0) + 2;
    let later = u16::from_be_bytes([live[time], live[time + 1]]) + 8000;
    let gap = with(live.clone(), time, &later.to_be_bytes());
    let known = file("film.mkv");
    judge(
        "matroska",
        &[
            row("live.webm", live.clone(), WORDS, &[]),
            row("cut.webm", live[..live.len() - 50].to_vec(), "*", &["it is cut"]),
            row("cut.mkv", known[..known.len() * 3 / 4].to_vec(), "*", &["is cut: its last"]),
            row("gap.webm", gap, "*", &["nothing was recorded from 0:01.9", "(8."]),
            row("damaged.webm", zeroed(live.clone(), cluster(1)..cluster(1) + 300), "*", &["damaged or lost"]),
            row("no_sizes.webm", with(live.clone(), cluster(1) + 4, &[0x40, 0]), WORDS, &[]),
        ],
    );
}

#[test]
fn mp4_keeps_its_times_whatever_its_lengths_say() {
    let m4a = file("aac.m4a");
    let middle = find(&m4a, b"mdat", 0) + 2500;
    let length = |name: &[u8], at: usize| with(m4a.clone(), find(&m4a, name, 0) + at, &[0; 4]);
    let fragments = file("fragments.mp4");
    let moof = |nth| find(&fragments, b"moof", nth) - 4;
    let he_aac = find(&m4a, &[0x14, 0x08, 0x56, 0xe5], 0);
    judge(
        "mp4",
        &[
            row("whole.m4a", m4a.clone(), WORDS, &[]),
            row("opus.mp4", file("opus.mp4"), WORDS, &[]),
            row("a_law.mov", file("a_law.mov"), WORDS, &[]),
            row("aac_5_1.m4a", file("aac_5_1.m4a"), WORDS, &[]),
            // The same core, written as HE-AAC that goes up to 32 kHz.
            row("he_aac.m4a", with(m4a.clone(), he_aac, &[0x2c, 0x0a, 0x88, 0x00]), WORDS, &[]),
            row("movie_0.m4a", length(b"mvhd", 20), WORDS, &[]),
            row("track_0.m4a", length(b"tkhd", 24), WORDS, &[]),
            row("media_0.m4a", length(b"mdhd", 20), WORDS, &[]),
            row(
                "damaged.m4a",
                zeroed(m4a.clone(), middle..middle + 500),
                "*",
                &["the audio from 0:0", "s) is damaged"],
            ),
            row("fragments.mp4", fragments.clone(), WORDS, &[]),
            row("cut_fragments.mp4", fragments[..moof(3) - 20].to_vec(), "*", &["it is cut"]),
            row("lost_fragment.mp4", zeroed(fragments.clone(), moof(2)..moof(2) + 60), "*", &["s) is damaged or lost"]),
        ],
    );
}

#[test]
fn a_film_keeps_its_time() {
    for name in ["film.mkv", "film.mp4"] {
        let starts = starts(&file(name), name);
        assert!(starts.len() == 1 && (4.5..5.3).contains(&starts[0]), "{name}: {starts:?}");
    }
    // What comes after damage stays where it was.
    let m4a = [file("aac.m4a")].concat();
    let whole = starts(&m4a, "whole.m4a");
    let start = find(&m4a, b"mdat", 0) + 4;
    let damaged = starts(&zeroed(m4a, start + 300..start + 1500), "damaged.m4a");
    let (whole, damaged) = (whole[whole.len() - 1], damaged[damaged.len() - 1]);
    assert!((whole - damaged).abs() < 2.5, "{whole} {damaged}");
}

#[test]
fn the_default_track_is_taken_and_another_can_be() {
    let mkv = file("tracks.mkv");
    // The first track, a tone, becomes one of a codec that nothing here decodes.
    let foreign = with(mkv.clone(), find(&mkv, b"A_AAC", 0), b"A_AC3");
    let scratch = Scratch::new("tracks");
    judge(
        "defaults",
        &[
            row("second.mkv", mkv.clone(), WORDS, &["has 2 audio tracks", "track 2, which is marked as default"]),
            row(
                "second.mp4",
                file("tracks.mp4"),
                WORDS,
                &["has 2 audio tracks", "track 2, which is marked as default"],
            ),
            row("foreign.mkv", foreign.clone(), WORDS, &["1: AC-3", "track 2"]),
        ],
    );
    let path = scratch.write("foreign.mkv", &foreign);
    let list = qasr(&["inspect", &path]).succeeds().stdout;
    assert!(
        list.contains("matroska") && list.contains("1     AC-3") && list.contains("cannot be decoded here"),
        "{list}"
    );
    assert!(list.lines().any(|line| line.contains("2     AAC") && line.contains("default, chosen")), "{list}");
    let asked = qasr(&["transcribe", "-np", "--audio-track", "1", &path]).fails_with(3);
    assert!(asked.stderr.contains("AC-3") && asked.stderr.contains("convert it to"), "{}", asked.stderr);
    let absent = qasr(&["transcribe", "-np", "--audio-track", "3", &path]).fails_with(3);
    assert!(absent.stderr.contains("has 2 audio tracks") && absent.stderr.contains("no track 3"), "{}", absent.stderr);
    let chosen = scratch.write("tracks.mkv", &mkv);
    let run = qasr(&["transcribe", "-np", "-m", "demo", "--audio-track", "2", &chosen]).succeeds();
    assert_eq!((run.stdout.trim(), run.stderr.as_str()), (WORDS, ""));
}

#[test]
fn codecs_that_are_not_decoded_are_named() {
    let m4a = file("aac.m4a");
    let scratch = Scratch::new("codecs");
    for (name, codec) in
        [(b"samr", "AMR-NB"), (b"sawb", "AMR-WB"), (b"ec-3", "E-AC-3"), (b"QDM2", "QDesign"), (b"dtsc", "DTS")]
    {
        let bytes = with(m4a.clone(), find(&m4a, b"mp4a", 0), name);
        let path = scratch.write("foreign.m4a", &bytes);
        let run = qasr(&["transcribe", "-np", &path]).fails_with(3);
        let words = ["not supported", "convert it to WAV, FLAC or MP3", codec];
        assert!(words.iter().all(|word| run.stderr.contains(word)), "{}", run.stderr);
        assert!(!run.stderr.contains("core (codec)"), "{}", run.stderr);
    }
    let speex =
        [&b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"[..], &[0; 4], &[1, 80], b"Speex   ", &[0; 72]].concat();
    let sum = checksum(&speex);
    let path = scratch.write("speex.ogg", &with(speex, 22, &sum.to_le_bytes()));
    let run = qasr(&["transcribe", "-np", &path]).fails_with(3);
    assert!(run.stderr.contains("Speex"), "{}", run.stderr);
}

#[test]
fn another_program_decodes_only_where_it_is_allowed() {
    let scratch = Scratch::new("ffmpeg");
    let m4a = file("aac.m4a");
    let foreign = scratch.write("foreign.m4a", &with(m4a.clone(), find(&m4a, b"mp4a", 0), b"ac-3"));
    let mut alone = qasr(&["transcribe", "-np", "--decoder", "auto", &foreign]).command();
    let run = alone.env("PATH", scratch.path("empty")).output().unwrap();
    let report = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.code() == Some(3) && report.contains("holds AC-3") && report.contains("install"), "{report}");

    let film = scratch.path("film.mkv");
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", "color=black:16x16:r=1:d=8", "-itsoffset", "5", "-i"])
        .arg(folder().join("aac.m4a"))
        .args(["-map", "0:v", "-map", "1:a", "-c:v", "mpeg4", "-c:a", "ac3", "-ar", "48000", &film])
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return optional::skip("no ffmpeg that writes AC-3");
    }
    let refused = qasr(&["transcribe", "-np", &film]).fails_with(3);
    assert!(refused.stderr.contains("holds AC-3, which is not supported here"), "{}", refused.stderr);
    let film_bytes = fs::read(&film).unwrap();
    let note = "holds AC-3, which was decoded by the program ffmpeg";
    for input in [film.as_str(), "-"] {
        let run = qasr(&["transcribe", "-np", "--decoder", "auto", "-osrt", "-of", "-", input]);
        let run = run.stdin(film_bytes.clone()).succeeds();
        assert!(run.stdout.contains(WORDS) && run.stderr.contains(note), "{run:?}");
        // The time of the film, also from there.
        assert!(run.stdout.contains("00:00:04,") || run.stdout.contains("00:00:05,"), "{}", run.stdout);
    }
    let path = scratch.write("aac.m4a", &m4a);
    let run = qasr(&["transcribe", "-np", "--decoder", "ffmpeg", &path]).succeeds();
    assert!(run.stdout.trim() == WORDS && run.stderr.contains("was decoded by the program ffmpeg"), "{run:?}");
    let path = scratch.write("garbage.wv", &[&b"wvpk"[..], &[0x55; 999]].concat());
    let garbage = qasr(&["transcribe", "-np", "--decoder", "auto", &path]).fails_with(3);
    assert!(garbage.stderr.contains("WavPack audio, which ffmpeg cannot decode either ("), "{}", garbage.stderr);
}

#[test]
fn what_has_its_index_at_the_end_comes_through_a_pipe() {
    let m4a = file("aac.m4a");
    assert!(find(&m4a, b"mdat", 0) < find(&m4a, b"moov", 0), "the index is at the end");
    let run = qasr(&["transcribe", "-np", "-m", "demo", "-"]).stdin(m4a.clone()).succeeds();
    assert_eq!((run.stdout.trim(), run.stderr.as_str()), (WORDS, ""));
    let no_index = m4a[..find(&m4a, b"moov", 0) - 4].to_vec();
    let run = qasr(&["transcribe", "-np", "-"]).stdin(no_index).fails_with(3);
    assert!(run.stderr.contains("no index (no moov box)"), "{}", run.stderr);
}

#[test]
fn an_address_is_not_a_file() {
    for address in ["https://example.com/talk.mp3", "file:///talk.mp3"] {
        let run = qasr(&["transcribe", "-np", address]).fails_with(3);
        assert!(run.stderr.contains("nothing is downloaded"), "{}", run.stderr);
    }
}
