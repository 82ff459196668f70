//! A full disk or a kill leaves nothing under the final names.
#![cfg(unix)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{checkpoint, fresh_dir, listing, run};
use qasr_convert::tiny::Spec;
use qasr_convert::{ConvertErrorKind, ConvertOptions, FileType, Stage, convert};

/// Directory the child works in; without it the child is not asked for.
const DIR: &str = "QASR_TEST_CHILD_DIR";

/// Not a test by itself: the tests below run it in a process of its own, to limit or to kill it. Prints "half" when
/// the second file is being written and then waits for ever, if `QASR_TEST_CHILD_WAITS` is set.
#[test]
#[ignore = "run by the other tests of this file"]
fn child() {
    let Some(dir) = env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    let options = ConvertOptions::new(dir.join("ckpt"), dir.join("out"), FileType::F32);
    let result = convert(&options, &mut |progress| {
        if progress.stage == Stage::Encoder
            && progress.done > progress.total / 2
            && env::var_os("QASR_TEST_CHILD_WAITS").is_some()
        {
            println!("half");
            std::io::stdout().flush().expect("flush");
            loop {
                std::thread::park();
            }
        }
    });
    match result {
        Ok(_) => println!("converted"),
        Err(error) => println!("{:?}: {error}", error.kind()),
    }
}

