//! Cues: utterances cut into pieces that can be read as they come, for every form that has times.
//!
//! The model gives no times inside an utterance. A cue's time is therefore its share of the utterance's, by the width of
//! its text, and marked as an estimate. Cuts lie at sentence ends where that is possible, then at clauses, then between
//! words; of all ways to cut an utterance the one of least cost is taken. No text is lost or repeated.

use super::one_line;
use super::words::{End, Word, columns, is_wide, words};
use qasr::text::joining::is_written_without_spaces;
use qasr::transcript::{Segment, Transcript};
use std::ops::Range;

/// The longest cue, in milliseconds.
const LONGEST: u64 = 7000;
/// Below this, in milliseconds, a cue is hard to read.
const SHORT: u64 = 1500;
/// Columns of a line, and of one in a full-width script: 16 characters.
const COLUMNS: usize = 42;
const WIDE_COLUMNS: usize = 32;

/// How utterances are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cutting {
    /// Most characters of a cue, as whisper-cli's `-ml`: a cue is then one line of any duration. 0: one cue for each
    /// utterance. `None`: cues of at most 7 s and two lines.
    pub most_characters: Option<usize>,
    /// Words longer than that stay whole.
    pub keep_words: bool,
}

impl Cutting {
    /// The same, but one cue for each utterance where no length was asked for: for lines of text, whose times should be
    /// true.
    pub fn or_whole(self) -> Self {
        Self { most_characters: Some(self.most_characters.unwrap_or(0)), ..self }
    }
}

/// A piece of an utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// In milliseconds from the start of the recording.
    pub start: u64,
    /// After `start`, and not after the start of the next cue of the same channel.
    pub end: u64,
    /// On one line, never empty.
    pub text: String,
    /// The same as it is shown.
    pub lines: Vec<String>,
    /// A space stands before it in the whole text.
    pub is_after_space: bool,
    /// The place of its utterance among the segments.
    pub segment: usize,
    /// Its times are shares of the utterance's.
    pub is_estimated: bool,
    /// Counted from 0, where channels were recognized one by one.
    pub channel: Option<u16>,
}

/// The cues of a text, by time. `label` columns of the first line of every cue are left free.
pub fn cues(transcript: &Transcript, cutting: Cutting, label: usize) -> Vec<Cue> {
    let segments = transcript.segments.iter().enumerate();
    let mut cues: Vec<Cue> = segments.flat_map(|(place, segment)| cut(segment, place, cutting, label)).collect();
    cues.sort_by_key(|cue| (cue.start, cue.channel));
    cues
}

/// The cues of one utterance; none where nothing was said.
pub fn cut(segment: &Segment, place: usize, cutting: Cutting, label: usize) -> Vec<Cue> {
    let text = one_line(&segment.text);
    let (start, end) = (segment.start.milliseconds(), segment.end.milliseconds());
    if text.is_empty() {
        return Vec::new();
    }
    // The first cue follows a space as every word of its script does.
    let is_spaced = !text.chars().next().is_some_and(is_written_without_spaces);
    let whole = Cue {
        start,
        end: end.max(start + 1),
        lines: vec![text.clone()],
        text: text.clone(),
        is_after_space: is_spaced,
        segment: place,
        is_estimated: false,
        channel: segment.channel,
    };
    if cutting.most_characters == Some(0) {
        return vec![whole];
    }
    let pieces = Pieces::new(&text, start, end, cutting, label);
    let ranges = pieces.cheapest();
    let is_cut = ranges.len() > 1;
    let to_cue = |range: Range<usize>| {
        let (start, end) = (pieces.time(range.start), pieces.time(range.end));
        // A word does not last that long; where in its time it is said is not known.
        let is_long = pieces.most_characters.is_none() && end - start > LONGEST;
        Cue {
            start,
            end: if is_long { start + LONGEST } else { end.max(start + 1) },
            text: pieces.text(range.clone()),
            is_after_space: if range.start == 0 { is_spaced } else { pieces.words[range.start].is_after_space },
            lines: pieces.lines(range),
            is_estimated: is_long || is_cut,
            ..whole.clone()
        }
    };
    let mut cues: Vec<Cue> = ranges.into_iter().map(to_cue).collect();
    // More cues than milliseconds: they follow each other all the same.
    for at in 1..cues.len() {
        let free = cues[at - 1].end;
        let cue = &mut cues[at];
        cue.start = cue.start.max(free);
        cue.end = cue.end.max(cue.start + 1);
    }
    cues
}

