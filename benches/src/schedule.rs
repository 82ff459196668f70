//! In which order things run: one warm-up of each contender, then A B A B, and every run is verified before the next.

use crate::executor::{Execution, Executor};
use crate::failure::Failure;
use crate::verify::Verification;

/// The contender a definition describes, and the one given with `--vs`.
pub const FIRST: &str = "A";
pub const SECOND: &str = "B";

/// One side of a comparison.
#[derive(Debug, Clone)]
pub struct Contender {
    /// [`FIRST`] or [`SECOND`].
    pub label: &'static str,
    /// Filled and ready to run.
    pub command: Vec<String>,
}

/// One run of one contender.
#[derive(Debug, Clone)]
pub struct Run {
    /// 0 is the warm-up, 1 the first timed round.
    pub round: usize,
    pub label: &'static str,
    pub execution: Execution,
}

impl Run {
    /// Whether its numbers count.
    pub fn is_timed(&self) -> bool {
        self.round > 0
    }
}

/// Runs everything in turn. Contenders alternate within a round, so that a slow minute of the machine meets both.
///
/// # Errors
/// The first run that fails its verification voids the whole set: what came before it is not returned.
pub fn measure(
    executor: &mut dyn Executor,
    contenders: &[Contender],
    rounds: usize,
    verification: &Verification,
    tell: &mut dyn FnMut(&Run),
) -> Result<Vec<Run>, Failure> {
    let mut runs = Vec::new();
    for round in 0..=rounds {
        for contender in contenders {
            let run = Run { round, label: contender.label, execution: executor.execute(&contender.command)? };
            verification.check(&run, &runs)?;
            tell(&run);
            runs.push(run);
        }
    }
    Ok(runs)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::executor::Usage;
    use crate::failure::Kind;
    use crate::verify::Agreement;
    use std::collections::VecDeque;
    use std::time::Duration;

    /// An execution of `milliseconds` that printed `text`.
    pub fn execution(milliseconds: u64, text: &str) -> Execution {
        Execution {
            wall: Duration::from_millis(milliseconds),
            usage: Usage { user_s: milliseconds as f64 / 500.0, peak_rss_kib: 1024 * milliseconds, ..Usage::default() },
            load_before: Some(0.5),
            exit_code: 0,
            text: text.into(),
            complaint: String::new(),
        }
    }

    /// Answers from a list instead of running, and keeps what it was asked.
    struct Scripted {
        answers: VecDeque<Execution>,
        asked: Vec<String>,
    }

    impl Executor for Scripted {
        fn execute(&mut self, command: &[String]) -> Result<Execution, Failure> {
            self.asked.push(command.join(" "));
            self.answers.pop_front().ok_or_else(|| Failure::other("the script has no answer left"))
        }
    }

    fn scripted(texts: &[&str]) -> Scripted {
        Scripted {
            answers: texts.iter().zip(1..).map(|(text, number)| execution(number, text)).collect(),
            asked: Vec::new(),
        }
    }

    fn contenders() -> Vec<Contender> {
        [("A", "ours x"), ("B", "theirs x")]
            .map(|(label, command)| Contender { label, command: command.split(' ').map(str::to_owned).collect() })
            .to_vec()
    }

    fn equal_everywhere() -> Verification {
        Verification { expected: None, agreement: Agreement::EveryRun, exit_codes: vec![0] }
    }

    #[test]
    fn contenders_take_turns_after_one_warm_up_each() {
        let mut executor = scripted(&["text"; 6]);
        let mut told = Vec::new();
        let runs =
            measure(&mut executor, &contenders(), 2, &equal_everywhere(), &mut |run| told.push(run.label)).unwrap();
        assert_eq!(executor.asked, ["ours x", "theirs x", "ours x", "theirs x", "ours x", "theirs x"]);
        let seen: Vec<_> =
            runs.iter().map(|run| (run.round, run.label, run.is_timed(), run.execution.wall.as_millis())).collect();
        assert_eq!(
            seen,
            [
                (0, "A", false, 1),
                (0, "B", false, 2),
                (1, "A", true, 3),
                (1, "B", true, 4),
                (2, "A", true, 5),
                (2, "B", true, 6)
            ]
        );
        assert_eq!(told, ["A", "B", "A", "B", "A", "B"]);
    }

    #[test]
    fn one_contender_runs_alone() {
        let mut executor = scripted(&["text"; 4]);
        let runs = measure(&mut executor, &contenders()[..1], 3, &equal_everywhere(), &mut |_| {}).unwrap();
        assert_eq!(runs.iter().map(|run| run.round).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(executor.asked, ["ours x"; 4]);
    }

    #[test]
    fn a_different_text_voids_the_set_and_ends_it() {
        // The fourth run, B's first timed one, says something else; two rounds were asked for.
        let mut executor = scripted(&["text", "text", "text", "tent", "text", "text"]);
        let failure = measure(&mut executor, &contenders(), 2, &equal_everywhere(), &mut |_| {}).unwrap_err();
        assert_eq!(failure.kind(), Kind::Void);
        assert!(failure.to_string().contains("B") && failure.to_string().contains("tent"), "{failure}");
        assert_eq!(executor.asked.len(), 4);
    }

    #[test]
    fn a_warm_up_is_verified_too() {
        let mut executor = scripted(&["text", "tent"]);
        let failure = measure(&mut executor, &contenders(), 1, &equal_everywhere(), &mut |_| {}).unwrap_err();
        assert_eq!(failure.kind(), Kind::Void);
    }

    #[test]
    fn an_executor_that_cannot_measure_is_not_a_void_measurement() {
        let failure =
            measure(&mut scripted(&["text"]), &contenders(), 1, &equal_everywhere(), &mut |_| {}).unwrap_err();
        assert_eq!(failure.kind(), Kind::Other);
    }
}
