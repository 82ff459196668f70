//! The converter as a library: `convert CHECKPOINT_DIR OUT_DIR TYPE [qwen3|qwen3vl]`.

use anyhow::{Context, Result};
use qasr_convert::{Arch, ConvertOptions, FileType, convert};
use std::env;

fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let mut next = || args.next().context("usage: convert CHECKPOINT_DIR OUT_DIR TYPE [qwen3|qwen3vl]");
    let (checkpoint, out, kind) = (next()?, next()?, next()?);
    let recipe = FileType::find(&kind).with_context(|| format!("no type '{kind}'"))?;
    let mut options = ConvertOptions::new(&checkpoint, &out, recipe);
    if let Some(name) = args.next() {
        options.arch = Arch::find(&name).with_context(|| format!("no architecture '{name}'"))?;
    }
    let report = convert(&options, &mut |_| {}).with_context(|| format!("{checkpoint} was not converted"))?;
    println!("{}", report.plan.decoder.path.display());
    println!("{}", report.plan.encoder.path.display());
    Ok(())
}
