//! Live equals offline: the same utterances, tokens and text for every way of cutting the audio into blocks, every
//! partial the offline text of the audio so far, every cache without influence, and nothing committed ever changed.
//!
//! A part of the clips at every run; all of them with `QASR_ALL_CLIPS=1`. There is no tolerance: the ids are
//! the same.

use crate::common::{convert, demo_checkpoint, open, optional, say};
use qasr::audio::{Pcm16k, ReadOptions, read_path};
use qasr::endpoint::{Detector, EndReason};
use qasr::options::Reuse;
use qasr::stream::{Commit, Final, OfficialRule, Partial, Policy, Statistics, SteadyRule};
use qasr::units::SampleIndex;
use qasr::{Model, ModelOptions, Options, Stream, StreamOptions, Transcript, Update, transcribe};
use qasr_format::Gguf;
use quant_tests::golden::committed_folder;
use quant_tests::metrics::word_errors;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// 10 ms, 80 ms, 333 ms, 2 s, 7 s.
const BLOCKS: [usize; 5] = [160, 1280, 5328, 32_000, 112_000];

/// A recording and its name.
struct Clip {
    name: String,
    audio: Pcm16k,
}

/// Every recording of the shared clips, and the joined ones of `longform.tsv`; a part of them unless all are asked for.
/// Without them, those of [`committed_clips`].
fn clips() -> Vec<Clip> {
    let Some(root) = optional::shared_or("audio/clips", "committed recordings only") else {
        return committed_clips();
    };
    let all = std::env::var_os("QASR_ALL_CLIPS").is_some();
    let mut paths = recordings(&root);
    paths.sort();
    let chosen = paths.into_iter().enumerate().filter(|(index, _)| all || index % 20 == 5);
    let mut clips: Vec<Clip> = chosen
        .map(|(_, path)| Clip { name: path.strip_prefix(&root).unwrap().display().to_string(), audio: read(&path) })
        .collect();
    let long = fs::read_to_string(root.join("longform.tsv")).unwrap();
    clips.extend(long.lines().skip(1).take(if all { usize::MAX } else { 1 }).map(|line| joined(&root, line)));
    clips
}

/// Recordings of the words that the digits model knows, and some joined to more than two windows and a cut by length:
/// short and long, clean and noisy.
fn committed_clips() -> Vec<Clip> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let heldout = checkout.join("quant-tests/speech/heldout");
    let mut clips: Vec<Clip> =
        [checkout.join("convert/demo/sample.flac"), checkout.join("tests/recordings/six_words.wav")]
            .into_iter()
            .chain(["003.opus", "013.opus", "014.opus", "022.opus"].map(|file| heldout.join(file)))
            .map(|path| Clip { name: path.file_name().unwrap().to_string_lossy().into_owned(), audio: read(&path) })
            .collect();
    clips.push(joined(&heldout, "joined\t004.opus 012.opus 015.opus"));
    clips
}

fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(recordings(&path));
        } else if path
            .extension()
            .is_some_and(|kind| ["flac", "wav", "mp3", "opus", "ogg", "m4a"].iter().any(|known| kind == *known))
        {
            found.push(path);
        }
    }
    found
}

fn read(path: &Path) -> Pcm16k {
    read_path(path, &ReadOptions::default()).unwrap_or_else(|error| panic!("{error}")).pcm
}

/// A line as in `longform.tsv`: its clips with 0.5 s between them.
fn joined(root: &Path, line: &str) -> Clip {
    let fields: Vec<&str> = line.split('\t').collect();
    let files = fields.iter().find(|field| [".flac", ".wav", ".opus"].iter().any(|kind| field.contains(kind))).unwrap();
    let mut samples = Vec::new();
    for file in files.split([' ', ',', ';']).filter(|file| !file.is_empty()) {
        if !samples.is_empty() {
            samples.resize(samples.len() + 8000, 0.0);
        }
        samples.extend_from_slice(read(&root.join(file)).samples());
    }
    Clip { name: fields[0].to_owned(), audio: Pcm16k::new(samples).unwrap() }
}

