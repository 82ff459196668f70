//! JSON in the shape of whisper-cli's `-oj`, and with every token as `-ojf` has it.
//!
//! Facts without a field in whisper.cpp are added: `estimated` for a cue whose times are shares of its utterance's,
//! `complete` and `warnings` for the whole. Tokens have no times: this model gives none.

use super::Report;
use super::cues::Cue;
use super::openai::{WarningForm, code, rounded, warnings};
use super::{clock, label};
use qasr::text::{Detokenizer, Tokenizer};
use qasr::{Model, Segment};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct Root<'a> {
    systeminfo: String,
    model: ModelForm<'a>,
    params: Params<'a>,
    result: ResultForm,
    transcription: Vec<Entry>,
    complete: bool,
    warnings: Vec<WarningForm>,
}

#[derive(Serialize)]
struct ModelForm<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    multilingual: bool,
    vocab: u64,
    audio: Sizes,
    text: Sizes,
    mels: u64,
    /// How the decoder's weights are stored.
    ftype: &'a str,
}

/// Positions, width, attention heads and layers.
#[derive(Serialize, Default)]
struct Sizes {
    ctx: u64,
    state: u64,
    head: u64,
    layer: u64,
}

#[derive(Serialize)]
struct Params<'a> {
    model: &'a str,
    language: &'a str,
    translate: bool,
}

#[derive(Serialize)]
struct ResultForm {
    /// Empty where no language was heard.
    language: &'static str,
}

#[derive(Serialize)]
struct Entry {
    timestamps: Range<String>,
    offsets: Range<u64>,
    /// With a space before it where the text has one, as in whisper.cpp: put together, the texts are the whole.
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Vec<Token>>,
    estimated: bool,
}

#[derive(Serialize)]
struct Range<T> {
    from: T,
    to: T,
}

#[derive(Serialize)]
struct Token {
    text: String,
    id: u32,
    /// Its probability after the tokens before it.
    p: f64,
    /// No times of tokens: whisper.cpp has -1 there as well.
    t_dtw: i32,
}

/// The whole result as one object, indented.
pub fn write(report: &Report<'_>, is_full: bool, out: &mut dyn Write) -> io::Result<()> {
    let cues = report.cues();
    let tokenizer = report.loaded.filter(|_| is_full).map(Model::tokenizer);
    let mut tokens = tokenizer.map(|tokenizer| tokens_of_cues(report, &cues, tokenizer));
    let entries = cues.iter().enumerate().map(|(place, cue)| Entry {
        timestamps: Range { from: clock(cue.start, ','), to: clock(cue.end, ',') },
        offsets: Range { from: cue.start, to: cue.end },
        text: format!(
            "{}{}{}",
            if cue.is_after_space { " " } else { "" },
            label(cue.channel, report.channels),
            cue.text
        ),
        tokens: tokens.as_mut().map(|tokens| std::mem::take(&mut tokens[place])),
        estimated: cue.is_estimated,
    });
    let root = Root {
        systeminfo: format!("qasr {} | {}", qasr::VERSION, ggml::cpu_features().join(" ")),
        model: model(report),
        params: Params {
            model: report.model.decoder_file.as_deref().unwrap_or("demo"),
            language: report.language,
            translate: false,
        },
        result: ResultForm {
            language: report.transcript.languages.first().and_then(|name| code(name)).unwrap_or_default(),
        },
        transcription: entries.collect(),
        complete: report.transcript.complete,
        warnings: warnings(report),
    };
    serde_json::to_writer_pretty(&mut *out, &root)?;
    writeln!(out)
}

fn model<'a>(report: &'a Report<'_>) -> ModelForm<'a> {
    let mut form = ModelForm {
        name: &report.model.name,
        multilingual: true,
        vocab: 0,
        audio: Sizes::default(),
        text: Sizes::default(),
        mels: 0,
        ftype: &report.model.quant,
    };
    if let Some(model) = report.loaded {
        let (encoder, decoder) = (model.encoder().config(), model.decoder_config());
        form.vocab = decoder.sizes.vocabulary;
        form.mels = encoder.sizes.mel_bins;
        form.audio = Sizes {
            ctx: encoder.sizes.position_rows,
            state: encoder.sizes.width,
            head: encoder.heads as u64,
            layer: encoder.sizes.layers as u64,
        };
        form.text = Sizes {
            ctx: decoder.max_positions as u64,
            state: decoder.sizes.width,
            head: decoder.sizes.heads,
            layer: decoder.sizes.layers as u64,
        };
    }
    form
}

/// The tokens of every cue: each belongs to the cue in which its text begins.
fn tokens_of_cues(report: &Report<'_>, cues: &[Cue], tokenizer: &Tokenizer) -> Vec<Vec<Token>> {
    let mut tokens: Vec<Vec<Token>> = cues.iter().map(|_| Vec::new()).collect();
    for (number, segment) in report.transcript.segments.iter().enumerate() {
        let own: Vec<usize> = (0..cues.len()).filter(|place| cues[*place].segment == number).collect();
        let Some(last) = own.last() else { continue };
        let mut ends = 0;
        // Letters up to the end of each cue, without white space.
        let ends: Vec<(usize, usize)> = own
            .iter()
            .map(|place| {
                ends += letters(&cues[*place].text);
                (ends, *place)
            })
            .collect();
        let mut written = 0;
        for token in tokens_of(segment, tokenizer) {
            let place = ends.iter().find(|(end, _)| written < *end).map_or(*last, |(_, place)| *place);
            written += letters(&token.text);
            tokens[place].push(token);
        }
    }
    tokens
}

fn letters(text: &str) -> usize {
    text.chars().filter(|letter| !letter.is_whitespace()).count()
}

/// The tokens of an utterance's text, its language header left out. Tokens that are parts of one character are one entry,
/// as in whisper.cpp, with the first one's id and probability.
fn tokens_of(segment: &Segment, tokenizer: &Tokenizer) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut detokenizer = Detokenizer::new(tokenizer);
    let mut begun: Option<Token> = None;
    for (id, log_probability) in segment.tokens.iter().zip(&segment.log_probabilities) {
        let text = detokenizer.push(*id);
        let p = rounded(f64::from(log_probability.exp()), 6);
        let mut token = begun.take().unwrap_or(Token { text: String::new(), id: *id, p, t_dtw: -1 });
        token.text.push_str(&text);
        if token.text == HEADER_END {
            tokens.clear();
        } else if token.text.is_empty() {
            begun = Some(token);
        } else {
            tokens.push(token);
        }
    }
    tokens
}

/// The token between the language and the text.
const HEADER_END: &str = "<asr_text>";