/// The child under a limit of file size in blocks (512 or 1024 bytes, as the shell counts) set by `prelude`.
fn limited(dir: &Path, prelude: &str) -> String {
    let command = format!("{prelude}; exec \"$0\" --exact interruptions::child --ignored --nocapture");
    let output = Command::new("sh")
        .args(["-c", &command])
        .arg(env::current_exe().expect("own path"))
        .env(DIR, dir)
        .output()
        .expect("sh");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_write_that_fails_leaves_nothing() {
    let dir = fresh_dir("no_space");
    checkpoint(&dir, &Spec::default());
    assert!(limited(&dir, "true").contains("converted"), "the child converts when nothing limits it");
    fs::remove_dir_all(dir.join("out")).expect("clean");
    // The signal is ignored, so that a write past the limit fails as it does on a full disk.
    let said = limited(&dir, "trap '' XFSZ; ulimit -f 3000");
    assert!(said.contains("Io: ") && said.contains("cannot write"), "{said}");
    assert_eq!(listing(&dir.join("out")), [""; 0]);
}

#[test]
fn a_failure_in_the_second_file_leaves_neither() {
    let dir = fresh_dir("second_file");
    // The decoder file is the larger one as the default stands; a narrower decoder turns that round.
    let mut spec = Spec::default();
    spec.decoder.layers = 1;
    checkpoint(&dir, &spec);
    let report = run(&dir, FileType::F32).expect("convert");
    let [decoder, encoder] = report.file_bytes;
    assert!(encoder > decoder + 2048, "{decoder} {encoder}");
    fs::remove_dir_all(dir.join("out")).expect("clean");
    // Shells count blocks of 512 or of 1024 bytes. Find out which, so that the limit lies between the two sizes.
    let probe =
        Command::new("sh").args(["-c", "ulimit -f 2; head -c 1536 /dev/zero > probe"]).current_dir(&dir).status();
    let block = if probe.expect("sh").success() { 1024 } else { 512 };
    let said = limited(&dir, &format!("trap '' XFSZ; ulimit -f {}", (decoder + encoder) / 2 / block));
    assert!(said.contains("mmproj-") && said.contains("cannot write"), "{said}");
    assert_eq!(listing(&dir.join("out")), [""; 0], "{said}");
}

#[test]
fn a_killed_run_leaves_nothing_under_the_final_names_and_does_not_hinder_the_next() {
    let dir = fresh_dir("killed");
    checkpoint(&dir, &Spec::default());
    let mut child = Command::new(env::current_exe().expect("own path"))
        .args(["--exact", "interruptions::child", "--ignored", "--nocapture"])
        .env(DIR, &dir)
        .env("QASR_TEST_CHILD_WAITS", "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let reached = lines.map_while(Result::ok).any(|line| line.contains("half"));
    child.kill().expect("kill");
    child.wait().expect("wait");
    assert!(reached, "the child must have come to the second file");
    let left = listing(&dir.join("out"));
    assert!(
        !left.is_empty() && left.iter().all(|name| name.starts_with('.') && name.contains(".unfinished-")),
        "{left:?}"
    );

    run(&dir, FileType::F32).expect("the next run");
    let finished: Vec<String> = listing(&dir.join("out")).into_iter().filter(|name| !name.starts_with('.')).collect();
    assert_eq!(finished, ["mmproj-tiny-f32.gguf", "tiny-f32.gguf"]);
}

#[test]
fn an_earlier_pair_survives_a_failed_run() {
    let dir = fresh_dir("survives");
    checkpoint(&dir, &Spec::default());
    assert!(limited(&dir, "true").contains("converted"));
    let before: Vec<Vec<u8>> =
        listing(&dir.join("out")).iter().map(|n| fs::read(dir.join("out").join(n)).expect("file")).collect();
    assert!(limited(&dir, "trap '' XFSZ; ulimit -f 3000").contains("cannot write"));
    let after: Vec<Vec<u8>> =
        listing(&dir.join("out")).iter().map(|n| fs::read(dir.join("out").join(n)).expect("file")).collect();
    assert!(before.len() == 2 && before == after);
}

/// A decoder file of an earlier run stays as it is when its encoder's name cannot be taken: by the time writing starts,
/// or only when both files are complete.
#[test]
fn neither_file_is_replaced_where_one_cannot_be() {
    let dir = fresh_dir("half_replaceable");
    checkpoint(&dir, &Spec::default());
    let out = dir.join("out");
    for late in [false, true] {
        fs::create_dir_all(&out).expect("folder");
        fs::write(out.join("ckpt-q8_0.gguf"), "earlier").expect("earlier file");
        let in_the_way = out.join("mmproj-ckpt-q8_0.gguf");
        if !late {
            fs::create_dir(&in_the_way).expect("in the way");
        }
        let mut is_started = false;
        let options = ConvertOptions::new(dir.join("ckpt"), &out, FileType::Q8_0);
        let error = convert(&options, &mut |progress| {
            is_started |= progress.stage == Stage::Decoder;
            if progress.stage == Stage::Verify && !in_the_way.exists() {
                fs::create_dir(&in_the_way).expect("in the way");
            }
        })
        .map(|_| ())
        .expect_err("a folder cannot be replaced");
        let said = error.to_string();
        assert!(error.kind() == ConvertErrorKind::Io && said.contains("mmproj-ckpt-q8_0.gguf: is no file"), "{said}");
        assert_eq!(is_started, late, "what is known before is said before");
        assert_eq!(listing(&out), ["ckpt-q8_0.gguf", "mmproj-ckpt-q8_0.gguf"]);
        assert_eq!(fs::read(out.join("ckpt-q8_0.gguf")).expect("file"), b"earlier");
        fs::remove_dir_all(&out).expect("clean");
    }
}

/// A failure that no check can foresee: the first file has its final name, the second has not.
#[test]
fn a_pair_that_was_replaced_by_half_is_said_to_be() {
    let dir = fresh_dir("half_replaced");
    checkpoint(&dir, &Spec::default());
    let out = dir.join("out");
    let options = ConvertOptions::new(dir.join("ckpt"), &out, FileType::Q8_0);
    let error = convert(&options, &mut |progress| {
        if progress.stage == Stage::Verify && progress.done == progress.total {
            let unfinished = listing(&out).into_iter().find(|name| name.starts_with(".mmproj-")).expect("unfinished");
            fs::remove_file(out.join(unfinished)).expect("taken away");
        }
    })
    .map(|_| ())
    .expect_err("nothing to give the name to");
    let said = error.to_string();
    assert_eq!(listing(&out), ["ckpt-q8_0.gguf"]);
    assert!(
        said.contains("out/mmproj-ckpt-q8_0.gguf: ") && said.contains("out/ckpt-q8_0.gguf is new already"),
        "{said}"
    );
    assert!(!said.contains("nothing was left behind"), "{said}");
}

#[test]
fn a_target_that_cannot_be_written_is_an_io_error() {
    let dir = fresh_dir("no_dir");
    checkpoint(&dir, &Spec::default());
    fs::write(dir.join("out"), "a file where the directory should be").expect("write");
    let error = run(&dir, FileType::Q8_0).expect_err("no directory");
    assert_eq!(error.kind(), ConvertErrorKind::Io);
    assert!(error.to_string().contains("cannot make the directory"), "{error}");
}