/// The tiny model of the tests and the digits model, with what keeps random weights from rambling.
fn models() -> Vec<(&'static str, tempfile::TempDir, Model, Options)> {
    let mut speech_rate = Options::default();
    speech_rate.tokens_per_second = Some(4.0);
    let tiny = committed_folder().join("tiny/checkpoint");
    [("tiny", tiny, "f32", speech_rate), ("digits", demo_checkpoint(), "q8_0", Options::default())]
        .into_iter()
        .map(|(name, checkpoint, kind, options)| {
            let (folder, files) = convert(&checkpoint, kind);
            (name, folder, open(&files), options)
        })
        .collect()
}

/// Events of a stream.
#[derive(Default)]
struct Heard {
    partials: Vec<Partial>,
    finals: Vec<Final>,
    /// For every final, how many partials came before it.
    partials_before: Vec<usize>,
    statistics: Statistics,
    transcript: Transcript,
}

fn live(model: &Model, audio: &Pcm16k, options: &StreamOptions, block: usize) -> Heard {
    let mut stream = Stream::new(model, options.clone()).unwrap();
    let mut heard = Heard::default();
    let mut updates = Vec::new();
    for block in audio.samples().chunks(block) {
        updates.extend(stream.feed(block).unwrap());
    }
    updates.extend(stream.end().unwrap());
    for update in updates {
        match update {
            Update::Partial(partial) => heard.partials.push(partial),
            Update::Final(last) => {
                heard.partials_before.push(heard.partials.len());
                heard.finals.push(last);
            }
        }
    }
    heard.statistics = stream.statistics();
    heard.transcript = stream.finish();
    heard
}

fn stream_options(options: &Options, step: u64, commit: Commit) -> StreamOptions {
    let mut live = StreamOptions::default();
    live.recognition = options.clone();
    live.step = step;
    live.commit = commit;
    live
}

fn places(transcript: &Transcript) -> Vec<(u64, u64)> {
    transcript.segments.iter().map(|segment| (segment.start.0, segment.end.0)).collect()
}

fn check_same(live: &[u32], offline: &[u32], at: &str) {
    let same = live.iter().zip(offline).take_while(|(one, other)| one == other).count();
    assert!(live == offline, "{at}: token {same} differs\n live    {live:?}\n offline {offline:?}");
}

/// Committed text only grows, and is the beginning of what its utterance says in the end.
fn check_commits(name: &str, heard: &Heard) {
    let mut start = 0;
    for (last, end) in heard.finals.iter().zip(&heard.partials_before) {
        let mut committed = "";
        for partial in &heard.partials[start..*end] {
            assert_eq!(partial.utterance, last.utterance, "{name}: a partial of another utterance");
            assert!(partial.committed.starts_with(committed), "{name}: '{committed}' became '{}'", partial.committed);
            committed = &partial.committed;
        }
        assert!(
            last.segment.text.starts_with(committed),
            "{name}: '{committed}' was promised and '{}' came",
            last.segment.text
        );
        start = *end;
    }
    assert_eq!(start, heard.partials.len(), "{name}: partials after the last final");
}

