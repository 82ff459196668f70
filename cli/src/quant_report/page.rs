//! The page: what the five depths found, in tables and pictures.

use super::measure::{Report, TensorRow, TypeReport};
use super::summary::{self, all, percent, thousandths};
use qasr_measure::depths::embeddings::LengthDistance;
use qasr_measure::report::plot::{Axis, Bar, Series, Strip, bars, lines, strip};
use qasr_measure::report::{Cell, Column, Content, Page, Table};
use std::collections::BTreeMap;

/// Builds the page; `value` is the report for programs.
pub fn page(report: &Report, value: &serde_json::Value) -> Page {
    let mut page = Page::new("What quantization costs");
    page.subtitle(format!(
        "{}, on the {} recordings of {}, by {}",
        report.source, report.recordings, report.manifest, report.program
    ));
    summary::section(&mut page.body, report);
    blocks(&mut page.body, report);
    tensors(&mut page.body, report);
    embeddings(&mut page.body, report);
    logits(&mut page.body, report);
    transcripts(&mut page.body, report);
    page.body.section("How this was measured").list(&[
        format!("Source: {}; every type was made from it by this program.", report.source),
        format!("Recordings: {} (SHA-256 {}).", report.manifest, report.manifest_sha256),
        "The reference is the same model with f16 weights in both files.".to_owned(),
        "Logits: both models read the same text behind the same recording, token by token; the divergence is that of \
         the whole next-token distribution, reference first, in nats."
            .to_owned(),
        "Intervals hold 95 % of a bootstrap over recordings. Differences are paired: the same recordings.".to_owned(),
        "A type named X/Y has decoder X and audio encoder Y.".to_owned(),
    ]);
    page.data("report", value);
    page
}

fn blocks(body: &mut Content, report: &Report) {
    let shapes: Vec<&str> =
        report.blocks.first().map(|row| row.errors.iter().map(|(name, _)| name.as_str()).collect()).unwrap_or_default();
    let mut columns = vec![Column::left("type"), Column::right("bits")];
    columns.extend(shapes.iter().map(|name| Column::right(*name)));
    let mut table = Table::new(columns).captioned(
        "Relative error in % (root mean square) of values taken to a type and back, by how they are distributed.",
    );
    for row in &report.blocks {
        let mut cells = vec![Cell::new(&row.kind), Cell::new(format!("{:.2}", row.bits_per_value))];
        cells.extend(row.errors.iter().map(|(_, error)| Cell::new(thousandths(100.0 * *error))));
        table.row(cells);
    }
    body.section("1 · Blocks").table(&table);
}

/// The part of a layer and its number: "a.blk.3.ffn_up.weight" is ("a.blk ffn_up", 3). `None` outside the layers.
fn place(name: &str) -> Option<(String, usize)> {
    let (before, rest) = name.split_once("blk.")?;
    let (layer, part) = rest.split_once('.')?;
    let part = part.strip_suffix(".weight")?;
    let file = if before.is_empty() { "decoder" } else { "encoder" };
    Some((format!("{file} {part}"), layer.parse().ok()?))
}

fn tensor_strip(tensors: &[TensorRow]) -> Strip {
    let mut rows: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut layers = 0;
    for tensor in tensors.iter().filter(|tensor| tensor.kind != "f32") {
        let Some((part, layer)) = place(&tensor.name) else { continue };
        let row = rows.entry(part).or_default();
        row.resize(row.len().max(layer + 1), f64::NAN);
        row[layer] = 100.0 * tensor.relative_rms;
        layers = layers.max(layer + 1);
    }
    Strip {
        columns: ("layer".into(), (0..layers).map(|layer| layer.to_string()).collect()),
        rows: rows.into_iter().collect(),
    }
}

