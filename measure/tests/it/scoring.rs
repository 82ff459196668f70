//! Scoring: differences that normalisers ignore, places of differences, and intervals of rates.

use qasr::text::Language;
use qasr_measure::scoring::{
    Bootstrap, Edit, Errors, Normalizer, Unit, align, character_distance, interval, is_loop, mean_interval, paired,
    score,
};
use std::process::Command;

/// Random numbers for tests.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn words(&mut self, length: usize, vocabulary: usize) -> Vec<String> {
        (0..length).map(|_| format!("w{}", self.below(vocabulary))).collect()
    }
}

fn slices(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[test]
fn basic_leaves_letters_digits_and_inner_apostrophes() {
    for (text, expected) in [
        ("Hello,  WORLD!\n", "hello world"),
        ("“Don’t” — he said: 'no'…", "don't he said no"),
        ("the dogs' bowls", "the dogs bowls"),
        ("twenty-one", "twenty one"),
        ("Straße STRASSE", "strasse strasse"),
        ("ｆｕｌｌ　ｗｉｄｔｈ　１２", "full width 12"),
        ("e\u{301}te\u{301} été", "été été"),
        ("İstanbul istanbul", "istanbul istanbul"),
        ("今天,天气。很好!", "今天 天气 很好"),
        ("สวัสดีครับ", "สวัสดีครับ"),
        ("नमस्ते, दुनिया", "नमस्ते दुनिया"),
        ("co\u{AD}operate \u{FEFF}bom", "cooperate bom"),
        ("cat´s l`homme", "cat's l'homme"),
        ("$5 + 3 = 8 €", "5 3 8"),
        ("...", ""),
        ("", ""),
    ] {
        assert_eq!(Normalizer::Basic.apply(text), expected, "{text:?}");
    }
}

#[test]
fn english_counts_numbers_and_contractions_alike() {
    for (one, other) in [
        ("six", "6"),
        ("Twenty-one men", "21 men"),
        ("five eight nine seven", "5897"),
        ("zero zero seven", "007"),
        ("In eighteen thirteen", "in 1813"),
        ("nineteen oh five", "1905"),
        ("nineteen hundred", "1900"),
        ("two thousand and five", "2,005"),
        ("one hundred and twenty three thousand four hundred and fifty six", "123,456"),
        ("three million", "3 million"),
        ("a hundred years", "100 years"),
        ("ninety nine percent", "99%"),
        ("don't", "do not"),
        ("I'm sure we'll see", "I am sure we will see"),
        ("can't, cannot", "can not can not"),
        ("It’s Mr. Smith & co", "it is mister smith and co"),
        ("I wouldn't've", "i would not have"),
        ("gonna won't", "going to will not"),
    ] {
        assert_eq!(Normalizer::English.apply(one), Normalizer::English.apply(other), "{one:?} {other:?}");
    }
    for (one, other) in [
        ("john's hat", "john is hat"),
        ("six", "seven"),
        ("twenty twenty", "40"),
        ("five and six", "11"),
        ("first", "1"),
        ("hundreds of men", "100 of men"),
    ] {
        assert_ne!(Normalizer::English.apply(one), Normalizer::English.apply(other), "{one:?} {other:?}");
    }
    for (text, expected) in [
        ("one thousand, two hundred", "1 2 0 0"),
        ("twelve thousand twenty", "1 2 0 2 0"),
        ("two thousand three million", "2 0 0 0 3 0 0 0 0 0 0"),
        ("two hundred five hundred", "2 0 0 5 0 0"),
        ("two thousand fifteen hundred", "2 0 0 0 1 5 0 0"),
        ("two million fifteen hundred", "2 0 0 1 5 0 0"),
        ("twenty ten", "2 0 1 0"),
        ("oh five oh no", "oh 5 oh no"),
        ("john's 4k tv, and five", "john's 4k tv and 5"),
    ] {
        assert_eq!(Normalizer::English.apply(text), expected, "{text:?}");
    }
}

#[test]
fn basic_twice_changes_nothing_more() {
    let parts = [
        "don't",
        "it's",
        "’tis",
        "’",
        "'",
        "twenty",
        "one",
        "hundred",
        "thousand",
        "and",
        "a",
        "5",
        "007",
        "1,000",
        "%",
        "&",
        "oh",
        "zero",
        "Straße",
        "İ",
        "ΟΔΟΣ",
        "ΐ",
        "ℌ",
        "½",
        "´",
        "今天。",
        "e\u{301}",
        "-",
        " ",
        "\u{200D}",
        "K",
    ];
    let mut random = Random(3);
    for _ in 0..3000 {
        let text: String = (0..1 + random.below(8))
            .map(|_| format!("{}{}", parts[random.below(parts.len())], [" ", ""][random.below(2)]))
            .collect();
        let once = Normalizer::Basic.apply(&text);
        assert_eq!(Normalizer::Basic.apply(&once), once, "{text:?}");
    }
}

#[test]
fn normalisers_have_names_and_languages() {
    for normalizer in Normalizer::ALL {
        assert_eq!(Normalizer::find(normalizer.name()), Some(normalizer));
        assert_eq!(serde_json::to_string(&normalizer).unwrap(), format!("{:?}", normalizer.name()));
    }
    assert_eq!(Normalizer::find("Whisper"), None);
    assert_eq!(Normalizer::for_language(Language::find("en")), Normalizer::English);
    assert_eq!(Normalizer::for_language(Language::find("de")), Normalizer::Basic);
    assert_eq!(Normalizer::for_language(None), Normalizer::Basic);
    assert_eq!(Normalizer::None.apply("A, b"), "A, b");
}

#[test]
fn units_follow_the_language_and_else_the_script() {
    for (language, truth, unit) in [
        ("zh", "", Unit::Characters),
        ("yue", "", Unit::Characters),
        ("ja", "", Unit::Characters),
        ("ko", "오늘 날씨", Unit::Characters),
        ("th", "", Unit::Characters),
        ("de", "今天", Unit::Words),
        ("", "今天天气 ok", Unit::Characters),
        ("", "play 今天 now", Unit::Words),
        ("", "", Unit::Words),
    ] {
        assert_eq!(Unit::choose(Language::find(language), truth), unit, "{language} {truth}");
    }
    assert_eq!(Unit::Characters.split("오늘 날씨\te\u{301}"), ["오", "늘", "날", "씨", "e\u{301}"]);
    assert_eq!(Unit::Words.split(" a  b\n"), ["a", "b"]);
}

#[test]
fn an_alignment_names_every_word_of_both_texts() {
    let scored = score("The cat sat on mats", "a cat sat there on", Normalizer::Basic, Unit::Words);
    let word = String::from;
    assert_eq!(
        scored.edits,
        [
            Edit::Substituted { truth: word("the"), heard: word("a") },
            Edit::Same(word("cat")),
            Edit::Same(word("sat")),
            Edit::Inserted(word("there")),
            Edit::Same(word("on")),
            Edit::Deleted(word("mats")),
        ]
    );
    assert_eq!(scored.errors, Errors { substitutions: 1, insertions: 1, deletions: 1, reference: 5 });
    assert_eq!((scored.errors.total(), scored.errors.rate()), (3, Some(0.6)));
    let by_character = score("今天 天气", "今天,大气好", Normalizer::Basic, Unit::Characters);
    assert_eq!(by_character.errors, Errors { substitutions: 1, insertions: 1, deletions: 0, reference: 4 });
    let invented = score("", "one two", Normalizer::Basic, Unit::Words).errors;
    assert_eq!((invented.insertions, invented.rate()), (2, None));
    assert_eq!(score("one two", "", Normalizer::Basic, Unit::Words).errors.deletions, 2);
}

#[test]
fn a_truth_with_a_rule_of_its_own_is_counted_by_that_rule() {
    let errors = |normalizer| score("six don't", "6 do not", normalizer, Unit::Words).errors.total();
    assert_eq!(Normalizer::ALL.map(errors), [3, 3, 0]);
}

#[test]
fn alignments_are_as_short_as_the_crate_says_and_spell_both_texts() {
    let mut random = Random(11);
    for round in 0..1500 {
        let vocabulary = 1 + random.below(6);
        let (long, short) = (random.below(40), random.below(40));
        let truth = random.words(long, vocabulary);
        let heard = random.words(short, vocabulary);
        let (truth, heard) = (slices(&truth), slices(&heard));
        let edits = align(&truth, &heard);
        let errors = Errors::count(&edits);
        assert_eq!(errors.total(), strsim::generic_levenshtein(&truth, &heard), "round {round}: {truth:?} {heard:?}");
        assert_eq!(errors.reference, truth.len());
        let (mut said, mut found) = (Vec::new(), Vec::new());
        for edit in &edits {
            match edit {
                Edit::Same(unit) => (said.push(unit.as_str()), found.push(unit.as_str())),
                Edit::Substituted { truth, heard } => {
                    assert_ne!(truth, heard);
                    (said.push(truth), found.push(heard))
                }
                Edit::Inserted(unit) => ((), found.push(unit)),
                Edit::Deleted(unit) => (said.push(unit), ()),
            };
        }
        assert_eq!((said, found), (truth.clone(), heard.clone()));
        // Of all alignments that short, one with the fewest substitutions.
        if truth.len() + heard.len() < 14 {
            assert_eq!((errors.total(), errors.substitutions), fewest(&truth, &heard), "{truth:?} {heard:?}");
        }
    }
}

/// Every alignment tried: fewest errors, and fewest substitutions among those.
fn fewest(truth: &[&str], heard: &[&str]) -> (usize, usize) {
    match (truth, heard) {
        ([], rest) | (rest, []) => (rest.len(), 0),
        ([said, truth_rest @ ..], [found, heard_rest @ ..]) => {
            let plus = |(errors, substitutions): (usize, usize), more: usize, substituted: usize| {
                (errors + more, substitutions + substituted)
            };
            let differs = usize::from(said != found);
            let both = plus(fewest(truth_rest, heard_rest), differs, differs);
            let deleted = plus(fewest(truth_rest, heard), 1, 0);
            both.min(deleted).min(plus(fewest(truth, heard_rest), 1, 0))
        }
    }
}

#[test]
fn long_texts_are_aligned_in_little_memory() {
    // In a process of its own: the memory of tests that run at the same time would count.
    const ALONE: &str = "QASR_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = "scoring::long_texts_are_aligned_in_little_memory";
        let alone =
            Command::new(std::env::current_exe().unwrap()).args(["--exact", name]).env(ALONE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&alone.stdout);
        assert!(
            alone.status.success() && told.contains("1 passed"),
            "{told}{}",
            String::from_utf8_lossy(&alone.stderr)
        );
        return;
    }
    let mut random = Random(5);
    let truth = random.words(8000, 400);
    let mut heard = truth.clone();
    for _ in 0..900 {
        let at = random.below(heard.len());
        match random.below(3) {
            0 => heard[at] = format!("w{}", random.below(400)),
            1 => heard.insert(at, format!("w{}", random.below(400))),
            _ => drop(heard.remove(at)),
        }
    }
    let (truth, heard) = (slices(&truth), slices(&heard));
    let before = peak_kilobytes();
    let errors = Errors::count(&align(&truth, &heard));
    let grown = peak_kilobytes() - before;
    assert_eq!(errors.total(), strsim::generic_levenshtein(&truth, &heard));
    // A table of 8000 × 8000 would take 64 MB at a byte per cell.
    assert!(grown < 8_000, "{grown} kB");
}

