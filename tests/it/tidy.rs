//! The rules of ARCHITECTURE.md that a compiler does not enforce: who imports whom, and where unsafe code may stand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file under a folder, except build outputs.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The import table, from the document itself: room → rooms it may use.
fn table() -> BTreeMap<String, Vec<String>> {
    let document = read(&root().join("ARCHITECTURE.md"));
    let (_, rest) = document.split_once("<!-- imports").expect("the table's beginning");
    let (table, _) = rest.split_once("<!-- end of imports -->").expect("the table's end");
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            (quoted(cells[1])[0].clone(), quoted(cells[2]))
        })
        .collect()
}

/// The folders whose rooms the table names: the library, and the measuring package that stands on it.
fn tabled() -> [PathBuf; 2] {
    [root().join("src"), root().join("measure/src")]
}

/// The room a file belongs to: its first folder or its own name under `src/`.
fn room(path: &Path) -> String {
    let inside = tabled().iter().find_map(|source| path.strip_prefix(source).ok().map(Path::to_path_buf));
    let inside = inside.expect("a file of a tabled package");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Rooms named by `crate::` and `qasr::` paths in a file, its tests included; a list in braces may run over several lines.
fn imports(text: &str) -> Vec<String> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    let mut rooms = Vec::new();
    for prefix in ["crate::", "qasr::"] {
        for part in code.split(prefix).skip(1) {
            for name in list(part) {
                let name: String = name.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                if !name.is_empty() {
                    rooms.push(name);
                }
            }
        }
    }
    rooms
}

