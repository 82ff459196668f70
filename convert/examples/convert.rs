//! Converts a checkpoint without the `qasr` command: `convert CHECKPOINT_DIR OUT_DIR TYPE [ARCH]`.

use std::env;
use std::process::ExitCode;

use qasr_convert::{Arch, ConvertOptions, Recipe, convert};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let (Some(checkpoint), Some(out), Some(recipe)) =
        (args.first(), args.get(1), args.get(2).and_then(|name| Recipe::find(name)))
    else {
        eprintln!("usage: convert CHECKPOINT_DIR OUT_DIR TYPE [qwen3|qwen3vl]");
        return ExitCode::from(2);
    };
    let mut options = ConvertOptions::new(checkpoint, out, recipe);
    options.arch = args.get(3).and_then(|name| Arch::find(name)).unwrap_or_default();
    match convert(&options, &mut |_| {}) {
        Ok(report) => {
            for line in report.plan.decoder.fallbacks().iter().chain(&report.plan.encoder.fallbacks()) {
                println!("{line}");
            }
            println!("{} ({} bytes)", report.plan.decoder.path.display(), report.file_bytes[0]);
            println!("{} ({} bytes)", report.plan.encoder.path.display(), report.file_bytes[1]);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
