//! A model over a manifest through the library's public face, with the demo model.

use crate::optional;

use crate::scratch::{Scratch, wav};
use qasr::text::Language;
use qasr::{ErrorKind, Model, ModelOptions};
use qasr_measure::evaluation::{
    EvaluationOptions, FileResult, Manifest, ModelLine, ProcessLine, ResultJournal, Share, Summary, compare, run,
    run_identity,
};
use qasr_measure::identity::ModelIdentity;
use qasr_measure::journal::Identity;
use qasr_measure::scoring::{Errors, Normalizer, Unit};
use std::fs;
use std::path::Path;

const THREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/sample.flac");
const SIX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");

fn model() -> Model {
    let mut options = ModelOptions::default();
    options.threads = 1;
    Model::open_demo(&options).unwrap()
}

/// A folder with two recordings, a silent one and one that is none.
fn folder(test: &str) -> Scratch {
    let scratch = Scratch::new(test);
    scratch.copy(THREE, "three.flac");
    scratch.copy(SIX, "six.wav");
    scratch.write("silence.wav", &wav(&[0; 16_000]));
    scratch.write("broken.wav", b"RIFF and nothing behind it");
    scratch
}

fn read(scratch: &Scratch, name: &str, text: &str) -> qasr::Result<Manifest> {
    Manifest::read(Path::new(&scratch.write(name, text.as_bytes())))
}

fn refusal(scratch: &Scratch, name: &str, text: &[u8]) -> String {
    let error = Manifest::read(Path::new(&scratch.write(name, text))).expect_err(name);
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    error.to_string()
}

const TABLE: &str = "language\tfile\tcategory\ttext\n\
                     en\tthree.flac\tread\tOne, 2 four!\n\
                     German\tsix.wav\tread\tseven six nine two five go\n\
                     none\tsilence.wav\tquiet\t\n\
                     en\tbroken.wav\t\tlost\n";

fn results(scratch: &Scratch, options: &EvaluationOptions) -> Vec<FileResult> {
    run(&model(), &read(scratch, "m.tsv", TABLE).unwrap(), options, None, &mut |_| {}).unwrap()
}

fn of_run(manifest: &Manifest, options: &EvaluationOptions) -> Identity {
    run_identity(&manifest.identity, &ModelIdentity::read(None).unwrap(), "1", &options.identity().unwrap())
}

#[test]
fn a_table_and_json_lines_say_the_same() {
    let scratch = folder("same");
    let table = read(&scratch, "m.tsv", &TABLE.replace('\n', "\r\n")).unwrap();
    let lines = "\u{FEFF}{\"file\":\"three.flac\",\"text\":\"One, 2 four!\",\"language\":\"en\",\"category\":\"read\",\"other\":1}\n\n\
         {\"file\":\"six.wav\",\"transcript\":\"seven six nine two five go\",\"language\":\"de\",\"category\":\"read\"}\n\
         {\"file\":\"silence.wav\",\"text\":\"\",\"category\":\"quiet\"}\n\
         {\"file\":\"broken.wav\",\"text\":\"lost\",\"language\":\"en\"}\n";
    for name in ["m.jsonl", "m.txt"] {
        let json = read(&scratch, name, lines).unwrap();
        let without_line = |manifest: &Manifest| {
            manifest
                .entries
                .iter()
                .cloned()
                .map(|entry| (entry.name, entry.file, entry.text, entry.language, entry.category))
                .collect::<Vec<_>>()
        };
        assert_eq!(without_line(&json), without_line(&table));
        assert_eq!(json.entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [1, 3, 4, 5]);
    }
    // A CSV quotes commas, and NeMo has another name for the recording.
    let csv = "audio_filepath,text,language,category\nthree.flac,\"One, 2 four!\",en,read\n\n\"six.wav\",seven,de,\n";
    let csv = read(&scratch, "m.csv", csv).unwrap();
    assert_eq!(csv.entries[0], table.entries[0]);
    assert_eq!((csv.entries[1].line, csv.entries[1].text.as_deref()), (4, Some("seven")));
    let nemo =
        read(&scratch, "n.json", "{\"audio_filepath\": \"six.wav\", \"duration\": 2.5, \"text\": \"go\"}").unwrap();
    assert_eq!((nemo.entries[0].name.as_str(), nemo.entries[0].text.as_deref()), ("six.wav", Some("go")));
    assert_eq!(table.entries[1].language, Language::find("de"));
    assert_eq!((table.entries[2].language, table.entries[2].text.as_deref()), (None, Some("")));
    assert!(table.entries[0].file.is_file());
}

