//! Depths 1 and 2: the audio tower's rows and the decoder's logits and tokens, at f32, against the official package.

use crate::common::{Subject, check_checkpoint, committed, convert, open, say, subjects};
use qasr::Model;
use qasr::mel::{LogMel, log_mel};
use qasr::model::decoder::Input;
use qasr::text::Language;
use qasr::text::prompt::Prompt;
use quant_tests::golden::{Clip, Decoded, Golden};
use quant_tests::metrics::{cosine, kl, relative_rms, top1};

/// Every row of the encoder's output must point where the official one points.
const ROW_COSINE: f64 = 0.99999;
/// So must the logits of the first step.
const LOGITS_COSINE: f64 = 0.9999;
/// Below this difference between the two best logits, rounding decides which token wins.
const NEAR_TIE: f32 = 1e-3;

/// Runs `check` on a model of each subject, at f32.
fn with_models(check: impl Fn(&Subject, &Model)) {
    for subject in subjects() {
        check_checkpoint(&subject.checkpoint, subject.golden.checkpoint_sha256());
        let (_folder, files) = convert(&subject.checkpoint, "f32");
        check(&subject, &open(&files));
    }
}

fn stored_rows<'a>(clip: &'a Clip, rows: &'a [f32], width: usize) -> impl Iterator<Item = &'a [f32]> {
    let kept: Vec<usize> = clip.rows.clone().unwrap_or_else(|| (0..clip.tokens).collect());
    kept.into_iter().map(move |row| &rows[row * width..(row + 1) * width])
}

/// The smallest cosine between stored rows and ours.
fn worst_row(golden: &Golden, clip: &Clip, ours: &[f32]) -> f64 {
    let expected = golden.array(&format!("{}/enc_out", clip.name)).unwrap();
    let width = expected.shape[1];
    expected.rows().zip(stored_rows(clip, ours, width)).map(|(theirs, ours)| cosine(theirs, ours)).fold(1.0, f64::min)
}

#[test]
fn encoder_rows_agree() {
    with_models(|subject, model| {
        let mut worst = (1.0, "");
        for clip in subject.golden.clips() {
            let mel = log_mel(&subject.golden.samples(clip).unwrap());
            assert_eq!(mel.frames, clip.frames, "{} {}: mel frames", subject.name, clip.name);
            let rows = model.encoder().encode(&mel).unwrap();
            assert_eq!(rows.rows(), clip.tokens, "{} {}: tokens", subject.name, clip.name);
            let found = worst_row(&subject.golden, clip, &rows.to_vec());
            println!("{} {}: {} tokens, smallest cosine 1 - {:.1e}", subject.name, clip.name, clip.tokens, 1.0 - found);
            assert!(found >= ROW_COSINE, "{} {}: smallest cosine of a row is {found:.8}", subject.name, clip.name);
            if found < worst.0 {
                worst = (found, &clip.name);
            }
        }
        say(&format!(
            "encoder, f32, {}: {} clips, smallest cosine of any row 1 - {:.1e} ({})",
            subject.name,
            subject.golden.clips().len(),
            1.0 - worst.0,
            worst.1
        ));
    });
}

/// The comparison above is worth something only if the usual mistakes fall through it.
#[test]
fn the_usual_mistakes_are_noticed() {
    let subject = &committed()[0];
    let (_folder, files) = convert(&subject.checkpoint, "f32");
    let model = open(&files);
    let encode = |name: &str, change: &dyn Fn(&mut LogMel)| {
        let clip = subject.golden.clips().iter().find(|clip| clip.name == name).unwrap();
        let mut mel = log_mel(&subject.golden.samples(clip).unwrap());
        change(&mut mel);
        worst_row(&subject.golden, clip, &model.encoder().encode(&mel).unwrap().to_vec())
    };
    let fill = |mel: &mut LogMel, value: f32| {
        mel.frames = mel.frames.next_multiple_of(100);
        mel.data.resize(mel.frames * 128, value);
    };
    let silence = |mel: &LogMel| mel.data.iter().copied().fold(f32::INFINITY, f32::min);
    for (mistake, found) in [
        ("a lone short chunk filled up to a second", encode("frames_63", &|mel| fill(mel, 0.0))),
        ("a tail filled with silence instead of 0.0", encode("frames_101", &|mel| fill(mel, silence(mel)))),
        ("a tail's filler frames kept as tokens", encode("seconds_8_and_a_frame", &|mel| fill(mel, 0.0))),
        ("features a tenth too low", encode("jfk", &|mel| mel.data.iter_mut().for_each(|value| *value -= 0.1))),
    ] {
        say(&format!("encoder, mistake on purpose, {mistake}: smallest cosine {found:.6}"));
        assert!(found < ROW_COSINE, "{mistake} goes unnoticed: smallest cosine {found:.8}");
    }
}

