//! `qasr recipe` through the binary: results, kept work, refusals.

use crate::command::{Prepared, Scratch, qasr};
use qasr_convert::Recipe;
use std::path::Path;
use std::time::Instant;

const CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/checkpoint");
const SIX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");

fn folder(test: &str) -> Scratch {
    let scratch = Scratch::new(test);
    scratch.copy(SIX, "six.wav");
    scratch.write("list.tsv", b"file\ttext\tlanguage\nsix.wav\tseven six nine two five go\ten\n");
    scratch
}

/// A search among few types, kept in the folder `work`.
fn recipe(scratch: &Scratch, more: &[&str]) -> Prepared {
    let (list, work, out) = (scratch.path("list.tsv"), scratch.path("work"), scratch.path("mine.recipe"));
    let fixed = ["recipe", CHECKPOINT, &list, "--types", "q8_0,q4_0", "--work", &work, "-o", &out];
    qasr(&[&fixed, more].concat())
}

fn number(plan: &Recipe, what: &str) -> f64 {
    let line = plan.cost.iter().find_map(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("{what}: {plan:?}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn written(scratch: &Scratch) -> Recipe {
    Recipe::find(Path::new(&scratch.path("mine.recipe"))).unwrap()
}

#[test]
fn a_recipe_keeps_its_budget_says_its_cost_and_makes_the_files_it_promised() {
    let scratch = folder("recipe");
    let run = recipe(&scratch, &["--target-size", "6.5M"]).succeeds();
    assert!(run.stdout.contains("decoder attention") && run.stdout.contains("Chosen:"), "{}", run.stdout);
    let plan = written(&scratch);
    assert_eq!((plan.name.as_deref(), plan.overrides.len()), (Some("mine"), 7));
    let size = number(&plan, "size ");
    assert!(size <= 6.5e6 && size > 5.2e6, "{size}");
    // All of one type would not have been better within the budget, and some of each is in it.
    let kinds: Vec<&str> = plan.overrides.iter().map(|item| item.kind().name()).collect();
    assert!(kinds.contains(&"q8_0") && kinds.contains(&"q4_0"), "{kinds:?}");

    // The recipe takes quantize to the size that was measured, and its cost is in the file.
    let made = scratch.path("made");
    qasr(&["convert", CHECKPOINT, "--recipe", &scratch.path("mine.recipe"), "--name", "x", "-o", &made]).succeeds();
    let bytes: u64 = std::fs::read_dir(&made).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    // Names and the recipe's text in the headers differ by some hundred bytes.
    assert!((bytes as f64 - size).abs() < 4096.0, "{bytes} made, {size} measured");
    let decoder = std::fs::read_dir(&made).unwrap().map(|entry| entry.unwrap().path());
    let decoder = decoder.into_iter().find(|path| !path.to_string_lossy().contains("mmproj")).unwrap();
    let inspected = qasr(&["inspect", "-v", &decoder.to_string_lossy()]).succeeds();
    assert!(inspected.stdout.contains("nats per token"), "{}", inspected.stdout);

    // What was measured is not measured again.
    let started = Instant::now();
    let again = recipe(&scratch, &["--target-size", "6.5M"]).succeeds();
    assert!(again.stderr.contains("trials are known from an earlier run"), "{}", again.stderr);
    assert_eq!(again.stdout, run.stdout, "after {:?}", started.elapsed());

    // A divergence is kept as well.
    let kl = number(&plan, "kl ");
    recipe(&scratch, &["--max-kl", &format!("{}", kl * 1.5)]).succeeds();
    let looser = written(&scratch);
    assert!(number(&looser, "kl ") <= kl * 1.5, "{looser:?}");
}

#[test]
fn a_recipe_that_is_there_is_measured() {
    let scratch = folder("recipe-measure");
    recipe(&scratch, &["--measure", "balanced"]).succeeds();
    let (measured, shipped) = (written(&scratch), Recipe::shipped("balanced").unwrap());
    assert_eq!((&measured.name, measured.overrides.len()), (&shipped.name, shipped.overrides.len()));
    let kl = number(&measured, "kl ");
    recipe(&scratch, &["--measure", "safe"]).succeeds();
    assert!(number(&written(&scratch), "kl ") < kl, "safe costs no less than balanced ({kl})");
    // Importance reaches the trials.
    let imatrix = scratch.path("imatrix.gguf");
    qasr(&["imatrix", &scratch.path("list.tsv"), "-o", &imatrix]).succeeds();
    recipe(&scratch, &["--measure", "balanced", "--imatrix", &imatrix]).succeeds();
    assert_ne!(number(&written(&scratch), "kl "), kl, "an importance matrix changes nothing");
}

#[test]
fn what_cannot_be_found_is_refused_and_nothing_is_written() {
    let scratch = folder("recipe-refused");
    for (more, code, what) in [
        (&["--target-size", "1M"][..], 2, "smallest is about 5."),
        (&["--target-size", "1M"], 2, "raise --target-size or give smaller --types"),
        (&["--max-kl", "0.0000000001"], 2, "raise --max-kl"),
        (&[], 2, "--target-size"),
        (&["--target-size", "5M", "--max-kl", "0.1"], 2, "--max-kl"),
        (&["--target-size", "lots"], 2, "450M"),
        (&["--target-size", "6M", "--types", "q9_9"], 2, "q9_9"),
        (&["--target-size", "6M", "--longest", "1"], 2, "--longest"),
        (&["--target-size", "6M", "--name", "a b"], 2, "--name"),
        (&["--target-size", "6M", "--imatrix", "absent.gguf"], 4, "absent.gguf"),
        (&["--measure", "absent.recipe"], 2, "absent.recipe"),
    ] {
        let run = recipe(&scratch, more).succeeds_or_fails_with(code);
        assert_eq!(run.code, Some(code), "{more:?}: {}", run.stderr);
        assert!(run.stderr.contains(what), "{more:?}: {}", run.stderr);
        assert!(!scratch.names().contains(&"mine.recipe".to_owned()), "{more:?}");
    }
}
