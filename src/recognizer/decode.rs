//! The one decode step, as a state machine without a model: it says which rows it wants computed next, is told what follows
//! them, and so goes from prompt and audio over the script (what must stand and what probably stands) to the text, token by
//! token.
//!
//! ```text
//! Prompt ─▶ Window ─▶ … ─▶ Closing ─▶ Text ─▶ … ─▶ Done
//! ```
//!
//! A text must not depend on what was expected of it, on how much of it came at once, on what was kept, or on which others
//! are decoded beside it. So the passes of prompt and audio have the same rows whatever is there already and whatever is
//! expected: the prompt, every full window, the last window with the closing tokens. And every token of a text, expected
//! or not, is computed as if it came alone ([`Rows::Each`]).

use crate::model::decoder::{Choice, Input, Rows, Verdict};
use crate::model::{AudioEmbeddings, EncodedWindow};
use crate::text::Prompt;
use std::sync::Arc;

/// Expectations about a text before it is decoded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Script<'a> {
    /// Ids that the text begins with, whatever the model would say.
    pub forced: &'a [u32],
    /// Ids that probably follow. They are verified: the text is the same as without them.
    pub draft: &'a [u32],
}

/// How far a text may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Tokens in all.
    pub(super) tokens: usize,
    /// Tokens generated one by one in this step.
    pub(super) generated: usize,
}

/// A greedy text.
#[derive(Debug, Clone)]
pub(super) struct Decoded {
    /// Its ids, the end token not included.
    pub(super) tokens: Vec<u32>,
    /// For every id, its distance to the next likely one; infinite where it was forced.
    pub(super) margins: Vec<f32>,
    /// For every id, the natural logarithm of its probability after the ids before it.
    pub(super) log_probabilities: Vec<f32>,
    /// False when a limit ended it.
    pub(super) complete: bool,
    /// The smallest distance between the two most likely tokens, over all that were chosen.
    pub(super) closest: f32,
    /// Forced ids that the model would not have chosen.
    pub(super) objections: usize,
}

/// Positions and tokens that a step took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) prefilled: usize,
    pub(super) reused: usize,
    pub(super) verified: usize,
    pub(super) kept: usize,
    pub(super) generated: usize,
}

/// What a sequence of the decoder holds from position 0 on: the prompt and full windows. What follows them is forgotten.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    before: Vec<u32>,
    windows: Vec<EncodedWindow>,
}

impl Held {
    /// How many of these windows it holds, where it holds this prompt; `None` where it holds another.
    fn common(&self, before: &[u32], full: &[EncodedWindow]) -> Option<usize> {
        let same = || self.windows.iter().zip(full).take_while(|(held, wanted)| held == wanted).count();
        (!before.is_empty() && self.before == before).then(same)
    }
}

/// What a step wants computed next.
#[derive(Debug)]
pub(super) struct Want<'a> {
    pub(super) rows: Rows,
    /// Where the first row belongs.
    pub(super) position: usize,
    pub(super) inputs: Vec<Input<'a>>,
    pub(super) asked: &'a [u32],
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Prompt,
    /// The full window of this number.
    Window(usize),
    /// The last window and the closing tokens.
    Closing,
    /// Tokens of the text from `from` to the end of what is placed.
    Text {
        from: usize,
    },
    Done,
}

/// One decode step of one utterance.
#[derive(Debug)]
pub(super) struct Decode {
    before: Vec<u32>,
    after: Vec<u32>,
    audio: AudioEmbeddings,
    ends: Arc<[u32]>,
    /// What must stand, then what probably stands.
    expected: Vec<u32>,
    forced: usize,
    /// With drafts off, what the drafts would have been: its tokens do not count against the step's limit, so that the text
    /// is as long as with drafts on.
    saved: Vec<u32>,
    budget: usize,
    limits: Limits,
    each_at_once: usize,
    stage: Stage,
    /// Positions before the stage's rows.
    position: usize,
    /// Tokens of the text that are in the decoder, and those among them that still have to be decided on.
    placed: Vec<u32>,
    /// Ids whose probability is asked for behind the rows of this stage.
    asked: Vec<u32>,
    counted: usize,
    decoded: Decoded,
    counts: Counts,
}