#[test]
fn the_text_is_that_of_offline_for_every_block_size() {
    let clips = clips();
    for (name, _folder, model, options) in models() {
        let (mut compared, mut differing, mut refused, mut steps) = (0, Vec::new(), 0, 0);
        for clip in &clips {
            let offline = transcribe(&model, &clip.audio, &options, &mut |_| {}).unwrap();
            for (index, block) in BLOCKS.into_iter().enumerate() {
                let step = [32_000, 16_000, 8_000, 32_000, 32_000][index];
                let heard = live(&model, &clip.audio, &stream_options(&options, step, Commit::Utterance), block);
                check_commits(&clip.name, &heard);
                compared += 1;
                let at = || format!("{name}, {}, blocks of {block}", clip.name);
                assert_eq!(places(&heard.transcript), places(&offline), "{}", at());
                for (last, segment) in heard.finals.iter().zip(&offline.segments) {
                    check_same(&last.segment.tokens, &segment.tokens, &at());
                }
                assert_eq!(heard.transcript.text, offline.text, "{}", at());
                assert_eq!(heard.transcript.languages, offline.languages, "{}", at());
                assert_eq!(heard.transcript.duration, offline.duration);
                let steady = live(&model, &clip.audio, &stream_options(&options, step, Commit::default()), block);
                check_commits(&clip.name, &steady);
                steps += steady.statistics.steps;
                refused += steady.statistics.revisions_refused;
                if steady.transcript.text != offline.text {
                    differing.push(format!("{} (blocks of {block})", clip.name));
                }
            }
        }
        say(&format!(
            "live, {name}: {} clips, {compared} runs equal to offline; committing steadily: {} differ {differing:?}, {refused} revisions refused in {steps} steps",
            clips.len(),
            differing.len()
        ));
        if name == "digits" {
            assert_eq!((differing.len(), refused), (0, 0), "digits, steady: {differing:?}");
        }
    }
}

#[test]
fn every_partial_is_the_offline_text_of_the_audio_so_far() {
    for (name, _folder, model, options) in models() {
        let mut compared = 0;
        for clip in clips().iter().filter(|clip| clip.audio.len() < 16_000 * 40) {
            let mut unlimited = stream_options(&options, 24_000, Commit::Utterance);
            unlimited.tokens_per_step = usize::MAX;
            let heard = live(&model, &clip.audio, &unlimited, 1600);
            for partial in
                heard.partials.iter().filter(|partial| partial.complete || options.tokens_per_second.is_some())
            {
                let so_far = clip.audio.slice(0..partial.up_to.0 as usize);
                let offline = transcribe(&model, &so_far, &options, &mut |_| {}).unwrap();
                let last = offline.segments.last().unwrap();
                compared += 1;
                let at = format!("{name}, {} up to {:.2} s", clip.name, partial.up_to.seconds());
                check_same(&partial.tokens, &last.tokens, &at);
                assert_eq!(format!("{}{}", partial.committed, partial.tentative), last.text, "{name}, {}", clip.name);
                assert_eq!((partial.start, partial.up_to), (last.start, last.end), "{name}, {}", clip.name);
            }
        }
        assert!(compared > 0);
        say(&format!("live, {name}: {compared} partials equal offline on the audio so far"));
    }
}

