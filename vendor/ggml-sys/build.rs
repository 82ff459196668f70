//! Adds to the pinned package's bindings the macro constants they lack (its allow-list is lower-case names only).
//!
//! Plan: find the headers the package installed (a direct dependent is told its output folder), generate constants
//! only, so that no type exists twice, and hand on the pin as it stands in this package's manifest.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.toml");
    let root =
        env::var_os("DEP_LLAMA_ROOT").expect("llama-cpp-sys-2 no longer exports DEP_LLAMA_ROOT: see vendor/README.md");
    let include = PathBuf::from(root).join("include");
    let header = include.join("llama.h");
    assert!(header.exists(), "{} is missing: the pinned package installs its headers elsewhere now", header.display());

    let bindings = bindgen::Builder::default()
        .header(header.to_string_lossy())
        .clang_arg(format!("-I{}", include.display()))
        .allowlist_var("GGML_(MAX_DIMS|MAX_NAME|MAX_N_THREADS|N_TASKS_MAX|ROPE_TYPE_NEOX)")
        .allowlist_var("GGUF_(VERSION|DEFAULT_ALIGNMENT)")
        .generate()
        .expect("bindgen could not read the installed llama.h");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    bindings.write_to_file(out.join("constants.rs")).expect("OUT_DIR is writable");

    let manifest = fs::read_to_string("Cargo.toml").expect("this package's manifest");
    let pin = manifest
        .lines()
        .find_map(|line| line.strip_prefix("llama-cpp-sys-2 = { version = \"="))
        .and_then(|rest| rest.split('"').next())
        .expect("the manifest pins llama-cpp-sys-2 with `=`");
    println!("cargo::rustc-env=GGML_SYS_PIN=llama-cpp-sys-2 {pin}");
}
