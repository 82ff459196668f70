//! Writing one file: the header, then one tensor after the other in strips of rows.
//!
//! Data goes to a file beside the target, which gets its name only when everything is written, checked and on the
//! disk; an error removes it, and a kill leaves it under a name that no reader looks for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use qasr_format::gguf::Header;
use qasr_format::schema::tensors::POSITION_EMBD;
use qasr_format::{GgmlType, Value};

use crate::error::{ConvertError, Result};
use crate::plan::{FilePlan, Source, TensorPlan};
use crate::store::{SourceTensor, Store, decode};

/// Values converted at once over all threads: about 12 bytes each are held.
const VALUES_AT_ONCE: u64 = 8 << 20;
/// Values of one strip.
const STRIP_VALUES: u64 = 1 << 20;
/// Largest finite half-precision number.
const F16_MAX: f32 = 65504.0;
/// After this long without a write, an unfinished file is taken for one that a killed run left.
const ABANDONED: Duration = Duration::from_secs(600);

/// A file that has not got its final name yet, and is removed unless [`Self::publish`] is called.
#[derive(Debug)]
pub(crate) struct Unfinished {
    temp: PathBuf,
    target: PathBuf,
    file: File,
    is_published: bool,
}

impl Unfinished {
    fn create(target: &Path) -> Result<Self> {
        remove_abandoned(target);
        let temp = target.with_file_name(format!("{}{}", temp_prefix(target), std::process::id()));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temp)
            .map_err(|e| ConvertError::io(format!("{}: cannot create the file: {e}", temp.display())))?;
        Ok(Self { temp, target: target.to_path_buf(), file, is_published: false })
    }

    /// Where the data is now.
    pub fn path(&self) -> &Path {
        &self.temp
    }

    /// Where it will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| self.failed(&e))
    }

    fn failed(&self, error: &io::Error) -> ConvertError {
        ConvertError::io(format!(
            "{}: cannot write: {error}; nothing was left behind, free some space or give another directory",
            self.target.display()
        ))
    }

    /// Gives the file its final name, replacing what had it. `named` is the file of the pair that has its name already;
    /// an error says so.
    pub fn publish(mut self, named: Option<&Path>) -> Result<()> {
        fs::rename(&self.temp, &self.target).map_err(|error| {
            let half = named.map(|path| format!("{} is new already and has no partner, ", path.display()));
            let half = half.unwrap_or_default();
            let target = self.target.display();
            ConvertError::io(format!("{target}: cannot get its final name: {error}; {half}give another directory"))
        })?;
        self.is_published = true;
        // The new name is on the disk only when the directory is. Not every system can do this; none needs it to
        // read the file.
        if let Some(dir) = self.target.parent().and_then(|dir| File::open(dir).ok()) {
            let _ = dir.sync_all();
        }
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_published {
            // Nothing can be done about a file that cannot be removed, and the error that led here matters more.
            let _ = fs::remove_file(&self.temp);
        }
    }
}

