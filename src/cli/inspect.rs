//! `qasr inspect`: what a model file says about itself. Reads the header only.

use super::args::InspectArgs;
use super::exit::Exit;
use super::messages::{self, Messages};

/// Longest line printed; chat templates are pages long.
const MAX_LINE_CHARS: usize = 200;

/// Runs the subcommand.
pub fn run(args: &InspectArgs) -> Exit {
    match qasr_convert::inspect(&args.file) {
        Ok(text) => messages::print_result(&printable(&text)),
        Err(error) => {
            Messages::default().error(&error);
            Exit::BadModel
        }
    }
}

/// A file's own words can hold anything, commands to a terminal too.
fn printable(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for line in text.lines() {
        let mut shown = line.chars();
        result.extend(
            shown.by_ref().take(MAX_LINE_CHARS).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }),
        );
        result.push_str(if shown.next().is_some() { " …\n" } else { "\n" });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2J\nb\n"), "a\u{fffd}[2J\nb\n");
    }

    #[test]
    fn long_lines_are_cut() {
        let long = "ä".repeat(MAX_LINE_CHARS);
        assert_eq!(printable(&long), format!("{long}\n"));
        assert_eq!(printable(&format!("{long}ä")), format!("{long} …\n"));
    }
}
