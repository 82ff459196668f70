//! Stamps the git revision for `--version`; touches nothing native, and works without git or outside a checkout.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=QASR_REVISION={}", revision().unwrap_or_else(|| "revision unknown".into()));
}

/// The commit of this very folder: an unpacked archive inside some other checkout must not claim that one's.
fn revision() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    // A commit or a checkout appends to the log of HEAD; asked of git, because in a worktree it lies elsewhere.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"]).map(|hash| format!("revision {hash}"))
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}
