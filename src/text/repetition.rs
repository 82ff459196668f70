//! Takes a loop out of generated text, exactly as the official package does.
//!
//! A character that stands more than 20 times in a row is written once. Then, in texts of at least 40 characters,
//! any pattern of 1 to 20 characters that stands at least 20 times in a row is written once; at each place the
//! shortest such pattern counts, and places are tried from left to right. Characters are code points.

use std::borrow::Cow;

/// Repeats from which on a pattern is a loop; a single character needs one more.
const THRESHOLD: usize = 20;

/// The longest pattern looked for, in characters.
const LONGEST_PATTERN: usize = 20;

/// The text without loops; borrowed when there was none. Time grows with the length of the text, not its square.
pub fn repair(text: &str) -> Cow<'_, str> {
    let characters: Vec<char> = text.chars().collect();
    let collapsed = collapse_patterns(&collapse_characters(&characters));
    if collapsed.len() == characters.len() { Cow::Borrowed(text) } else { Cow::Owned(collapsed.into_iter().collect()) }
}

fn collapse_characters(characters: &[char]) -> Vec<char> {
    let mut kept = Vec::with_capacity(characters.len());
    for run in characters.chunk_by(|one, next| one == next) {
        kept.extend_from_slice(if run.len() > THRESHOLD { &run[..1] } else { run });
    }
    kept
}

fn collapse_patterns(characters: &[char]) -> Vec<char> {
    let mut kept = Vec::with_capacity(characters.len());
    let mut periods: [Period; LONGEST_PATTERN] = std::array::from_fn(|index| Period { length: index + 1, end: 0 });
    let mut at = 0;
    // A loop needs room for the threshold of the shortest pattern worth looking for, two characters: closer to the
    // end the official package does not look, not even for one character repeated.
    while at + 2 * THRESHOLD <= characters.len() {
        let pattern = periods.iter_mut().find_map(|period| {
            let repeats = period.repeats_at(at, characters);
            (repeats >= THRESHOLD).then_some((period.length, repeats))
        });
        let (length, repeats) = pattern.unwrap_or((1, 1));
        kept.extend_from_slice(&characters[at..at + length]);
        at += length * repeats;
    }
    kept.extend_from_slice(&characters[at..]);
    kept
}

/// How far the text repeats itself at one distance. Asked for rising positions, it reads the text once.
struct Period {
    /// Length of the pattern: the distance at which characters are compared.
    length: usize,
    /// Found so far: every character from the last position asked for up to here equals the one `length` later.
    end: usize,
}

impl Period {
    /// How many times in a row the `length` characters at `at` stand there, at least once. The remaining text must
    /// be at least `length` long.
    fn repeats_at(&mut self, at: usize, characters: &[char]) -> usize {
        if self.end <= at {
            let later = characters.get(at + self.length..).unwrap_or_default();
            let equal = characters[at..].iter().zip(later).take_while(|(one, other)| one == other).count();
            self.end = at + equal;
        }
        (self.end - at) / self.length + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same rules in their plainest form: compare pieces of text at every place.
    fn plainly(text: &str) -> String {
        let mut rest: Vec<char> = collapse_characters(&text.chars().collect::<Vec<_>>());
        let mut kept = String::new();
        'places: while rest.len() >= 40 {
            for length in 1..=20 {
                let pattern = rest[..length].to_vec();
                let repeats = rest.chunks(length).take_while(|piece| *piece == pattern).count();
                if repeats >= 20 {
                    kept.extend(pattern);
                    rest.drain(..length * repeats);
                    continue 'places;
                }
            }
            kept.push(rest.remove(0));
        }
        kept.extend(rest);
        kept
    }

    #[test]
    fn thresholds_are_where_they_are() {
        for (text, count, expected) in [
            ("a", 19, "a".repeat(19)),
            ("a", 20, "a".repeat(20)),
            ("a", 21, "a".to_owned()),
            ("ab", 19, "ab".repeat(19)),
            ("ab", 20, "ab".to_owned()),
            ("ab", 21, "ab".to_owned()),
            ("中文", 20, "中文".to_owned()),
            ("abcdefghijklmnopqrst", 20, "abcdefghijklmnopqrst".to_owned()),
            ("abcdefghijklmnopqrstu", 20, "abcdefghijklmnopqrstu".repeat(20)),
        ] {
            assert_eq!(repair(&text.repeat(count)), expected, "{text} {count}");
        }
    }

    #[test]
    fn untouched_text_is_borrowed() {
        assert!(matches!(repair("one two three"), Cow::Borrowed(_)));
        assert!(matches!(repair(""), Cow::Borrowed(_)));
    }

    #[test]
    fn agrees_with_the_plain_form_on_seeded_loops() {
        let mut state = 7u64;
        let mut random = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        let mut changed = 0;
        for _ in 0..3000 {
            let mut text = String::new();
            for _ in 0..random(5) {
                let pattern: String = (0..1 + random(22)).map(|_| ['a', 'b', '中'][random(3) as usize]).collect();
                text.push_str(&pattern.repeat(if random(2) == 0 { 1 } else { 17 + random(8) as usize }));
            }
            let repaired = repair(&text);
            assert_eq!(repaired, plainly(&text), "{text}");
            changed += usize::from(repaired != text);
        }
        assert!(changed > 1000, "{changed}");
    }

    #[test]
    fn a_text_that_almost_repeats_is_read_once() {
        // The worst case for comparing piece by piece: every place begins a long almost-loop.
        let text = format!("{}b", "a".repeat(19)).repeat(100_000);
        let started = std::time::Instant::now();
        assert_eq!(repair(&text), format!("{}b", "a".repeat(19)));
        let torn = format!("{}{}", "abcdefghijklmnopqrs".repeat(19), "x").repeat(5_000);
        assert_eq!(repair(&torn), torn);
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }
}
