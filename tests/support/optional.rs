//! Material that a test can use and that a clone does not bring: the folder `../shared`, a browser, another engine.
//! A test that does without it reports so, and the test command counts these reports.

// Every test program that has this file in it uses a part of it.
#![allow(dead_code)]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A part of `../shared`, the folder beside the checkout; nothing where it is not there, or where the environment
/// variable `QASR_SHARED` is `hidden`. Every test finds it through this function.
pub fn find(part: &str) -> Option<PathBuf> {
    if std::env::var_os("QASR_SHARED").is_some_and(|value| value == "hidden") {
        return None;
    }
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checkout = package.ancestors().find(|folder| folder.join("Cargo.lock").is_file())?;
    Some(checkout.parent()?.join("shared").join(part)).filter(|path| path.exists())
}

/// As [`find`]; where nothing is found, the calling test is reported as skipped.
pub fn shared(part: &str) -> Option<PathBuf> {
    shared_or(part, "skipped")
}

/// As [`find`]; where nothing is found, `instead` is reported: the action of the calling test.
pub fn shared_or(part: &str, instead: &str) -> Option<PathBuf> {
    let found = find(part);
    if found.is_none() {
        report("shared", &format!("{instead}: ../shared/{part} is not there"));
    }
    found
}

/// Reports that the calling test is skipped, and why.
pub fn skip(why: &str) {
    report("other", &format!("skipped: {why}"));
}

/// A line on standard error, even where the test runner keeps the output of passing tests to itself; and a line in the
/// file that `QASR_SKIPPED` names: package, test program, test, missing material (`shared` or `other`), message.
fn report(missing: &str, message: &str) {
    let (package, program) = (env!("CARGO_PKG_NAME"), env!("CARGO_CRATE_NAME"));
    // The test runner gives each test a thread of its name.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("main");
    // A closed standard error is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{program}::{test}: {message}");
    if let Some(file) = std::env::var_os("QASR_SKIPPED") {
        let line = format!("{package}\t{program}\t{test}\t{missing}\t{message}\n");
        let appended = OpenOptions::new().append(true).create(true).open(&file);
        appended.and_then(|mut file| file.write_all(line.as_bytes())).expect("QASR_SKIPPED names a file to append to");
    }
}