/// An utterance as a row of words, and what can be made of it.
struct Pieces<'a> {
    words: Vec<Word<'a>>,
    /// Of the words before each place, which is one more than there are words: columns, characters, and words that
    /// follow a space.
    columns_before: Vec<usize>,
    characters_before: Vec<usize>,
    spaces_before: Vec<usize>,
    start: u64,
    end: u64,
    /// Columns of a line.
    columns: usize,
    label: usize,
    most_characters: Option<usize>,
}

impl<'a> Pieces<'a> {
    fn new(text: &'a str, start: u64, end: u64, cutting: Cutting, label: usize) -> Self {
        let wide = text.chars().filter(|letter| is_wide(*letter)).count() * 2;
        let columns = if 2 * wide > self::columns(text) { WIDE_COLUMNS } else { COLUMNS };
        let longest = match cutting.most_characters {
            Some(_) if cutting.keep_words => usize::MAX,
            Some(most) => most,
            None => columns - label.min(columns / 2),
        };
        let words = words(text, longest, cutting.most_characters.is_some());
        let sums = |of: &dyn Fn(&Word<'_>) -> usize| {
            let mut sum = 0;
            let after = words.iter().map(|word| {
                sum += of(word);
                sum
            });
            std::iter::once(0).chain(after.collect::<Vec<_>>()).collect()
        };
        let columns_before = sums(&|word| word.columns);
        let characters_before = sums(&|word| word.text.chars().count());
        let spaces_before = sums(&|word| usize::from(word.is_after_space));
        let most_characters = cutting.most_characters;
        Self { words, columns_before, characters_before, spaces_before, start, end, columns, label, most_characters }
    }

    /// When the word begins that stands at `at`, in milliseconds.
    fn time(&self, at: usize) -> u64 {
        let all = self.columns_before[self.words.len()].max(1) as u64;
        self.start + self.end.saturating_sub(self.start) * self.columns_before[at] as u64 / all
    }

    /// Spaces between some words.
    fn spaces(&self, range: Range<usize>) -> usize {
        self.spaces_before[range.end].saturating_sub(self.spaces_before[range.start + 1])
    }

    /// Columns of some words, at least one, on one line.
    fn columns(&self, range: Range<usize>) -> usize {
        self.columns_before[range.end] - self.columns_before[range.start] + self.spaces(range)
    }

    fn characters(&self, range: Range<usize>) -> usize {
        self.characters_before[range.end] - self.characters_before[range.start] + self.spaces(range)
    }