/// The names a path goes on with: one, or those of a list in braces, inner lists left out.
fn list(part: &str) -> Vec<&str> {
    let Some(inside) = part.strip_prefix('{') else { return vec![part] };
    let (mut names, mut depth, mut start) = (Vec::new(), 1, 0);
    for (at, character) in inside.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && character == ',') {
            names.push(&inside[start..at]);
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    names
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let table = table();
    assert!(table.len() >= 8, "the table was not read: {table:?}");
    let mut faults = Vec::new();
    for path in tabled().iter().flat_map(|source| rust_files(source)) {
        let here = room(&path);
        if here == "lib" {
            continue;
        }
        let Some(allowed) = table.get(&here) else {
            faults.push(format!("{}: room `{here}` is not in the table", path.display()));
            continue;
        };
        for used in imports(&read(&path)) {
            if used != here && table.contains_key(&used) && !allowed.contains(&used) {
                faults.push(format!("{}: `{here}` uses `{used}`", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_the_model_room_touches_ggml() {
    for path in tabled().iter().flat_map(|source| rust_files(source)) {
        if room(&path) == "model" {
            continue;
        }
        for (number, line) in read(&path).lines().enumerate() {
            assert!(
                !line.contains("ggml::") || line.trim_start().starts_with("//"),
                "{}:{}: {line}",
                path.display(),
                number + 1
            );
        }
    }
}

#[test]
fn unsafe_code_stands_only_under_vendor_and_every_package_inherits_the_lints() {
    for path in rust_files(&root()) {
        if path.starts_with(root().join("vendor")) {
            continue;
        }
        for (number, line) in read(&path).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let found = code.contains(concat!("un", "safe {"))
                || code.contains(concat!("un", "safe fn"))
                || code.contains(concat!("un", "safe impl"));
            assert!(!found, "{}:{}: {line}", path.display(), number + 1);
        }
    }
    let workspace = read(&root().join("Cargo.toml"));
    assert!(workspace.contains("unsafe_code = \"forbid\""));
    for package in [
        "Cargo.toml",
        "convert/Cargo.toml",
        "convert/format/Cargo.toml",
        "measure/Cargo.toml",
        "cli/Cargo.toml",
        "quant-tests/Cargo.toml",
        "quant-tests/oracle/Cargo.toml",
        "benches/Cargo.toml",
    ] {
        let manifest = read(&root().join(package));
        let (_, lints) = manifest.split_once("[lints]").unwrap_or_else(|| panic!("{package} has no [lints]"));
        assert!(lints.trim_start().starts_with("workspace = true"), "{package} does not inherit the lints");
    }
}

/// A test that looks for it in its own way is neither counted as skipped nor run by `.ci/run` as if it were not there.
#[test]
fn only_one_function_looks_for_the_folder_beside_the_checkout() {
    let finder = root().join("tests/support/optional.rs");
    for path in rust_files(&root()).into_iter().filter(|path| *path != finder) {
        for (number, line) in read(&path).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let place = format!("{}:{}", path.display(), number + 1);
            assert!(
                !code.contains(concat!("..", "/shared")),
                "{place}: use `find` or `shared` of tests/support/optional"
            );
        }
    }
}

#[test]
fn every_file_of_tests_is_named_in_its_program() {
    for package in [".", "measure", "cli", "convert", "quant-tests"] {
        let folder = root().join(package).join("tests/it");
        let program = read(&folder.join("main.rs"));
        for path in rust_files(&folder).iter().filter(|path| path.parent() == Some(&folder)) {
            let name = path.file_stem().expect("a name").to_string_lossy();
            assert!(
                name == "main" || program.contains(&format!("mod {name};")),
                "{package}/tests/it/main.rs does not name {name}"
            );
        }
    }
}

#[test]
fn the_pin_is_written_once() {
    let pin = read(&root().join("vendor/ggml-sys/Cargo.toml"));
    let version = pin
        .lines()
        .find_map(|line| line.strip_prefix("llama-cpp-sys-2 = { version = \"="))
        .and_then(|rest| rest.split('"').next())
        .expect("the pin");
    for document in ["README.md", "ARCHITECTURE.md", "vendor/README.md", "docs/MODEL.md", "docs/FORMAT.md"] {
        assert!(!read(&root().join(document)).contains(version), "{document} repeats the pin {version}");
    }
}

/// The contents of all string literals outside comments, up to the tests of the file.
fn literals(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let (mut found, mut rest) = (Vec::new(), code);
    while let Some(at) = rest.find(['"', '/', '\'']) {
        rest = &rest[at..];
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(after) = ["'\"'", "'\\\"'", "'/'"].iter().find_map(|letter| rest.strip_prefix(letter)) {
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('"') {
            let mut is_escaped = false;
            let end = inside.find(|letter| {
                let ends = letter == '"' && !is_escaped;
                is_escaped = letter == '\\' && !is_escaped;
                ends
            });
            let end = end.unwrap_or(inside.len());
            found.push(inside[..end].to_owned());
            rest = inside.get(end + 1..).unwrap_or_default();
        } else {
            rest = &rest[1..];
        }
    }
    found
}

/// Whether a text names an option of a command (`--name`, or `-n` inside a sentence) or a subcommand.
fn names_a_flag(text: &str) -> bool {
    // A shell's own flag may be named, and a word alone is an argument for another program.
    let is_argument = text.starts_with('-') && !text.contains(' ');
    let letters: Vec<char> = format!(" {}   ", text.replace("sh -c", "")).chars().collect();
    text.contains("`qasr ")
        || letters.windows(4).any(|w| {
            let begins = [' ', '(', '`'].contains(&w[0]) && w[1] == '-';
            let is_long = w[2] == '-' && w[3].is_ascii_lowercase();
            let is_short = !is_argument && w[2].is_ascii_lowercase() && !w[3].is_ascii_alphanumeric();
            begins && (is_long || is_short)
        })
}

/// A program that embeds the library would show its users flags that it does not have.
#[test]
fn the_library_and_the_measuring_package_name_no_flags() {
    let mut faults = Vec::new();
    for path in tabled().iter().flat_map(|source| rust_files(source)) {
        let flags = literals(&read(&path)).into_iter().filter(|text| names_a_flag(text));
        faults.extend(flags.map(|text| format!("{}: {text:?}", path.display())));
    }
    assert!(faults.is_empty(), "use qasr::error::Remedy; cli/src/messages.rs names flags:\n{}", faults.join("\n"));
}

#[test]
fn the_flag_reader_sees_flags() {
    let text = "a(-x, '\"', b'\\\\'); // \"--no\"\nf(\"one \\\"two\", \"raise --max-kl\");\n#[cfg(test)]\nmod t { \"--in-test\" }";
    assert_eq!(literals(text), ["one \\\"two", "raise --max-kl"]);
    for flag in ["raise --max-kl", "name it with -m", "give another (-o)", "`-o`", "--first", "see `qasr convert`"] {
        assert!(names_a_flag(flag), "{flag}");
    }
    for other in
        ["-nostdin", "style=\"--wide: 3\"", "write sh -c", "a - b", "well-known", "at -5 dB", "0-1", "--", "--- end"]
    {
        assert!(!names_a_flag(other), "{other}");
    }
}

#[test]
fn the_import_reader_sees_imports() {
    let text = "use crate::mel::LogMel;\nuse crate::{\n    audio::{Pcm16k, read},\n    text,\n};\n// crate::stream\n";
    assert_eq!(imports(text), ["mel", "audio", "text"]);
}