#[test]
fn only_a_text_that_someone_vouches_for_is_truth() {
    let scratch = folder("truth");
    let rows =
        [("human", true), ("reference", true), ("script", true), ("model:X", false), ("slots", false), ("none", false)];
    for (source, is_truth) in rows {
        let table = format!("file\ttranscript\ttranscript_source\nsix.wav\tseven\t{source}\n");
        let manifest = read(&scratch, "m.tsv", &table).unwrap();
        assert_eq!(manifest.entries[0].text.is_some(), is_truth, "{source}");
    }
    let manifest = read(&scratch, "m.tsv", "file\ttranscript_source\nsix.wav\tnone\n").unwrap();
    assert_eq!(manifest.entries[0].text, None);
    assert_eq!(read(&scratch, "m.jsonl", "{\"file\":\"six.wav\"}").unwrap().entries[0].text, None);
}

#[test]
fn a_manifest_that_cannot_work_is_refused_with_line_and_remedy() {
    let scratch = folder("refused");
    let cases: [(&str, &[u8], &[&str]); 16] = [
        ("a.tsv", b"path\ttext\nsix.wav\tx\n", &["a.tsv, line 1", "no column `file`", "path, text"]),
        ("b.tsv", b"file\twords\nsix.wav\tx\n", &["line 1", "`text` or `transcript`", "transcript_source"]),
        ("c.tsv", b"file\ttext\tfile\nsix.wav\tx\ty\n", &["`file` twice"]),
        ("d.tsv", b"file\ttext\nsix.wav\tx\nthree.flac\n", &["line 3", "1 fields, the header 2"]),
        ("e.tsv", b"file\ttext\nsix.wav\tx\n\n./six.wav\ty\n", &["line 4", "line 2 already"]),
        ("f.tsv", b"file\ttext\ngone.wav\tx\nsix.wav\ty\nlost.wav\tz\n", &["2 of 3", "gone.wav, lost.wav", "line 2"]),
        ("g.tsv", b"file\ttext\n", &["g.tsv lists no recording"]),
        ("h.tsv", b"", &["h.tsv lists no recording"]),
        ("i.tsv", b"file\ttext\nsix.wav\t\xff\n", &["line 2", "not UTF-8"]),
        ("j.tsv", b"file\ttext\tlanguage\nsix.wav\tx\tKlingon\n", &["line 2", "Klingon", "leave it empty"]),
        ("k.tsv", b"file\ttext\n\tx\n", &["line 2", "names no file"]),
        ("l.jsonl", b"{\"file\":\"six.wav\"}\n{\"file\":\n", &["line 2", "not a JSON object"]),
        ("m.jsonl", b"{\"text\":\"x\"}\n", &["line 1", "names no file"]),
        ("q.csv", b"file,text\nsix.wav,one, two\n", &["line 2", "3 fields, the header 2", "a comma", "without quotes"]),
        ("r.csv", b"file;text\nsix.wav;x\n", &["line 1", "no column `file`", "file;text"]),
        ("n.jsonl", b"{\"file\":\"six.wav\",\"text\":6}\n", &["line 1", "`text` is 6"]),
    ];
    for (name, text, parts) in cases {
        let sentence = refusal(&scratch, name, text);
        assert!(parts.iter().all(|part| sentence.contains(part)), "{sentence}");
    }
    let around = Path::new(&scratch.path("")).file_name().unwrap().to_str().unwrap().to_owned();
    let sentence = refusal(&scratch, "p.tsv", format!("file\ttext\nsix.wav\tx\n../{around}/six.wav\ty\n").as_bytes());
    assert!(sentence.contains("line 3") && sentence.contains("line 2 already"), "{sentence}");
    let many: String = (0..50).map(|index| format!("gone{index}.wav\tx\n")).collect();
    let sentence = refusal(&scratch, "o.tsv", format!("file\ttext\n{many}").as_bytes());
    assert!(sentence.contains("50 of 50") && sentence.contains("and 30 more"), "{sentence}");
    let error = Manifest::read(Path::new("nowhere/at/all.tsv")).unwrap_err();
    assert!(error.kind() == ErrorKind::Usage && error.to_string().contains("nowhere/at/all.tsv"), "{error}");
}