    fn text(&self, range: Range<usize>) -> String {
        let mut text = String::new();
        for word in &self.words[range] {
            if word.is_after_space && !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word.text);
        }
        text
    }

    /// Where a cue of these words can be divided into two lines that fit.
    fn divisions(&self, range: Range<usize>) -> impl Iterator<Item = usize> {
        (range.start + 1..range.end).filter(move |at| {
            self.columns(range.start..*at) + self.label <= self.columns && self.columns(*at..range.end) <= self.columns
        })
    }

    /// Whether these words can be one cue. A single word always can.
    fn fits(&self, range: Range<usize>) -> bool {
        if range.len() <= 1 {
            return true;
        }
        if let Some(most) = self.most_characters {
            return self.characters(range) <= most;
        }
        self.time(range.end) - self.time(range.start) <= LONGEST
            && (self.columns(range.clone()) + self.label <= self.columns || self.divisions(range).next().is_some())
    }

    /// The cuts that cost least: where cues end inside a clause, and cues that are short or hold several sentences.
    fn cheapest(&self) -> Vec<Range<usize>> {
        let count = self.words.len();
        // Of the words before each place: the least cost, and where its last cue begins.
        let mut best = vec![(0.0, 0)];
        for end in 1..=count {
            let mut cheapest = (f64::INFINITY, end - 1);
            for start in (0..end).rev() {
                if !self.fits(start..end) {
                    break;
                }
                let cost = best[start].0 + self.cost(start..end);
                if cost < cheapest.0 {
                    cheapest = (cost, start);
                }
            }
            best.push(cheapest);
        }
        let mut ranges = Vec::new();
        let mut end = count;
        while end > 0 {
            let start = best[end].1;
            ranges.push(start..end);
            end = start;
        }
        ranges.reverse();
        ranges
    }

    fn cost(&self, range: Range<usize>) -> f64 {
        let duration = self.time(range.end) - self.time(range.start);
        let is_last = range.end == self.words.len();
        let cut = if is_last { 0.0 } else { cost_of_end(self.words[range.end - 1].end) };
        let inside = &self.words[range.start..range.end - 1];
        let sentences = inside.iter().filter(|word| word.end == End::Sentence).count();
        let is_short = duration < SHORT && !(range.start == 0 && is_last);
        // Of two ways that are alike the more even one.
        let share = self.columns(range) as f64 / (2 * self.columns) as f64;
        1.0 + cut + 1.5 * sentences as f64 + if is_short { 1.5 } else { 0.0 } + 0.3 * (1.0 - share).powi(2)
    }

    /// The words as one line, or as two of about the same length, divided at a clause where there is one.
    fn lines(&self, range: Range<usize>) -> Vec<String> {
        if self.most_characters.is_some() || self.columns(range.clone()) + self.label <= self.columns {
            return vec![self.text(range)];
        }
        let unevenness = |at: usize| {
            let (upper, lower) = (self.columns(range.start..at) + self.label, self.columns(at..range.end));
            let end = cost_of_end(self.words[at - 1].end);
            upper.abs_diff(lower) as f64 + 4.0 * end
        };
        let division =
            self.divisions(range.clone()).min_by(|one, other| unevenness(*one).total_cmp(&unevenness(*other)));
        match division {
            Some(at) => vec![self.text(range.start..at), self.text(at..range.end)],
            None => vec![self.text(range)],
        }
    }
}

/// How little a cue likes to end there.
fn cost_of_end(end: End) -> f64 {
    match end {
        End::Sentence => 0.0,
        End::Clause => 1.0,
        End::Word => 3.0,
        End::Bound => 6.0,
        End::Inside => 10.0,
    }
}

#[cfg(test)]
#[path = "../../../tests/support/optional.rs"]
mod optional;

#[cfg(test)]
mod tests {
    use super::*;
    use qasr::units::SampleIndex;
    use unicode_segmentation::UnicodeSegmentation;

    const RATE: f64 = 16_000.0;

    fn segment(seconds: f64, text: &str) -> Segment {
        Segment {
            start: SampleIndex(32_000),
            end: SampleIndex(32_000 + (seconds * RATE) as u64),
            language: None,
            text: text.into(),
            tokens: Vec::new(),
            log_probabilities: Vec::new(),
            complete: true,
            channel: None,
        }
    }

    fn texts(seconds: f64, text: &str, cutting: Cutting) -> Vec<String> {
        cut(&segment(seconds, text), 0, cutting, 0).into_iter().map(|cue| cue.text).collect()
    }

    fn by(most_characters: usize, keep_words: bool) -> Cutting {
        Cutting { most_characters: Some(most_characters), keep_words }
    }

