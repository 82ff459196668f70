//! The results as files: JSON with everything in the table, and one line per recording.

use super::Plan;
use super::models::Chosen;
use qasr_measure::evaluation::{Comparison, FileResult, ModelLine, ResultJournal, Summary, compare};
use serde::Serialize;
use std::path::Path;

/// A model whose results are complete.
pub struct Measured {
    pub chosen: Chosen,
    pub model: ModelLine,
    pub results: Vec<FileResult>,
    pub summary: Summary,
    pub cost: Cost,
}

/// Cost of the processes that worked on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Recordings that they finished: fewer than there are results when one was killed together with the process that
    /// counts: then the rest of these numbers is too small. More, when an earlier run did recordings that this one
    /// leaves out, or one that changed since: then it is of those too.
    pub files: usize,
    pub user_seconds: f64,
    pub system_seconds: f64,
    /// Most memory that one of them held, mapped pages of the model included.
    pub peak_bytes: u64,
}

impl Measured {
    pub fn new(chosen: Chosen, journal: &ResultJournal, results: Vec<FileResult>) -> Self {
        let unknown = || ModelLine {
            name: chosen.name.clone(),
            decoder_type: "unknown".into(),
            encoder_type: "unknown".into(),
            file_bytes: 0,
        };
        let cost = journal.processes().fold(Cost::default(), |sum, process| Cost {
            files: sum.files + process.files,
            user_seconds: sum.user_seconds + process.user_seconds,
            system_seconds: sum.system_seconds + process.system_seconds,
            peak_bytes: sum.peak_bytes.max(process.peak_bytes),
        });
        let summary = Summary::new(&results);
        Self { model: journal.model().cloned().unwrap_or_else(unknown), chosen, results, summary, cost }
    }

    /// The type of the weights, of decoder and encoder where they differ.
    pub fn type_name(&self) -> String {
        let ModelLine { decoder_type, encoder_type, .. } = &self.model;
        if decoder_type == encoder_type { decoder_type.clone() } else { format!("{decoder_type}/{encoder_type}") }
    }

    /// Whether `cost` is that of the results: of all of them, and of no others.
    pub fn has_whole_cost(&self) -> bool {
        self.cost.files == self.results.len()
    }

    /// Whether recordings are in `cost` that are not among the results, or one more than once.
    pub fn has_others_cost(&self) -> bool {
        self.cost.files > self.results.len()
    }
}

#[derive(Serialize)]
struct Report<'a> {
    version: &'a str,
    manifest: ReportedManifest<'a>,
    models: Vec<ReportedModel<'a>>,
}

#[derive(Serialize)]
struct ReportedManifest<'a> {
    path: &'a Path,
    sha256: &'a str,
    /// Recordings that were gone over.
    files: usize,
}

#[derive(Serialize)]
struct ReportedModel<'a> {
    name: &'a str,
    decoder_file: Option<&'a Path>,
    encoder_file: Option<&'a Path>,
    decoder_type: &'a str,
    encoder_type: &'a str,
    file_bytes: u64,
    /// One line per recording.
    journal: std::path::PathBuf,
    cost: Cost,
    has_whole_cost: bool,
    summary: &'a Summary,
    /// To the first model; null for that one.
    difference: Option<Comparison>,
}

/// The numbers of all models, indented.
pub fn json(plan: &Plan, measured: &[Measured]) -> String {
    let models = measured.iter().enumerate().map(|(index, one)| {
        let files = one.chosen.files.as_ref();
        ReportedModel {
            name: &one.chosen.name,
            decoder_file: files.map(|files| files.decoder.as_path()),
            encoder_file: files.map(|files| files.encoder.as_path()),
            decoder_type: &one.model.decoder_type,
            encoder_type: &one.model.encoder_type,
            file_bytes: one.model.file_bytes,
            journal: plan.journal(&one.chosen),
            cost: one.cost,
            has_whole_cost: one.has_whole_cost(),
            summary: &one.summary,
            difference: (index > 0).then(|| compare(&measured[0].results, &one.results)),
        }
    });
    let report = Report {
        version: qasr::BUILD,
        manifest: ReportedManifest {
            path: &plan.manifest.path,
            sha256: &plan.manifest.identity.sha256,
            files: plan.options.entries(&plan.manifest).len(),
        },
        models: models.collect(),
    };
    // Only numbers and text: there is nothing in it that JSON cannot hold, but a path can be no Unicode.
    let text = serde_json::to_string_pretty(&report).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    text + "\n"
}

const COLUMNS: &str = "model\tfile\tseconds\tcategory\tlanguage\tlanguage_heard\tnormalizer\tunit\terrors\tsubstitutions\t\
                       insertions\tdeletions\treference\tcharacter_errors\tcharacters\tloop\tmissing\tinvented\tcomplete\t\
                       wall_ms\tnew_tokens\tfailure\ttruth\theard\n";

/// One line per model and recording; flags are 0 and 1, what is not known is empty.
pub fn details(measured: &[Measured]) -> String {
    let mut text = String::from(COLUMNS);
    for one in measured {
        for result in &one.results {
            let errors = |count: fn(&qasr_measure::scoring::Errors) -> usize| result.errors.as_ref().map(count);
            let characters = result.character_errors;
            let fields = [
                one.chosen.name.clone(),
                result.file.clone(),
                format!("{:.3}", result.seconds),
                known(result.category.as_ref()),
                known(result.language_expected.as_ref()),
                known(result.language_heard.as_ref()),
                result.normalizer.to_string(),
                format!("{:?}", result.unit).to_lowercase(),
                known(errors(|errors| errors.total())),
                known(errors(|errors| errors.substitutions)),
                known(errors(|errors| errors.insertions)),
                known(errors(|errors| errors.deletions)),
                known(errors(|errors| errors.reference)),
                known(characters.map(|distance| distance.errors)),
                known(characters.map(|distance| distance.reference)),
                flag(result.is_loop),
                flag(result.is_missing),
                flag(result.is_invented),
                flag(result.complete),
                format!("{:.3}", result.times.wall_ms),
                result.new_tokens.to_string(),
                known(result.failure.as_ref().map(|failure| &failure.message)),
                known(result.truth.as_ref()),
                result.heard.clone(),
            ];
            // A line break or a tab in a text would be read as the table's own.
            text.push_str(&fields.map(|field| field.replace(['\t', '\n', '\r'], " ")).join("\t"));
            text.push('\n');
        }
    }
    text
}

fn known(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn flag(value: bool) -> String {
    u8::from(value).to_string()
}
