//! `qasr inspect`: what a model file says about itself. Reads the header only.

use super::args::InspectArgs;
use super::exit::Exit;
use super::messages::{self, Messages};

/// Longest line printed; chat templates are pages long.
const MAX_LINE_CHARS: usize = 200;

/// Runs the subcommand.
pub fn run(args: &InspectArgs) -> Exit {
    match qasr_convert::inspect(&args.file) {
        Ok(text) => messages::print_result(&with_short_lines(&text)),
        // The error type keeps what a damaged file holds on one line, and out of the terminal's hands.
        Err(error) => Messages::default().failure(&qasr::Error::model(error.to_string())),
    }
}

fn with_short_lines(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for line in text.lines() {
        let mut shown = line.chars();
        result.extend(shown.by_ref().take(MAX_LINE_CHARS));
        result.push_str(if shown.next().is_some() { " …\n" } else { "\n" });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut() {
        let long = "ä".repeat(MAX_LINE_CHARS);
        assert_eq!(with_short_lines(&long), format!("{long}\n"));
        assert_eq!(with_short_lines(&format!("{long}ä")), format!("{long} …\n"));
    }
}
