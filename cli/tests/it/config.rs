//! Settings that are not typed: `QASR_MODEL` and the configuration file.

use crate::command::{Prepared, Scratch, qasr};
use std::fs;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const WORDS: &str = "seven six nine two five go\n";
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/demo-q8_0.gguf");

/// `qasr` with a configuration file of this text.
fn configured(scratch: &Scratch, text: &str, args: &[&str]) -> Prepared {
    let file = scratch.write("config.toml", text.as_bytes());
    qasr(args).env("QASR_CONFIG", &file)
}

#[test]
fn flags_beat_the_variable_and_the_variable_beats_the_file() {
    let scratch = Scratch::new("config-order");
    let file = "model = 'from-file.gguf'\n";
    let transcribe = ["transcribe", "-np", RECORDING];
    let run = configured(&scratch, file, &transcribe).fails_with(4);
    let place = scratch.path("from-file.gguf");
    assert!(run.stderr.contains("config.toml:1: the model") && run.stderr.contains(&place), "{}", run.stderr);
    let run = configured(&scratch, file, &transcribe).env("QASR_MODEL", "from-variable.gguf").fails_with(4);
    assert!(run.stderr.contains("QASR_MODEL: the model from-variable.gguf does not exist"), "{}", run.stderr);
    let typed = ["transcribe", "-np", "-m", DEMO, RECORDING];
    let run = configured(&scratch, file, &typed).env("QASR_MODEL", "from-variable.gguf").succeeds();
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (WORDS, ""));
    let run = configured(&scratch, file, &transcribe).env("QASR_MODEL", DEMO).succeeds();
    assert_eq!(run.stdout, WORDS);
}

#[test]
fn a_setting_is_a_flag_and_verbose_says_where_it_came_from() {
    let scratch = Scratch::new("config-flags");
    fs::create_dir(scratch.path("models")).unwrap();
    for name in ["demo-q8_0.gguf", "mmproj-demo-q8_0.gguf"] {
        fs::copy(
            format!("{}/../convert/demo/{name}", env!("CARGO_MANIFEST_DIR")),
            scratch.path(&format!("models/{name}")),
        )
        .unwrap();
    }
    // A place in the file begins at the file's folder.
    let text = "# mine\nmodel = \"models\"\nmax-new-tokens = 3\nno-mmap = true\nstep = 500\nno-prints = false\n";
    let run = configured(&scratch, text, &["transcribe", "-v", RECORDING]).fails_with(5);
    assert!(!run.stderr.contains("demo model"), "{}", run.stderr);
    for (flag, line) in [("model", 2), ("max-new-tokens", 3), ("no-mmap", 4)] {
        let note = format!("--{flag} from {}:{line}\n", scratch.path("config.toml"));
        assert!(run.stderr.contains(&note), "no {note} in {}", run.stderr);
    }
    // The step is for listen, which this is not.
    assert!(!run.stderr.contains("--step") && !run.stderr.contains("--no-prints"), "{}", run.stderr);
    let run =
        configured(&scratch, text, &["listen", "--json", "--max-new-tokens", "40", "--input", RECORDING]).succeeds();
    assert!(run.stdout.contains("\"step_ms\":500") && run.stdout.contains("seven six nine"), "{}", run.stdout);
}

#[test]
fn a_fault_in_the_file_names_it_and_the_line() {
    let scratch = Scratch::new("config-faults");
    for (text, expected) in [
        ("threads = 1\nthread = 2\n", "config.toml:2: `thread` cannot be set; these can: model, threads"),
        ("threads = 1\nlanguage = de\n", "config.toml:2: "),
        ("\nlanguage = 'klingon'\n", "config.toml:2: invalid value 'klingon' for '--language"),
        ("max-new-tokens = 0\n", "config.toml:1: invalid value '0' for '--max-new-tokens"),
        ("no-mmap = 'perhaps'\n", "config.toml:1: no-mmap is true or false"),
        ("vad = true\n", "config.toml:1: vad needs a value"),
        ("model = 'Qwen/Qwen3-ASR-0.6B'\n", "config.toml:1: "),
    ] {
        let code = if text.starts_with("model") { 4 } else { 2 };
        let run = configured(&scratch, text, &["transcribe", "-np", RECORDING]).fails_with(code);
        assert!(run.stderr.contains(expected) && run.stderr.lines().count() == 1, "{text}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
    let run = qasr(&["transcribe", RECORDING]).env("QASR_CONFIG", "nowhere.toml").fails_with(2);
    assert!(run.stderr.contains("nowhere.toml") && run.stderr.contains("QASR_CONFIG"), "{}", run.stderr);
    // Commands that take nothing from it do not stumble over it.
    configured(&scratch, "nonsense", &["inspect", DEMO]).succeeds();
}

#[test]
fn version_says_which_file_is_used() {
    let scratch = Scratch::new("config-version");
    let run = configured(&scratch, "", &["--version"]).env("QASR_MODEL", "m").succeeds();
    assert!(
        run.stdout.contains(&format!("configuration: {}\nQASR_MODEL: m\n", scratch.path("config.toml"))),
        "{run:?}"
    );
    assert!(qasr(&["--version"]).succeeds().stdout.ends_with("configuration: none\n"));
}

#[test]
#[cfg(target_os = "linux")]
fn the_file_lies_where_the_system_keeps_settings() {
    let scratch = Scratch::new("config-place");
    let run = |args: &[&str]| {
        let mut command = qasr(args).command();
        command.env_remove("QASR_CONFIG").env("XDG_CONFIG_HOME", scratch.path(""));
        command.output().unwrap()
    };
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert!(
        version.contains("configuration: none (") && version.contains("qasr/config.toml would be read)"),
        "{version}"
    );
    fs::create_dir(scratch.path("qasr")).unwrap();
    scratch.write("qasr/config.toml", b"context = 5\nmax-new-tokens = 2\n");
    assert_eq!(run(&["transcribe", "-np", "-t", "1", RECORDING]).status.code(), Some(5));
}

#[test]
fn measurements_take_the_model_alone() {
    let scratch = Scratch::new("config-eval");
    let manifest = scratch.write("m.tsv", format!("file\ttext\n{RECORDING}\t{WORDS}").as_bytes());
    let text = format!("model = '{DEMO}'\nmax-new-tokens = 2\n");
    let args = ["eval", &manifest, "-o", &scratch.path("out"), "-t", "1"];
    let run = configured(&scratch, &text, &args).succeeds();
    assert!(run.stdout.contains("demo-q8_0") && run.stdout.contains("0.00"), "{}", run.stdout);
}