#[test]
fn no_cache_changes_a_token() {
    let all = Reuse::default();
    let switches = [
        ("chunks", Reuse { chunks: false, ..all }),
        ("windows", Reuse { windows: false, ..all }),
        ("attention", Reuse { attention: false, ..all }),
        ("drafts", Reuse { drafts: false, ..all }),
        ("everything", Reuse::NONE),
    ];
    for (name, _folder, model, mut options) in models() {
        options.segment_seconds = Some(20.0); // more than two windows
        let mut saved: HashMap<&str, Vec<(usize, usize)>> =
            switches.iter().map(|(switch, _)| (*switch, Vec::new())).collect();
        for clip in clips().iter().filter(|clip| (16_000 * 5..16_000 * 70).contains(&clip.audio.len())) {
            options.reuse = all;
            let with = live(&model, &clip.audio, &stream_options(&options, 32_000, Commit::Utterance), 3200);
            for (switch, reuse) in switches {
                options.reuse = reuse;
                let without = live(&model, &clip.audio, &stream_options(&options, 32_000, Commit::Utterance), 3200);
                assert_eq!(with.partials.len(), without.partials.len(), "{name}, {}", clip.name);
                let at = |up_to: SampleIndex| {
                    format!("{name}, {} at {:.2} s: {switch} changed the text", clip.name, up_to.seconds())
                };
                for (one, other) in with.partials.iter().zip(&without.partials) {
                    check_same(&one.tokens, &other.tokens, &at(one.up_to));
                }
                assert_eq!(places(&with.transcript), places(&without.transcript));
                for (one, other) in with.finals.iter().zip(&without.finals) {
                    check_same(&one.segment.tokens, &other.segment.tokens, &at(one.segment.end));
                }
                saved.get_mut(switch).unwrap().push((spent(&without.statistics), spent(&with.statistics)));
            }
        }
        for (switch, pairs) in saved {
            let (without, with) = pairs.iter().fold((0, 0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
            assert!(pairs.iter().all(|(without, with)| without >= with), "{name}: {switch} adds work");
            assert!(without > with, "{name}: the {switch} cache saves nothing in {} clips", pairs.len());
        }
    }
}

/// Work that caches save, in any unit.
fn spent(statistics: &Statistics) -> usize {
    let cost = statistics.cost;
    cost.chunks_convolved + cost.windows_encoded + cost.tokens_prefilled + cost.tokens_generated
}

#[test]
fn forced_text_stays_and_is_told() {
    // A rule that promises at once, at every step in the middle of a word: a model changes its mind about half a word.
    let hasty = Commit::Steady(SteadyRule { steps: 1, samples: 0, tokens_behind: 0, margin: 0.0 });
    let (mut refused, mut changed) = (0, 0);
    for (name, _folder, model, options) in models() {
        for clip in &clips() {
            let heard = live(&model, &clip.audio, &stream_options(&options, 8000, hasty), 1600);
            check_commits(&clip.name, &heard);
            refused += heard.statistics.revisions_refused;
            let offline = transcribe(&model, &clip.audio, &options, &mut |_| {}).unwrap();
            changed += u64::from(offline.text != heard.transcript.text);
            let told: usize = heard.finals.iter().map(|last| last.revisions_refused).sum();
            assert_eq!(told as u64, heard.statistics.revisions_refused, "{name}, {}", clip.name);
        }
    }
    assert!(
        refused > 0 && changed > 0,
        "{refused} refused, {changed} changed: the rule was not hasty enough to show anything"
    );
    say(&format!("live, promising at once: {refused} revisions refused, {changed} texts differ, no promise broken"));
}

#[test]
fn the_official_rule_forces_its_prefix() {
    let models = models();
    let (_, _folder, model, options) = &models[1];
    let mut checked = 0;
    for clip in &clips() {
        let mut official = stream_options(options, 16_000, Commit::Utterance);
        official.policy = Policy::Official(OfficialRule { steps_without_prefix: 2, rollback: 5 });
        let heard = live(model, &clip.audio, &official, 1600);
        check_commits(&clip.name, &heard);
        for pair in heard.partials.windows(2).filter(|pair| pair[0].utterance == pair[1].utterance) {
            let steps = pair[1].up_to.0 - pair[1].start.0;
            if steps > 3 * 16_000 && pair[0].tokens.len() > 5 {
                let kept = pair[0].tokens.len() - 5;
                checked += 1;
                assert!(
                    pair[1].tokens.starts_with(&pair[0].tokens[..kept]),
                    "{}: {:?} then {:?}",
                    clip.name,
                    pair[0].tokens,
                    pair[1].tokens
                );
            }
        }
    }
    assert!(checked > 0, "no text was long enough to force anything");
}

#[test]
fn reasons_and_places_of_finals_agree() {
    let models = models();
    let (_, _folder, model, options) = &models[1];
    for clip in &clips() {
        let heard = live(model, &clip.audio, &stream_options(options, 16_000, Commit::default()), 800);
        let mut end = 0;
        for (index, last) in heard.finals.iter().enumerate() {
            assert_eq!(last.utterance, index as u64);
            assert!(last.segment.start.0 >= end && last.segment.end > last.segment.start, "{}", clip.name);
            assert!(last.why != EndReason::Input || index + 1 == heard.finals.len(), "{}", clip.name);
            end = last.segment.end.0;
        }
        assert!(end <= clip.audio.len() as u64);
        assert_eq!(heard.transcript.segments.len(), heard.finals.len());
    }
}

/// Word lists of the digits: name, recordings with the words spoken.
fn lists(root: &Path) -> Vec<(&'static str, Vec<(Pcm16k, String)>)> {
    let table = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let mut lists = Vec::new();
    for name in ["strings_dev", "strings_test_seen"] {
        let rows = table(&format!("{name}.tsv"));
        let spoken = rows.lines().skip(1).map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            (read(&root.join(fields[0])), fields[2].to_owned())
        });
        lists.push((name, spoken.collect()));
    }
    let mut packs = HashMap::new();
    for name in ["dev", "test", "test_seen"] {
        let rows = table(&format!("{name}.tsv"));
        let known = rows
            .lines()
            .skip(1)
            .map(|line| line.split('\t').collect::<Vec<_>>())
            .filter(|fields| ["digit", "command"].contains(&fields[6]));
        let spoken = known.map(|fields| {
            let pack: &Pcm16k = packs.entry(fields[1].to_owned()).or_insert_with(|| read(&root.join(fields[1])));
            let (start, frames): (usize, usize) = (fields[2].parse().unwrap(), fields[3].parse().unwrap());
            (pack.slice(start..start + frames), fields[5].to_owned())
        });
        lists.push((name, spoken.collect()));
    }
    lists
}