fn tensors(body: &mut Content, report: &Report) {
    body.section("2 · Tensors").paragraph(
        "Relative error of every matrix beside its f16 self, layer by layer; under each picture the ten that lost most.",
    );
    for one in report.types.iter().filter(|one| one.tensors.iter().any(|tensor| tensor.relative_rms > 0.0)) {
        let mut worst: Vec<&TensorRow> = one.tensors.iter().collect();
        worst.sort_by(|a, b| b.relative_rms.total_cmp(&a.relative_rms));
        let mut table = Table::new([
            Column::left("tensor"),
            Column::left("type"),
            Column::right("relative error %"),
            Column::right("1 − cosine, 10⁻³"),
            Column::right("kB"),
        ]);
        for tensor in worst.iter().take(10) {
            table.row([
                Cell::new(&tensor.name),
                Cell::new(&tensor.kind),
                Cell::new(thousandths(100.0 * tensor.relative_rms)),
                Cell::new(thousandths(1e3 * (1.0 - tensor.cosine))),
                Cell::new(format!("{:.1}", tensor.bytes as f64 / 1e3)),
            ]);
        }
        let mut inner = Content::default();
        let drawn = strip(
            &format!("Error per tensor, {}", one.name),
            &Axis::new("relative error, %"),
            &tensor_strip(&one.tensors),
        );
        inner.figure(drawn, format!("{}: relative error of every matrix in the layers.", one.name)).table(&table);
        let top = worst.first().map_or_else(String::new, |tensor| {
            format!(": worst {} at {} %", tensor.name, thousandths(100.0 * tensor.relative_rms))
        });
        body.details(&format!("{}{top}", one.name), inner);
    }
}

fn embeddings(body: &mut Content, report: &Report) {
    body.section("3 · Embeddings").paragraph(
        "What the audio encoder gives, row by row, beside f16: as a function of the clip's length, and layer by layer. \
         An error that grows with the length is the known cause of loops.",
    );
    let mut conditions: Vec<&str> = report
        .types
        .iter()
        .flat_map(|one| one.cost.embeddings.iter().map(|length| length.condition.as_str()))
        .collect();
    conditions.sort_unstable();
    conditions.dedup();
    let mut figures = Vec::new();
    for condition in conditions {
        let series: Vec<Series> = report
            .types
            .iter()
            .map(|one| {
                let of_condition = one.cost.embeddings.iter().filter(|length| length.condition == condition);
                let points =
                    of_condition.map(|length| (length.seconds as f64, 100.0 * length.output.relative_rms)).collect();
                Series { name: one.name.clone(), points }
            })
            .collect();
        let (length, error) = (Axis::new("clip length, s").logarithmic(), Axis::new("relative error, %").logarithmic());
        let caption = format!("Relative error of the encoder's output against the clip's length ({condition}).");
        // A line needs two points.
        if series.iter().any(|series| series.points.len() > 1) {
            figures.push((lines(&caption, &length, &error, &series), caption));
        }
    }
    body.figures(&figures);
    let longest = |one: &TypeReport| -> Option<LengthDistance> {
        one.cost.embeddings.iter().max_by_key(|length| length.seconds).cloned()
    };
    let rows: Vec<(String, Vec<f64>)> = report
        .types
        .iter()
        .filter_map(|one| {
            let length = longest(one)?;
            let layers = length.layers.iter().chain([&length.output]).map(|layer| 100.0 * layer.relative_rms).collect();
            Some((one.name.clone(), layers))
        })
        .collect();
    let count = rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    let names = (1..count).map(|layer| layer.to_string()).chain(["out".to_owned()]).collect();
    body.figure(
        strip(
            "Error per layer",
            &Axis::new("relative error, %").logarithmic(),
            &Strip { columns: ("layer".into(), names), rows },
        ),
        "Relative error behind every layer of the encoder and at its output, on the longest clips.",
    );
    let mut table = Table::new([
        Column::left("type"),
        Column::left("condition"),
        Column::right("seconds"),
        Column::right("relative error %"),
        Column::right("1 − mean cosine, 10⁻³"),
        Column::right("1 − least cosine, 10⁻³"),
    ]);
    for one in &report.types {
        for length in &one.cost.embeddings {
            table.row([
                Cell::new(&one.name),
                Cell::new(&length.condition),
                Cell::new(length.seconds.to_string()),
                Cell::new(thousandths(100.0 * length.output.relative_rms)),
                Cell::new(thousandths(1e3 * (1.0 - length.output.cosine_mean))),
                Cell::new(thousandths(1e3 * (1.0 - length.output.cosine_min))),
            ]);
        }
    }
    let mut inner = Content::default();
    inner.table(&table);
    body.details("Every length, as numbers", inner);
}

