//! The way from this command to a model that knows more than the demo's twenty words. `qasr` downloads nothing itself.

use std::path::Path;

/// A model in one type: the checkpoint to download, the files made from it, and the memory that `transcribe` takes.
struct Choice {
    model: &'static str,
    quantization: &'static str,
    download: &'static str,
    files: &'static str,
    memory: &'static str,
}

/// The one place for these numbers. Decimal GB; memory is the peak of `qasr transcribe` on a short recording.
const CHOICES: [Choice; 4] = [
    Choice { model: "0.6B", quantization: "q8_0", download: "1.9 GB", files: "0.85 GB", memory: "1.1 GB" },
    Choice { model: "0.6B", quantization: "balanced", download: "1.9 GB", files: "0.61 GB", memory: "1.0 GB" },
    Choice { model: "1.7B", quantization: "q8_0", download: "4.7 GB", files: "2.2 GB", memory: "2.3 GB" },
    Choice { model: "1.7B", quantization: "balanced", download: "4.7 GB", files: "1.4 GB", memory: "2.2 GB" },
];

/// Published by the makers of the model; fine-tunes of them work too.
const REPOSITORY: &str = "Qwen/Qwen3-ASR-0.6B";

/// Both commands as lines to copy, for the message without a model.
pub fn lines() -> String {
    let name = REPOSITORY.rsplit('/').next().unwrap_or(REPOSITORY);
    format!("  hf download {REPOSITORY} --local-dir {name}\n  qasr convert {name} --type q8_0 -o models")
}

/// The whole way, for `--help`: commands, sizes, and which model and type to take.
pub fn help() -> String {
    let mut text = format!(
        "\
A real model, once (the program `hf` comes with `pip install huggingface_hub`):
  hf download {REPOSITORY} --local-dir Qwen3-ASR-0.6B
  qasr convert Qwen3-ASR-0.6B --type q8_0 -o models
  qasr transcribe -m models talk.wav

  model  type      download  files    memory
"
    );
    for choice in &CHOICES {
        text += &format!(
            "  {:<6} {:<9} {:<9} {:<8} {}\n",
            choice.model, choice.quantization, choice.download, choice.files, choice.memory
        );
    }
    text + "\
0.6B is right for most. 1.7B makes a quarter to a third fewer errors (published
figures) and takes more than twice as long.
q8_0 is as good as the original; balanced (--recipe balanced) has smaller files."
}

/// The name of a repository where `path` is one rather than a place on this machine: `OWNER/NAME`, and nothing there.
pub fn repository(path: &Path) -> Option<&str> {
    let typed = path.to_str()?;
    let (owner, name) = typed.split_once('/')?;
    let is_name = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_alphanumeric())
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.:".contains(letter))
    };
    let is_file = name.to_ascii_lowercase().ends_with(".gguf");
    // `models/mine` with a folder `models` is a place with a slip of the pen in it.
    (is_name(owner) && is_name(name) && !is_file && !path.exists() && !Path::new(owner).exists()).then_some(typed)
}

/// Why a repository cannot be used, and how to have what it holds.
pub fn not_downloaded(repository: &str) -> String {
    format!(
        "{repository}: there is no such file or folder; a repository has to be downloaded and converted first: {}",
        commands(repository)
    )
}

/// The answer to `-hf`, which downloads in llama.cpp's commands; `typed` is the flag's value, if it has one.
pub fn instead_of_download(typed: Option<&str>) -> String {
    // There, a type may stand after a colon, and most repositories hold converted files and no checkpoint.
    let repository = typed.and_then(|typed| typed.split(':').next());
    let repository = repository.filter(|typed| typed.contains('/') && !typed.contains("GGUF")).unwrap_or(REPOSITORY);
    format!("qasr downloads nothing: {}, and give it with `-m models`", commands(repository))
}

/// Both commands for a repository.
fn commands(repository: &str) -> String {
    let name = repository.rsplit('/').next().unwrap_or(repository);
    format!("`hf download {repository} --local-dir {name}`, then `qasr convert {name} --type q8_0 -o models`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_owner_and_name_is_a_repository() {
        assert_eq!(repository(Path::new("Qwen/Qwen3-ASR-1.7B")), Some("Qwen/Qwen3-ASR-1.7B"));
        for place in
            ["Qwen3-ASR-0.6B", "/Qwen/x", "./Qwen/x", "../Qwen/x", "a/b/c", "Qwen/", "m/asr.gguf", "src/absent"]
        {
            assert_eq!(repository(Path::new(place)), None, "{place}");
        }
    }

    #[test]
    fn every_text_has_both_commands() {
        for text in [lines(), help(), not_downloaded("a/b"), instead_of_download(None), instead_of_download(Some("x"))]
        {
            assert!(text.contains("hf download ") && text.contains("qasr convert "), "{text}");
        }
        assert!(instead_of_download(Some("me/mine:q8_0")).contains("hf download me/mine --local-dir mine`"));
        assert!(instead_of_download(Some("ggml-org/Qwen3-ASR-0.6B-GGUF")).contains(REPOSITORY));
        assert!(help().lines().all(|line| line.chars().count() <= 90), "{}", help());
    }
}