    /// Nothing is lost, repeated, empty, too long or out of order, whatever the text and its time.
    fn check(seconds: f64, text: &str, cutting: Cutting, label: usize) {
        let segment = segment(seconds, text);
        let cues = cut(&segment, 0, cutting, label);
        let letters = |text: &str| text.split_whitespace().collect::<String>();
        let joined: String = cues.iter().map(|cue| letters(&cue.text)).collect();
        assert_eq!(joined, letters(text), "{text}");
        let (first, last) = (2000, segment.end.milliseconds().max(2001));
        for (index, cue) in cues.iter().enumerate() {
            assert!(first <= cue.start && cue.start < cue.end, "{cue:?}");
            assert!(cue.end <= last.max(first + cues.len() as u64), "{cue:?}");
            assert!(!cue.text.trim().is_empty() && !cue.text.contains('\n'), "{cue:?}");
            assert_eq!(letters(&cue.lines.concat()), letters(&cue.text), "{cue:?}");
            assert!(cues.get(index + 1).is_none_or(|next| cue.end <= next.start), "{cues:?}");
            match cutting.most_characters {
                None => {
                    assert!(cue.end - cue.start <= LONGEST && cue.lines.len() <= 2, "{cue:?}");
                    for (line, free) in cue.lines.iter().zip([label, 0]) {
                        assert!(columns(line) + free <= COLUMNS, "{cue:?}");
                    }
                }
                Some(most) if !cutting.keep_words && most > 0 => {
                    // Graphemes stay whole.
                    let is_one = cue.text.graphemes(true).count() == 1;
                    assert!(is_one || cue.text.chars().count() <= most, "{cue:?}");
                }
                Some(_) => {}
            }
        }
        let is_cut = cues.len() > 1 || cues.iter().any(|cue| (cue.start, cue.end) != (first, last));
        assert!(cues.iter().all(|cue| cue.is_estimated == is_cut), "{cues:?}");
    }

    const ENGLISH: &str = "And so, my fellow Americans, ask not what your country can do for you; ask what you can do for \
        your country. Dr. Smith measured 3.5 litres at 10.30 a.m., and left. Why? Nobody knows.";
    const GERMAN: &str = "Donaudampfschifffahrtsgesellschaftskapitänswitwenrentenauszahlungsstelle heißt das Amt, in dem \
        Herr Müller am 3. Mai um 8 Uhr z.B. seine Rente holte. Danach ging er heim.";
    const CHINESE: &str = "今天天气很好，我们去公园散步吧。公园里有很多人，有的在跑步，有的在唱歌，还有孩子们在玩游戏。我们走了很久，一直走到太阳下山才回家";
    const JAPANESE: &str = "彼は「はい、そうです」と言って、静かに部屋を出ていきました。それから誰も彼を見た人はいませんでした。コンピューターだけが残っていました";

    #[test]
    fn cues_keep_the_rules_for_every_text_and_time() {
        let word = "a".repeat(300);
        let emoji = "👩‍👩‍👧‍👧".repeat(40);
        let long = [
            ENGLISH,
            CHINESE,
            GERMAN,
            "สวัสดีครับยินดีที่ได้รู้จักคุณวันนี้อากาศดีมากเราไปเดินเล่นกันเถอะนะครับผม",
            "한국어는 띄어쓰기가 있습니다. 그래서 단어 사이에서 나눕니다.",
        ]
        .concat();
        let texts = [
            "",
            " ",
            "a",
            "one two",
            ENGLISH,
            GERMAN,
            CHINESE,
            JAPANESE,
            &word,
            &emoji,
            &long,
            "1\n\n2\t\t3",
            "-- … --",
        ];
        for text in texts {
            for seconds in [0.0, 0.1, 0.9, 5.0, 29.9, 1200.0] {
                for label in [0, 7, 12] {
                    check(seconds, text, Cutting::default(), label);
                }
                for most in [0, 1, 7, 42, 1000] {
                    check(seconds, text, by(most, false), 0);
                    check(seconds, text, by(most, true), 0);
                }
            }
        }
    }

