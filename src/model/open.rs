//! Opening a model: headers first and checked, then weights, vocabulary and scales side by side.

use super::config::{DecoderConfig, EncoderConfig};
use super::decoder::graph::{DecoderWeights, GraphDecoder};
use super::decoder::llama::{LlamaDecoder, LlamaWeights};
use super::decoder::{CacheType, Decoder, OUTPUTS_AT_ONCE, Session};
use super::encoder::{Encoder, spec};
use super::watch::Watch;
use super::{ModelFiles, check, demo, memory};
use crate::error::{Error, Result};
use crate::text::{ControlTokens, Tokenizer, Vocabulary};
use ggml::UncheckedFile;
use qasr_format::schema::{file_type, general, own, tensors, tokenizer};
use qasr_format::{GgmlType, Gguf};
use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How to open a model.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ModelOptions {
    /// Most worker threads, never more than there are processors; 0 means one for each physical performance core the
    /// process may use, or one for a model so small that threads would mostly wait for each other. Fewer work while
    /// other processes take the cores; the text does not depend on how many do.
    pub threads: usize,
    /// Let all threads work at any time, also while other processes take the cores: slower there, and for measuring.
    pub steady_threads: bool,
    /// Read the decoder's weights from the mapped file while it works, but for those that are repacked; otherwise all are
    /// copied into memory.
    pub mmap: bool,
    /// Copy weights into the layout the CPU multiplies fastest, where their type has one, at the price of private
    /// memory.
    pub repack: bool,
    /// Storage of the attention cache.
    pub cache: CacheType,
    /// Who computes the decoder.
    pub engine: Engine,
    /// Read every stored scale once and refuse files with infinite or undefined ones.
    pub check_scales: bool,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            threads: 0,
            steady_threads: false,
            mmap: true,
            repack: true,
            cache: CacheType::F16,
            engine: Engine::Own,
            check_scales: true,
        }
    }
}

/// Who computes the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// Our own graph: many sequences in one pass.
    #[default]
    Own,
    /// llama.cpp: the second opinion, for tests. One sequence at a time, and more memory.
    Llama,
}

/// Facts about a model, for reports.
#[derive(Debug, Clone, Default)]
pub struct ModelInfo {
    /// `general.name`, or the file's name.
    pub name: String,
    /// Type label of the decoder file, when it says so; otherwise the type of its first matrix.
    pub decoder_type: String,
    /// The same of the encoder file.
    pub encoder_type: String,
    /// Bytes of both files.
    pub file_bytes: u64,
    /// Whether this is the embedded demo model.
    pub is_demo: bool,
}

impl ModelInfo {
    /// The same from the headers of a pair, without opening the model.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] for a file whose header cannot be read.
    pub fn read(files: &ModelFiles) -> Result<Self> {
        let open = |path| Gguf::open(path).map_err(|error| Error::model(error.to_string()));
        Ok(describe(&open(&files.decoder)?, &open(&files.encoder)?))
    }
}

/// An immutable model: cheap to clone, shared by any number of sessions.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

struct Inner {
    encoder: Encoder,
    decoder: Weights,
    decoder_config: DecoderConfig,
    tokenizer: Tokenizer,
    cache: CacheType,
    info: ModelInfo,
    load_time: Duration,
}

/// The decoder's weights, for one engine.
enum Weights {
    Own(Arc<DecoderWeights>),
    Llama(LlamaWeights),
}