#[test]
fn live_makes_the_errors_of_offline_and_no_others() {
    let Some(root) = optional::shared("digits") else { return };
    let models = models();
    let (_, _folder, model, options) = &models[1];
    for (name, spoken) in lists(&root) {
        let (mut live_errors, mut offline_errors, mut words, mut refused) = (0, 0, 0, 0);
        for (audio, truth) in &spoken {
            let offline = transcribe(model, audio, options, &mut |_| {}).unwrap();
            let heard = live(model, audio, &stream_options(options, 8000, Commit::default()), 160);
            check_commits(name, &heard);
            refused += heard.statistics.revisions_refused;
            let (wrong, count) = word_errors(truth, &heard.transcript.text);
            live_errors += wrong;
            words += count;
            offline_errors += word_errors(truth, &offline.text).0;
        }
        let percent = |errors: usize| 100.0 * errors as f64 / words as f64;
        say(&format!(
            "live, {name}: {:.2} % word errors live, {:.2} % offline, of {words}; {refused} revisions refused",
            percent(live_errors),
            percent(offline_errors)
        ));
        assert_eq!((live_errors, refused), (offline_errors, 0), "{name}");
    }
}

#[test]
fn a_window_is_computed_again_when_something_louder_changes_its_features() {
    // Nearly silent speech-like noise for more than a window, then full scale: the floor rises above the noise.
    let mut state = 1u32;
    let mut noise = |level: f32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        level * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    let samples: Vec<f32> = (0..16_000 * 13).map(|at| noise(if at < 16_000 * 9 { 2e-5 } else { 0.9 })).collect();
    let audio = Pcm16k::new(samples).unwrap();
    for (name, _folder, model, mut options) in models() {
        options.detector = Detector::Off;
        options.segment_seconds = Some(30.0);
        options.reuse = Reuse::default();
        let with = live(&model, &audio, &stream_options(&options, 16_000, Commit::Utterance), 1600);
        let reused: Vec<usize> = with.partials.iter().map(|partial| partial.cost.windows_reused).collect();
        assert_eq!((reused[8], reused[9], reused[10]), (1, 0, 1), "{name}: kept, computed again, kept: {reused:?}");
        options.reuse = Reuse::NONE;
        let without = live(&model, &audio, &stream_options(&options, 16_000, Commit::Utterance), 1600);
        for (one, other) in with.partials.iter().zip(&without.partials) {
            check_same(&one.tokens, &other.tokens, &format!("{name} at {:.2} s", one.up_to.seconds()));
        }
    }
}

