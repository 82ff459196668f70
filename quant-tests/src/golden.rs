//! Reads the containers that `reference/stages.py` writes: `index.json` says what is where, `values.bin` holds the
//! numbers. The layout is described in `reference/README.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A container of golden values, read whole.
pub struct Golden {
    index: Index,
    values: Vec<u8>,
}

#[derive(Deserialize)]
struct Index {
    format: u32,
    checkpoint_sha256: String,
    end_tokens: Vec<u32>,
    clips: Vec<Clip>,
    prompt_texts: Vec<PromptText>,
    arrays: BTreeMap<String, Place>,
}

#[derive(Deserialize)]
struct Place {
    r#type: String,
    shape: Vec<usize>,
    offset: usize,
}

/// One recording or synthetic sound and what the official package makes of it.
#[derive(Debug, Deserialize)]
pub struct Clip {
    /// Unique in its container; the arrays of this clip are called `name/…`.
    pub name: String,
    /// Samples at 16 kHz.
    pub sample_count: usize,
    /// Mel frames.
    pub frames: usize,
    /// Encoder tokens.
    pub tokens: usize,
    /// Bounds of the attention windows, in tokens, from 0 to `tokens`.
    pub windows: Vec<usize>,
    /// Which tokens the stored rows belong to; all of them when absent.
    pub rows: Option<Vec<usize>>,
    /// The clip decoded with and without language and context; empty where only the encoder was run.
    pub prompts: Vec<Decoded>,
    signal: Option<Recipe>,
    samples: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Recipe {
    seed: u32,
    count: usize,
    amplitude: i64,
    fnv1a: String,
}

/// Prefill and greedy decoding of one clip with one prompt.
#[derive(Debug, Deserialize)]
pub struct Decoded {
    /// `plain`, `language`, `context` or `both`.
    pub name: String,
    /// The language forced, by its English name.
    pub language: Option<String>,
    /// The context text.
    pub context: String,
    /// Prompt ids before the audio.
    pub before: Vec<u32>,
    /// Prompt ids after the audio.
    pub after: Vec<u32>,
    /// Greedy tokens, an end token included if one came.
    pub ids: Vec<u32>,
    /// Best minus second-best logit at each of them.
    pub margins: Vec<f32>,
    /// The best tokens at each step, best first.
    pub top_ids: Vec<Vec<u32>>,
    /// Their logits.
    pub top_logits: Vec<Vec<f32>>,
    /// The parsed text.
    pub text: String,
    /// The parsed language, empty when there is none.
    pub found_language: String,
    /// Name of the array with the logits of the first step.
    pub logits: String,
}

/// Prompt ids without any audio, for contexts that are hard to tokenize.
#[derive(Debug, Deserialize)]
pub struct PromptText {
    /// The context text.
    pub context: String,
    /// The language forced, by its English name.
    pub language: Option<String>,
    /// Prompt ids before the audio.
    pub before: Vec<u32>,
    /// Prompt ids after the audio.
    pub after: Vec<u32>,
}

/// A stored array: its values and its shape, last axis fastest.
#[derive(Debug)]
pub struct Array {
    /// Row after row.
    pub values: Vec<f32>,
    /// Extents, slowest first.
    pub shape: Vec<usize>,
}

impl Array {
    /// The rows of a two-dimensional array.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.shape.last().copied().unwrap_or(1).max(1))
    }
}

