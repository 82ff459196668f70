//! Decides what of the last hypothesis may be promised. Pure: ids and positions in, a count out.

use crate::units::SampleIndex;
use serde::{Deserialize, Serialize};

/// When text is promised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Commit {
    /// While the utterance runs, as soon as a token has stood long enough.
    Steady(SteadyRule),
    /// When its utterance is over.
    Utterance,
}

impl Default for Commit {
    fn default() -> Self {
        Self::Steady(SteadyRule::default())
    }
}

/// When a token of the running utterance is promised: all must hold, for it and for all before it. How the values were
/// chosen: `docs/STREAMING.md`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SteadyRule {
    /// It has stood in this many hypotheses in a row.
    pub steps: usize,
    /// The audio has grown by this many samples since it appeared.
    pub samples: u64,
    /// This many tokens follow it.
    pub tokens_behind: usize,
    /// In all of these hypotheses its logit was larger than every other by this much: a text that the model is unsure
    /// about waits for the end of its utterance.
    pub margin: f32,
}

impl Default for SteadyRule {
    fn default() -> Self {
        Self { steps: 2, samples: 16_000, tokens_behind: 2, margin: 4.0 }
    }
}

/// A token of the hypothesis and since when it has stood.
#[derive(Debug, Clone, Copy)]
struct Standing {
    token: u32,
    since: SampleIndex,
    steps: usize,
    /// The smallest margin it has had.
    margin: f32,
}

/// The hypotheses of one utterance, as far as the rule has to remember them.
#[derive(Debug, Clone, Default)]
pub struct Promises {
    standing: Vec<Standing>,
}

impl Promises {
    /// Takes the hypothesis of the audio up to `up_to`, with the margin of every token, and returns how many of its
    /// tokens may be committed now. Tokens that appeared after `last` wait: the utterance may still be cut there.
    pub fn advance(
        &mut self,
        hypothesis: &[u32],
        margins: &[f32],
        up_to: SampleIndex,
        last: SampleIndex,
        commit: Commit,
    ) -> usize {
        let same =
            self.standing.iter().zip(hypothesis).take_while(|(standing, token)| standing.token == **token).count();
        self.standing.truncate(same);
        for (standing, margin) in self.standing.iter_mut().zip(margins) {
            standing.steps += 1;
            standing.margin = standing.margin.min(*margin);
        }
        let new = hypothesis.iter().zip(margins).skip(same);
        self.standing.extend(new.map(|(&token, &margin)| Standing { token, since: up_to, steps: 1, margin }));
        let Commit::Steady(rule) = commit else { return 0 };
        let most = hypothesis.len().saturating_sub(rule.tokens_behind);
        let is_steady = |standing: &&Standing| {
            let is_old = standing.steps >= rule.steps && up_to - standing.since >= rule.samples;
            is_old && standing.since <= last && standing.margin >= rule.margin
        };
        self.standing.iter().take(most).take_while(is_steady).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: SteadyRule = SteadyRule { steps: 2, samples: 100, tokens_behind: 1, margin: 2.0 };

    const LAST: SampleIndex = SampleIndex(u64::MAX);

    fn run(rule: SteadyRule, hypotheses: &[(u64, &[u32])]) -> Vec<usize> {
        let mut promises = Promises::default();
        hypotheses
            .iter()
            .map(|(at, ids)| promises.advance(ids, &vec![2.0; ids.len()], SampleIndex(*at), LAST, Commit::Steady(rule)))
            .collect()
    }

    #[test]
    fn a_token_is_promised_when_it_has_stood_long_and_others_follow() {
        assert_eq!(run(RULE, &[(100, &[1, 2, 3]), (200, &[1, 2, 3]), (300, &[1, 2, 3, 4])]), [0, 2, 3]);
        // The same hypotheses closer together: old enough in steps, not in samples.
        assert_eq!(run(RULE, &[(100, &[1, 2, 3]), (150, &[1, 2, 3]), (200, &[1, 2, 3])]), [0, 0, 2]);
        let third = SteadyRule { steps: 3, ..RULE };
        assert_eq!(run(third, &[(100, &[1, 2]), (200, &[1, 2]), (300, &[1, 2])]), [0, 0, 1]);
        let open = SteadyRule { tokens_behind: 0, ..RULE };
        assert_eq!(run(open, &[(100, &[1, 2]), (200, &[1, 2])]), [0, 2]);
    }

    #[test]
    fn a_token_that_was_unsure_once_keeps_everything_behind_it_waiting() {
        let mut promises = Promises::default();
        let mut next =
            |at, margins: &[f32]| promises.advance(&[1, 2, 3], margins, SampleIndex(at), LAST, Commit::Steady(RULE));
        assert_eq!(next(100, &[9.0, 1.9, 9.0]), 0);
        assert_eq!(next(200, &[9.0, 9.0, 9.0]), 1);
        assert_eq!(next(300, &[9.0, 9.0, 9.0]), 1);
    }

    #[test]
    fn a_change_starts_the_clock_again_for_everything_behind_it() {
        assert_eq!(run(RULE, &[(100, &[1, 2, 3]), (200, &[1, 9, 3]), (300, &[1, 9, 3])]), [0, 1, 2]);
    }

    #[test]
    fn what_appeared_where_a_cut_may_fall_waits() {
        let mut promises = Promises::default();
        let mut next = |at, ids: &[u32]| {
            promises.advance(ids, &vec![9.0; ids.len()], SampleIndex(at), SampleIndex(150), Commit::Steady(RULE))
        };
        assert_eq!(
            [next(100, &[1, 2]), next(200, &[1, 2, 3]), next(300, &[1, 2, 3, 4]), next(400, &[1, 2, 3, 4])],
            [0, 2, 2, 2]
        );
    }

    #[test]
    fn nothing_is_promised_before_the_end_of_the_utterance() {
        let mut promises = Promises::default();
        for at in 1..9 {
            assert_eq!(promises.advance(&[1, 2, 3], &[9.0; 3], SampleIndex(at * 16_000), LAST, Commit::Utterance), 0);
        }
    }
}
