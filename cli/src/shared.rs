//! Flags that several subcommands have, and what they mean.

use super::messages::Messages;
use super::output::ModelSummary;
use super::real_model;
use clap::{Args, ValueEnum};
use qasr::audio::RawFormat;
use qasr::endpoint::Detector;
use qasr::error::{Error, Result};
use qasr::model::CacheType;
use qasr::text::Language;
use qasr::{Model, ModelFiles, ModelOptions, Options};
use qasr_measure::scoring::Normalizer;
use std::path::PathBuf;

/// Which model, and how it computes.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// Model: its folder, or the .gguf file [default: the demo]
    ///
    /// The audio encoder, mmproj-*.gguf, lies beside the file. `demo` is the demo model that knows twenty English words;
    /// it is also taken, with a warning, where no model is given.
    #[arg(short, long, value_name = "MODEL", help_heading = "Model")]
    pub model: Option<PathBuf>,

    /// Audio encoder, where it does not lie beside the model
    #[arg(long, value_name = "GGUF", requires = "model", help_heading = "Model")]
    pub mmproj: Option<PathBuf>,

    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// How a model computes.
#[derive(Debug, Clone, Default, Args)]
pub struct ComputeArgs {
    /// Most threads [default: one for each performance core]
    ///
    /// Fewer work while other programs take the cores. The demo model gets one.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=512), help_heading = "Model")]
    pub threads: Option<u32>,

    /// Read the model into memory instead of mapping its file
    #[arg(long, help_heading = "Model")]
    pub no_mmap: bool,

    /// Attention cache: f32, f16 or q8_0 [default: f16] [also -ctk]
    #[arg(long = "kv-type", value_name = "TYPE", value_enum, hide_possible_values = true, help_heading = "Model")]
    pub kv_types: Vec<KvType>,
}

impl ComputeArgs {
    /// The options of a model.
    pub fn options(&self) -> Result<ModelOptions> {
        let mut options = ModelOptions::default();
        options.threads = self.threads.map_or(0, |threads| threads as usize);
        options.mmap = !self.no_mmap;
        options.cache = self.cache_type()?;
        Ok(options)
    }

    /// The typed type of the attention cache, by name.
    pub fn kv_type_name(&self) -> Option<String> {
        let value = self.kv_types.first().and_then(KvType::to_possible_value);
        value.map(|value| value.get_name().to_owned())
    }

    /// llama.cpp's commands name the types of keys and of values; here they are one.
    fn cache_type(&self) -> Result<CacheType> {
        if self.kv_types.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(Error::usage(
                "keys and values of the attention cache are stored in one type: name the same one twice",
            ));
        }
        Ok(self.kv_types.first().map_or(CacheType::F16, |kv_type| (*kv_type).into()))
    }
}

/// The format of input without a header.
#[derive(Debug, Clone, Args)]
pub struct RawArgs {
    /// Input without header, 16-bit samples, at this rate
    ///
    /// Signed, little-endian, channels interleaved.
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Input")]
    pub raw_rate: Option<u32>,

    /// Channels of an input without header
    #[arg(long, value_name = "N", requires = "raw_rate", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..), help_heading = "Input")]
    pub raw_channels: u16,
}

/// Settings that decide about the text, alike offline and live.
#[derive(Debug, Clone, Args)]
pub struct TextArgs {
    /// Spoken language: de, German, ..., or auto
    #[arg(short, long, value_name = "LANG", default_value = "auto", value_parser = parse_language, help_heading = "Text")]
    pub language: LanguageChoice,

    /// Words to expect: names, terms, their spelling
    #[arg(
        long,
        aliases = ["prompt", "hotwords", "initial-prompt", "initial_prompt"],
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        help_heading = "Text"
    )]
    pub context: String,

    /// Longest utterance [default: the model's own, else 30]
    ///
    /// 1 to 1200; a longer one is cut at a quiet place. Also --max-utterance.
    #[arg(long, alias = "max-utterance", value_name = "SECONDS", help_heading = "Text")]
    pub segment_seconds: Option<f64>,

    /// How pauses are found: energy, neural, off [default: energy]
    ///
    /// energy: by loudness; keeps noise. neural: better in noise and for subtitles. off: recognize everything, cut only
    /// at --segment-seconds. Utterances end at pauses, and nothing is recognized in them.
    #[arg(long, value_name = "DETECTOR", value_enum, default_value_t = Vad::Energy, hide_default_value = true, hide_possible_values = true, help_heading = "Text")]
    pub vad: Vad,

    /// Give each utterance the last N characters of the text
    #[arg(long, value_name = "N", help_heading = "Text")]
    pub carry: Option<u16>,

    /// Longest text of an utterance [default: 128 + 12 per second]
    ///
    /// In tokens, at most 4096, or the default where that is more. A text that meets the limit is reported as incomplete.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Text")]
    pub max_new_tokens: Option<u32>,

    /// The same per second of an utterance: what speech gives, for measuring with weights that never end a text
    #[arg(long, value_name = "N", conflicts_with = "max_new_tokens", hide = true)]
    pub tokens_per_second: Option<f64>,
}