impl Model {
    /// Opens a pair of files. Everything is checked before C sees it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] for files that are missing, damaged, of another architecture, or not a pair.
    pub fn open(files: &ModelFiles, options: &ModelOptions) -> Result<Self> {
        let start = Instant::now();
        let refuse = |error: qasr_format::GgufError| Error::model(error.to_string());
        // A path that leads nowhere is reported by the reader, in its own words.
        let (decoder_seen, encoder_seen) = (UncheckedFile::new(&files.decoder), UncheckedFile::new(&files.encoder));
        let decoder_file = Gguf::open(&files.decoder).map_err(refuse)?;
        let encoder_file = Gguf::open(&files.encoder).map_err(refuse)?;
        let decoder_config = DecoderConfig::read(&decoder_file)?;
        let encoder_config = EncoderConfig::read(&encoder_file)?;
        let head = (tensors::OUTPUT.to_owned(), vec![decoder_config.sizes.width, decoder_config.sizes.vocabulary]);
        let unseen = |file: &Gguf| {
            let path = file.path().display().to_string();
            move |error: ggml::Error| Error::model(format!("{path}: {error}"))
        };
        let decoder_seen = decoder_seen.map_err(unseen(&decoder_file))?;
        let encoder_seen = encoder_seen.map_err(unseen(&encoder_file))?;
        let decoder_checked = check::tensors(decoder_seen, &decoder_file, &decoder_config.sizes.tensors(), &[head])?;
        let encoder_checked = check::tensors(encoder_seen, &encoder_file, &encoder_config.sizes.tensors(), &[])?;
        check_pair(&decoder_file, &encoder_file, &decoder_config, &encoder_config)?;
        check_cache(options.cache, decoder_config.sizes.head_width)?;

        // Reading and repacking the decoder takes longest; everything else is done meanwhile.
        let threads = worker_threads(options, &decoder_config)?;
        let (decoder, rest) = thread::scope(|scope| {
            let (file, config, threads) = (&decoder_file, &decoder_config, &threads);
            let decoder = scope.spawn(move || load_decoder(file, &decoder_checked, config, threads, options));
            let rest = || -> Result<_> {
                // Before the encoder copies some of them.
                if options.check_scales {
                    check::finite(&encoder_file)?;
                }
                let encoder = Encoder::open(&encoder_file, &encoder_checked, encoder_config, threads, options.repack)?;
                let tokenizer = read_tokenizer(file)?;
                if options.check_scales {
                    check::finite(file)?;
                }
                Ok((encoder, tokenizer))
            };
            let rest = rest();
            (decoder.join(), rest)
        });
        let (encoder, tokenizer) = rest?;
        let decoder = decoder.map_err(|_| Error::internal("loading the decoder failed"))??;
        let info = describe(&decoder_file, &encoder_file);
        let load_time = start.elapsed();
        Ok(Self {
            inner: Arc::new(Inner {
                encoder,
                decoder,
                decoder_config,
                tokenizer,
                cache: options.cache,
                info,
                load_time,
            }),
        })
    }

    /// Opens the demo model that travels inside the program.
    pub fn open_demo(options: &ModelOptions) -> Result<Self> {
        let unpacked = demo::unpack()?;
        let mut model = Self::open(&unpacked.files, options)?;
        // On systems where a mapped file cannot be removed the folder simply stays until the next clean-up.
        if let Some(inner) = Arc::get_mut(&mut model.inner) {
            inner.info.name = "demo".into();
            inner.info.is_demo = true;
        }
        Ok(model)
    }

