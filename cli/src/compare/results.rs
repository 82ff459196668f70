//! From finished runs to what is said about each engine.

use super::engines::Engine;
use super::recordings::{Converted, Recording};
use super::run::Run;
use super::sanity::{self, Evidence};
use super::verdict::Contest;
use qasr::text::Language;
use qasr_measure::scoring::{self, Bootstrap, Difference, Distance, Errors, Interval, Normalizer, Scored, Unit};
use serde::Serialize;
use std::cmp::Reverse;

/// The middle of several values, and their ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

/// The results of an engine.
#[derive(Debug, Clone, Serialize)]
pub struct EngineResult {
    pub name: String,
    pub command: Vec<String>,
    pub version: Option<String>,
    pub model_bytes: Option<u64>,
    pub speed_only: Option<String>,
    /// Why its speed is not ranked.
    pub not_ranked: Vec<String>,
    /// Its place by time per audio second, from 1.
    pub rank: Option<usize>,
    /// Over the recordings that are counted by word, and over those counted by character: a rate of both would hide what
    /// happens to the rarer kind.
    pub words: Option<Score>,
    pub characters: Option<Score>,
    /// Over all recordings with a truth.
    pub character_error_rate: Option<f64>,
    pub runs: usize,
    pub failures: usize,
    /// Whether the same recording gave different texts in different rounds.
    pub text_varies: bool,
    /// Of runs that did not fail: wall time by audio time, and the same of all together.
    pub real_time_factor: Option<Spread>,
    pub total_real_time_factor: Option<f64>,
    pub first_text_seconds: Option<Spread>,
    /// Time of a run on a second of silence, nearly all of which is starting and opening the model; `None` where it was
    /// not measured or failed.
    pub startup_seconds: Option<f64>,
    /// All runs together without as many starts: work per second of audio.
    pub work_real_time_factor: Option<f64>,
    /// Whether its command passes the number of threads on to it.
    pub gets_threads: bool,
    /// Whether its command passes the language on to it.
    pub gets_language: bool,
    pub user_seconds_per_audio_second: Option<f64>,
    pub peak_bytes: Option<u64>,
    /// The worst text of all rounds and how far it is from the truth, by recording.
    #[serde(skip)]
    pub texts: Vec<Heard>,
}

/// Errors over the recordings of one unit.
#[derive(Debug, Clone, Serialize)]
pub struct Score {
    pub errors: Errors,
    pub rate: Option<f64>,
    pub interval: Option<Interval>,
    /// Against the first engine, in percentage points: positive is worse.
    pub difference: Option<Difference>,
    /// One more than the number of engines that make fewer errors as far as that can be told; `None` where a run failed,
    /// where there is no other engine, and where there are too few recordings.
    pub place: Option<usize>,
}

impl EngineResult {
    /// The score in a unit, where recordings are counted in it.
    pub fn score(&self, unit: Unit) -> Option<&Score> {
        match unit {
            Unit::Words => self.words.as_ref(),
            Unit::Characters => self.characters.as_ref(),
        }
    }

    fn score_mut(&mut self, unit: Unit) -> Option<&mut Score> {
        match unit {
            Unit::Words => self.words.as_mut(),
            Unit::Characters => self.characters.as_mut(),
        }
    }
}

/// The name of the error rate in a unit.
pub fn rate_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Words => "WER",
        Unit::Characters => "CER",
    }
}

/// An engine's result for a recording.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Of the rounds that did not fail, the text with the most errors; where all failed, what came first.
    pub text: String,
    /// Where the truth is known.
    pub scored: Option<Scored>,
    pub characters: Option<Distance>,
    /// Whether some round gave no text, or one that repeats itself.
    pub is_empty: bool,
    pub is_looping: bool,
}

/// How the texts of a recording are compared.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    pub normalizer: Normalizer,
    pub unit: Unit,
}

impl Measure {
    /// By the language, which is `spoken` where the recording's own is not known, unless a normaliser was asked for.
    pub fn of(recording: &Recording, spoken: Option<Language>, asked: Option<Normalizer>) -> Self {
        let language = recording.language.or(spoken);
        let normalizer = asked.unwrap_or_else(|| Normalizer::for_language(language));
        Self { normalizer, unit: Unit::choose(language, recording.truth.as_deref().unwrap_or_default()) }
    }
}

