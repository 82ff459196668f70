//! A watched model: everything it multiplies is seen, as it is, and its text does not change.

use qasr::audio::{ReadOptions, read_path};
use qasr::mel;
use qasr::model::decoder::Input;
use qasr::model::{Watch, Watcher};
use qasr::{Model, ModelFiles, ModelOptions, Options, transcribe};
use qasr_convert::{ConvertOptions, FileType, convert};
use qasr_format::Gguf;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Recorder {
    /// Rows seen in front of each matrix, and their width.
    products: Mutex<BTreeMap<String, (usize, Vec<f32>)>>,
    layers: Mutex<BTreeMap<usize, (usize, Vec<f32>)>>,
}

impl Watcher for Recorder {
    fn product(&self, weight: &str, width: usize, rows: &[f32]) {
        let mut products = self.products.lock().unwrap();
        let seen = products.entry(weight.to_owned()).or_insert((width, Vec::new()));
        assert_eq!(seen.0, width);
        seen.1.extend_from_slice(rows);
    }

    fn encoder_layer(&self, layer: usize, width: usize, rows: &[f32]) {
        self.layers.lock().unwrap().entry(layer).or_insert((width, Vec::new())).1.extend_from_slice(rows);
    }
}

struct Watched {
    _folder: tempfile::TempDir,
    files: ModelFiles,
    seen: Arc<Recorder>,
    watch: Watch,
    model: Model,
}

/// The demo checkpoint at this type, and a watcher.
fn watched(file_type: FileType) -> Watched {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = crate::scratch::root().join("convert/demo/checkpoint");
    let mut options = ConvertOptions::new(checkpoint, folder.path(), file_type);
    options.name = Some("demo".into());
    let report = convert(&options, &mut |_| {}).unwrap();
    let files = ModelFiles::find(&report.plan.decoder.path).unwrap();
    let seen = Arc::new(Recorder::default());
    let mut options = ModelOptions::default();
    options.threads = 1;
    let model = Model::open(&files, &options).unwrap();
    Watched { _folder: folder, files, watch: Watch::new(seen.clone()), seen, model }
}

fn six_words() -> qasr::audio::Pcm16k {
    let path = crate::scratch::root().join("tests/recordings/six_words.wav");
    read_path(&path, &ReadOptions::default()).unwrap().pcm
}

/// Matrices that products read: all with two extents, but for the position table.
fn matrices(file: &Path) -> Vec<(String, usize)> {
    let is_matrix = |tensor: &&qasr_format::TensorInfo| tensor.dims.len() == 2 && !tensor.name.contains("position");
    let file = Gguf::open(file).unwrap();
    file.tensors().iter().filter(is_matrix).map(|tensor| (tensor.name.clone(), tensor.dims[0] as usize)).collect()
}

#[test]
fn every_matrix_is_seen_with_its_width_and_the_text_stays_as_it_was() {
    // q4_0 is repacked, q8_0 and f16 are multiplied where they lie.
    for file_type in [FileType::F16, FileType::Q8_0, FileType::Q4_0] {
        let Watched { _folder, files, seen, watch, model } = watched(file_type);
        let mut options = Options::default();
        let without = transcribe(&model, &six_words(), &options, &mut |_| {}).unwrap();
        assert!(seen.products.lock().unwrap().is_empty(), "nobody watches a call that has no watcher");
        options.watch = watch;
        let with = transcribe(&model, &six_words(), &options, &mut |_| {}).unwrap();
        assert_eq!((&with.text, &with.segments[0].tokens), (&without.text, &without.segments[0].tokens));
        assert_eq!(with.text.split(' ').count(), 6, "{}", with.text);

        let products = seen.products.lock().unwrap();
        let mut expected = matrices(&files.decoder);
        expected.extend(matrices(&files.encoder));
        expected.sort();
        let got: Vec<_> = products.iter().map(|(name, (width, _))| (name.clone(), *width)).collect();
        assert_eq!(got, expected, "{file_type}");
        let rows = |name: &str| products[name].1.len() / products[name].0;
        let audio = with.timings.audio_tokens;
        assert!(
            ["a.conv_out.weight", "a.blk.3.ffn_down.weight", "mm.a.mlp.2.weight"]
                .iter()
                .all(|name| rows(name) == audio)
        );
        // The decoder sees the prompt, the audio and the text; its head only positions whose logits were asked for.
        assert!(
            rows("blk.5.ffn_down.weight") > 0 && rows("blk.0.attn_q.weight") > audio + with.segments[0].tokens.len()
        );
        assert_eq!(rows("token_embd.weight"), with.segments[0].tokens.len() + 1);
        let layers = seen.layers.lock().unwrap();
        assert_eq!(layers.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(layers.values().all(|(width, rows)| rows.len() == width * audio));
    }
}

/// Rows of the named tensor of an f32 file.
fn rows_of(file: &Path, name: &str, rows: std::ops::Range<usize>) -> Vec<f32> {
    let gguf = Gguf::open(file).unwrap();
    let tensor = gguf.tensor(name).unwrap();
    let row = tensor.dims[0] as usize * 4;
    let data = fs::read(file).unwrap();
    let data = &data[tensor.offset as usize + rows.start * row..tensor.offset as usize + rows.end * row];
    data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[test]
fn what_is_seen_is_what_is_multiplied() {
    let Watched { _folder, files, seen, watch, model } = watched(FileType::F32);
    // Encoder: in front of `conv_out` lies what the convolutions give.
    let features = mel::log_mel(six_words().samples());
    let chunks = [0..100, 100..200, 200..300].map(|chunk| features.part(chunk));
    let stem: Vec<f32> =
        chunks.iter().flat_map(|chunk| model.encoder().convolve(chunk, false).unwrap().values().to_vec()).collect();
    model.encoder().encode_part(&features, 0..300, watch.watcher()).unwrap();
    assert_eq!(seen.products.lock().unwrap()["a.conv_out.weight"].1, stem);

    // Decoder: in front of the first layer lie the normalised rows of the token table.
    let mut session = model.watched_session(8, &watch).unwrap();
    session.append(&[Input::Tokens(&[7, 8])], 1).unwrap();
    let weight = rows_of(&files.decoder, "blk.0.attn_norm.weight", 0..1);
    let epsilon = Gguf::open(&files.decoder).unwrap().f32("qwen3.attention.layer_norm_rms_epsilon").unwrap();
    let table = rows_of(&files.decoder, "token_embd.weight", 7..9);
    let expected: Vec<f32> = table
        .chunks_exact(weight.len())
        .flat_map(|row| {
            let mean = row.iter().map(|value| value * value).sum::<f32>() / row.len() as f32;
            let scale = 1.0 / (mean + epsilon).sqrt();
            row.iter().zip(&weight).map(move |(value, weight)| value * scale * weight).collect::<Vec<_>>()
        })
        .collect();
    for name in ["blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"] {
        let got = seen.products.lock().unwrap()[name].1.clone();
        let worst = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(got.len() == expected.len() && worst < 1e-5, "{name}: {} values, off by {worst}", got.len());
    }
}
