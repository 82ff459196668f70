//! The library's distances, and word errors on texts that are split at white space.

pub use qasr_measure::depths::metrics::*;

/// Word errors (substitutions, insertions, deletions) and words of the truth; texts are split at white space.
pub fn word_errors(truth: &str, heard: &str) -> (usize, usize) {
    let heard: Vec<&str> = heard.split_whitespace().collect();
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    let mut words = 0;
    for word in truth.split_whitespace() {
        words += 1;
        let mut diagonal = row[0];
        row[0] = words;
        for (j, other) in heard.iter().enumerate() {
            let cost = diagonal + usize::from(word != *other);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    (row[heard.len()], words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(word_errors("one two three", "one two three"), (0, 3));
        assert_eq!(word_errors("one two three", "one  three"), (1, 3));
        assert_eq!(word_errors("one two", "zero one to"), (2, 2));
        assert_eq!(word_errors("", "go stop"), (2, 0));
        assert_eq!(word_errors("go stop", ""), (2, 2));
    }
}
