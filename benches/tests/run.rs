//! The built command on small processes: what runs in which order, what is filed, and what is void.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// One folder per test, with a definition whose contender A is whatever the test wants.
struct Bench {
    folder: PathBuf,
}

impl Bench {
    /// `command` is the TOML list of contender A.
    fn new(test: &str, command: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("definitions")).unwrap();
        fs::write(folder.join("model.gguf"), "weights").unwrap();
        fs::write(folder.join("clip.raw"), "").unwrap();
        let definition = format!(
            "name = 'small'\nanalysis = 'Tries the tool.'\ncommand = {command}\nthreads = 2\nmax-new-tokens = 8\naudio-seconds = 1.0\n\
             [verify]\nequal-to = 'every-run'\nexit-codes = [0, 5]\n"
        );
        fs::write(folder.join("definitions/small.toml"), definition).unwrap();
        Self { folder }
    }

    fn run(&self, more: &[&str]) -> Output {
        let always = "run --definition small --definitions definitions --qasr echo --model model.gguf --audio clip.raw --record record";
        Command::new(env!("CARGO_BIN_EXE_qasr-bench"))
            .current_dir(&self.folder)
            .args(always.split(' '))
            .args(more)
            .output()
            .expect("the built command starts")
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The only record's CSV and page.
    fn record(&self) -> (String, String) {
        let dates: Vec<PathBuf> =
            fs::read_dir(self.folder.join("record")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(dates.len(), 1, "{dates:?}");
        let read =
            |name: &str| fs::read_to_string(dates[0].join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        (read("small.csv"), read("small.md"))
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn contenders_alternate_and_the_record_holds_every_run() {
    let bench = Bench::new("alternate", r#"["sh", "-c", "printf A >> order; sleep 0.15; echo same text", "{audio}"]"#);
    let output = bench.run(&["--runs", "3", "--vs", "sh -c 'printf B >> order; echo \"same text\"' {audio}"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(bench.read("order"), "ABABABAB");
    let (csv, page) = bench.record();
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let order: Vec<(&str, &str)> = rows.iter().map(|row| (row[0], row[1])).collect();
    assert_eq!(order, [("0", "A"), ("0", "B"), ("1", "A"), ("1", "B"), ("2", "A"), ("2", "B"), ("3", "A"), ("3", "B")]);
    for row in &rows {
        let wall: f64 = row[2].parse().unwrap();
        assert!(row[1] != "A" || wall >= 0.15, "A sleeps 150 ms, and {wall} s were measured");
        assert!(row[5].parse::<u64>().unwrap() > 100, "no process fits into {} KiB", row[5]);
        assert_eq!(row[10], "\"same text\"");
    }
    assert!(page.starts_with("# small\n\n```sh\n") && page.contains("run --definition small"), "{page}");
    assert!(page.contains("| wall | B ÷ A |"), "{page}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("| wall, s | A |"));
}

#[test]
fn memory_and_cpu_time_are_those_of_the_child() {
    // Both print the same; a child of A's keeps 60 MB to find their end, B has nothing to keep.
    let command = r#"["sh", "-c", "head -c 60000000 /dev/zero | tail -c 60000000 > rest; echo done", "{audio}"]"#;
    let bench = Bench::new("memory", command);
    let output = bench.run(&["--runs", "1", "--vs", "echo done"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let (csv, _) = bench.record();
    let of = |label: &str| -> (f64, f64) {
        let row = csv.lines().find(|line| line.starts_with(&format!("1,{label},"))).unwrap();
        let cells: Vec<&str> = row.split(',').collect();
        (cells[3].parse::<f64>().unwrap() + cells[4].parse::<f64>().unwrap(), cells[5].parse().unwrap())
    };
    let ((cpu_a, peak_a), (cpu_b, peak_b)) = (of("A"), of("B"));
    assert!(peak_a > 58_000.0, "{csv}");
    assert!(peak_b < 10_000.0, "{csv}");
    assert!(cpu_a > cpu_b, "{csv}");
}

#[test]
fn a_text_that_changes_is_void_and_nothing_is_filed() {
    let bench = Bench::new("void", r#"["sh", "-c", "printf x >> count; wc -c < count", "{audio}"]"#);
    let output = bench.run(&["--runs", "3"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("run 1 of A printed \"2\", but the warm-up of A printed \"1\""),
        "{}",
        stderr(&output)
    );
    assert_eq!(bench.read("count"), "xx", "the set should have ended with the second run");
    assert!(!bench.folder.join("record").exists());
}

#[test]
fn texts_of_two_contenders_may_differ_only_where_allowed() {
    let bench = Bench::new("differ", r#"["{qasr}", "text", "{threads}", "{max-new-tokens}"]"#);
    let strict = bench.run(&["--runs", "1", "--vs", "echo other"]);
    assert_eq!(strict.status.code(), Some(3), "{}", stderr(&strict));
    fs::write(bench.folder.join("expected.txt"), "text 4 8\n").unwrap();
    let loose = bench.run(&[
        "--runs",
        "1",
        "--vs",
        "echo other",
        "--vs-text-may-differ",
        "--threads",
        "4",
        "--expect",
        "expected.txt",
    ]);
    assert!(loose.status.success(), "{}", stderr(&loose));
    let (_, page) = bench.record();
    assert!(
        page.contains("    text 4 8\n") && page.contains("    other\n") && page.contains("were not compared"),
        "{page}"
    );
    fs::write(bench.folder.join("expected.txt"), "another text").unwrap();
    let wrong = bench.run(&["--runs", "1", "--expect", "expected.txt"]);
    assert_eq!(wrong.status.code(), Some(3), "{}", stderr(&wrong));
}

#[test]
fn exit_codes_and_signals_are_seen_through_the_timer() {
    let bench = Bench::new("exit", r#"["sh", "-c", "echo text; exit 5", "{audio}"]"#);
    let limited = bench.run(&["--runs", "1"]);
    assert!(limited.status.success(), "{}", stderr(&limited));
    assert!(bench.record().1.contains("Contender A, exit code 5"));
    for (command, said) in [
        ("sh -c 'echo text; echo broken >&2; exit 4'", "ended with exit code 4, not 0 or 5: broken"),
        ("sh -c 'echo text; kill -9 $$'", "ended with exit code 137"),
        ("./no-such-program", "B: `./no-such-program` cannot be started"),
    ] {
        let output = bench.run(&["--runs", "1", "--vs", command]);
        assert_eq!(output.status.code(), Some(3), "{command}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{command}: {}", stderr(&output));
    }
}

#[test]
fn usage_errors_say_what_to_type() {
    let bench = Bench::new("usage", r#"["{qasr}", "{nothing}"]"#);
    let output = bench.run(&["--runs", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("{nothing}") && stderr(&output).contains("{audio}"), "{}", stderr(&output));
    fs::remove_file(bench.folder.join("definitions/small.toml")).unwrap();
    let output = bench.run(&["--runs", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("definitions/small.toml"), "{}", stderr(&output));
}
