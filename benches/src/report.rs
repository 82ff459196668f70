//! The page beside the raw numbers: first how to get them again, then what they are. Never a verdict: which
//! difference matters is for the reader, who knows what else the machine was doing.

use crate::definition::Definition;
use crate::provenance::Input;
use crate::run::{Contender, FIRST, Run, SECOND};
use crate::statistics::{Summary, ratios};
use crate::verify::{Agreement, Verification};
use qasr_measure::command;
use qasr_measure::identity::FileIdentity;
use qasr_measure::machine::Machine;

/// Everything around the runs that a reader needs to judge them.
pub struct Context<'a> {
    pub definition: &'a Definition,
    pub verification: &'a Verification,
    pub contenders: &'a [Contender],
    /// One per contender.
    pub versions: Vec<String>,
    pub typed: &'a [String],
    pub started: String,
    pub commit: String,
    pub machine: Machine,
    pub inputs: Vec<Input>,
    /// Length of the recording, where it could be read.
    pub audio_seconds: Option<f64>,
}

/// A number of each run: its heading, how many decimals, and how to take it from a run.
type Measure<'a> = (&'static str, usize, Box<dyn Fn(&Run) -> f64 + 'a>);

fn measures(audio_seconds: f64) -> Vec<Measure<'static>> {
    vec![
        ("wall, s", 3, Box::new(|run| run.execution.wall.as_secs_f64())),
        (
            "RTF (wall ÷ audio; smaller is better)",
            3,
            Box::new(move |run| run.execution.wall.as_secs_f64() / audio_seconds),
        ),
        ("user CPU, s", 2, Box::new(|run| run.execution.usage.user_seconds)),
        ("system CPU, s", 2, Box::new(|run| run.execution.usage.system_seconds)),
        ("peak resident set, MiB", 1, Box::new(|run| run.execution.usage.peak_bytes as f64 / 1_048_576.0)),
        ("major page faults", 0, Box::new(|run| disturbance(run, 0))),
        ("involuntary switches", 0, Box::new(|run| disturbance(run, 1))),
    ]
}

/// Of page faults that had to read, and of involuntary switches. NaN where the system does not count them.
fn disturbance(run: &Run, at: usize) -> f64 {
    run.execution.disturbances.map_or(f64::NAN, |counts| counts[at] as f64)
}

/// The command as one would type it in a shell.
fn quote(words: &[String]) -> String {
    command::quote(words.iter().map(String::as_str))
}

/// The measures of which a ratio says something: work and memory, not accidents.
const COMPARED: &[&str] = &["wall, s", "user CPU, s", "peak resident set, MiB"];

/// The whole page.
pub fn page(context: &Context, runs: &[Run], csv_name: &str) -> String {
    let mut page = format!("# {}\n\n```sh\n{}\n```\n\n", context.definition.name, quote(context.typed));
    for (what, value) in facts(context) {
        page.push_str(&format!("- {what}: {value}\n"));
    }
    page.push_str("\n## What was run\n\n");
    for (contender, version) in context.contenders.iter().zip(&context.versions) {
        page.push_str(&format!(
            "Contender {}:\n\n{}\nVersion:\n\n{}\n",
            contender.label,
            indented(&quote(&contender.command)),
            indented(version)
        ));
    }
    page.push_str(&format!("{}\n\n", context.definition.analysis.trim()));
    page.push_str(&tables(context, runs));
    page.push_str("\n## Verified text\n\n");
    page.push_str(&verified(context, runs));
    page.push_str(&format!(
        "\nRaw numbers: [{csv_name}]({csv_name}). How they are measured: `benches/METHODOLOGY.md`; whose they are: `benches/BIAS.md`.\n"
    ));
    page
}