#[test]
fn nothing_is_promised_that_a_cut_by_length_may_leave_to_the_next_utterance() {
    let models = models();
    let mut cuts = 0;
    for (name, _folder, model, options) in &models {
        for clip in clips().iter().filter(|clip| clip.audio.len() > 16_000 * 12).take(6) {
            let mut options = options.clone();
            options.detector = Detector::Off;
            options.segment_seconds = Some(8.0);
            // Ages everything at once, so that only the place of the cut can hold a token back.
            let eager = Commit::Steady(SteadyRule { steps: 2, samples: 0, tokens_behind: 0, margin: 0.0 });
            let heard = live(model, &clip.audio, &stream_options(&options, 8_000, eager), 1600);
            check_commits(&clip.name, &heard);
            let mut start = 0;
            for (last, end) in heard.finals.iter().zip(&heard.partials_before) {
                cuts += usize::from(last.why == EndReason::Length);
                let whole = heard.partials[start..*end]
                    .iter()
                    .filter(|partial| partial.up_to.0 <= partial.start.0 + 6 * 16_000);
                let said = whole.map(|partial| partial.committed.len()).max().unwrap_or(0);
                let most = heard.partials[start..*end].iter().map(|partial| partial.committed.len()).max().unwrap_or(0);
                // What appeared by 6 s, a quarter before the end, may be promised later; nothing else.
                let by_then =
                    heard.partials[start..*end].iter().rfind(|partial| partial.up_to.0 <= partial.start.0 + 6 * 16_000);
                let longest = by_then.map_or(0, |partial| partial.committed.len() + partial.tentative.len());
                assert!(
                    most <= said.max(longest),
                    "{name}, {}: {most} bytes promised, {longest} were heard by then",
                    clip.name
                );
                start = *end;
            }
        }
    }
    assert!(cuts > 3, "{cuts} cuts by length");
}

#[test]
fn a_model_that_fails_loses_nothing_that_was_promised_and_no_audio() {
    let (_folder, files) = convert(&committed_folder().join("tiny/checkpoint"), "f32");
    let file = Gguf::open(&files.decoder).unwrap();
    let norm = file.tensor("output_norm.weight").unwrap();
    let (offset, bytes) = (norm.offset as usize, norm.bytes as usize);
    let mut content = fs::read(&files.decoder).unwrap();
    content[offset..offset + bytes]
        .chunks_exact_mut(4)
        .for_each(|value| value.copy_from_slice(&f32::NAN.to_le_bytes()));
    fs::write(&files.decoder, content).unwrap();
    let mut options = ModelOptions::default();
    options.check_scales = false;
    options.threads = 1;
    let model = Model::open(&files, &options).unwrap();
    let sample = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../convert/demo/sample.flac"));
    let mut stream = Stream::new(&model, StreamOptions::default()).unwrap();
    let (mut failures, mut updates) = (0, Vec::new());
    for _ in 0..2 {
        for block in sample.samples().chunks(1600).chain([[0.0; 32_000].as_slice()]) {
            match stream.feed(block) {
                Ok(told) => updates.extend(told),
                Err(_) => failures += 1,
            }
        }
    }
    assert!(failures >= 4, "{failures} failures");
    assert_eq!(stream.heard().0, 2 * (sample.len() as u64 + 32_000));
    assert_eq!(stream.statistics().utterances, 2);
    updates.extend(stream.end().unwrap());
    let finals: Vec<u64> = updates
        .iter()
        .filter_map(|update| if let Update::Final(last) = update { Some(last.utterance) } else { None })
        .collect();
    assert_eq!(finals, [0, 1]);
    let transcript = stream.finish();
    assert!(!transcript.complete);
    assert_eq!(
        transcript.warnings.iter().map(|warning| warning.code.as_str()).collect::<Vec<_>>(),
        ["failed", "failed"]
    );
}