fn logits(body: &mut Content, report: &Report) {
    let mut table = Table::new([
        Column::left("type"),
        Column::right("mean"),
        Column::right("median"),
        Column::right("99 %"),
        Column::right("most"),
        Column::right("flips %"),
        Column::right("perplexity"),
    ])
    .captioned("KL per token, in 10⁻³ nats, along the texts.");
    for one in all(report) {
        let kl = &one.cost.kl;
        let mut cells = vec![Cell::new(&one.name)];
        cells.extend([kl.mean, kl.median, kl.p99, kl.max].map(|value| Cell::new(thousandths(1e3 * value))));
        cells.extend([Cell::new(percent(one.cost.flip_rate)), Cell::new(format!("{:.4}", one.cost.perplexity))]);
        table.row(cells);
    }
    let bar = |one: &TypeReport| Bar { name: one.name.clone(), value: 1e3 * one.cost.kl.mean, interval: None };
    let all_bars: Vec<Bar> = report.types.iter().map(bar).collect();
    body.section("4 · Logits")
        .paragraph(&format!("Along {} tokens of the texts.", report.reference.cost.tokens))
        .table(&table)
        .figure(
            bars("Mean divergence", &Axis::new("KL per token, 10⁻³ nats"), &all_bars),
            "Mean divergence per token.",
        );
    let mut by_clip = Table::new(
        [Column::left("recording"), Column::left("condition"), Column::right("tokens")]
            .into_iter()
            .chain(report.types.iter().map(|one| Column::right(&one.name))),
    )
    .captioned("Mean KL per token of every recording, in 10⁻³ nats.");
    for (index, clip) in report.reference.cost.clips.iter().enumerate() {
        let mut cells = vec![Cell::new(&clip.name), Cell::new(&clip.condition), Cell::new(clip.positions.to_string())];
        cells.extend(report.types.iter().map(|one| match one.cost.clips.get(index) {
            Some(clip) if clip.positions > 0 => Cell::new(thousandths(1e3 * clip.kl / clip.positions as f64)),
            _ => Cell::missing(),
        }));
        by_clip.row(cells);
    }
    let mut inner = Content::default();
    inner.table(&by_clip);
    body.details("Recording by recording", inner);
}

fn transcripts(body: &mut Content, report: &Report) {
    let mut table = Table::new([
        Column::left("type"),
        Column::right("WER %"),
        Column::right("CER %"),
        Column::right("S / I / D"),
        Column::right("same text as f16"),
        Column::right("language"),
        Column::right("loops"),
        Column::right("missing"),
        Column::right("invented"),
    ]);
    for one in all(report) {
        let all = &one.cost.summary.all;
        let errors = all.words.as_ref().map(|score| score.errors);
        let share = |share: qasr_measure::evaluation::Share| {
            if share.of == 0 { Cell::missing() } else { Cell::new(format!("{} of {}", share.count, share.of)) }
        };
        table.row([
            Cell::new(&one.name),
            all.words.as_ref().and_then(|score| score.rate).map_or_else(Cell::missing, |rate| Cell::new(percent(rate))),
            all.cer.map_or_else(Cell::missing, |rate| Cell::new(percent(rate))),
            errors.map_or_else(Cell::missing, |one| {
                Cell::new(format!("{} / {} / {}", one.substitutions, one.insertions, one.deletions))
            }),
            share(one.cost.comparison.same_text),
            share(all.language_agreement),
            share(all.loops),
            share(all.missing),
            share(all.invented),
        ]);
    }
    body.section("5 · Transcripts").table(&table);
    let mut inner = Content::default();
    let mut texts = Table::new([Column::left("recording"), Column::left("type"), Column::wrapped("heard")]);
    for (index, reference) in report.reference.cost.results.iter().enumerate() {
        let others: Vec<(&str, &str)> = report
            .types
            .iter()
            .filter_map(|one| one.cost.results.get(index).map(|result| (one.name.as_str(), result.heard.as_str())))
            .filter(|(_, heard)| *heard != reference.heard)
            .collect();
        if others.is_empty() {
            continue;
        }
        let truth = reference.truth.as_deref().unwrap_or_default();
        texts.row([Cell::new(&reference.file), Cell::new("(said)"), Cell::new(truth)]);
        texts.row([Cell::new(&reference.file), Cell::new("f16"), Cell::new(&reference.heard)]);
        for (name, heard) in others {
            texts.row([Cell::new(&reference.file), Cell::new(name), Cell::new(heard)]);
        }
    }
    if texts.is_empty() {
        body.paragraph("Every type hears the same texts as f16.");
    } else {
        inner.table(&texts);
        body.details("Texts that differ from those of f16", inner);
    }
}
