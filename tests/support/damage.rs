//! Model files taken apart, damaged and put together again, and a run of the command that may end badly but not
//! wrongly.

// Every test program has this file in it and uses a part of it.
#![allow(dead_code)]

use crate::command::Scratch;
use qasr_convert::tiny::{self, Spec};
use qasr_convert::{ConvertOptions, FileType, convert};
use qasr_format::gguf::{Header, PlannedTensor, Value};
use qasr_format::{GgmlType, Gguf};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");

/// Address space one run gets, in KiB: a count in a file must not decide how much memory is asked for.
const MEMORY: u32 = 3 << 20;
/// How long one run may take before it counts as hanging. A sound run takes a tenth of a second, on cores that others
/// keep busy a hundred times that.
const PATIENCE: Duration = Duration::from_secs(30);

/// One model file in memory.
#[derive(Clone)]
pub struct Part {
    pub keys: Vec<(String, Value)>,
    pub tensors: Vec<(PlannedTensor, Vec<u8>)>,
}

impl Part {
    pub fn read(path: &Path) -> Self {
        let (file, bytes) = (Gguf::open(path).unwrap(), fs::read(path).unwrap());
        let keys = file.keys().map(|(key, value)| (key.to_owned(), value.clone())).collect();
        let tensor = |tensor: &qasr_format::TensorInfo| {
            let plan = PlannedTensor { name: tensor.name.clone(), dims: tensor.dims.clone(), kind: tensor.kind };
            (plan, bytes[tensor.offset as usize..(tensor.offset + tensor.bytes) as usize].to_vec())
        };
        Self { keys, tensors: file.tensors().iter().map(tensor).collect() }
    }

    /// A well-formed file with whatever is in it now; data is cut or filled up with zeros to what the shape takes.
    pub fn bytes(&self) -> Vec<u8> {
        let plans: Vec<_> = self.tensors.iter().map(|(plan, _)| plan.clone()).collect();
        let header = Header::new(&self.keys, &plans).unwrap();
        let mut file = header.bytes().to_vec();
        file.resize(header.file_len() as usize, 0);
        for (index, (_, data)) in self.tensors.iter().enumerate() {
            let (start, len) = header.place(index).unwrap();
            let len = data.len().min(len as usize);
            file[start as usize..start as usize + len].copy_from_slice(&data[..len]);
        }
        file
    }

    /// The same with one key set, or added.
    pub fn with(&self, key: &str, value: impl Into<Value>) -> Self {
        let mut part = self.without(key);
        part.keys.push((key.to_owned(), value.into()));
        part
    }

    /// The same without a key.
    pub fn without(&self, key: &str) -> Self {
        let mut part = self.clone();
        part.keys.retain(|(name, _)| name != key);
        part
    }

    /// The same with one tensor changed.
    pub fn tensor(&self, name: &str, change: impl FnOnce(&mut PlannedTensor, &mut Vec<u8>)) -> Self {
        let mut part = self.clone();
        let (plan, data) = part.tensors.iter_mut().find(|(plan, _)| plan.name == name).unwrap();
        change(plan, data);
        part
    }

    pub fn strings(&self, key: &str) -> Vec<String> {
        match self.keys.iter().find(|(name, _)| name == key) {
            Some((_, Value::Strings(strings))) => strings.clone(),
            other => panic!("{key}: {other:?}"),
        }
    }

    pub fn i32s(&self, key: &str) -> Vec<i32> {
        match self.keys.iter().find(|(name, _)| name == key) {
            Some((_, Value::I32s(numbers))) => numbers.clone(),
            other => panic!("{key}: {other:?}"),
        }
    }
}

/// A folder with a sound pair, and a place for damaged files.
pub struct Bench {
    pub scratch: Scratch,
    pub decoder: Part,
    pub encoder: Part,
    decoder_path: String,
    encoder_path: String,
}

impl Bench {
    /// A pair made from the tiny checkpoint, kept as small as every shape allows.
    pub fn new(test: &str) -> Self {
        Self::make(test, &small(), "q8_0", qasr_convert::Arch::Qwen3)
    }

    pub fn make(test: &str, spec: &Spec, recipe: &str, arch: qasr_convert::Arch) -> Self {
        let scratch = Scratch::new(&format!("bad-{test}"));
        let checkpoint = scratch.path("checkpoint");
        tiny::write(Path::new(&checkpoint), spec).unwrap();
        let mut options = ConvertOptions::new(&checkpoint, scratch.path(""), FileType::find(recipe).unwrap());
        options.arch = arch;
        options.name = Some("tiny".to_owned());
        options.threads = Some(1);
        convert(&options, &mut |_| {}).unwrap();
        fs::remove_dir_all(&checkpoint).unwrap();
        let (encoders, decoders): (Vec<_>, Vec<_>) =
            scratch.names().into_iter().partition(|name| name.contains("mmproj"));
        assert_eq!((encoders.len(), decoders.len()), (1, 1), "{encoders:?} {decoders:?}");
        let (decoder_path, encoder_path) = (scratch.path(&decoders[0]), scratch.path(&encoders[0]));
        let (decoder, encoder) = (Part::read(Path::new(&decoder_path)), Part::read(Path::new(&encoder_path)));
        Self { scratch, decoder, encoder, decoder_path, encoder_path }
    }

