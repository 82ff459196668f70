//! `qasr bench`: a table that says what was measured and how fast it was.

use crate::command::{Scratch, qasr};

#[test]
fn a_row_for_each_width_and_one_for_live_in_three_forms() {
    let flags = ["--seconds", "30", "--runs", "1", "--batch", "1,3", "--no-prints"];
    let run = |format: &str| qasr(&[&["bench", "--format", format], &flags[..]].concat()).succeeds();
    let table = run("md");
    assert_eq!(table.stderr, "", "--no-prints");
    let rows: Vec<&str> = table.stdout.lines().filter(|line| line.starts_with("| ") && !line.contains("way")).collect();
    assert_eq!(rows.len(), 3, "{}", table.stdout);
    assert!(rows[0].contains("offline") && rows[2].contains("live"), "{}", table.stdout);
    assert!(table.stdout.contains("model demo") && !table.stdout.contains("warning"), "{}", table.stdout);
    let csv = run("csv").stdout;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 4, "{csv}");
    assert!(lines.iter().all(|line| line.split(',').count() == 10), "{csv}");
    let json: serde_json::Value = serde_json::from_str(&run("json").stdout).unwrap();
    assert_eq!((json["audio_seconds"].as_f64(), json["runs"].as_array().unwrap().len()), (Some(30.0), 3));
    for (row, width) in json["runs"].as_array().unwrap().iter().zip([1, 3, 1]) {
        assert_eq!(row["batch"], width);
        assert_eq!(row["same_text"], true, "{json}");
        // Utterances of up to 8 s, the demo model's own length, or 12 s.
        assert!(row["utterances"].as_u64().unwrap() >= 3 && row["new_tokens"].as_u64().unwrap() > 0, "{row}");
        assert!(row["seconds"].as_f64().unwrap() > 0.0 && row["times_real_time"].as_f64().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn a_recording_can_be_given_and_what_makes_no_sense_is_refused() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/sample.flac");
    let run = qasr(&["bench", sample, "--runs", "1", "--batch", "2", "--format", "csv"]).succeeds();
    assert!(run.stdout.contains("offline,2,"), "{}", run.stdout);
    assert!(run.stderr.contains("run 1 of 1"), "{}", run.stderr);
    for wrong in [&["--batch", "0"][..], &["--batch", "17"], &["--runs", "0"], &["--format", "xml"]] {
        qasr(&[&["bench"], wrong].concat()).fails_with(2);
    }
    let scratch = Scratch::new("bench");
    let text = scratch.write("a.wav", b"no sound");
    qasr(&["bench", &text]).fails_with(3);
    qasr(&["bench", "-m", &text]).fails_with(4);
}
