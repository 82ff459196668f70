//! The result as files: one writer per format, the file names, and writing so that no half file remains.

mod csv;
mod cues;
mod lrc;
mod model;
mod openai;
mod srt;
mod tsv;
mod txt;
mod vtt;
mod whisper;
mod words;

use cues::Cue;
use qasr::Model;
use qasr::error::{Error, Result};
use qasr::transcript::{Segment, Transcript};
use qasr_measure::whole;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use cues::{Cutting, cut};
pub use model::ModelSummary;

/// A form in which a result can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Txt,
    Srt,
    Vtt,
    /// OpenAI's `verbose_json`.
    OpenAi,
    /// The JSON of whisper-cli.
    Whisper,
    /// The same with every token.
    WhisperFull,
    Tsv,
    Csv,
    Lrc,
}

impl Format {
    /// Whether a player looks for it beside a recording, by the recording's name without extension.
    pub fn is_for_players(self) -> bool {
        matches!(self, Format::Srt | Format::Vtt | Format::Lrc)
    }

    /// Every format, in the order in which they are written.
    pub const ALL: [Format; 9] = [
        Format::Txt,
        Format::Srt,
        Format::Vtt,
        Format::OpenAi,
        Format::Whisper,
        Format::WhisperFull,
        Format::Tsv,
        Format::Csv,
        Format::Lrc,
    ];

    /// Its name for `--output-format`.
    pub fn name(self) -> &'static str {
        match self {
            Format::OpenAi => "verbose_json",
            Format::Whisper => "whisper_json",
            Format::WhisperFull => "whisper_json_full",
            other => other.extension(),
        }
    }

    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Txt => "txt",
            Format::Srt => "srt",
            Format::Vtt => "vtt",
            Format::OpenAi | Format::Whisper | Format::WhisperFull => "json",
            Format::Tsv => "tsv",
            Format::Csv => "csv",
            Format::Lrc => "lrc",
        }
    }
}

/// A result, how it is written, and what only the JSON forms have of the run.
pub struct Report<'a> {
    pub transcript: &'a Transcript,
    pub model: &'a ModelSummary,
    /// For sizes and the texts of single tokens.
    pub loaded: Option<&'a Model>,
    /// Most memory the process has held so far, where the system says so.
    pub peak_rss_bytes: Option<u64>,
    /// Channels that were recognized one by one, or 1.
    pub channels: usize,
    pub cutting: Cutting,
    /// A line of plain text for each utterance.
    pub has_lines: bool,
    /// The demo model made the text, and nobody asked for that.
    pub is_demo_by_default: bool,
    /// As it was asked for: a code, or `auto`.
    pub language: &'a str,
}

impl Report<'_> {
    /// The text cut for reading, with times.
    fn cues(&self) -> Vec<Cue> {
        let label = (0..self.channels).filter(|_| self.channels > 1);
        let label = label.map(|channel| channel_label(channel as u16, self.channels).len() + "[] ".len()).max();
        cues::cues(self.transcript, self.cutting, label.unwrap_or(0))
    }

    /// The cues of subtitles: none so short that nobody could read it, where there is room after it.
    fn subtitles(&self) -> Vec<Cue> {
        let mut cues = self.cues();
        for at in 0..cues.len() {
            let room = cues.get(at + 1).map_or(u64::MAX, |next| next.start);
            let cue = &mut cues[at];
            cue.end = cue.end.max(room.min(cue.start + SHORTEST_SUBTITLE));
        }
        cues
    }
}

/// Shortest time that a subtitle stands, in milliseconds, where no other follows sooner.
const SHORTEST_SUBTITLE: u64 = 1000;

/// Writes the result in one format.
pub fn write(report: &Report<'_>, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Txt => txt::write(report, out),
        Format::Srt => srt::write(report, out),
        Format::Vtt => vtt::write(report, out),
        Format::OpenAi => openai::write(report, out),
        Format::Whisper | Format::WhisperFull => whisper::write(report, format == Format::WhisperFull, out),
        Format::Tsv => tsv::write(report, out),
        Format::Csv => csv::write(report, out),
        Format::Lrc => lrc::write(report, out),
    }
}

/// `BASE` with the format's extension appended.
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
pub fn clock(milliseconds: u64, separator: char) -> String {
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{separator}{milliseconds:03}")
}