/// The name of the embedded demo model, for `-m`.
pub const DEMO: &str = "demo";

/// The warning about a text of the demo model that nobody asked for.
pub const DEMO_WARNING: &str = "no -m: the demo model knows 20 English words and invents the rest";

/// The same where it was asked for.
const DEMO_NOTE: &str = "the demo model knows 20 English words and invents the rest";

/// A model that is open, and what to report about it.
pub struct OpenModel {
    pub model: Model,
    pub summary: ModelSummary,
    /// `None` for the embedded demo model.
    pub files: Option<ModelFiles>,
}

impl ModelArgs {
    /// Opens the model for a text that somebody will read: with a warning where it is the demo and nobody asked for that.
    pub fn open(&self, messages: &Messages) -> Result<OpenModel> {
        if self.is_demo_by_default() {
            messages.warning(DEMO_WARNING);
            messages
                .note(format_args!("a real model (sizes and choice: `qasr convert --help`):\n{}", real_model::lines()));
        } else if self.names_demo() {
            messages.note(DEMO_NOTE);
        }
        self.open_quietly()
    }

    /// Opens the model where the result names it.
    pub fn open_quietly(&self) -> Result<OpenModel> {
        let options = self.compute.options()?;
        let files = self.files()?;
        let model = match &files {
            Some(files) => Model::open(files, &options)?,
            None => Model::open_demo(&options)?,
        };
        let summary = ModelSummary::new(model.info(), files.as_ref());
        Ok(OpenModel { model, summary, files })
    }

    /// The files of the model; `None` for the embedded demo model.
    pub fn files(&self) -> Result<Option<ModelFiles>> {
        if let Some(repository) = self.model.as_deref().and_then(real_model::repository) {
            return Err(Error::model(real_model::not_downloaded(repository)));
        }
        match (&self.model, &self.mmproj) {
            (None, _) => Ok(None),
            (Some(_), None) if self.names_demo() => Ok(None),
            (Some(model), None) => ModelFiles::find(model).map(Some),
            (Some(model), Some(mmproj)) => ModelFiles::with_encoder(model, mmproj).map(Some),
        }
    }

    /// Whether the embedded demo model is asked for. A file or folder of that name comes first.
    fn names_demo(&self) -> bool {
        self.model.as_deref().is_some_and(|model| model.as_os_str() == DEMO && !model.exists())
    }

    /// Whether the embedded demo model is taken because nobody named one.
    pub fn is_demo_by_default(&self) -> bool {
        self.model.is_none()
    }
}

impl RawArgs {
    /// The format of input without header, where it was given.
    pub fn format(&self) -> Option<RawFormat> {
        self.raw_rate.map(|rate| RawFormat { rate, channels: self.raw_channels })
    }
}

impl TextArgs {
    /// The same for the library.
    pub fn options(&self) -> Options {
        let mut options = Options::default();
        options.language = self.language.0;
        options.context_text = self.context.clone();
        options.segment_seconds = self.segment_seconds;
        options.detector = self.vad.into();
        options.carried_characters = self.carry.map_or(0, usize::from);
        options.max_new_tokens = self.max_new_tokens.map(|tokens| tokens as usize);
        options.tokens_per_second = self.tokens_per_second;
        options
    }
}

/// A language to hold the model to, or its own judgement.
#[derive(Debug, Clone, Copy)]
pub struct LanguageChoice(pub Option<Language>);

/// The speech detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Vad {
    /// By loudness: levels of frequency bands above their background
    Energy,
    /// A small neural network
    Neural,
    /// Everything is recognized: only the longest utterance ends one
    Off,
}

impl From<Vad> for Detector {
    fn from(vad: Vad) -> Self {
        match vad {
            Vad::Energy => Detector::Energy,
            Vad::Neural => Detector::Neural,
            Vad::Off => Detector::Off,
        }
    }
}

/// How the decoder's attention cache is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KvType {
    F32,
    F16,
    #[value(name = "q8_0")]
    Q8_0,
}

impl From<KvType> for CacheType {
    fn from(kv_type: KvType) -> Self {
        match kv_type {
            KvType::F32 => CacheType::F32,
            KvType::F16 => CacheType::F16,
            KvType::Q8_0 => CacheType::Q8_0,
        }
    }
}

pub fn parse_language(typed: &str) -> std::result::Result<LanguageChoice, String> {
    if typed.trim().eq_ignore_ascii_case("auto") {
        return Ok(LanguageChoice(None));
    }
    Language::get(typed).map(|language| LanguageChoice(Some(language))).map_err(|error| error.to_string())
}

/// A normaliser by its name.
pub fn parse_normalizer(typed: &str) -> std::result::Result<Normalizer, String> {
    Normalizer::find(typed).ok_or_else(|| format!("use one of: {}", Normalizer::ALL.map(Normalizer::name).join(", ")))
}