fn facts(context: &Context) -> Vec<(&'static str, String)> {
    let machine = &context.machine;
    let audio = match context.audio_seconds {
        Some(seconds) => format!("{seconds:.2} s"),
        None => {
            format!(
                "taken for {} s as the definition says; it could not be read here",
                context.definition.audio_seconds
            )
        }
    };
    let mut facts = vec![
        ("Started", context.started.clone()),
        ("Commit", context.commit.clone()),
        ("CPU", machine.processor.clone()),
        ("Cores", format!("{} usable", machine.cores)),
        ("Memory", machine.memory.clone()),
        ("Kernel", machine.system.clone()),
        ("Timer", format!("wall by qasr-bench {}, the rest by the kernel (wait4)", env!("CARGO_PKG_VERSION"))),
        ("Recording", audio),
    ];
    for input in &context.inputs {
        let FileIdentity { bytes, sha256 } = &input.identity;
        facts.push(("File", format!("`{}`, {bytes} bytes, SHA-256 {sha256}", input.path.display())));
    }
    facts
}

/// Smallest, median and largest of each measure, then the ratios of the runs of a round.
pub fn tables(context: &Context, runs: &[Run]) -> String {
    let audio_seconds = context.audio_seconds.unwrap_or(context.definition.audio_seconds);
    let measures = measures(audio_seconds);
    let of = |label: &str, take: &dyn Fn(&Run) -> f64| -> Vec<f64> {
        runs.iter().filter(|run| run.is_timed() && run.label == label).map(take).collect()
    };
    let timed = runs.iter().filter(|run| run.is_timed() && run.label == FIRST).count();
    let mut tables = format!(
        "## Numbers of {timed} timed runs each\n\n| | | min | median | max |\n| --- | --- | --- | --- | --- |\n"
    );
    for (heading, decimals, take) in &measures {
        for contender in context.contenders {
            if let Some(summary) = Summary::of(&of(contender.label, take)) {
                tables.push_str(&row(heading, contender.label, *decimals, summary));
            }
        }
    }
    if context.contenders.len() < 2 {
        return tables;
    }
    tables.push_str(
        "\nB ÷ A, run by run of the same round:\n\n| | | min | median | max |\n| --- | --- | --- | --- | --- |\n",
    );
    for (heading, _, take) in measures.iter().filter(|(heading, ..)| COMPARED.contains(heading)) {
        let heading = heading.split(',').next().unwrap_or(heading);
        match ratios(&of(FIRST, take), &of(SECOND, take)).and_then(|ratios| Summary::of(&ratios)) {
            Some(summary) => tables.push_str(&row(heading, "B ÷ A", 3, summary)),
            None => tables.push_str(&format!("| {heading} | B ÷ A | – | – | – |\n")),
        }
    }
    tables
}

fn row(heading: &str, label: &str, decimals: usize, summary: Summary) -> String {
    let Summary { min, median, max } = summary;
    format!("| {heading} | {label} | {min:.decimals$} | {median:.decimals$} | {max:.decimals$} |\n")
}

fn verified(context: &Context, runs: &[Run]) -> String {
    let rule = match (context.verification.agreement, context.contenders.len()) {
        (_, 1) => "Every run printed the same text",
        (Agreement::EveryRun, _) => "Every run of both contenders printed the same text",
        (Agreement::RunsOfTheSameCommand, _) => {
            "Every run of a contender printed the same text; the contenders' texts were not compared"
        }
    };
    let expected = if context.verification.expected.is_some() { ", and that of A is the one expected" } else { "" };
    let mut verified = format!("{rule}{expected}.\n");
    for contender in context.contenders {
        if let Some(run) = runs.iter().find(|run| run.label == contender.label) {
            let code = run.execution.exit_code().unwrap_or(-1);
            verified.push_str(&format!(
                "\nContender {}, exit code {code}:\n\n{}",
                contender.label,
                indented(&run.execution.text)
            ));
        }
    }
    verified
}