    pub fn decoder_bytes(&self) -> Vec<u8> {
        fs::read(&self.decoder_path).unwrap()
    }

    pub fn encoder_bytes(&self) -> Vec<u8> {
        fs::read(&self.encoder_path).unwrap()
    }

    /// Transcribes with the sound pair and more options.
    pub fn run_pair(&self, options: &[&str]) -> Ended {
        transcribe(&[&["-m", &self.decoder_path, "--mmproj", &self.encoder_path], options].concat())
    }

    /// Transcribes with these bytes as the decoder file.
    pub fn run_decoder(&self, bytes: &[u8]) -> Ended {
        let model = self.scratch.write("damaged.gguf", bytes);
        transcribe(&["-m", &model, "--mmproj", &self.encoder_path])
    }

    /// Transcribes with these bytes as the encoder file.
    pub fn run_encoder(&self, bytes: &[u8]) -> Ended {
        let mmproj = self.scratch.write("mmproj-damaged.gguf", bytes);
        transcribe(&["-m", &self.decoder_path, "--mmproj", &mmproj])
    }

    pub fn refuses_decoder(&self, what: &str, part: &Part, named: &str) {
        self.run_decoder(&part.bytes()).is_refused(what, named);
    }

    pub fn refuses_encoder(&self, what: &str, part: &Part, named: &str) {
        self.run_encoder(&part.bytes()).is_refused(what, named);
    }

    pub fn accepts_decoder(&self, what: &str, part: &Part) {
        self.run_decoder(&part.bytes()).is_accepted(what);
    }
}

/// Every part once, no two extents alike where shapes could be confused.
pub fn small() -> Spec {
    let mut spec = Spec::default();
    (spec.decoder.layers, spec.encoder.layers) = (1, 1);
    (spec.decoder.width, spec.encoder.projection, spec.decoder.feed_forward) = (64, 64, 96);
    (spec.decoder.heads, spec.decoder.kv_heads, spec.decoder.head_width) = (4, 2, 32);
    (spec.encoder.width, spec.encoder.feed_forward, spec.encoder.conv_channels, spec.encoder_heads) = (32, 96, 8, 4);
    spec
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    code: Option<i32>,
    signal: Option<i32>,
    timed_out: bool,
    stdout: String,
    pub stderr: String,
}

/// `qasr transcribe` of a third of a second, two tokens at most.
pub fn transcribe(args: &[&str]) -> Ended {
    run(&[&["transcribe", "-np", "-t", "1", "-d", "300", "--max-new-tokens", "2"], args, &[RECORDING]].concat())
}

/// The built command with bounded memory and bounded time.
pub fn run(args: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let program = env!("CARGO_BIN_EXE_qasr");
    let mut command = if cfg!(unix) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -c 0; ulimit -v {MEMORY} 2>/dev/null; exec \"$0\" \"$@\""), program]);
        shell
    } else {
        Command::new(program)
    };
    let (stdout, stderr) = (File::create(&out).unwrap(), File::create(&err).unwrap());
    let mut child = command.args(args).stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().unwrap();
    let started = Instant::now();
    let (status, timed_out) = loop {
        match child.try_wait().unwrap() {
            Some(status) => break (status, false),
            None if started.elapsed() > PATIENCE => {
                child.kill().unwrap();
                break (child.wait().unwrap(), true);
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    Ended { code: status.code(), signal, timed_out, stdout: text(&out), stderr: text(&err) }
}

impl Ended {
    /// Neither a signal nor a panic nor a hang, one of these codes, and as many lines as the code asks for.
    pub fn is_orderly(&self, what: &str, codes: &[i32]) {
        assert!(!self.timed_out && self.signal.is_none(), "{what}: {self:?}");
        assert!(self.code.is_some_and(|code| codes.contains(&code)), "{what}: {self:?}");
        assert!(!self.stderr.contains("panicked") && !self.stderr.contains("bug in qasr"), "{what}: {self:?}");
        if matches!(self.code, Some(0 | 5)) {
            assert!(self.stderr.lines().all(|line| line.starts_with("qasr: warning: ")), "{what}: {self:?}");
        } else {
            assert!(self.stderr.starts_with("qasr: error: "), "{what}: {self:?}");
            assert_eq!((self.stdout.as_str(), self.stderr.lines().count()), ("", 1), "{what}: {self:?}");
        }
    }

    /// One sentence that names `named`, and the code for bad models.
    pub fn is_refused(&self, what: &str, named: &str) {
        self.is_orderly(what, &[4]);
        assert!(self.stderr.contains(named), "{what}: does not name {named:?}: {self:?}");
        assert!(self.stderr.len() < 6000, "{what}: {} bytes of message", self.stderr.len());
    }

    /// A text, or one that the limit cut: the weights are random.
    pub fn is_accepted(&self, what: &str) {
        self.is_orderly(what, &[0, 5]);
    }
}

/// A type by name, for shapes that no recipe makes.
pub fn kind(name: &str) -> GgmlType {
    GgmlType::find(name).unwrap()
}
