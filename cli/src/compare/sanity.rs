//! Whether an engine's text is good enough for its speed to mean anything: the fastest way is to say nothing.

/// A judgement of an engine's texts.
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
    /// Whether some recording says what is said in it, if only that nothing is.
    pub is_truth_known: bool,
    /// Errors over the recordings that are counted by word, as a share, and over those counted by character; `None`
    /// where nothing is known to be said.
    pub word_error_rate: Option<f64>,
    pub character_error_rate: Option<f64>,
}

/// Why an engine's speed is not ranked; nothing where it may be. The limit is an error rate in percent.
pub fn judge(evidence: &Evidence, limit_percent: f64) -> Vec<String> {
    let mut reasons = Vec::new();
    if evidence.failed > 0 {
        reasons.push(format!("{} of {} runs failed", evidence.failed, evidence.runs));
    }
    let rates = [("WER", evidence.word_error_rate), ("CER", evidence.character_error_rate)];
    let rates = || rates.iter().filter_map(|(name, rate)| Some((name, (*rate)? * 100.0)));
    if rates().next().is_none() {
        let what = match evidence.is_truth_known {
            true => "nothing is said in any recording",
            false => "no recording says what is said in it",
        };
        reasons.push(format!("{what}, so its text could not be checked"));
    }
    for (name, percent) in rates().filter(|(_, percent)| *percent > limit_percent) {
        reasons.push(format!("its {name} is {percent:.1} %, above {limit_percent} % (--sanity-wer)"));
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

    const GOOD: Evidence = Evidence {
        runs: 20,
        failed: 0,
        with_speech: 20,
        empty: 0,
        looping: 0,
        is_truth_known: true,
        word_error_rate: Some(0.04),
        character_error_rate: Some(0.1),
    };

    #[test]
    fn a_good_text_is_ranked() {
        assert!(judge(&GOOD, 50.0).is_empty());
        assert!(judge(&Evidence { empty: 2, looping: 2, word_error_rate: Some(0.5), ..GOOD }, 50.0).is_empty());
    }

    #[test]
    fn each_fault_is_a_reason() {
        let faults = [
            (Evidence { failed: 1, ..GOOD }, "1 of 20 runs failed"),
            (Evidence { word_error_rate: Some(0.51), ..GOOD }, "WER is 51.0 %"),
            (Evidence { character_error_rate: Some(0.51), ..GOOD }, "CER is 51.0 %"),
            (Evidence { word_error_rate: None, character_error_rate: None, ..GOOD }, "nothing is said"),
            (
                Evidence { word_error_rate: None, character_error_rate: None, is_truth_known: false, ..GOOD },
                "no recording says",
            ),
            (Evidence { empty: 3, ..GOOD }, "empty for 3 of 20"),
            (Evidence { looping: 3, ..GOOD }, "repeats itself in 3 of 20"),
        ];
        for (evidence, part) in faults {
            let reasons = judge(&evidence, 50.0);
            assert!(reasons.len() == 1 && reasons[0].contains(part), "{part}: {reasons:?}");
        }
        assert!(judge(&Evidence { word_error_rate: Some(0.05), ..GOOD }, 4.0)[0].contains("above 4 %"));
    }
}