/// As a code block that no text can end: a fence could occur in what a model prints.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::{execution, run_of};
    use crate::verify::Verification;

    fn definition() -> Definition {
        toml::from_str(
            "name = 'start-1s'\nanalysis = 'What it is for.'\ncommand = ['x']\nthreads = 2\nmax-new-tokens = 8\naudio-seconds = 2.0\n\
             [verify]\nequal-to = 'every-run'\nexit-codes = [0]\n",
        )
        .unwrap()
    }

    fn runs(labels: &[&'static str], wall: impl Fn(usize, &str) -> u64) -> Vec<Run> {
        (0..=3)
            .flat_map(|round| labels.iter().map(move |label| (round, *label)))
            .map(|(round, label)| run_of(round, label, execution(wall(round, label), "one\n```\n# two")))
            .collect()
    }

    fn page_of(contenders: &[Contender], runs: &[Run]) -> String {
        let definition = definition();
        let verification = Verification { expected: None, agreement: Agreement::EveryRun, exit_codes: vec![0] };
        let machine = Machine {
            processor: "Some CPU".into(),
            cores: "2".into(),
            system: "linux x86_64 6.1".into(),
            memory: "8.0 GiB".into(),
        };
        let typed = ["qasr-bench", "run", "--vs", "other x"].map(str::to_owned);
        let context = Context {
            definition: &definition,
            verification: &verification,
            contenders,
            versions: vec!["qasr 0.1.0\nggml 1".into(); contenders.len()],
            typed: &typed,
            started: "2026-01-02 03:04:05 UTC".into(),
            commit: "abcdef".into(),
            machine,
            inputs: vec![Input { path: "a.wav".into(), identity: FileIdentity { bytes: 4, sha256: "5a".into() } }],
            audio_seconds: None,
        };
        page(&context, runs, "start-1s.csv")
    }

    fn contender(label: &'static str) -> Contender {
        Contender { label, command: vec!["run".into(), "it's".into()] }
    }

    #[test]
    fn the_page_begins_with_the_command_and_says_where_and_what() {
        let page = page_of(&[contender("A")], &runs(&["A"], |_, _| 10));
        assert!(
            page.starts_with(
                "# start-1s\n\n```sh\nqasr-bench run --vs 'other x'\n```\n\n- Started: 2026-01-02 03:04:05 UTC\n"
            ),
            "{page}"
        );
        for fact in [
            "Commit: abcdef",
            "CPU: Some CPU",
            "Cores: 2 usable",
            "8.0 GiB",
            "linux x86_64 6.1",
            "    qasr 0.1.0\n    ggml 1\n",
            "What it is for.",
        ] {
            assert!(page.contains(fact), "{fact} is missing:\n{page}");
        }
        assert!(page.contains("`a.wav`, 4 bytes, SHA-256 5a"));
        assert!(page.contains("    one\n    ```\n    # two\n"), "the text is not a closed block:\n{page}");
        assert!(!page.contains("B ÷ A"));
    }

    #[test]
    fn warm_ups_do_not_count_and_ratios_pair_rounds() {
        // A: 9000 (warm-up), 100, 200, 400 ms. B: twice that, but three times in the last round.
        let wall = |round: usize, label: &str| {
            let a = [9000, 100, 200, 400][round];
            if label == "A" { a } else { a * if round == 3 { 3 } else { 2 } }
        };
        let page = page_of(&[contender("A"), contender("B")], &runs(&["A", "B"], wall));
        for line in [
            "## Numbers of 3 timed runs each",
            "| wall, s | A | 0.100 | 0.200 | 0.400 |",
            "| wall, s | B | 0.200 | 0.400 | 1.200 |",
            "| RTF (wall ÷ audio; smaller is better) | A | 0.050 | 0.100 | 0.200 |",
            "| user CPU, s | A | 0.20 | 0.40 | 0.80 |",
            "| peak resident set, MiB | B | 200.0 | 400.0 | 1200.0 |",
            "| wall | B ÷ A | 2.000 | 2.000 | 3.000 |",
        ] {
            assert!(page.contains(&format!("{line}\n")), "{line} is missing:\n{page}");
        }
        let idle =
            page_of(&[contender("A"), contender("B")], &runs(&["A", "B"], |_, label| if label == "A" { 0 } else { 1 }));
        assert!(idle.contains("| user CPU | B ÷ A | – | – | – |\n"), "{idle}");
    }
}
