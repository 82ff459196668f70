//! The result as files: one writer per format, the file names, and writing so that no half file is left behind.

mod csv;
mod json;
mod lrc;
mod srt;
mod tsv;
mod txt;
mod vtt;

use qasr::error::{Error, Result};
use qasr::transcript::{Segment, Transcript};
use qasr_measure::whole;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use json::ModelSummary;

/// A form in which a result can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Txt,
    Srt,
    Vtt,
    Json,
    Tsv,
    Csv,
    Lrc,
}

impl Format {
    /// Every format, in the order in which they are written.
    pub const ALL: [Format; 7] =
        [Format::Txt, Format::Srt, Format::Vtt, Format::Json, Format::Tsv, Format::Csv, Format::Lrc];

    /// The extension of its files, and its name for `--output-format`.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Txt => "txt",
            Format::Srt => "srt",
            Format::Vtt => "vtt",
            Format::Json => "json",
            Format::Tsv => "tsv",
            Format::Csv => "csv",
            Format::Lrc => "lrc",
        }
    }
}

/// A result and what only the JSON form tells about the run.
#[derive(Debug)]
pub struct Report<'a> {
    pub transcript: &'a Transcript,
    pub model: &'a ModelSummary,
    /// Most memory the process has held so far, where the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// Channels that were recognized one by one, or 1.
    pub channels: usize,
}

/// Writes the result in one format.
pub fn write(report: &Report<'_>, format: Format, out: &mut dyn Write) -> io::Result<()> {
    let transcript = report.transcript;
    match format {
        Format::Txt => txt::write(transcript, out),
        Format::Srt => srt::write(report, out),
        Format::Vtt => vtt::write(report, out),
        Format::Json => json::write(report, out),
        Format::Tsv => tsv::write(report, out),
        Format::Csv => csv::write(report, out),
        Format::Lrc => lrc::write(report, out),
    }
}

/// `BASE` with the format's extension appended, as whisper-cli does: `talk.wav` gives `talk.wav.srt`, so that
/// `talk.wav` and `talk.mp3` do not share a file and no input is ever written over.
pub fn file_name(base: &Path, format: Format) -> PathBuf {
    let mut name = OsString::from(base);
    name.push(".");
    name.push(format.extension());
    PathBuf::from(name)
}

/// Writes the result to `path`, under another name first: a full disk or a kill leaves no half file.
///
/// # Errors
/// An output error that names the file.
pub fn write_file(report: &Report<'_>, format: Format, path: &Path) -> Result<()> {
    write_whole(path, OTHER_PLACE, &|out| write(report, format, out))
}

/// The remedy for a result of one recording that cannot be written.
pub const OTHER_PLACE: &str = "choose another place with -of or --output-dir";

/// Has `write` fill a file, which gets its name when it is whole.
///
/// # Errors
/// An output error that names the file and ends in `remedy`.
pub fn write_whole(path: &Path, remedy: &str, write: &dyn Fn(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    whole::write_whole(path, write).map_err(|error| unwritable(path, remedy, &error))
}

/// Whether a file can be written there, before work of hours is done for it.
///
/// # Errors
/// As [`write_whole`].
pub fn try_place(path: &Path, remedy: &str) -> Result<()> {
    whole::try_place(path).map_err(|error| unwritable(path, remedy, &error))
}

fn unwritable(path: &Path, remedy: &str, error: &io::Error) -> Error {
    Error::output(format!("cannot write `{}`: {error}; {remedy}", path.display()))
}

/// Hours, minutes, seconds and milliseconds as subtitles have them: `01:02:03,004` with `,`.
fn clock(milliseconds: u64, separator: char) -> String {
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{separator}{milliseconds:03}")
}

/// The segments that say something: a subtitle without text only blinks.
fn spoken<'a>(report: &Report<'a>) -> impl Iterator<Item = &'a Segment> {
    report.transcript.segments.iter().filter(|segment| !segment.text.trim().is_empty())
}

/// A channel's name: left and right where there are two, else its number from 1.
pub fn channel_label(channel: u16, channels: usize) -> String {
    match (channel, channels) {
        (0, 2) => "left".to_owned(),
        (1, 2) => "right".to_owned(),
        _ => format!("channel {}", u32::from(channel) + 1),
    }
}

/// The channel that a segment was heard in. `None` where channels were not recognized one by one.
fn channel_name(segment: &Segment, channels: usize) -> Option<String> {
    segment.channel.map(|channel| channel_label(channel, channels))
}

/// The text of a segment on one line, after its channel in brackets where it has one.
pub fn labelled(segment: &Segment, channels: usize) -> String {
    let text = one_line(&segment.text);
    channel_name(segment, channels).map_or(text.clone(), |name| format!("[{name}] {text}"))
}