fn temp_prefix(target: &Path) -> String {
    format!(".{}.unfinished-", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what killed runs left for the same target.
fn remove_abandoned(target: &Path) {
    let prefix = temp_prefix(target);
    let entries = target.parent().and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The header of a file, which knows how long the file is.
pub(crate) fn header(plan: &FilePlan, keys: &[(String, Value)]) -> Result<Header> {
    let planned: Vec<_> = plan.tensors.iter().map(|tensor| tensor.target.clone()).collect();
    Header::new(keys, &planned).map_err(|e| ConvertError::checkpoint(e.to_string()))
}

/// Writes all of `plan` to an unfinished file. `progress` gets the number of source bytes done and the tensor.
pub(crate) fn write_file(
    store: &Store,
    plan: &FilePlan,
    keys: &[(String, Value)],
    threads: usize,
    progress: &mut dyn FnMut(u64, &str),
) -> Result<Unfinished> {
    let header = header(plan, keys)?;
    let mut out = Unfinished::create(&plan.path)?;
    out.put(header.bytes())?;
    let mut at = header.bytes().len() as u64;
    let mut done = 0;
    for (i, tensor) in plan.tensors.iter().enumerate() {
        // The header was made from the same list, so every tensor's place comes after the bytes already written.
        let (start, len) = header.place(i).unwrap_or((at, 0));
        out.put(&vec![0; (start - at) as usize])?;
        match &tensor.source {
            Source::Stored(source) => write_tensor(store, tensor, source, threads, &mut out, &mut |rows| {
                done += rows * source.kind.row_bytes(tensor.row_len()).unwrap_or(0);
                progress(done, &source.name);
            })?,
            Source::Positions => {
                let table = position_table(tensor.rows(), tensor.row_len());
                out.put(&table.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
                progress(done, POSITION_EMBD);
            }
        }
        at = start + len;
    }
    out.put(&vec![0; (header.file_len() - at) as usize])?;
    out.file.sync_all().map_err(|e| out.failed(&e))?;
    Ok(out)
}

/// Converts strips on `threads` threads at a time and writes them in order.
fn write_tensor(
    store: &Store,
    tensor: &TensorPlan,
    source: &SourceTensor,
    threads: usize,
    out: &mut Unfinished,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let row_len = tensor.row_len();
    let strip_rows = (STRIP_VALUES.min(VALUES_AT_ONCE / threads as u64) / row_len).max(1);
    let starts: Vec<u64> = (0..tensor.rows()).step_by(strip_rows as usize).collect();
    for group in starts.chunks(threads) {
        let strips: Vec<Result<Vec<u8>>> = std::thread::scope(|scope| {
            let work = |&first: &u64| {
                let rows = strip_rows.min(tensor.rows() - first);
                let bytes = store.read_bytes(source, first * row_len, rows * row_len)?;
                encode(source, bytes, tensor, rows)
            };
            if let [only] = group {
                return vec![work(only)];
            }
            let handles: Vec<_> = group.iter().map(|first| scope.spawn(move || work(first))).collect();
            let lost = || Err(ConvertError::io(format!("converting '{}' ended abnormally", source.name)));
            handles.into_iter().map(|handle| handle.join().unwrap_or_else(|_| lost())).collect()
        });
        for (strip, first) in strips.into_iter().zip(group) {
            out.put(&strip?)?;
            progress(strip_rows.min(tensor.rows() - first));
        }
    }
    Ok(())
}

/// `rows` rows of a source as the planned type. Equal types are copied; nothing that is not finite gets through.
pub(crate) fn encode(source: &SourceTensor, bytes: Vec<u8>, tensor: &TensorPlan, rows: u64) -> Result<Vec<u8>> {
    let wrong = |what: String| ConvertError::checkpoint(format!("tensor '{}': {what}", source.name));
    let (kind, row_len) = (tensor.target.kind, tensor.row_len());
    let values = decode(source, &bytes, rows * row_len)?;
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        return Err(wrong(format!("holds {value}, which no model can use: the source is damaged")));
    }
    if source.kind == kind {
        return Ok(bytes);
    }
    if kind == GgmlType::F16
        && let Some(value) = values.iter().find(|value| value.abs() > F16_MAX)
    {
        return Err(wrong(format!("holds {value}, too large for f16; choose another type, such as bf16 or f32")));
    }
    ggml::quantize::quantize_rows(kind.id(), &values, row_len as usize, tensor.weights.as_deref())
        .map_err(|e| wrong(e.to_string()))
}

/// The encoder's sinusoids: sines in the first half of a row, cosines in the second, frequencies falling from 1 to
/// 1/10000. Arguments are rounded to f32 as the official code does.
pub(crate) fn position_table(rows: u64, width: u64) -> Vec<f32> {
    let half = width / 2;
    let step = (10_000_f64.ln() / (half.max(2) - 1) as f64) as f32;
    let frequencies: Vec<f32> = (0..half).map(|i| f64::from(-step * i as f32).exp() as f32).collect();
    let mut table = Vec::with_capacity((rows * width) as usize);
    for row in 0..rows {
        let angles = frequencies.iter().map(|frequency| f64::from(row as f32 * frequency));
        table.extend(angles.clone().map(|angle| angle.sin() as f32));
        table.extend(angles.map(|angle| angle.cos() as f32));
    }
    table
}

/// Whether two tensors hold the same numbers, compared in strips.
pub(crate) fn are_equal(store: &Store, a: &SourceTensor, b: &SourceTensor) -> Result<bool> {
    if a.shape != b.shape {
        return Ok(false);
    }
    for first in (0..a.values()).step_by(STRIP_VALUES as usize) {
        let count = STRIP_VALUES.min(a.values() - first);
        let is_same = if a.kind == b.kind {
            store.read_bytes(a, first, count)? == store.read_bytes(b, first, count)?
        } else {
            store.read(a, first, count)? == store.read(b, first, count)?
        };
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_table_starts_with_zero_and_one_and_falls_in_frequency() {
        let table = position_table(13, 8);
        assert_eq!(table[..8], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
        // Row 1: sines of 1, 10000^(-1/3), 10000^(-2/3), 10000^-1.
        let row = &table[8..16];
        for (i, (sine, cosine)) in row[..4].iter().zip(&row[4..]).enumerate() {
            let angle = 10_000_f64.powf(-(i as f64) / 3.0);
            assert!((f64::from(*sine) - angle.sin()).abs() < 1e-7 && (f64::from(*cosine) - angle.cos()).abs() < 1e-7);
        }
    }
}