    /// The audio encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.inner.encoder
    }

    /// The decoder's sizes.
    pub fn decoder_config(&self) -> &DecoderConfig {
        &self.inner.decoder_config
    }

    /// A decoder over the shared weights, without any sequence.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when there is no memory for it.
    pub fn decoder(&self, watch: &Watch) -> Result<Box<dyn Decoder>> {
        Ok(match &self.inner.decoder {
            Weights::Own(weights) => Box::new(GraphDecoder::new(weights, self.inner.cache, watch)?),
            Weights::Llama(weights) => Box::new(LlamaDecoder::new(weights, self.inner.cache, watch)),
        })
    }

    /// One sequence of a decoder of its own, for at least `capacity` positions.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when there is no memory for it.
    pub fn session(&self, capacity: usize) -> Result<Session> {
        self.watched_session(capacity, &Watch::default())
    }

    /// The same, watched.
    ///
    /// # Errors
    /// As [`Self::session`].
    pub fn watched_session(&self, capacity: usize, watch: &Watch) -> Result<Session> {
        Session::new(self.decoder(watch)?, capacity)
    }

    /// Bytes of the attention cache that an utterance of so many seconds fills, with an ordinary text.
    pub(crate) fn cache_bytes(&self, seconds: f64) -> usize {
        memory::positions(seconds) * memory::position_bytes(&self.inner.decoder_config, self.inner.cache)
    }

    /// How many utterances can share the pass of a step.
    pub(crate) fn steps_at_once(&self) -> usize {
        match &self.inner.decoder {
            Weights::Own(weights) => weights.each_at_once,
            Weights::Llama(_) => 1,
        }
    }

    /// The vocabulary.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.inner.tokenizer
    }

    /// Facts from the headers of the files.
    pub fn info(&self) -> &ModelInfo {
        &self.inner.info
    }

    /// How long opening took.
    pub fn load_time(&self) -> Duration {
        self.inner.load_time
    }
}

/// Rows narrower than this multiply faster than two threads can meet, most of all on a busy machine: the demo model is
/// 256 wide, the published ones 1024 and more.
const WIDE_ENOUGH_FOR_THREADS: u64 = 512;

/// The threads that encoder and decoder sessions share.
fn worker_threads(options: &ModelOptions, config: &DecoderConfig) -> Result<Arc<ggml::Threads>> {
    let is_small = config.sizes.width < WIDE_ENOUGH_FOR_THREADS;
    let asked = if options.threads == 0 && is_small { 1 } else { options.threads };
    if options.steady_threads { ggml::Threads::steady(asked) } else { ggml::Threads::new(asked) }
        .map_err(|error| Error::internal(format!("worker threads: {error}")))
}

/// Loads the decoder's weights for the engine that computes them.
fn load_decoder(
    file: &Gguf,
    checked: &ggml::CheckedFile,
    config: &DecoderConfig,
    threads: &Arc<ggml::Threads>,
    options: &ModelOptions,
) -> Result<Weights> {
    let each_at_once = rows_alike(file, options.repack)?;
    let refuse = |error: ggml::Error| Error::model(format!("{}: {error}", file.path().display()));
    if options.engine == Engine::Llama {
        let load = ggml::llama::LoadOptions { mmap: options.mmap, repack: options.repack };
        let vocabulary = config.sizes.vocabulary as usize;
        let model = ggml::llama::Model::load(checked, config.arch.name(), vocabulary, load).map_err(refuse)?;
        return Ok(Weights::Llama(LlamaWeights { model, threads: Arc::clone(threads), each_at_once }));
    }
    let backend = Arc::new(ggml::Backend::new(threads).map_err(refuse)?);
    let has_head = file.tensor(tensors::OUTPUT).is_some();
    let specs: Vec<_> = file
        .tensors()
        .iter()
        .map(|tensor| {
            let mut spec = spec(tensor);
            // Beside a head of its own nothing multiplies the table of tokens, and its rows are read from the file.
            spec.matrix &= !(has_head && tensor.name == tensors::TOKEN_EMBD);
            spec
        })
        .collect();
    let place = if options.mmap { ggml::weights::Weights::map } else { ggml::weights::Weights::copy };
    let weights = Arc::new(place(checked, &specs, &backend, options.repack).map_err(refuse)?);
    let each_at_once = if backend.each_alone() { each_at_once.min(OUTPUTS_AT_ONCE) } else { 1 };
    let head = if has_head { tensors::OUTPUT } else { tensors::TOKEN_EMBD };
    let config = config.clone();
    Ok(Weights::Own(Arc::new(DecoderWeights { weights, backend, config, each_at_once, head })))
}