#[test]
fn every_recording_has_a_result_and_a_bad_one_ends_nothing() {
    let results = results(&folder("results"), &EvaluationOptions::default());
    let [three, six, silence, broken] = &results[..] else { panic!("{results:?}") };
    assert_eq!(three.heard, "one two three");
    assert_eq!(three.errors, Some(Errors { substitutions: 1, insertions: 0, deletions: 0, reference: 3 }));
    assert_eq!((three.normalizer, three.unit), (Normalizer::English, Unit::Words));
    // As digits: 1 2 4 against 1 2 3.
    let characters = three.character_errors.unwrap();
    assert_eq!((characters.errors, characters.reference), (1, 3));
    assert_eq!((three.language_expected.as_deref(), three.language_heard.as_deref()), (Some("en"), Some("en")));
    assert!((three.seconds - 2.75).abs() < 0.01 && three.times.wall_ms > 0.0 && three.new_tokens > 0);
    assert!(three.times.wall_ms >= three.times.encode_ms + three.times.decode_ms);
    assert_eq!((six.language_expected.as_deref(), six.normalizer), (Some("de"), Normalizer::Basic));
    assert_eq!(six.errors.unwrap().total(), 0);
    assert!(!silence.is_missing && !silence.is_invented && silence.failure.is_none(), "{silence:?}");
    assert_eq!(silence.truth.as_deref(), Some(""));
    let failure = broken.failure.as_ref().unwrap();
    assert!(failure.message.contains("broken.wav") && !failure.is_of_model, "{failure:?}");
    assert!(broken.errors.is_none() && broken.heard.is_empty());
}

#[test]
fn missing_and_invented_texts_are_told_apart() {
    let scratch = folder("missing");
    let table = "file\ttext\nsilence.wav\tone two\nsix.wav\t...\nthree.flac\tone two three\n";
    let manifest = read(&scratch, "m.tsv", table).unwrap();
    let results = run(&model(), &manifest, &EvaluationOptions::default(), None, &mut |_| {}).unwrap();
    let flags: Vec<_> = results.iter().map(|result| (result.is_missing, result.is_invented)).collect();
    assert_eq!(flags, [(true, false), (false, true), (false, false)]);
    let all = Summary::new(&results).all;
    assert_eq!((all.missing, all.invented), (Share { count: 1, of: 2 }, Share { count: 1, of: 1 }));
    let errors = all.words.unwrap().errors;
    assert_eq!((errors.deletions, errors.insertions, errors.reference), (2, 6, 5));
}

#[test]
fn the_language_can_be_the_models_the_manifests_or_ours() {
    let scratch = folder("language");
    let languages = |options: &EvaluationOptions| -> Vec<Option<String>> {
        results(&scratch, options).into_iter().take(2).map(|result| result.language_heard).collect()
    };
    let own = EvaluationOptions::default();
    assert_eq!(languages(&own), [Some("en".to_owned()), Some("en".to_owned())]);
    let mut forced = EvaluationOptions::default();
    forced.transcribe.language = Language::find("en");
    assert_eq!(languages(&forced), [None, None]);
    let mut by_manifest = EvaluationOptions::default();
    by_manifest.use_manifest_language = true;
    let held = results(&scratch, &by_manifest);
    assert_eq!(held[0].language_heard, None);
    let summary = Summary::new(&results(&scratch, &own));
    assert_eq!(summary.all.language_agreement, Share { count: 1, of: 2 });
    assert_eq!(Summary::new(&held[..1]).all.language_agreement, Share { count: 0, of: 0 });
    assert_eq!(summary.languages.keys().collect::<Vec<_>>(), ["de", "en"]);
    assert_eq!((summary.languages["en"].files, summary.languages["en"].failed), (2, 1));
    assert_eq!(summary.categories.keys().collect::<Vec<_>>(), ["quiet", "read"]);
    assert_eq!(summary.categories["read"].words.unwrap().errors.reference, 9);
}

