//! `--list-languages`: the languages that the model names and takes.

use super::exit::Exit;
use super::messages;
use qasr::text::Language;

/// Prints one language a line: its code and its name, either of which `--language` takes.
pub fn run() -> Exit {
    let lines = Language::all().map(|language| format!("{:<4} {}\n", language.code(), language.name()));
    messages::print_result(&lines.collect::<String>())
}
