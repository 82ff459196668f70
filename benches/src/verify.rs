//! Whether a run did its work. A wrong answer fails the measurement: a speed without a checked result is an opinion.

use crate::failure::Failure;
use crate::schedule::{FIRST, Run};
use serde::Deserialize;

/// Whose texts have to be equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// All of them, whichever contender printed them.
    EveryRun,
    /// Those of the same contender; two engines may print differently.
    RunsOfTheSameCommand,
}

/// What a run has to show.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The text, where it is known. Where contenders may differ, it is contender A's.
    pub expected: Option<String>,
    pub agreement: Agreement,
    /// How a run may end. `qasr` ends with 5 where the limit of new tokens cut the text, as timings want it.
    pub exit_codes: Vec<i32>,
}

impl Verification {
    /// Compares a run with what is expected and with the runs before it.
    ///
    /// # Errors
    /// [`crate::failure::Kind::Void`], with what was printed and what should have been.
    pub fn check(&self, run: &Run, earlier: &[Run]) -> Result<(), Failure> {
        let which = if run.is_timed() {
            format!("run {} of {}", run.round, run.label)
        } else {
            format!("the warm-up of {}", run.label)
        };
        let execution = &run.execution;
        if !self.exit_codes.contains(&execution.exit_code) {
            let codes: Vec<String> = self.exit_codes.iter().map(i32::to_string).collect();
            let complaint =
                if execution.complaint.is_empty() { "nothing on standard error" } else { &execution.complaint };
            return Err(Failure::void(format!(
                "{which} ended with exit code {}, not {}: {complaint}",
                execution.exit_code,
                codes.join(" or ")
            )));
        }
        if execution.text.is_empty() {
            return Err(Failure::void(format!(
                "{which} printed no text, which verifies nothing: give it a recording with speech"
            )));
        }
        let known = self.agreement == Agreement::EveryRun || run.label == FIRST;
        if let Some(expected) = self.expected.as_ref().filter(|_| known)
            && execution.text != expected.trim()
        {
            return Err(Failure::void(format!(
                "{which} printed {}, expected was {}",
                short(&execution.text),
                short(expected.trim())
            )));
        }
        let comparable = |other: &&Run| self.agreement == Agreement::EveryRun || other.label == run.label;
        match earlier.iter().find(comparable) {
            Some(first) if first.execution.text != execution.text => Err(Failure::void(format!(
                "{which} printed {}, but the warm-up of {} printed {}: the runs did not do the same work",
                short(&execution.text),
                first.label,
                short(&first.execution.text)
            ))),
            _ => Ok(()),
        }
    }
}

/// A text in quotes, with its middle left out where it is long.
fn short(text: &str) -> String {
    const SHOWN: usize = 300;
    let count = text.chars().count();
    if count <= SHOWN {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(SHOWN / 2).collect();
    let tail: String = text.chars().skip(count - SHOWN / 2).collect();
    format!("{head:?} … {tail:?} ({count} characters)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;
    use crate::schedule::tests::execution;

    fn run(label: &'static str, text: &str) -> Run {
        Run { round: 1, label, execution: execution(10, text) }
    }

    fn verification(agreement: Agreement) -> Verification {
        Verification { expected: None, agreement, exit_codes: vec![0, 5] }
    }

    fn void(result: Result<(), Failure>) -> String {
        let failure = result.expect_err("this run should have been void");
        assert_eq!(failure.kind(), Kind::Void);
        failure.to_string()
    }

    #[test]
    fn texts_agree_across_commands_or_within_one() {
        let earlier = [run("A", "one"), run("B", "one.")];
        let strict = verification(Agreement::EveryRun);
        assert!(strict.check(&run("A", "one"), &earlier).is_ok());
        assert!(void(strict.check(&run("B", "one."), &earlier[..1])).contains("\"one.\""));
        let loose = verification(Agreement::RunsOfTheSameCommand);
        assert!(loose.check(&run("B", "one."), &earlier).is_ok());
        assert!(void(loose.check(&run("B", "one"), &earlier)).contains("run 1 of B"));
    }

    #[test]
    fn an_expected_text_counts_from_the_first_run() {
        let known = Verification { expected: Some("one two\n".into()), ..verification(Agreement::EveryRun) };
        assert!(known.check(&run("A", "one two"), &[]).is_ok());
        assert!(void(known.check(&run("A", "one too"), &[])).contains("\"one two\""));
        assert!(void(known.check(&run("B", "one too"), &[])).contains("\"one two\""));
        let of_a = Verification { agreement: Agreement::RunsOfTheSameCommand, ..known };
        assert!(of_a.check(&run("B", "one too"), &[]).is_ok());
        assert!(void(of_a.check(&run("A", "one too"), &[])).contains("\"one two\""));
    }

    #[test]
    fn an_empty_text_is_void_even_where_all_are_empty() {
        let message = void(verification(Agreement::EveryRun).check(&run("A", ""), &[run("A", "")]));
        assert!(message.contains("no text"), "{message}");
    }

    #[test]
    fn exit_codes_are_those_allowed() {
        let mut ended = run("A", "one");
        ended.execution.exit_code = 5;
        assert!(verification(Agreement::EveryRun).check(&ended, &[]).is_ok());
        ended.execution.exit_code = 4;
        ended.execution.complaint = "m.gguf is no model".into();
        let message = void(verification(Agreement::EveryRun).check(&ended, &[]));
        assert!(message.contains("exit code 4, not 0 or 5: m.gguf is no model"), "{message}");
    }

    #[test]
    fn long_texts_are_shown_by_their_ends() {
        let long = format!("start{}end", "ä".repeat(1000));
        let shown = short(&long);
        assert!(
            shown.starts_with("\"start") && shown.contains("end\"") && shown.contains("(1008 characters)"),
            "{shown}"
        );
        assert!(shown.chars().count() < 400);
    }
}