/// A channel's name: left and right where there are two, else its number from 1.
pub fn channel_label(channel: u16, channels: usize) -> String {
    match (channel, channels) {
        (0, 2) => "left".to_owned(),
        (1, 2) => "right".to_owned(),
        _ => format!("channel {}", u32::from(channel) + 1),
    }
}

/// A channel's name in brackets before a line. Nothing where channels were not recognized one by one.
pub fn label(channel: Option<u16>, channels: usize) -> String {
    channel.map_or(String::new(), |channel| format!("[{}] ", channel_label(channel, channels)))
}

/// The text of a segment on one line, after its channel in brackets where it has one.
pub fn labelled(segment: &Segment, channels: usize) -> String {
    format!("{}{}", label(segment.channel, channels), one_line(&segment.text))
}

/// The text on one line: line breaks and tabs would be read as the format's own, and other control characters obeyed.
pub fn one_line(text: &str) -> String {
    text.split(is_break).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// As [`one_line`], for a part of a text: white space at its ends stays, as a space.
pub fn folded(text: &str) -> String {
    if text.contains(is_break) {
        let space = |is_there: bool| if is_there { " " } else { "" };
        let (start, end) = (text.starts_with(char::is_whitespace), text.ends_with(char::is_whitespace));
        format!("{}{}{}", space(start), one_line(text), space(end))
    } else {
        text.to_owned()
    }
}

fn is_break(letter: char) -> bool {
    letter.is_control() || ['\u{2028}', '\u{2029}'].contains(&letter)
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
                segment(32_008, 96_000, " <three>\n\nfour & --> five"),
            ],
            duration: SampleIndex(96_000),
            complete: false,
            warnings: vec![Warning { code: WarningCode::TokenLimit, message: "cut".into() }],
            timings: Timings { decode: Duration::from_micros(1500), new_tokens: 4, ..Timings::default() },
        }
    }

    fn written(format: Format) -> String {
        written_of(&transcript(), format, false)
    }

    fn written_of(transcript: &Transcript, format: Format, has_lines: bool) -> String {
        let info = ModelInfo { name: "demo".into(), ..ModelInfo::default() };
        let model = ModelSummary::new(&info, None);
        let report = Report {
            transcript,
            model: &model,
            loaded: None,
            peak_rss_bytes: Some(1 << 20),
            channels: 1,
            cutting: Cutting::default(),
            has_lines,
            is_demo_by_default: false,
            language: "auto",
        };
        let mut out = Vec::new();
        write(&report, format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn txt_is_the_text_as_on_standard_output() {
        assert_eq!(written(Format::Txt), "one, \"two\" <three> four\n");
        let lines = written_of(&transcript(), Format::Txt, true);
        assert_eq!(lines, "one, \"two\"\n<three> four & --> five\n");
    }

    #[test]
    fn folding_keeps_the_spaces_between_the_parts_of_a_text() {
        for (text, expected) in
            [("a b ", "a b "), (" a\n\n b\t\n", " a b "), ("a\x1b[2Jb", "a [2Jb"), ("a\u{2028}b", "a b"), ("\n", "  ")]
        {
            assert_eq!(folded(text), expected);
        }
    }

    #[test]
    fn srt_numbers_the_cues_and_has_no_blank_line_in_a_text() {
        assert_eq!(
            written(Format::Srt),
            "1\n00:00:00,000 --> 00:00:01,000\none, \"two\"\n\n\
             2\n00:00:02,000 --> 00:00:06,000\n<three> four & --> five\n\n"
        );
    }

    #[test]
    fn a_subtitle_stands_long_enough_where_there_is_room() {
        let segments = vec![segment(0, 1600, "a"), segment(8000, 8100, "b"), segment(160_000, 161_600, "c")];
        let text = written_of(&Transcript { segments, ..Transcript::default() }, Format::Srt, false);
        let times: Vec<&str> = text.lines().filter(|line| line.contains("-->")).collect();
        let expected =
            ["00:00:00,000 --> 00:00:00,500", "00:00:00,500 --> 00:00:01,500", "00:00:10,000 --> 00:00:11,000"];
        assert_eq!(times, expected);
    }

    #[test]
    fn vtt_escapes_what_would_be_markup() {
        assert_eq!(
            written(Format::Vtt),
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\none, \"two\"\n\n\
             00:00:02.000 --> 00:00:06.000\n&lt;three&gt; four &amp; --&gt; five\n\n"
        );
    }

    #[test]
    fn tsv_csv_and_lrc_keep_one_cue_per_line() {
        assert_eq!(
            written(Format::Tsv),
            "start\tend\ttext\n0\t1000\tone, \"two\"\n2000\t6000\t<three> four & --> five\n"
        );
        assert_eq!(
            written(Format::Csv),
            "start,end,text\n0,1000,\"one, \"\"two\"\"\"\n2000,6000,\"<three> four & --> five\"\n"
        );
        assert_eq!(written(Format::Lrc), "[by:qasr]\n[00:00.00]one, \"two\"\n[00:02.00]<three> four & --> five\n");
    }

    #[test]
    fn verbose_json_has_openais_fields_and_ours_added() {
        let json: serde_json::Value = serde_json::from_str(&written(Format::OpenAi)).unwrap();
        assert_eq!(json["task"], "transcribe");
        assert_eq!((&json["language"], &json["language_code"]), (&"english".into(), &"en".into()));
        assert_eq!(json["language_name"], "English,German");
        assert_eq!(json["duration"], 6.0);
        assert_eq!(json["text"], "one, \"two\" <three>\nfour");
        let segment = &json["segments"][2];
        assert_eq!((&segment["id"], &segment["seek"], &segment["start"]), (&2.into(), &200.into(), &2.001.into()));
        assert_eq!((&segment["temperature"], &segment["no_speech_prob"]), (&0.0.into(), &0.0.into()));
        assert_eq!(segment["avg_logprob"], -0.75);
        // By Python: len(b) / len(zlib.compress(b)).
        assert_eq!(segment["compression_ratio"], 0.758);
        assert_eq!(json["segments"][1]["compression_ratio"], 0.0);
        assert_eq!(json["segments"][1]["language"], serde_json::Value::Null);
        assert_eq!(json["segments"][0]["tokens"], serde_json::json!([1, 2]));
        assert_eq!(json["cues"][1]["text"], "<three> four & --> five");
        assert_eq!((&json["cues"][1]["segment"], &json["cues"][1]["estimated"]), (&2.into(), &false.into()));
        assert_eq!(json["complete"], false);
        assert_eq!(json["warnings"][0]["code"], "token_limit");
        assert!(json["warnings"][0]["message"].as_str().unwrap().contains("--max-new-tokens"), "{json}");
        assert_eq!(json["timing"]["decode_ms"], 1.5);
        assert_eq!(json["peak_rss_bytes"], 1 << 20);
        assert_eq!(json["model"]["name"], "demo");
        assert_eq!(json["model"]["decoder_file"], serde_json::Value::Null);
    }

    #[test]
    fn whispers_json_has_its_keys() {
        let json: serde_json::Value = serde_json::from_str(&written(Format::Whisper)).unwrap();
        assert_eq!(json["result"]["language"], "en");
        assert_eq!(json["params"], serde_json::json!({"model": "demo", "language": "auto", "translate": false}));
        assert_eq!(
            json["transcription"][1],
            serde_json::json!({
                "timestamps": {"from": "00:00:02,000", "to": "00:00:06,000"},
                "offsets": {"from": 2000, "to": 6000},
                "text": " <three> four & --> five",
                "estimated": false
            })
        );
    }

    #[test]
    fn file_names_are_the_base_and_the_extension() {
        assert_eq!(file_name(Path::new("a/talk.x"), Format::Srt), Path::new("a/talk.x.srt"));
        assert_eq!(file_name(Path::new("talk"), Format::WhisperFull), Path::new("talk.json"));
    }

    #[test]
    fn a_place_that_does_not_exist_is_an_output_error_naming_the_file() {
        let transcript = transcript();
        let model = ModelSummary::default();
        let report = Report {
            transcript: &transcript,
            model: &model,
            loaded: None,
            peak_rss_bytes: None,
            channels: 1,
            cutting: Cutting::default(),
            has_lines: false,
            is_demo_by_default: false,
            language: "auto",
        };
        let error = write_file(&report, Format::Txt, Path::new("/nowhere/at/all.txt")).unwrap_err();
        assert_eq!(error.kind(), qasr::error::ErrorKind::Output);
        assert!(error.to_string().contains("/nowhere/at/all.txt"), "{error}");
    }
}