impl Golden {
    /// Reads a container; the error names the folder and what is wrong with it.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let fail = |what: String| format!("golden values in {}: {what}", folder.display());
        let text = std::fs::read(folder.join("index.json")).map_err(|e| fail(format!("index.json: {e}")))?;
        let index: Index = serde_json::from_slice(&text).map_err(|e| fail(format!("index.json: {e}")))?;
        if index.format != 1 {
            return Err(fail(format!("format {} is not 1, the one this reader knows", index.format)));
        }
        let values = std::fs::read(folder.join("values.bin")).map_err(|e| fail(format!("values.bin: {e}")))?;
        Ok(Self { index, values })
    }

    /// The containers that are committed with this package: `tiny` or `digits`.
    pub fn committed(name: &str) -> Result<Self, String> {
        Self::open(&committed_folder().join(name))
    }

    /// SHA-256 of the `model.safetensors` the values were computed with, in hex.
    pub fn checkpoint_sha256(&self) -> &str {
        &self.index.checkpoint_sha256
    }

    /// The tokens at which greedy decoding stopped.
    pub fn end_tokens(&self) -> &[u32] {
        &self.index.end_tokens
    }

    /// All clips.
    pub fn clips(&self) -> &[Clip] {
        &self.index.clips
    }

    /// Prompts without audio.
    pub fn prompt_texts(&self) -> &[PromptText] {
        &self.index.prompt_texts
    }

    /// An array by name, as `f32` (16-bit samples divided by 32768).
    pub fn array(&self, name: &str) -> Result<Array, String> {
        let place = self.index.arrays.get(name).ok_or_else(|| format!("no golden array is called {name}"))?;
        let count: usize = place.shape.iter().product();
        let width = if place.r#type == "s16" { 2 } else { 4 };
        let bytes = self
            .values
            .get(place.offset..place.offset + count * width)
            .ok_or_else(|| format!("golden array {name} lies outside values.bin"))?;
        let values = match place.r#type.as_str() {
            "s16" => bytes.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0).collect(),
            "f32" => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            other => return Err(format!("golden array {name} has the unknown type {other}")),
        };
        Ok(Array { values, shape: place.shape.clone() })
    }

    /// A clip's samples: stored, or made again from its recipe and checked against the stored fingerprint.
    pub fn samples(&self, clip: &Clip) -> Result<Vec<f32>, String> {
        if let Some(name) = &clip.samples {
            return Ok(self.array(name)?.values);
        }
        let recipe =
            clip.signal.as_ref().ok_or_else(|| format!("clip {} has neither samples nor recipe", clip.name))?;
        let made = signal(recipe.seed, recipe.count, recipe.amplitude);
        let print = fingerprint(&made);
        if print != recipe.fnv1a {
            return Err(format!("clip {}: samples have fingerprint {print}, not {}", clip.name, recipe.fnv1a));
        }
        Ok(made.into_iter().map(|s| f32::from(s) / 32768.0).collect())
    }
}

/// The folder of committed golden values.
pub fn committed_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// The sounds of `reference/synthetic.py`: buzz, hiss, both and near silence in turn, from integers only.
fn signal(seed: u32, count: usize, amplitude: i64) -> Vec<i16> {
    let (mut state, mut phase, mut smooth) = (seed, 0_i64, 0_i64);
    (0..count as i64)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            phase = (phase + 480 + 7 * ((i >> 6) % 97)) & 0xffff;
            let (hiss, buzz) = (i64::from(state >> 16) - 32768, phase - 32768);
            let mix = match (i / 1600) % 4 {
                0 => buzz,
                1 => hiss,
                2 => (buzz + hiss) >> 1,
                _ => hiss >> 6,
            };
            smooth += ((mix - smooth) * 5) >> 3;
            let place = i % 1600;
            let fade = place.min(1599 - place).min(400);
            // Python's `//` rounds down; so does this division.
            ((smooth * amplitude * fade).div_euclid(400) >> 15) as i16
        })
        .collect()
}

/// 64-bit FNV-1a over the little-endian bytes.
fn fingerprint(samples: &[i16]) -> String {
    let value = samples
        .iter()
        .flat_map(|s| s.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |v, b| (v ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    format!("{value:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_containers_are_whole() {
        for name in ["tiny", "digits"] {
            let golden = Golden::committed(name).unwrap();
            for clip in golden.clips() {
                let samples = golden.samples(clip).unwrap();
                assert_eq!(samples.len(), clip.sample_count, "{name} {}", clip.name);
                assert_eq!(samples.len() / 160, clip.frames, "{name} {}", clip.name);
                let stored = clip.rows.as_ref().map_or(clip.tokens, Vec::len);
                for stage in ["conv", "enc_out"] {
                    let array = golden.array(&format!("{}/{stage}", clip.name)).unwrap();
                    assert_eq!(array.rows().count(), stored, "{name} {}", clip.name);
                }
                for decoded in &clip.prompts {
                    assert_eq!(golden.array(&decoded.logits).unwrap().shape, [512]);
                    assert_eq!(decoded.ids.len(), decoded.margins.len());
                    assert_eq!(decoded.top_ids.len(), decoded.top_logits.len());
                }
            }
            let whole = golden.index.arrays.values().map(|a| a.offset).max().unwrap();
            assert!(whole < golden.values.len());
        }
    }

    #[test]
    fn a_recipe_is_checked() {
        let mut golden = Golden::committed("tiny").unwrap();
        let clip = golden.index.clips.iter_mut().find(|c| c.name == "frames_30").unwrap();
        clip.signal.as_mut().unwrap().seed += 1;
        let clip = golden.clips().iter().find(|c| c.name == "frames_30").unwrap();
        assert!(golden.samples(clip).unwrap_err().contains("fingerprint"));
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = Golden::open(Path::new("no/such/folder")).err().unwrap();
        assert!(error.contains("no/such/folder") && error.contains("index.json"), "{error}");
    }
}