/// The text on one line: line breaks and tabs would be read as the format's own.
fn one_line(text: &str) -> String {
    text.split(['\n', '\r', '\t']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use qasr::model::ModelInfo;
    use qasr::units::SampleIndex;
    use qasr::{Timings, Warning, WarningCode};
    use std::time::Duration;

    fn segment(start: u64, end: u64, text: &str) -> Segment {
        Segment {
            start: SampleIndex(start),
            end: SampleIndex(end),
            language: (!text.is_empty()).then(|| "English".to_string()),
            text: text.into(),
            tokens: vec![1, 2],
            log_probabilities: vec![-0.5, -1.0],
            complete: true,
            channel: None,
        }
    }

    /// Two segments with text, one silent between them, and every character that some format has to escape.
    fn transcript() -> Transcript {
        Transcript {
            languages: vec!["English".into(), "German".into()],
            text: "one, \"two\" <three>\nfour".into(),
            segments: vec![
                segment(0, 16_000, "one, \"two\""),
                segment(16_000, 32_008, ""),
                segment(32_008, 58_000_000, " <three>\n\nfour & --> five"),
            ],
            duration: SampleIndex(58_000_000),
            complete: false,
            warnings: vec![Warning { code: WarningCode::TokenLimit, message: "cut".into() }],
            timings: Timings { decode: Duration::from_micros(1500), new_tokens: 4, ..Timings::default() },
        }
    }

    fn written(format: Format) -> String {
        let transcript = transcript();
        let info = ModelInfo { name: "demo".into(), ..ModelInfo::default() };
        let model = ModelSummary::new(&info, None);
        let report = Report { transcript: &transcript, model: &model, peak_rss_bytes: Some(1 << 20), channels: 1 };
        let mut out = Vec::new();
        write(&report, format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn txt_is_the_text_as_on_standard_output() {
        assert_eq!(written(Format::Txt), "one, \"two\" <three>\nfour\n");
    }

    #[test]
    fn srt_numbers_the_spoken_segments_and_has_no_blank_line_in_a_text() {
        assert_eq!(
            written(Format::Srt),
            "1\n00:00:00,000 --> 00:00:01,000\none, \"two\"\n\n\
             2\n00:00:02,000 --> 01:00:25,000\n<three> four & --> five\n\n"
        );
    }

    #[test]
    fn vtt_escapes_what_would_be_markup() {
        assert_eq!(
            written(Format::Vtt),
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\none, \"two\"\n\n\
             00:00:02.000 --> 01:00:25.000\n&lt;three&gt; four &amp; --&gt; five\n\n"
        );
    }

    #[test]
    fn tsv_csv_and_lrc_keep_one_segment_per_line() {
        assert_eq!(
            written(Format::Tsv),
            "start\tend\ttext\n0\t1000\tone, \"two\"\n2000\t3625000\t<three> four & --> five\n"
        );
        assert_eq!(
            written(Format::Csv),
            "start,end,text\n0,1000,\"one, \"\"two\"\"\"\n2000,3625000,\"<three> four & --> five\"\n"
        );
        assert_eq!(written(Format::Lrc), "[00:00.00]one, \"two\"\n[00:02.00]<three> four & --> five\n");
    }

    #[test]
    fn json_has_the_verbose_shape_and_ours_added() {
        let json: serde_json::Value = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!(json["task"], "transcribe");
        assert_eq!(json["language"], "en");
        assert_eq!(json["language_name"], "English,German");
        assert_eq!(json["duration"], 3625.0);
        assert_eq!(json["text"], "one, \"two\" <three>\nfour");
        assert_eq!(json["segments"][2]["id"], 2);
        assert_eq!(json["segments"][2]["start"], 2.0005);
        assert_eq!(json["segments"][1]["language"], serde_json::Value::Null);
        assert_eq!(json["segments"][0]["tokens"], serde_json::json!([1, 2]));
        assert_eq!(json["complete"], false);
        assert_eq!(json["warnings"][0]["code"], "token_limit");
        assert_eq!(json["timing"]["decode_ms"], 1.5);
        assert_eq!(json["peak_rss_bytes"], 1 << 20);
        assert_eq!(json["model"]["name"], "demo");
        assert_eq!(json["model"]["decoder_file"], serde_json::Value::Null);
    }

    #[test]
    fn file_names_keep_the_input_name() {
        assert_eq!(file_name(Path::new("a/talk.wav"), Format::Srt), Path::new("a/talk.wav.srt"));
    }

    #[test]
    fn a_place_that_does_not_exist_is_an_output_error_naming_the_file() {
        let transcript = transcript();
        let model = ModelSummary::default();
        let report = Report { transcript: &transcript, model: &model, peak_rss_bytes: None, channels: 1 };
        let error = write_file(&report, Format::Txt, Path::new("/nowhere/at/all.txt")).unwrap_err();
        assert_eq!(error.kind(), qasr::error::ErrorKind::Output);
        assert!(error.to_string().contains("/nowhere/at/all.txt"), "{error}");
    }
}
