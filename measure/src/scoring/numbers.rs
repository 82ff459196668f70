//! English numbers, written as single digits: what is heard as `five eight nine` and what is written as `589` must not
//! differ, and neither form says which of them was meant.

/// The words with every number among them as single digits, joined with spaces.
pub fn as_digits(words: &[&str]) -> String {
    let mut result: Vec<String> = Vec::with_capacity(words.len());
    let mut at = 0;
    let mut follows_number = false;
    while at < words.len() {
        let is_zero = words[at] == "oh" && follows_number && words.get(at + 1).is_some_and(|next| begins_number(next));
        let (digits, used) = match number_at(&words[at..]) {
            Some((value, used)) => (value.to_string(), used),
            None if is_zero => ("0".into(), 1),
            // Leading zeros are spoken, so they are kept.
            None if is_digits(words[at]) => (words[at].into(), 1),
            None => (String::new(), 1),
        };
        follows_number = !digits.is_empty();
        if follows_number {
            result.extend(digits.chars().map(String::from));
        } else {
            result.push(words[at].to_owned());
        }
        at += used;
    }
    result.join(" ")
}

fn is_digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn begins_number(word: &str) -> bool {
    is_digits(word) || word == "zero" || below_hundred(&[word]).is_some()
}

const SCALES: [(&str, u64); 3] = [("billion", 1_000_000_000), ("million", 1_000_000), ("thousand", 1000)];

/// The number that begins here, and how many words it takes.
fn number_at(words: &[&str]) -> Option<(u64, usize)> {
    if words.first() == Some(&"zero") {
        return Some((0, 1));
    }
    let (mut total, mut used) = (0, 0);
    let mut largest = u64::MAX;
    loop {
        let start = used + usize::from(used > 0 && words.get(used) == Some(&"and"));
        let Some((group, length)) = below_thousands(words.get(start..).unwrap_or_default()) else {
            break;
        };
        let scale = words.get(start + length).and_then(|word| SCALES.iter().find(|(name, _)| name == word));
        match scale {
            Some((_, scale)) if *scale < largest => {
                total += group * scale;
                used = start + length + 1;
                largest = *scale;
            }
            // `two thousand three million` is two numbers.
            Some(_) => break,
            // What comes behind `thousand` without a scale of its own must fit below it, or is the next number.
            None if group < largest => {
                total += group;
                used = start + length;
                break;
            }
            None => break,
        }
    }
    (used > 0).then_some((total, used))
}

/// Up to `ninety nine hundred and ninety nine`; `a hundred`; digits only where a word behind them multiplies.
fn below_thousands(words: &[&str]) -> Option<(u64, usize)> {
    let multiplies = |word: Option<&&str>| {
        word.is_some_and(|word| *word == "hundred" || SCALES.iter().any(|(name, _)| name == word))
    };
    let (count, length) = match words.first()? {
        &"a" if multiplies(words.get(1)) => (1, 1),
        word if is_digits(word) && word.len() <= 4 && !word.starts_with('0') && multiplies(words.get(1)) => {
            (word.parse().ok()?, 1)
        }
        _ => below_hundred(words)?,
    };
    if words.get(length) != Some(&"hundred") {
        return Some((count, length));
    }
    let hundreds = length + 1;
    let rest = hundreds + usize::from(words.get(hundreds) == Some(&"and"));
    let below = below_hundred(words.get(rest..).unwrap_or_default());
    // `two hundred five hundred` is two numbers.
    match below.filter(|(_, length)| words.get(rest + length) != Some(&"hundred")) {
        Some((value, length)) => Some((count * 100 + value, rest + length)),
        None => Some((count * 100, hundreds)),
    }
}

/// One to ninety-nine.
fn below_hundred(words: &[&str]) -> Option<(u64, usize)> {
    const SMALL: &str = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen \
                         seventeen eighteen nineteen";
    const TENS: &str = "twenty thirty forty fifty sixty seventy eighty ninety";
    let place = |names: &str, word: Option<&&str>| {
        word.and_then(|word| names.split(' ').position(|name| name == *word)).map(|place| place as u64)
    };
    let small = |word| place(SMALL, word).map(|place| place + 1);
    if let Some(value) = small(words.first()) {
        return Some((value, 1));
    }
    let tens = place(TENS, words.first())? * 10 + 20;
    match small(words.get(1)).filter(|unit| *unit < 10) {
        Some(unit) => Some((tens + unit, 2)),
        None => Some((tens, 1)),
    }
}