/// Peak memory so far, where the system reports it; else 0, and nothing is compared.
fn peak_kilobytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

#[test]
fn characters_are_counted_without_white_space() {
    let distance = character_distance("Ab cd", "abxcd e", Normalizer::Basic);
    assert_eq!((distance.errors, distance.reference, distance.rate()), (2, 4, Some(0.5)));
    assert_eq!(character_distance("", "x", Normalizer::Basic).rate(), None);
}

fn file(errors: usize, reference: usize) -> Errors {
    Errors { substitutions: errors, reference, ..Errors::default() }
}

#[test]
fn an_interval_holds_the_rate_and_narrows_with_more_files() {
    let mut random = Random(17);
    let mut files = |count: usize| -> Vec<Errors> { (0..count).map(|_| file(random.below(4), 10)).collect() };
    let (few, many) = (files(20), files(2000));
    let bootstrap = Bootstrap { resamples: 2000, seed: 1 };
    let width = |files: &[Errors]| {
        let rate = files.iter().copied().sum::<Errors>().rate().unwrap();
        let interval = interval(files, bootstrap).unwrap();
        assert!(interval.low < rate && rate < interval.high, "{interval:?} {rate}");
        interval.high - interval.low
    };
    let (wide, narrow) = (width(&few), width(&many));
    // Errors of 0 to 3 in 10: a standard deviation of 0.1118 per file, so 2 × 1.96 × 0.1118 / √n.
    assert!((0.07..0.13).contains(&wide), "{wide}");
    assert!((0.0088..0.0108).contains(&narrow), "{narrow}");
    assert_eq!(interval(&few, bootstrap), interval(&few, bootstrap));
    assert_ne!(interval(&many, bootstrap), interval(&many, Bootstrap { seed: 2, ..bootstrap }));
}