#[test]
fn a_summary_counts_what_was_read_and_a_comparison_what_both_have() {
    let scratch = folder("summary");
    let results = results(&scratch, &EvaluationOptions::default());
    let all = Summary::new(&results).all;
    assert_eq!((all.files, all.failed, all.loops.of), (4, 1, 3));
    let words = all.words.unwrap();
    assert_eq!((words.files, words.errors.total(), words.errors.reference), (3, 1, 9));
    let interval = words.interval.unwrap();
    assert!(interval.low == 0.0 && interval.high > 1.0 / 9.0, "{interval:?}");
    assert_eq!(all.cer, Some(1.0 / 24.0));
    assert!((all.audio_seconds - 9.75).abs() < 0.01);
    assert!((all.rtf.unwrap() - all.wall_seconds / all.audio_seconds).abs() < 1e-9 && all.wall_seconds > 0.0);
    let mut worse = results.clone();
    worse[1].errors = Some(Errors { substitutions: 2, ..worse[1].errors.unwrap() });
    worse[1].heard = "seven six nine two no way".into();
    let comparison = compare(&results, &worse);
    assert_eq!((comparison.files, comparison.same_text), (3, Share { count: 2, of: 3 }));
    assert!((comparison.words.unwrap().points - 200.0 / 9.0).abs() < 1e-9);
    assert_eq!(comparison.characters, None);
    worse.remove(1);
    assert_eq!(compare(&results, &worse).files, 2);
    worse[0].identity.bytes += 1;
    assert_eq!(compare(&results, &worse).files, 1);
    assert_eq!(Summary::new(&[]).all.rtf, None);
}

#[test]
fn a_korean_truth_is_counted_by_character() {
    let scratch = folder("korean");
    let table = "file\ttext\tlanguage\nsix.wav\t오늘 날씨\tko\nthree.flac\tone two three\ten\n";
    let manifest = read(&scratch, "m.tsv", table).unwrap();
    let results = run(&model(), &manifest, &EvaluationOptions::default(), None, &mut |_| {}).unwrap();
    assert_eq!((results[0].unit, results[0].errors.unwrap().reference), (Unit::Characters, 4));
    let all = Summary::new(&results).all;
    assert_eq!((all.words.unwrap().files, all.characters.unwrap().files), (1, 1));
    assert_eq!(all.words.unwrap().rate, Some(0.0));
    assert!(all.characters.unwrap().rate.unwrap() > 1.0);
}

#[test]
fn what_is_in_the_journal_is_not_done_again() {
    let scratch = folder("journal");
    let options = EvaluationOptions::default();
    let manifest = read(&scratch, "m.tsv", TABLE).unwrap();
    let run_identity = of_run(&manifest, &options);
    let path = scratch.path("m.jsonl");
    let path = Path::new(&path);
    let model = model();
    let once = |journal: &mut ResultJournal, options: &EvaluationOptions| {
        let mut kept = Vec::new();
        let results = run(&model, &manifest, options, Some(journal), &mut |progress| {
            assert_eq!(progress.done, kept.len() + 1);
            kept.push(progress.is_from_journal);
        });
        (results.unwrap(), kept)
    };
    let mut limited = options.clone();
    limited.limit = Some(1);
    let (first, kept) = once(&mut ResultJournal::open(path, &run_identity).unwrap(), &limited);
    assert_eq!((first.len(), kept), (1, vec![false]));
    let mut journal = ResultJournal::open(path, &run_identity).unwrap();
    let (all, kept) = once(&mut journal, &options);
    assert_eq!(kept, [true, false, false, false]);
    assert_eq!(all[0], first[0], "times and all, as they were measured");
    let line = ModelLine::new(model.info());
    journal.set_model(line.clone()).unwrap();
    journal.set_model(line.clone()).unwrap();
    let process = ProcessLine { files: 4, user_seconds: 0.5, system_seconds: 0.0, peak_bytes: 7 };
    journal.add_process(process).unwrap();
    let journal = ResultJournal::resume(path).unwrap().unwrap();
    assert_eq!(
        (journal.len(), journal.model(), journal.processes().copied().collect::<Vec<_>>()),
        (4, Some(&line), vec![process])
    );
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 7);

    // A recording that changed is done again, and the others are not.
    scratch.copy(SIX, "three.flac");
    let (again, kept) = once(&mut ResultJournal::open(path, &run_identity).unwrap(), &options);
    assert_eq!(kept, [false, true, true, true]);
    assert_eq!(again[0].heard, "seven six nine two five go");
    let (_, kept) = once(&mut ResultJournal::open(path, &run_identity).unwrap(), &options);
    assert_eq!(kept, [true; 4]);
    let (_, kept) = once(&mut ResultJournal::restart(path, &run_identity).unwrap(), &options);
    assert_eq!(kept, [false; 4]);
}

