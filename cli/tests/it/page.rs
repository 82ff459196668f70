//! Pages in a real browser: nothing is wider than a phone, nothing is cut off, nothing is fetched.

use crate::optional;

use crate::command::{Scratch, qasr};
use qasr_measure::report::plot::{Axis, Bar, Point, Series, Strip, bars, lines, scatter, strip};
use qasr_measure::report::{Cell, Column, Content, Mark, Page, Table};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Width of a common phone.
const PHONE: u32 = 390;

/// The browser: named, or on the path and able to say its version. A stub that only tells how to install one is none.
fn browser() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("QASR_CHROMIUM") {
        return Some(named.into());
    }
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|candidate| candidate.is_file() && has_version(candidate))
}

fn has_version(browser: &PathBuf) -> bool {
    let status = Command::new(browser).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Faults that the browser finds in each page, shown at this width, with everything unfolded.
fn faults(browser: &PathBuf, scratch: &Scratch, pages: &[(&str, String)], width: u32) -> Vec<(String, Vec<String>)> {
    let mut wrapper = String::from("<!DOCTYPE html><html><body>\n");
    for (name, html) in pages {
        let html = html.replace('&', "&amp;").replace('"', "&quot;");
        wrapper += &format!(
            "<iframe name=\"{name}\" style=\"width:{width}px;height:2000px;border:0\" srcdoc=\"{html}\"></iframe>\n"
        );
    }
    wrapper += include_str!("page/check.html");
    let file = scratch.write("wrapper.html", wrapper.as_bytes());
    let output = dump(browser, scratch, &file);
    let verdict = output.split_once("<pre id=\"verdict\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let (verdict, _) = verdict.unwrap_or_else(|| panic!("the browser gave no verdict: {output}"));
    let verdict = verdict.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    let faults = |name: &str| -> Vec<String> { serde_json::from_value(verdict[name].clone()).unwrap() };
    pages.iter().map(|(name, _)| ((*name).to_owned(), faults(name))).collect()
}

/// The page's DOM after its scripts ran. Anything on the console is an error.
fn dump(browser: &PathBuf, scratch: &Scratch, file: &str) -> String {
    let profile = scratch.path("profile");
    let mut child = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-sync",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--enable-logging=stderr",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={profile}"))
        .arg(format!("file://{file}"))
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(scratch.path("dom")).unwrap())
        .stderr(std::fs::File::create(scratch.path("log")).unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", browser.display()));
    let deadline = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the browser did not end: {}", scratch.read("log"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let log = scratch.read("log");
    let console: Vec<&str> = log.lines().filter(|line| line.contains(":CONSOLE")).collect();
    assert!(console.is_empty(), "{console:?}");
    scratch.read("dom")
}

/// A page with everything the kit has, and long words in all of it.
fn kit() -> Page {
    let long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft";
    let mut page = Page::new(format!("Page of {long}"));
    page.subtitle(long);
    let mut table = Table::new((0..12).map(|column| Column::right(format!("column {column}")))).captioned(long);
    table.row((0..12).map(|column| Cell::new(format!("{long} {column}"))));
    let mut inner = Content::default();
    inner.words(long, [(long, Mark::Wrong), ("x", Mark::Missing)]).lines(&format!("/{long}/{long}")).table(&table);
    let names: Vec<String> = (0..9).map(|index| format!("engine number {index} of several")).collect();
    let points: Vec<Point> = names
        .iter()
        .enumerate()
        .map(|(index, name)| Point {
            name: name.clone(),
            x: 100.0 + (index * index) as f64,
            y: 5.0,
            interval: Some((4.0, 7.0)),
            is_filled: index % 2 == 0,
        })
        .collect();
    let series: Vec<Series> = names
        .iter()
        .map(|name| Series {
            name: name.clone(),
            points: (1..6).map(|x| (f64::from(x) * 7.0, 1.0 / f64::from(x))).collect(),
        })
        .collect();
    let rows = names.iter().map(|name| (name.clone(), (0..40).map(f64::from).collect())).collect();
    let tensors = Strip { columns: ("layer".into(), (0..40).map(|layer| layer.to_string()).collect()), rows };
    let values: Vec<Bar> = names
        .iter()
        .map(|name| Bar { name: format!("{name} {long}"), value: 12_345.6, interval: Some((1.0, 23_456.7)) })
        .collect();
    let (x, y) = (Axis::new("clip length, s").logarithmic(), Axis::new("relative error").logarithmic());
    page.body.section(long).note(long).warning(long).list(&[long]).table(&table).figures(&[
        (lines("a", &x, &y, &series), long.into()),
        (scatter("b", &Axis::new("MB"), &Axis::new("error, %"), &points), long.into()),
        (strip("c", &Axis::new("relative error of each tensor"), &tensors), long.into()),
        (bars("d", &Axis::new("error, %").up_to(20_000.0), &values), long.into()),
    ]);
    page.body.details(long, inner);
    page.data("results", &serde_json::json!({"text": "</script>"}));
    page
}

#[test]
fn pages_fit_a_phone_and_a_screen_and_need_nothing_else() {
    let Some(browser) = browser() else {
        optional::skip("there is no browser (scripts/setup tests installs chromium; or name one in QASR_CHROMIUM)");
        return;
    };
    let scratch = Scratch::new("page");
    std::fs::create_dir(scratch.path("rec")).unwrap();
    scratch.copy("tests/recordings/six_words.wav", "rec/six_words_by_a_speaker_with_a_long_name.wav");
    scratch.write("rec/six_words_by_a_speaker_with_a_long_name.txt", b"seven six nine two five go");
    let out = scratch.path("page.html");
    let other = format!("another engine with a long name='{}' transcribe -np {{file}}", env!("CARGO_BIN_EXE_qasr"));
    let broken = "broken=cat /no/such/folder/with/a/long/name/that/goes/on/and/on {file}";
    let arguments = ["compare", &scratch.path("rec"), "-t", "1", "--command", &other, "--command", broken, "-o", &out];
    qasr(&arguments).succeeds();
    let compared = scratch.read("page.html");
    let list = scratch
        .write("list.tsv", b"file\ttext\tlanguage\nrec/six_words_by_a_speaker_with_a_long_name.wav\tseven\ten\n");
    let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/checkpoint");
    qasr(&["quant-report", checkpoint, &list, "--types", "q8_0,q4_0/q8_0,small", "-o", &out]).succeeds();
    let measured = scratch.read("page.html");
    let kit = kit().render();
    let with = |extra: &str| kit.replace("</body>", &format!("{extra}</body>"));
    let pages = [
        ("compared", compared),
        ("measured", measured),
        ("kit", kit.clone()),
        ("wide", with("<div style=\"width:600px\">too wide</div>")),
        ("fetching", with("<img src=\"https://example.invalid/x.png\" alt=\"\">")),
        ("unhinted", kit.replace("class=\"hint\"", "class=\"hint\" hidden")),
        (
            "cut",
            with(
                "<svg viewBox=\"0 0 960 100\"><text x=\"900\" y=\"50\" font-size=\"32\">cut off at the edge</text></svg>",
            ),
        ),
    ];
    let found = faults(&browser, &scratch, &pages, PHONE);
    for (name, faults) in &found[..3] {
        assert!(faults.is_empty(), "{name}: {faults:#?}");
    }
    // The check can fail.
    for ((name, faults), part) in
        found[3..].iter().zip(["page is 6", "names another place", "nothing shows that", "text is cut"])
    {
        assert!(faults.iter().any(|fault| fault.contains(part)), "{name}: {faults:#?}");
    }
    for (name, faults) in &faults(&browser, &scratch, &pages[..3], 1200) {
        assert!(faults.is_empty(), "{name} on a screen: {faults:#?}");
    }
}