#[test]
fn about_95_of_100_intervals_hold_the_truth() {
    let mut random = Random(23);
    let mut held = 0;
    for seed in 0..300 {
        // One error in ten, in files of different length.
        let files: Vec<Errors> = (0..40)
            .map(|_| {
                let length = 5 + random.below(20);
                file((0..length).filter(|_| random.below(10) == 0).count(), length)
            })
            .collect();
        let interval = interval(&files, Bootstrap { resamples: 400, seed }).unwrap();
        held += usize::from(interval.low <= 0.1 && 0.1 <= interval.high);
    }
    assert!((270..=296).contains(&held), "{held} of 300");
}

#[test]
fn a_paired_difference_ignores_what_is_hard_for_both() {
    let mut random = Random(29);
    let first: Vec<Errors> = (0..100).map(|_| file(random.below(8), 10)).collect();
    let second: Vec<Errors> = first.iter().map(|one| file(one.total() + random.below(2), 10)).collect();
    let bootstrap = Bootstrap { resamples: 2000, seed: 1 };
    let difference = paired(&first, &second, bootstrap).unwrap();
    let sum = |files: &[Errors]| files.iter().copied().sum::<Errors>().rate().unwrap();
    assert!((difference.points - 100.0 * (sum(&second) - sum(&first))).abs() < 1e-9);
    assert!(difference.low > 2.0 && difference.high < 8.0, "{difference:?}");
    assert!(difference.low < difference.points && difference.points < difference.high, "{difference:?}");
    // Taken alone, the intervals overlap.
    let (one, other) = (interval(&first, bootstrap).unwrap(), interval(&second, bootstrap).unwrap());
    assert!(one.high > other.low, "{one:?} {other:?}");
    let back = paired(&second, &first, bootstrap).unwrap();
    assert!((back.points + difference.points).abs() < 1e-9);
    let same = paired(&first, &first, bootstrap).unwrap();
    assert_eq!((same.points, same.low, same.high), (0.0, 0.0, 0.0));
}

