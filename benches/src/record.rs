//! Raw numbers on disk: `<record>/<date>/<name>.csv`, one row per run, warm-ups included, with its report beside it.
//! Records are only ever added: a second one of the same name and day gets a number.

use crate::run::Run;
use anyhow::{Result, anyhow};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const HEADER: &str = "round,contender,wall_s,user_s,system_s,peak_rss_kib,major_faults,involuntary_switches,load_before,exit_code,text\n";

/// The runs as CSV, in the order in which they ran; round 0 is the warm-up. A number that is not known is empty.
pub fn csv(runs: &[Run]) -> String {
    let mut csv = HEADER.to_owned();
    for run in runs {
        let execution = &run.execution;
        let usage = &execution.usage;
        let known = |number: Option<String>| number.unwrap_or_default();
        let [faults, switches] = [0, 1].map(|at| known(execution.disturbances.map(|counts| counts[at].to_string())));
        csv.push_str(&format!(
            "{},{},{:.6},{:.2},{:.2},{},{faults},{switches},{},{},\"{}\"\n",
            run.round,
            run.label,
            execution.wall.as_secs_f64(),
            usage.user_seconds,
            usage.system_seconds,
            usage.peak_bytes / 1024,
            known(run.load_before.map(|load| load.to_string())),
            known(execution.exit_code().map(|code| code.to_string())),
            escaped(&execution.text)
        ));
    }
    csv
}

/// One line per run whatever the text holds: control characters and backslashes as in Rust, quotes doubled as in CSV.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("\"\""),
            c if c.is_control() || c == '\\' => escaped.extend(c.escape_default()),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Writes both files and returns their paths without suffix. `report` is given the CSV's file name.
pub fn file(record: &Path, date: &str, name: &str, runs: &[Run], report: impl Fn(&str) -> String) -> Result<PathBuf> {
    let folder = record.join(date);
    fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
    for number in 1u32.. {
        let stem = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
        let csv_name = format!("{stem}.csv");
        if write_new(&folder.join(&csv_name), &csv(runs))? {
            let page = folder.join(format!("{stem}.md"));
            if !write_new(&page, &report(&csv_name))? {
                return Err(anyhow!("{} exists without its CSV: move it away and run again", page.display()));
            }
            return Ok(folder.join(stem));
        }
    }
    Err(anyhow!("{} is full of records called {name}", folder.display()))
}

/// Says whether the file was new; an existing one is left as it is.
fn write_new(path: &Path, content: &str) -> Result<bool> {
    let mut file = match File::create_new(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(unwritable(path, &error)),
    };
    file.write_all(content.as_bytes()).map_err(|error| unwritable(path, &error))?;
    Ok(true)
}

fn unwritable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    anyhow!("{} cannot be written ({error}): give --record a folder one can write to", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::{execution, run_of};

    fn runs() -> Vec<Run> {
        let second = execution(1500, "say \"one\"\nC:\\ ä");
        vec![run_of(0, "A", execution(250, "one, two")), Run { load_before: None, ..run_of(1, "B", second) }]
    }

    #[test]
    fn the_csv_is_exactly_this() {
        let expected = "\
round,contender,wall_s,user_s,system_s,peak_rss_kib,major_faults,involuntary_switches,load_before,exit_code,text
0,A,0.250000,0.50,0.00,256000,0,0,0.5,0,\"one, two\"
1,B,1.500000,3.00,0.00,1536000,0,0,,0,\"say \"\"one\"\"\\nC:\\\\ ä\"
";
        assert_eq!(csv(&runs()), expected);
    }

    #[test]
    fn records_are_added_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("record");
        let report = |csv: &str| format!("raw: {csv}");
        let first = file(&record, "2026-01-02", "start", &runs(), report).unwrap();
        let second = file(&record, "2026-01-02", "start", &runs()[..1], report).unwrap();
        let read = |suffix: &str| fs::read_to_string(record.join("2026-01-02").join(suffix)).unwrap();
        let (raw, pages) = (read("start.csv"), [read("start.md"), read("start-2.md")]);
        fs::write(record.join("2026-01-02/other.md"), "mine").unwrap();
        let clash = file(&record, "2026-01-02", "other", &runs(), report);
        let kept = read("other.md");
        assert!(first.ends_with("2026-01-02/start") && second.ends_with("2026-01-02/start-2"));
        assert_eq!(raw.lines().count(), 3);
        assert_eq!(pages, ["raw: start.csv", "raw: start-2.csv"]);
        assert!(clash.is_err());
        assert_eq!(kept, "mine");
    }
}