impl Decode {
    /// A step that decodes greedily what follows `prompt` with the audio in it, in a sequence that holds `held`. `budget`
    /// is the number of tokens that there is room for.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        prompt: &Prompt,
        audio: AudioEmbeddings,
        script: Script<'_>,
        use_drafts: bool,
        limits: Limits,
        budget: usize,
        held: &Held,
        ends: &Arc<[u32]>,
        each_at_once: usize,
    ) -> Self {
        let draft = if use_drafts { script.draft } else { &[] };
        let expected: Vec<u32> = script.forced.iter().chain(draft).copied().take(budget).collect();
        let (full, _) = audio.full_and_rest();
        let rows = |windows: &[EncodedWindow]| windows.iter().map(EncodedWindow::rows).sum::<usize>();
        let (stage, position) = match held.common(&prompt.before, full) {
            None => (Stage::Prompt, 0),
            Some(same) => (Stage::Window(same), prompt.before.len() + rows(&full[..same])),
        };
        let counts =
            Counts { reused: position, prefilled: prompt.positions(audio.rows()) - position, ..Counts::default() };
        let mut step = Self {
            before: prompt.before.clone(),
            after: prompt.after.clone(),
            ends: Arc::clone(ends),
            forced: script.forced.len().min(expected.len()),
            saved: if use_drafts { Vec::new() } else { script.draft.iter().rev().copied().collect() },
            expected,
            budget,
            limits,
            each_at_once,
            stage,
            position,
            placed: Vec::new(),
            asked: Vec::new(),
            counted: 0,
            decoded: Decoded {
                tokens: Vec::new(),
                margins: Vec::new(),
                log_probabilities: Vec::new(),
                complete: false,
                closest: f32::INFINITY,
                objections: 0,
            },
            counts,
            audio,
        };
        step.skip_windows();
        step
    }

    /// What has to be computed next; `None` when the text is there.
    pub(super) fn wants(&self) -> Option<Want<'_>> {
        let (full, rest) = self.audio.full_and_rest();
        let (rows, inputs) = match self.stage {
            Stage::Prompt => (Rows::Together, vec![Input::Tokens(&self.before)]),
            Stage::Window(number) => (Rows::Together, vec![Input::Rows(full[number].values())]),
            Stage::Closing => {
                let rest = (!rest.is_empty()).then_some(Input::Rows(rest));
                (Rows::Together, rest.into_iter().chain([Input::Tokens(&self.after)]).collect())
            }
            Stage::Text { from } => (Rows::Each, vec![Input::Tokens(&self.placed[from..])]),
            Stage::Done => return None,
        };
        Some(Want { rows, position: self.position, inputs, asked: &self.asked })
    }

    /// Whether it goes token by token: what was expected is over.
    pub(super) fn is_generating(&self) -> bool {
        matches!(self.stage, Stage::Text { .. } | Stage::Done) && self.counts.generated > 0
    }

    /// What follows the rows that it wanted, for those whose ids were asked for.
    pub(super) fn take(&mut self, verdicts: &[Verdict]) {
        let (full, rest) = self.audio.full_and_rest();
        match self.stage {
            Stage::Prompt => {
                self.position += self.before.len();
                self.stage = Stage::Window(0);
                self.skip_windows();
            }
            Stage::Window(number) => {
                self.position += full[number].rows();
                self.stage = Stage::Window(number + 1);
                self.skip_windows();
            }
            Stage::Closing => {
                let width = self.audio.windows.first().map_or(1, EncodedWindow::width);
                self.position += rest.len() / width.max(1) + self.after.len();
                self.stage = Stage::Text { from: 0 };
                self.decide(verdicts);
            }
            Stage::Text { from } => {
                self.position += self.placed.len() - from;
                self.decide(verdicts);
            }
            Stage::Done => {}
        }
    }

    /// The text, what the sequence holds now, and the counts. For a step that is done.
    pub(super) fn finish(self) -> (Decoded, Held, Counts) {
        let (full, _) = self.audio.full_and_rest();
        (self.decoded, Held { before: self.before, windows: full.to_vec() }, self.counts)
    }

    /// From the last full window on, the closing rows are next.
    fn skip_windows(&mut self) {
        let (full, _) = self.audio.full_and_rest();
        if self.stage == Stage::Window(full.len()) {
            self.stage = Stage::Closing;
            self.asked = vec![self.expected.first().copied().unwrap_or(0)];
        }
    }

    /// Decides on tokens: `verdicts` are those behind the last token that was decided on, and behind those placed after it.
    fn decide(&mut self, verdicts: &[Verdict]) {
        for verdict in verdicts {
            let index = self.decoded.tokens.len();
            let next = match self.expected.get(index) {
                Some(id) if index < self.forced => {
                    self.decoded.objections += usize::from(verdict.choice.token != *id);
                    let stands = Choice { token: *id, margin: f32::INFINITY, log_probability: verdict.asked };
                    self.push(stands, false);
                    continue;
                }
                Some(id) if verdict.choice.token == *id => {
                    self.push(verdict.choice, true);
                    continue;
                }
                Some(_) => {
                    // The rest of what was expected is wrong: it goes, and what is chosen comes in its place.
                    self.position -= self.placed.len().saturating_sub(index);
                    self.placed.truncate(index);
                    self.counts.verified = self.expected.len();
                    self.expected.truncate(index);
                    verdict.choice
                }
                None => verdict.choice,
            };
            self.choose(next);
            return;
        }
        // All that was placed stands.
        self.place_expected();
    }

    fn push(&mut self, choice: Choice, is_chosen: bool) {
        self.decoded.tokens.push(choice.token);
        self.decoded.margins.push(choice.margin);
        self.decoded.log_probabilities.push(choice.log_probability);
        if is_chosen {
            self.decoded.closest = self.decoded.closest.min(choice.margin);
        }
        self.counts.kept += 1;
    }

    /// The next batch of what is expected, in front of which everything is decided.
    fn place_expected(&mut self) {
        let from = self.placed.len();
        let to = self.expected.len().min(from + self.each_at_once);
        self.placed.extend_from_slice(&self.expected[from..to]);
        self.asked = (from + 1..=to).map(|index| self.expected.get(index).copied().unwrap_or(0)).collect();
        self.stage = Stage::Text { from };
    }

    /// A token that nobody expected: the end of the text, or one more token of it.
    fn choose(&mut self, next: Choice) {
        self.counts.verified = self.counts.verified.max(self.expected.len());
        let is_end = self.ends.contains(&next.token);
        if is_end || self.decoded.tokens.len() >= self.budget || self.counted >= self.limits.generated {
            self.decoded.complete = is_end;
            if is_end {
                self.decoded.closest = self.decoded.closest.min(next.margin);
            }
            self.stage = Stage::Done;
            return;
        }
        if self.saved.last() == Some(&next.token) {
            self.saved.pop();
        } else {
            self.saved.clear();
            self.counted += 1;
        }
        self.push(next, true);
        self.counts.kept -= 1;
        self.counts.generated += 1;
        self.stage = Stage::Text { from: self.placed.len() };
        self.placed.push(next.token);
        self.asked = vec![0];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u32 = 0;

    /// A decoder of one sequence that knows a text for every number of rows of audio, and goes on with it wherever the tokens
    /// so far are its beginning; else it ends the text.
    struct Fake {
        /// Tokens and rows, which are negative.
        rows: Vec<i64>,
        prompt: usize,
        passes: Vec<(Rows, usize)>,
    }

    fn text(rows: usize) -> Vec<u32> {
        (1..=20).map(|at| at * 3 + rows as u32 % 7 + 1).collect()
    }

    impl Fake {
        fn new() -> Self {
            Self { rows: Vec::new(), prompt: 0, passes: Vec::new() }
        }

        fn pass(&mut self, want: &Want<'_>) -> Vec<Verdict> {
            assert!(want.position <= self.rows.len(), "a hole before {}", want.position);
            self.rows.truncate(want.position);
            let mut count = 0;
            for input in &want.inputs {
                match input {
                    Input::Tokens(ids) => self.rows.extend(ids.iter().map(|id| i64::from(*id))),
                    Input::Rows(values) => self.rows.extend(values.iter().map(|value| -1 - *value as i64)),
                }
                count += match input {
                    Input::Tokens(ids) => ids.len(),
                    Input::Rows(values) => values.len(),
                };
            }
            self.passes.push((want.rows, count));
            let verdict = |(index, asked): (usize, &u32)| {
                let end = self.rows.len() - want.asked.len() + index + 1;
                let audio = self.rows[..end].iter().filter(|row| **row < 0).count();
                let spoken: Vec<u32> = self.rows[self.prompt.min(end)..end].iter().map(|id| *id as u32).collect();
                let wanted = text(audio);
                let token =
                    if wanted.starts_with(&spoken) { wanted.get(spoken.len()).copied().unwrap_or(END) } else { END };
                let choice = Choice { token, margin: token as f32 + 1.0, log_probability: -1.0 };
                Verdict { choice, asked: -(*asked as f32) }
            };
            want.asked.iter().enumerate().map(verdict).collect()
        }
    }

    const BEFORE: [u32; 3] = [900, 901, 902];
    const AFTER: [u32; 2] = [910, 911];

    /// One step over `rows` rows of audio, 104 to a window.
    fn run(
        fake: &mut Fake,
        held: &mut Held,
        rows: usize,
        script: Script<'_>,
        options: (bool, usize, Limits),
    ) -> (Decoded, Counts) {
        let (use_drafts, each_at_once, limits) = options;
        let values: Vec<f32> = (0..rows).map(|row| row as f32).collect();
        let windows = values.chunks(104).map(|values| EncodedWindow::of(1, values)).collect();
        let prompt = Prompt { before: BEFORE.to_vec(), after: AFTER.to_vec() };
        fake.prompt = BEFORE.len() + rows + AFTER.len();
        let audio = AudioEmbeddings { windows };
        let ends: Arc<[u32]> = [END].into();
        let mut step =
            Decode::new(&prompt, audio, script, use_drafts, limits, limits.tokens, held, &ends, each_at_once);
        for _ in 0..100 {
            let Some(want) = step.wants() else {
                let (decoded, now, counts) = step.finish();
                *held = now;
                return (decoded, counts);
            };
            let verdicts = fake.pass(&want);
            step.take(&verdicts);
        }
        panic!("a step without an end");
    }

    const NO_LIMITS: Limits = Limits { tokens: 100, generated: 100 };

    #[test]
    fn a_text_is_the_same_whatever_was_expected_and_however_much_goes_at_once() {
        let wanted = text(250);
        let plain = run(&mut Fake::new(), &mut Held::default(), 250, Script::default(), (true, 1, NO_LIMITS)).0;
        assert_eq!((plain.tokens.as_slice(), plain.complete, plain.closest), (&*wanted, true, 1.0));
        let mut wrong = wanted.clone();
        wrong[7] = 77;
        let longer: Vec<u32> = wanted.iter().copied().chain([5, 6, 7]).collect();
        for draft in [&wanted[..], &wanted[..9], &wrong, &longer, &[9]] {
            for forced in [0, 1, 5] {
                for at_once in [1, 2, 3, 16] {
                    for use_drafts in [false, true] {
                        let script =
                            Script { forced: &wanted[..forced], draft: draft.get(forced..).unwrap_or_default() };
                        let mut fake = Fake::new();
                        let (decoded, counts) =
                            run(&mut fake, &mut Held::default(), 250, script, (use_drafts, at_once, NO_LIMITS));
                        assert_eq!(decoded.tokens, wanted, "{draft:?}, {forced} forced, {at_once} at once");
                        assert!(decoded.complete && decoded.objections == 0);
                        assert_eq!(decoded.margins[forced..], plain.margins[forced..]);
                        assert!(decoded.margins[..forced].iter().all(|margin| margin.is_infinite()));
                        assert_eq!(counts.kept + counts.generated, 20);
                        // Prompt, two full windows, the rest of the audio with what closes it: always the same rows.
                        let together: Vec<_> = fake.passes.iter().filter(|(rows, _)| *rows == Rows::Together).collect();
                        let rows: Vec<_> = together.iter().map(|(_, rows)| *rows).collect();
                        assert_eq!(rows, [3, 104, 104, 42 + 2]);
                        let each = fake.passes.iter().filter(|(rows, _)| *rows == Rows::Each);
                        assert!(each.clone().all(|(_, rows)| (1..=at_once).contains(rows)));
                    }
                }
            }
        }
    }

    #[test]
    fn forced_tokens_stand_and_objections_are_counted() {
        let wanted = text(50);
        let mut forced = wanted[..4].to_vec();
        forced[2] = 500;
        let script = Script { forced: &forced, draft: &[] };
        let (decoded, _) = run(&mut Fake::new(), &mut Held::default(), 50, script, (true, 16, NO_LIMITS));
        assert_eq!(decoded.tokens, forced, "the fake ends a text that is not its own");
        // The third, and the fourth after it.
        assert_eq!(decoded.objections, 2);
        assert_eq!(
            decoded.log_probabilities,
            [-wanted[0].cast_signed() as f32, -wanted[1].cast_signed() as f32, -500.0, -wanted[3].cast_signed() as f32]
        );
    }

    #[test]
    fn limits_end_a_text_that_is_then_not_complete() {
        let wanted = text(50);
        for (limits, draft, use_drafts, length) in [
            (Limits { tokens: 6, generated: 100 }, 0, true, 6),
            (Limits { tokens: 6, generated: 100 }, 9, true, 6),
            (Limits { tokens: 100, generated: 4 }, 0, true, 4),
            (Limits { tokens: 100, generated: 4 }, 9, true, 13),
            // What would have been a draft does not count.
            (Limits { tokens: 100, generated: 4 }, 9, false, 13),
        ] {
            let script = Script { forced: &[], draft: &wanted[..draft] };
            let (decoded, _) = run(&mut Fake::new(), &mut Held::default(), 50, script, (use_drafts, 3, limits));
            assert_eq!((decoded.tokens.len(), decoded.complete), (length, false), "{limits:?}, {draft}, {use_drafts}");
        }
        let all = Limits { tokens: 20, generated: 100 };
        let (decoded, _) = run(&mut Fake::new(), &mut Held::default(), 50, Script::default(), (true, 1, all));
        assert!(decoded.complete, "the end comes with the last token that is allowed");
    }

    #[test]
    fn what_a_sequence_holds_is_not_computed_again() {
        let (mut fake, mut held) = (Fake::new(), Held::default());
        let options = (true, 16, NO_LIMITS);
        let (_, first) = run(&mut fake, &mut held, 150, Script::default(), options);
        assert_eq!((first.reused, first.prefilled), (0, 155));
        fake.passes.clear();
        let (decoded, second) = run(&mut fake, &mut held, 250, Script { forced: &[], draft: &text(250)[..5] }, options);
        assert_eq!(decoded.tokens, text(250));
        assert_eq!((second.reused, second.prefilled), (3 + 104, 255 - 107));
        assert_eq!(fake.passes[..2], [(Rows::Together, 104), (Rows::Together, 44)]);
        // A shorter utterance keeps what is common.
        fake.passes.clear();
        let (decoded, third) = run(&mut fake, &mut held, 104, Script::default(), options);
        assert_eq!((decoded.tokens, third.reused), (text(104), 107));
        assert_eq!(fake.passes[0], (Rows::Together, 2));
        // Behind another prompt nothing is common.
        held.before[1] = 7;
        let (decoded, fourth) = run(&mut fake, &mut held, 104, Script::default(), options);
        assert_eq!((decoded.tokens, fourth.reused), (text(104), 0));
    }
}