/// A comparison that is finished.
pub struct Finished<'a> {
    pub engines: &'a [Engine],
    pub recordings: &'a [Recording],
    pub converted: &'a [Converted],
    pub measures: &'a [Measure],
    pub runs: &'a [Run],
    /// A run of each engine on a second of silence, as far as it has one.
    pub startups: &'a [Run],
    pub sanity_percent: f64,
}

impl Finished<'_> {
    /// The results of every engine, in their order.
    pub fn results(&self) -> Vec<EngineResult> {
        let mut results: Vec<EngineResult> = self.engines.iter().map(|engine| self.result(engine)).collect();
        let first = results.iter().position(|result| result.speed_only.is_none());
        for unit in [Unit::Words, Unit::Characters] {
            let files: Vec<Vec<Errors>> = results.iter().map(|result| self.errors(&result.texts, unit)).collect();
            for (index, result) in results.iter_mut().enumerate() {
                if let (Some(score), Some(first)) = (result.score_mut(unit), first.filter(|first| *first < index)) {
                    score.difference = scoring::paired(&files[first], &files[index], Bootstrap::default());
                }
            }
            let contest = self.contest(&results, unit);
            let names: Vec<String> = contest.engines.iter().map(|(name, _)| (*name).to_owned()).collect();
            for (name, place) in names.into_iter().zip(contest.places()) {
                let result = results.iter_mut().find(|result| result.name == name);
                if let Some(score) = result.and_then(|result| result.score_mut(unit)) {
                    score.place = place;
                }
            }
        }
        rank(&mut results);
        results
    }

    /// The engines whose errors are compared: their texts count and all their runs were finished.
    pub fn contest<'r>(&self, results: &'r [EngineResult], unit: Unit) -> Contest<'r> {
        let whole = results.iter().filter(|result| result.speed_only.is_none() && result.failures == 0);
        Contest { unit, engines: whole.map(|one| (one.name.as_str(), self.errors(&one.texts, unit))).collect() }
    }

    fn result(&self, engine: &Engine) -> EngineResult {
        let runs: Vec<&Run> = self.runs.iter().filter(|run| run.engine == engine.name).collect();
        let good: Vec<(&Run, f64)> = runs
            .iter()
            .filter(|run| run.outcome.failure.is_none())
            .filter_map(|run| Some((*run, self.seconds(&run.recording)?)))
            .collect();
        let is_judged = engine.speed_only.is_none();
        let heard = |(recording, measure): (&Recording, &Measure)| {
            let of_this = || runs.iter().filter(|run| run.recording == recording.name);
            let mut texts: Vec<&str> = Vec::new();
            for run in of_this().filter(|run| run.outcome.failure.is_none()) {
                if !texts.contains(&run.outcome.text.as_str()) {
                    texts.push(&run.outcome.text);
                }
            }
            if texts.is_empty() {
                texts.push(of_this().next().map_or("", |run| &run.outcome.text));
            }
            let truth = recording.truth.as_deref().filter(|_| is_judged);
            let score = |text: &str| truth.map(|truth| scoring::score(truth, text, measure.normalizer, measure.unit));
            let is_looping = |text: &&str| scoring::is_loop(text, recording.truth.as_deref(), measure.unit);
            let scored = texts.iter().map(|text| (*text, score(text)));
            // The first of those that are equally bad.
            let worst = scored.min_by_key(|(_, scored)| Reverse(scored.as_ref().map(|scored| scored.errors.total())));
            let (text, scored) = worst.unwrap_or_default();
            Heard {
                scored,
                characters: truth.map(|truth| scoring::character_distance(truth, text, measure.normalizer)),
                is_empty: texts.iter().any(|text| text.is_empty()),
                is_looping: texts.iter().any(is_looping),
                text: text.to_owned(),
            }
        };
        let texts: Vec<Heard> = self.recordings.iter().zip(self.measures).map(heard).collect();
        let failures = runs.len() - good.len();
        let score = |unit| {
            let files = self.errors(&texts, unit);
            let errors: Errors = files.iter().copied().sum();
            let interval = scoring::interval(&files, Bootstrap::default());
            (!files.is_empty()).then(|| Score { errors, rate: errors.rate(), interval, difference: None, place: None })
        };
        let (words, characters) = (score(Unit::Words), score(Unit::Characters));
        let rates = [&words, &characters].map(|score| score.as_ref().and_then(|score| score.rate));
        let not_ranked = match is_judged {
            true => sanity::judge(&self.evidence(&texts, runs.len(), failures, rates), self.sanity_percent),
            false => Vec::new(),
        };
        let startup = self.startups.iter().find(|run| run.engine == engine.name && run.outcome.failure.is_none());
        let startup_seconds = startup.map(|run| run.outcome.wall_seconds);
        let wall: f64 = good.iter().map(|(run, _)| run.outcome.wall_seconds).sum();
        let audio: f64 = good.iter().map(|(_, seconds)| seconds).sum();
        let per_audio_second = |sum: f64| (audio > 0.0).then(|| sum / audio);
        let first_round = |recording: &str| runs.iter().find(|run| run.recording == recording);
        EngineResult {
            name: engine.name.clone(),
            command: engine.words.clone(),
            version: engine.version(),
            model_bytes: engine.model_bytes(),
            speed_only: engine.speed_only.clone(),
            not_ranked,
            rank: None,
            words,
            characters,
            character_error_rate: texts.iter().filter_map(|heard| heard.characters).sum::<Distance>().rate(),
            runs: runs.len(),
            failures,
            text_varies: good.iter().any(|(run, _)| {
                first_round(&run.recording)
                    .is_some_and(|first| first.outcome.failure.is_none() && first.outcome.text != run.outcome.text)
            }),
            real_time_factor: spread(good.iter().map(|(run, seconds)| run.outcome.wall_seconds / seconds)),
            total_real_time_factor: per_audio_second(wall),
            startup_seconds,
            work_real_time_factor: startup_seconds
                .and_then(|seconds| per_audio_second((wall - seconds * good.len() as f64).max(0.0))),
            gets_threads: engine.has("threads"),
            gets_language: engine.has("language"),
            first_text_seconds: spread(good.iter().filter_map(|(run, _)| run.outcome.first_text_seconds)),
            user_seconds_per_audio_second: per_audio_second(good.iter().map(|(run, _)| run.outcome.user_seconds).sum()),
            peak_bytes: good.iter().map(|(run, _)| run.outcome.peak_bytes).max(),
            texts,
        }
    }

    fn evidence(&self, texts: &[Heard], runs: usize, failed: usize, rates: [Option<f64>; 2]) -> Evidence {
        let has_speech = |recording: &Recording| recording.truth.as_ref().is_some_and(|truth| !truth.trim().is_empty());
        let spoken = || self.recordings.iter().zip(texts).filter(|(recording, _)| has_speech(recording));
        Evidence {
            runs,
            failed,
            with_speech: spoken().count(),
            empty: spoken().filter(|(_, heard)| heard.is_empty).count(),
            looping: spoken().filter(|(_, heard)| heard.is_looping).count(),
            is_truth_known: self.recordings.iter().any(|recording| recording.truth.is_some()),
            word_error_rate: rates[0],
            character_error_rate: rates[1],
        }
    }

    /// Errors of each recording that is counted in the unit and whose truth is known.
    fn errors(&self, texts: &[Heard], unit: Unit) -> Vec<Errors> {
        let counted = texts.iter().zip(self.measures).filter(|(_, measure)| measure.unit == unit);
        counted.filter_map(|(heard, _)| Some(heard.scored.as_ref()?.errors)).collect()
    }

    fn seconds(&self, name: &str) -> Option<f64> {
        let index = self.recordings.iter().position(|recording| recording.name == name)?;
        Some(self.converted.get(index)?.seconds)
    }
}

fn rank(results: &mut [EngineResult]) {
    let mut places: Vec<(f64, usize)> = results
        .iter()
        .enumerate()
        .filter(|(_, result)| result.not_ranked.is_empty() && result.speed_only.is_none())
        .filter_map(|(index, result)| Some((result.real_time_factor?.median, index)))
        .collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (place, (_, index)) in places.into_iter().enumerate() {
        results[index].rank = Some(place + 1);
    }
}

fn spread(values: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
    Some(Spread { median, low, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_between_its_ends() {
        assert_eq!(spread([3.0, 1.0, 2.0].into_iter()), Some(Spread { median: 2.0, low: 1.0, high: 3.0 }));
        assert_eq!(spread([4.0, 1.0].into_iter()).unwrap().median, 2.5);
        assert_eq!(spread([].into_iter()), None);
    }
}