#[test]
fn too_little_gives_no_interval() {
    let bootstrap = Bootstrap::default();
    for files in [&[][..], &[file(0, 0), file(2, 0)], &[file(1, 10)], &[file(1, 10), file(3, 0)]] {
        assert_eq!(interval(files, bootstrap), None, "{files:?}");
        assert_eq!(paired(files, files, bootstrap), None, "{files:?}");
    }
    assert_eq!(paired(&[file(1, 10), file(1, 10)], &[file(1, 10)], bootstrap), None);
    assert_eq!(interval(&[file(1, 10), file(1, 10)], Bootstrap { resamples: 0, seed: 1 }), None);
    // Words heard in silence count, in the draws that have any truth beside them.
    let with_silence = [file(0, 10), file(0, 10), Errors { insertions: 5, ..Errors::default() }];
    assert!(interval(&with_silence, bootstrap).unwrap().high > 0.2);
}

#[test]
fn a_loop_is_a_cycle_that_nobody_said() {
    let loops = |heard: &str, truth: Option<&str>| is_loop(heard, truth, Unit::Words);
    let repeated = |phrase: &str, count: usize| [phrase].repeat(count).join(" ");
    assert!(loops(&repeated("you", 8), None));
    assert!(!loops(&repeated("you", 7), None));
    assert!(loops(&repeated("thank you.", 4), None));
    assert!(!loops(&repeated("a b c d e f g h", 3), None));
    assert!(loops(&repeated("A b, c d e f g h!", 4), None));
    assert!(!loops(&repeated("a b c d e f g h i", 6), None), "nine words are not looked for");
    assert!(loops(&format!("so this is it {} good bye", repeated("it is", 5)), Some("so this is it")));
    // Said is said.
    let ones = repeated("one", 9);
    assert!(loops(&ones, None));
    assert!(!loops(&ones, Some(&ones)));
    assert!(!loops(&repeated("one", 12), Some(&ones)));
    assert!(loops(&repeated("one", 17), Some(&ones)));
    assert!(!loops("", None) && !loops("one", Some("")));
    assert!(!loops("one two three four five six seven eight one two three four five six seven eight", None));
    // Scripts without spaces, by character.
    assert!(is_loop(&"谢谢大家".repeat(4), None, Unit::Characters));
    assert!(!is_loop("谢谢大家今天天气很好", None, Unit::Characters));
    assert!(is_loop(&"ありがとうございましたまたあした。".repeat(4), Some("ありがとう"), Unit::Characters));
    assert!(!is_loop(&"谢谢大家".repeat(4), None, Unit::Words));
}

#[test]
fn a_weighted_mean_has_the_interval_of_a_rate() {
    let files: Vec<Errors> =
        (0..20).map(|i| Errors { substitutions: i % 4, insertions: 0, deletions: 0, reference: 5 + i % 3 }).collect();
    let same: Vec<(f64, f64)> = files.iter().map(|file| (file.total() as f64, file.reference as f64)).collect();
    let (rate, mean) =
        (interval(&files, Bootstrap::default()).unwrap(), mean_interval(&same, Bootstrap::default()).unwrap());
    assert!((rate.low - mean.low).abs() < 1e-12 && (rate.high - mean.high).abs() < 1e-12, "{rate:?} {mean:?}");
    assert_eq!(mean_interval(&same[..1], Bootstrap::default()), None);
    assert_eq!(mean_interval(&[(1.0, 0.0), (2.0, 3.0)], Bootstrap::default()), None);
}