fn prompt(model: &Model, context: &str, language: Option<&str>) -> Prompt {
    let language = language.map(|name| Language::find(name).unwrap());
    Prompt::build(model.tokenizer(), context, language.as_ref()).unwrap()
}

#[test]
fn prompts_agree() {
    with_models(|subject, model| {
        let mut count = 0;
        let asked = subject.golden.prompt_texts().iter().map(|p| (&p.context, &p.language, &p.before, &p.after));
        let decoded = subject.golden.clips().iter().flat_map(|clip| &clip.prompts);
        for (context, language, before, after) in
            asked.chain(decoded.map(|p| (&p.context, &p.language, &p.before, &p.after)))
        {
            let ours = prompt(model, context, language.as_deref());
            assert_eq!((&ours.before, &ours.after), (before, after), "{}: {context:?} {language:?}", subject.name);
            count += 1;
        }
        say(&format!("prompts, {}: {count} equal, token by token", subject.name));
    });
}

/// Prefills one prompt and compares; returns the cosine of the logits, their divergence, their distance, and how many
/// greedy tokens were compared.
fn decode(subject: &Subject, model: &Model, clip: &Clip, expected: &Decoded, rows: &[f32]) -> (f64, f64, f64, usize) {
    let place = format!("{} {} {}", subject.name, clip.name, expected.name);
    let prompt = prompt(model, &expected.context, expected.language.as_deref());
    let mut session = model.session(prompt.positions(clip.tokens) + expected.ids.len()).unwrap();
    session.append(&[Input::Tokens(&prompt.before), Input::Rows(rows), Input::Tokens(&prompt.after)], 1).unwrap();
    let logits = subject.golden.array(&expected.logits).unwrap().values;
    let measured =
        (cosine(&logits, session.logits(0)), kl(&logits, session.logits(0)), relative_rms(&logits, session.logits(0)));
    assert!(measured.0 >= LOGITS_COSINE, "{place}: cosine of the first logits is {:.8}", measured.0);
    let mut compared = 0;
    for (step, (&id, &margin)) in expected.ids.iter().zip(&expected.margins).enumerate() {
        if margin < NEAR_TIE {
            println!("{place}: compared up to step {step}, where the official margin is {margin}");
            break;
        }
        let ours = top1(session.logits(0)).unwrap() as u32;
        assert_eq!(ours, id, "{place}: greedy token {step}, official margin {margin}");
        compared += 1;
        session.append(&[Input::Tokens(&[id])], 1).unwrap();
    }
    (measured.0, measured.1, measured.2, compared)
}

#[test]
fn decoder_logits_and_tokens_agree() {
    with_models(|subject, model| {
        let (mut worst, mut divergence, mut distance, mut tokens, mut prompts) = (1.0_f64, 0.0_f64, 0.0_f64, 0, 0);
        for clip in subject.golden.clips().iter().filter(|clip| !clip.prompts.is_empty()) {
            let mel = log_mel(&subject.golden.samples(clip).unwrap());
            let rows = model.encoder().encode(&mel).unwrap();
            for expected in &clip.prompts {
                let (cosine, kl, rms, compared) = decode(subject, model, clip, expected, &rows.to_vec());
                println!(
                    "{} {} {}: logits cosine {cosine:.8}, KL {kl:.2e}, relative RMS {rms:.2e}, {compared} of {} tokens",
                    subject.name,
                    clip.name,
                    expected.name,
                    expected.ids.len()
                );
                worst = worst.min(cosine);
                divergence = divergence.max(kl);
                distance = distance.max(rms);
                tokens += compared;
                prompts += 1;
            }
        }
        say(&format!(
            "decoder, f32, {}: {prompts} prompts, smallest logits cosine 1 - {:.1e}, largest KL {divergence:.2e}, \
             largest relative RMS {distance:.2e}, {tokens} greedy tokens equal",
            subject.name,
            1.0 - worst
        ));
        assert!(tokens > 0, "{}: nothing was compared", subject.name);
    });
}