    #[test]
    fn cues_keep_the_rules_for_the_ten_longest_recordings() {
        let Some(clips) = optional::shared("audio/clips") else { return };
        let manifest = std::fs::read_to_string(clips.join("manifest.tsv")).unwrap();
        let mut rows = manifest.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let head = rows.next().unwrap();
        let [seconds, text] =
            ["seconds", "transcript"].map(|name| head.iter().position(|field| *field == name).unwrap());
        let mut rows: Vec<(f64, &str)> =
            rows.filter(|row| !row[text].is_empty()).map(|row| (row[seconds].parse().unwrap(), row[text])).collect();
        rows.sort_by(|one, other| other.0.total_cmp(&one.0));
        for (seconds, text) in &rows[..10] {
            check(*seconds, text, Cutting::default(), 0);
            // Speech at its own pace leaves no cue too short to read.
            let cues = cut(&segment(*seconds, text), 0, Cutting::default(), 0);
            assert!(cues.len() > 2 && cues.iter().all(|cue| cue.end - cue.start >= 800), "{cues:#?}");
        }
    }

    #[test]
    fn a_full_width_line_has_sixteen_characters() {
        for text in [CHINESE, JAPANESE] {
            let cues = cut(&segment(25.0, text), 0, Cutting::default(), 0);
            assert!(cues.iter().flat_map(|cue| &cue.lines).all(|line| line.chars().count() <= 16), "{cues:?}");
            // No line begins with a mark that closes something.
            let begins_wrong = |line: &String| "，。、」".contains(line.chars().next().unwrap());
            assert!(!cues.iter().flat_map(|cue| &cue.lines).any(begins_wrong), "{cues:?}");
        }
    }

    #[test]
    fn cuts_lie_at_sentences_then_clauses_then_words() {
        assert_eq!(
            texts(16.0, ENGLISH, Cutting::default()),
            [
                "And so, my fellow Americans, ask not what your country can do for you;",
                "ask what you can do for your country.",
                "Dr. Smith measured 3.5 litres at 10.30 a.m., and left.",
                "Why? Nobody knows."
            ]
        );
        let words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen";
        let cut = texts(10.0, words, Cutting::default());
        assert_eq!(cut.len(), 2, "{cut:?}");
        assert!(cut[0].len().abs_diff(cut[1].len()) < 10, "{cut:?}");
    }

    #[test]
    fn a_short_text_stays_one_cue_with_true_times() {
        let cue = &cut(&segment(6.0, ENGLISH.split(';').next().unwrap()), 4, Cutting::default(), 0)[0];
        assert_eq!((cue.start, cue.end, cue.is_estimated, cue.segment), (2000, 8000, false, 4));
        assert_eq!(cue.lines, ["And so, my fellow Americans,", "ask not what your country can do for you"]);
    }

    #[test]
    fn a_length_in_characters_cuts_between_words_and_inside_them_only_where_it_may() {
        assert_eq!(texts(4.0, "one two three", by(7, false)), ["one two", "three"]);
        assert_eq!(texts(4.0, "one enormously", by(5, false)), ["one", "enorm", "ously"]);
        assert_eq!(texts(4.0, "one enormously", by(5, true)), ["one", "enormously"]);
        assert_eq!(texts(4.0, "one two three", by(1, true)), ["one", "two", "three"]);
        assert_eq!(texts(400.0, "one two three", by(0, false)), ["one two three"]);
    }

    #[test]
    fn times_are_shares_of_the_text() {
        let cues = cut(&segment(20.0, "aaaa. bbbb. cccc. dddd. eeee."), 0, by(5, false), 0);
        assert_eq!(cues.iter().map(|cue| cue.start).collect::<Vec<_>>(), [2000, 6000, 10_000, 14_000, 18_000]);
        assert_eq!(cues.last().unwrap().end, 22_000);
    }
}