#[test]
fn a_line_without_its_end_is_dropped_and_the_rest_is_kept() {
    let scratch = folder("torn");
    let options = EvaluationOptions::default();
    let manifest = read(&scratch, "m.tsv", TABLE).unwrap();
    let run_identity = of_run(&manifest, &options);
    let path = scratch.path("m.jsonl");
    let path = Path::new(&path);
    let model = model();
    run(&model, &manifest, &options, Some(&mut ResultJournal::open(path, &run_identity).unwrap()), &mut |_| {})
        .unwrap();
    let whole = fs::read(path).unwrap();
    let end_of_header = whole.iter().position(|byte| *byte == b'\n').unwrap();
    for (length, left) in [(whole.len() - 1, 3), (whole.len() - 40, 3), (end_of_header + 2, 0), (end_of_header + 1, 0)]
    {
        fs::write(path, &whole[..length]).unwrap();
        let mut journal = ResultJournal::open(path, &run_identity).unwrap();
        assert_eq!((journal.len(), journal.was_torn()), (left, length != end_of_header + 1), "{length}");
        let results = run(&model, &manifest, &options, Some(&mut journal), &mut |_| {}).unwrap();
        assert_eq!(results.len(), 4);
        assert_eq!(ResultJournal::open(path, &run_identity).unwrap().len(), 4);
    }
    fs::write(path, b"").unwrap();
    assert!(ResultJournal::open(path, &run_identity).unwrap().is_empty());
}

#[test]
fn a_journal_goes_on_with_the_same_only() {
    let scratch = folder("other");
    let manifest = read(&scratch, "m.tsv", TABLE).unwrap();
    let mut options = EvaluationOptions::default();
    options.limit = Some(1);
    assert_eq!(options.identity().unwrap(), EvaluationOptions::default().identity().unwrap());
    let path = scratch.path("m.jsonl");
    let path = Path::new(&path);
    let mut journal = ResultJournal::open(path, &of_run(&manifest, &options)).unwrap();
    run(&model(), &manifest, &options, Some(&mut journal), &mut |_| {}).unwrap();
    let mut other_model = ModelIdentity::read(None).unwrap();
    other_model.encoder.sha256 = "0".into();
    let mut by_character = options.clone();
    by_character.normalizer = Some(Normalizer::None);
    by_character.transcribe.context_text = "x".into();
    for (other, differing) in [
        (
            run_identity(&manifest.identity, &other_model, "2", &options.identity().unwrap()),
            "(the model's files, the program's version differ)",
        ),
        (of_run(&manifest, &by_character), "(option context_text, option normalizer differ)"),
    ] {
        let error = ResultJournal::open(path, &other).expect_err("another run");
        assert!(error.to_string().contains(differing) && error.to_string().contains("m.jsonl"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}

#[test]
fn the_projects_own_lists_are_manifests_as_they_are() {
    let Some(shared) = optional::shared("") else { return };
    for (list, files, with_truth) in [
        ("digits/strings_dev.tsv", None, 0),
        ("digits/strings_test_seen.tsv", None, 0),
        ("audio/clips/manifest.tsv", Some(169), 142),
    ] {
        let manifest = Manifest::read(&shared.join(list)).unwrap();
        assert!(files.is_none_or(|files| manifest.entries.len() == files), "{list}");
        let truths = manifest.entries.iter().filter(|entry| entry.text.is_some()).count();
        let expected = if files.is_some() { with_truth } else { manifest.entries.len() };
        assert_eq!(truths, expected, "{list}");
        let has_language = manifest.entries.iter().any(|entry| entry.language.is_some());
        assert_eq!(has_language, files.is_some());
    }
}
