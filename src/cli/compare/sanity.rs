//! Whether an engine's text is good enough for its speed to mean anything: the fastest way is to say nothing.

/// What an engine's texts are like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evidence {
    /// Runs, and those of them that failed.
    pub runs: usize,
    pub failed: usize,
    /// Recordings in which something is said, as far as that is known.
    pub with_speech: usize,
    /// Those of them for which the text is empty, and those in which it repeats itself.
    pub empty: usize,
    pub looping: usize,
    /// Errors over all recordings, as a share; `None` where nothing is known to be said.
    pub error_rate: Option<f64>,
}

/// Why an engine's speed is not ranked; nothing where it may be. The limit is an error rate in percent.
pub fn judge(evidence: &Evidence, limit_percent: f64) -> Vec<String> {
    let mut reasons = Vec::new();
    if evidence.failed > 0 {
        reasons.push(format!("{} of {} runs failed", evidence.failed, evidence.runs));
    }
    match evidence.error_rate {
        None => reasons.push("no recording says what is said in it, so its text could not be checked".into()),
        Some(rate) if 100.0 * rate > limit_percent => {
            reasons.push(format!("its error is {:.1} %, above {limit_percent} % (--sanity-wer)", 100.0 * rate));
        }
        Some(_) => {}
    }
    // One bad text among very many is an error like any other, which the error rate counts.
    let is_much = |count: usize| count * 10 > evidence.with_speech;
    if is_much(evidence.empty) {
        reasons.push(format!(
            "its text is empty for {} of {} recordings with speech",
            evidence.empty, evidence.with_speech
        ));
    }
    if is_much(evidence.looping) {
        reasons.push(format!("its text repeats itself in {} of {} recordings", evidence.looping, evidence.with_speech));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Evidence =
        Evidence { runs: 20, failed: 0, with_speech: 20, empty: 0, looping: 0, error_rate: Some(0.04) };

    #[test]
    fn a_good_text_is_ranked() {
        assert!(judge(&GOOD, 50.0).is_empty());
        assert!(judge(&Evidence { empty: 2, looping: 2, error_rate: Some(0.5), ..GOOD }, 50.0).is_empty());
    }

    #[test]
    fn each_fault_is_a_reason() {
        let faults = [
            (Evidence { failed: 1, ..GOOD }, "1 of 20 runs failed"),
            (Evidence { error_rate: Some(0.51), ..GOOD }, "51.0 %"),
            (Evidence { error_rate: None, ..GOOD }, "could not be checked"),
            (Evidence { empty: 3, ..GOOD }, "empty for 3 of 20"),
            (Evidence { looping: 3, ..GOOD }, "repeats itself in 3 of 20"),
        ];
        for (evidence, part) in faults {
            let reasons = judge(&evidence, 50.0);
            assert!(reasons.len() == 1 && reasons[0].contains(part), "{part}: {reasons:?}");
        }
        assert!(judge(&Evidence { error_rate: Some(0.05), ..GOOD }, 4.0)[0].contains("above 4 %"));
    }
}