/// How many rows of one pass all matrices of the decoder can compute as if each came alone.
fn rows_alike(file: &Gguf, repack: bool) -> Result<usize> {
    let backend = ggml::Backend::cpu(1).map_err(|error| Error::internal(error.to_string()))?;
    // The answer depends on type and extents alone, and layers are alike.
    let mut kinds = HashSet::new();
    let matrices = file.tensors().iter().filter(|tensor| tensor.dims.len() == 2);
    let specs = matrices.filter(|tensor| kinds.insert((tensor.kind.id(), tensor.dims.clone()))).map(spec);
    Ok(specs.map(|spec| ggml::weights::rows_alike(&spec, &backend, repack)).min().unwrap_or(1))
}

/// A decoder and an encoder that do not belong together are refused: widths must agree, and, where both files carry
/// one, the hash of the checkpoint they were made from.
fn check_pair(
    decoder: &Gguf,
    encoder: &Gguf,
    decoder_config: &DecoderConfig,
    encoder_config: &EncoderConfig,
) -> Result<()> {
    let (width, projection) = (decoder_config.sizes.width, encoder_config.sizes.projection);
    let apart = |why: String| {
        Error::model(format!("{} and {} are not a pair: {why}", decoder.path().display(), encoder.path().display()))
    };
    if width != projection {
        return Err(apart(format!("the decoder is {width} wide, the encoder gives rows of {projection}")));
    }
    if let (Ok(one), Ok(other)) = (decoder.str(own::SOURCE_SHA256), encoder.str(own::SOURCE_SHA256))
        && one != other
    {
        return Err(apart("they were made from different checkpoints".into()));
    }
    Ok(())
}

/// Storage in blocks needs heads that fill whole ones.
fn check_cache(cache: CacheType, head_width: u64) -> Result<()> {
    let block = GgmlType::Q8_0.block_len();
    if cache == CacheType::Q8_0 && !head_width.is_multiple_of(block) {
        return Err(Error::usage(format!(
            "an attention cache of type q8_0 has blocks of {block} and this model's heads have {head_width} values: use type f16"
        )));
    }
    Ok(())
}

fn read_tokenizer(file: &Gguf) -> Result<Tokenizer> {
    let refuse = |error: qasr_format::GgufError| Error::model(error.to_string());
    let named = |error: Error| error.at(file.path().display());
    let tokenizer = Tokenizer::new(Vocabulary {
        tokens: file.strings(tokenizer::TOKENS).map_err(refuse)?.to_vec(),
        token_types: file.i32s(tokenizer::TOKEN_TYPE).map_err(refuse)?.to_vec(),
        merges: file.strings(tokenizer::MERGES).map_err(refuse)?.to_vec(),
    })
    .map_err(named)?;
    // Missing ones are the file's fault, not that of the first recording.
    ControlTokens::find(&tokenizer).map_err(named)?;
    Ok(tokenizer)
}

fn describe(decoder: &Gguf, encoder: &Gguf) -> ModelInfo {
    let recipe = |file: &Gguf, matrix: &str| {
        let from_tensor = || file.tensor(matrix).map_or("unknown".to_owned(), |tensor| tensor.kind.name().to_owned());
        // llama.cpp's quantizer keeps our key as it was and writes its own number for the new types.
        let is_current = |recipe: &&str| match (file_type(recipe), file.u32(general::FILE_TYPE)) {
            (Some(ours), Ok(theirs)) => ours == theirs,
            _ => true,
        };
        file.str(own::RECIPE).ok().filter(is_current).map_or_else(from_tensor, str::to_owned)
    };
    let from_path = || decoder.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
    ModelInfo {
        name: decoder.str(general::NAME).map_or_else(|_| from_path(), str::to_owned),
        decoder_type: recipe(decoder, &tensors::decoder_layer(0, tensors::decoder_part::ATTN_Q)),
        encoder_type: recipe(
            encoder,
            &tensors::encoder_layer(0, tensors::encoder_layer_part::ATTN_Q, tensors::Which::Weight),
        ),
        file_bytes: decoder.file_len() + encoder.file_len(),
        is_demo: false,
    }
}
