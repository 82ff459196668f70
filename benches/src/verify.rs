//! Whether a run did its work. A wrong answer fails the measurement: a speed without a checked result is an opinion.

use crate::failure::void;
use crate::run::{FIRST, Run};
use anyhow::Result;
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

/// Conditions that a run has to meet.
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
    /// [`crate::failure::Failure::Void`], with the printed and the expected text.
    pub fn check(&self, run: &Run, earlier: &[Run]) -> Result<()> {
        let which = if run.is_timed() {
            format!("run {} of {}", run.round, run.label)
        } else {
            format!("the warm-up of {}", run.label)
        };
        let execution = &run.execution;
        if !execution.exit_code().is_some_and(|code| self.exit_codes.contains(&code)) {
            let codes: Vec<String> = self.exit_codes.iter().map(i32::to_string).collect();
            let complaint = execution.complaint.lines().last().unwrap_or("nothing on standard error");
            let code = execution.exit_code().map_or("none".to_owned(), |code| code.to_string());
            return Err(void(format!("{which} ended with exit code {code}, not {}: {complaint}", codes.join(" or "))));
        }
        if !execution.is_utf8 {
            return Err(void(format!("{which} printed something that is not UTF-8: its text cannot be verified")));
        }
        if execution.text.is_empty() {
            return Err(void(format!(
                "{which} printed no text, which verifies nothing: give it a recording with speech"
            )));
        }
        let known = self.agreement == Agreement::EveryRun || run.label == FIRST;
        if let Some(expected) = self.expected.as_ref().filter(|_| known)
            && execution.text != expected.trim()
        {
            return Err(void(format!(
                "{which} printed {}, expected was {}",
                short(&execution.text),
                short(expected.trim())
            )));
        }
        let comparable = |other: &&Run| self.agreement == Agreement::EveryRun || other.label == run.label;
        match earlier.iter().find(comparable) {
            Some(first) if first.execution.text != execution.text => Err(void(format!(
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
    use crate::failure::exit_code;
    use crate::run::tests::{execution, run_of};

    fn run(label: &'static str, text: &str) -> Run {
        run_of(1, label, execution(10, text))
    }

    fn verification(agreement: Agreement) -> Verification {
        Verification { expected: None, agreement, exit_codes: vec![0, 5] }
    }

    fn voided(result: Result<()>) -> String {
        let failure = result.expect_err("this run should have been void");
        assert_eq!(exit_code(&failure), 3);
        failure.to_string()
    }

    #[test]
    fn texts_agree_across_commands_or_within_one() {
        let earlier = [run("A", "one"), run("B", "one.")];
        let strict = verification(Agreement::EveryRun);
        assert!(strict.check(&run("A", "one"), &earlier).is_ok());
        assert!(voided(strict.check(&run("B", "one."), &earlier[..1])).contains("\"one.\""));
        let loose = verification(Agreement::RunsOfTheSameCommand);
        assert!(loose.check(&run("B", "one."), &earlier).is_ok());
        assert!(voided(loose.check(&run("B", "one"), &earlier)).contains("run 1 of B"));
    }

    #[test]
    fn an_expected_text_counts_from_the_first_run() {
        let known = Verification { expected: Some("one two\n".into()), ..verification(Agreement::EveryRun) };
        assert!(known.check(&run("A", "one two"), &[]).is_ok());
        assert!(voided(known.check(&run("A", "one too"), &[])).contains("\"one two\""));
        assert!(voided(known.check(&run("B", "one too"), &[])).contains("\"one two\""));
        let of_a = Verification { agreement: Agreement::RunsOfTheSameCommand, ..known };
        assert!(of_a.check(&run("B", "one too"), &[]).is_ok());
        assert!(voided(of_a.check(&run("A", "one too"), &[])).contains("\"one two\""));
    }

    #[test]
    fn an_empty_text_is_void_even_where_all_are_empty() {
        let message = voided(verification(Agreement::EveryRun).check(&run("A", ""), &[run("A", "")]));
        assert!(message.contains("no text"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn exit_codes_are_those_allowed() {
        use std::os::unix::process::ExitStatusExt;
        let mut ended = run("A", "one");
        ended.execution.status = Some(ExitStatusExt::from_raw(5 << 8));
        assert!(verification(Agreement::EveryRun).check(&ended, &[]).is_ok());
        ended.execution.status = Some(ExitStatusExt::from_raw(4 << 8));
        ended.execution.complaint = "opening\nm.gguf is no model".into();
        let message = voided(verification(Agreement::EveryRun).check(&ended, &[]));
        assert!(message.contains("exit code 4, not 0 or 5: m.gguf is no model"), "{message}");
        let mut odd = run("A", "one");
        odd.execution.is_utf8 = false;
        assert!(voided(verification(Agreement::EveryRun).check(&odd, &[])).contains("not UTF-8"));
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
