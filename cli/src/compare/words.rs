//! Which words differ: against the truth, and between engines.

use super::results::{EngineResult, Finished, Measure};
use qasr_measure::report::{Content, Mark, Page};
use qasr_measure::scoring::{Edit, score};

/// Recordings, or failures, that a page shows one by one; the rest is in the JSON only.
pub const MOST_SHOWN: usize = 300;

/// A part to unfold for each recording on which engines and truth do not all agree.
pub fn section(page: &mut Page, finished: &Finished<'_>, results: &[EngineResult]) {
    let judged: Vec<&EngineResult> = results.iter().filter(|result| result.speed_only.is_none()).collect();
    if judged.is_empty() {
        return;
    }
    page.body.section("Words").words(
        "How to read it:",
        [("right,", Mark::Same), ("another word,", Mark::Wrong), ("left out,", Mark::Missing), ("added", Mark::Extra)],
    );
    let (mut shown, mut alike) = (0, 0);
    for (index, recording) in finished.recordings.iter().enumerate() {
        let measure = finished.measures[index];
        let inner = match &recording.truth {
            Some(truth) => against_truth(truth, &judged, index, measure),
            None => against_first(&judged, index, measure),
        };
        match inner {
            None => alike += 1,
            Some(_) if shown == MOST_SHOWN => {}
            Some((inner, summary)) => {
                shown += 1;
                page.body.details(&format!("{}: {summary}", recording.name), inner);
            }
        }
    }
    let left = finished.recordings.len() - alike - shown;
    let more = if left > 0 { format!(" {left} more with differences are in the JSON.") } else { String::new() };
    page.body.paragraph(&format!("All agree on {alike} of {} recordings.{more}", finished.recordings.len()));
}

/// Every engine's words against the truth, then those of the others against the first one's where they differ. `None`
/// where nobody made an error.
fn against_truth(truth: &str, judged: &[&EngineResult], index: usize, measure: Measure) -> Option<(Content, String)> {
    let mut inner = Content::default();
    inner.paragraph(&format!("Truth: {truth}"));
    let mut counts = Vec::new();
    for result in judged {
        let scored = result.texts[index].scored.as_ref()?;
        counts.push(scored.errors.total());
        inner.words(&result.name, marked(&scored.edits));
    }
    between_engines(&mut inner, judged, index, measure);
    let counts_in_words: Vec<String> = counts.iter().map(usize::to_string).collect();
    counts.iter().any(|count| *count > 0).then(|| (inner, format!("errors: {}", counts_in_words.join(", "))))
}

/// Without a truth: the first engine's text, and the others against it. `None` where all say the same.
fn against_first(judged: &[&EngineResult], index: usize, measure: Measure) -> Option<(Content, String)> {
    let mut inner = Content::default();
    let first = judged.first()?;
    inner.words(&first.name, [(first.texts[index].text.as_str(), Mark::Same)]);
    let differing = between_engines(&mut inner, judged, index, measure);
    (differing > 0).then(|| (inner, format!("{differing} of {} differ from the first", judged.len())))
}

/// Most steps of one comparison, some seconds: an engine that never stops talking must not hold up the page for hours.
const MOST_CELLS: u64 = 1_000_000_000;

/// Those whose text differs from the first engine's, against it; how many they are.
fn between_engines(inner: &mut Content, judged: &[&EngineResult], index: usize, measure: Measure) -> usize {
    let Some((first, others)) = judged.split_first() else { return 0 };
    let mut differing = 0;
    for other in others {
        let sizes = [first, other].map(|one| measure.unit.split(&one.texts[index].text).len() as u64);
        if sizes[0].saturating_mul(sizes[1]) > MOST_CELLS {
            differing += 1;
            inner.paragraph(&format!(
                "{} against {}: texts too long to be compared word by word",
                other.name, first.name
            ));
            continue;
        }
        let scored = score(&first.texts[index].text, &other.texts[index].text, measure.normalizer, measure.unit);
        if scored.errors.total() > 0 {
            differing += 1;
            inner.words(&format!("{} against {}:", other.name, first.name), marked(&scored.edits));
        }
    }
    differing
}

fn marked(edits: &[Edit]) -> Vec<(&str, Mark)> {
    let mut words = Vec::with_capacity(edits.len());
    for edit in edits {
        match edit {
            Edit::Same(word) => words.push((word.as_str(), Mark::Same)),
            Edit::Inserted(word) => words.push((word.as_str(), Mark::Extra)),
            Edit::Deleted(word) => words.push((word.as_str(), Mark::Missing)),
            Edit::Substituted { truth, heard } => {
                words.push((truth.as_str(), Mark::Missing));
                words.push((heard.as_str(), Mark::Wrong));
            }
        }
    }
    words
}
