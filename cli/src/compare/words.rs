//! Which words differ: against the truth, and between engines.

use super::results::{EngineResult, Finished, Measure};
use qasr_measure::report::{Content, Mark, Page};
use qasr_measure::scoring::{Edit, Scored, score};
use std::cmp::Reverse;

/// Recordings, or failures, that a page shows one by one; the rest is in the JSON only.
pub const MOST_SHOWN: usize = 300;

/// A part to unfold for each recording on which engines and truth do not all agree, those first on which the engines
/// differ most.
pub fn section(page: &mut Page, finished: &Finished<'_>, results: &[EngineResult]) {
    let judged: Vec<&EngineResult> = results.iter().filter(|result| result.speed_only.is_none()).collect();
    if judged.is_empty() {
        return;
    }
    page.body.section("Words").words(
        "How to read it:",
        [("right,", Mark::Same), ("another word,", Mark::Wrong), ("left out,", Mark::Missing), ("added", Mark::Extra)],
    );
    let recordings = finished.recordings.iter().zip(finished.measures).enumerate();
    let mut differing: Vec<(Disagreement, &str, Content)> = recordings
        .filter_map(|(index, (recording, measure))| {
            let (disagreement, content) = match &recording.truth {
                Some(truth) => against_truth(truth, &judged, index)?,
                None => against_first(&judged, index, *measure)?,
            };
            Some((disagreement, recording.name.as_str(), content))
        })
        .collect();
    let alike = finished.recordings.len() - differing.len();
    differing.sort_by_key(|(disagreement, ..)| Reverse((disagreement.range, disagreement.most)));
    let left = differing.len().saturating_sub(MOST_SHOWN);
    for (disagreement, name, content) in differing.into_iter().take(MOST_SHOWN) {
        page.body.details(&format!("{name}: {}", disagreement.summary), content);
    }
    let more = if left > 0 { format!(" {left} more with differences are in the JSON.") } else { String::new() };
    page.body.paragraph(&format!("All agree on {alike} of {} recordings.{more}", finished.recordings.len()));
}

/// How much the engines differ on a recording.
struct Disagreement {
    /// Between the engine with the most errors and that with the fewest.
    range: usize,
    most: usize,
    summary: String,
}

/// Every engine's words against the truth. `None` where nobody made an error.
fn against_truth(truth: &str, judged: &[&EngineResult], index: usize) -> Option<(Disagreement, Content)> {
    let scored: Vec<(&str, &Scored)> =
        judged.iter().filter_map(|one| Some((one.name.as_str(), one.texts[index].scored.as_ref()?))).collect();
    let counts = || scored.iter().map(|(_, scored)| scored.errors.total());
    let (most, fewest) = (counts().max().filter(|most| *most > 0)?, counts().min()?);
    let mut inner = Content::default();
    inner.paragraph(&format!("Said: {truth}"));
    let compared = compared_as(&scored.first()?.1.edits);
    if compared != truth {
        inner.paragraph(&format!("Compared as: {compared}"));
    }
    for (name, scored) in &scored {
        inner.words(&format!("{name}:"), marked(&scored.edits));
    }
    let summary: Vec<String> =
        scored.iter().map(|(name, scored)| format!("{name} {}", scored.errors.total())).collect();
    Some((Disagreement { range: most - fewest, most, summary: summary.join(", ") }, inner))
}

/// The truth in the form in which it was compared.
fn compared_as(edits: &[Edit]) -> String {
    let words = edits.iter().filter_map(|edit| match edit {
        Edit::Same(word) | Edit::Deleted(word) | Edit::Substituted { truth: word, .. } => Some(word.as_str()),
        Edit::Inserted(_) => None,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Most steps of one comparison, some seconds: an engine that never stops talking must not hold up the page for hours.
const MOST_CELLS: u64 = 1_000_000_000;

/// Without a truth: the first engine's text, and those of the others against it. `None` where all say the same.
fn against_first(judged: &[&EngineResult], index: usize, measure: Measure) -> Option<(Disagreement, Content)> {
    let (first, others) = judged.split_first()?;
    let text = |result: &EngineResult| result.texts[index].text.clone();
    let mut inner = Content::default();
    inner.words(&format!("{}:", first.name), [(text(first).as_str(), Mark::Same)]);
    let mut summary = Vec::new();
    let mut most = 0;
    for other in others {
        let sizes = [first, other].map(|one| measure.unit.split(&one.texts[index].text).len() as u64);
        let name = format!("{} beside {}:", other.name, first.name);
        if sizes[0].saturating_mul(sizes[1]) > MOST_CELLS {
            most = usize::MAX;
            summary.push(format!("{} differs", other.name));
            inner.paragraph(&format!("{name} texts too long to be compared word by word"));
            continue;
        }
        let scored = score(&text(first), &text(other), measure.normalizer, measure.unit);
        let count = scored.errors.total();
        if count > 0 {
            most = most.max(count);
            summary.push(format!("{} {count} different", other.name));
            inner.words(&name, marked(&scored.edits));
        }
    }
    (most > 0).then(|| (Disagreement { range: most, most, summary: summary.join(", ") }, inner))
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
