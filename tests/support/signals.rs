//! The test signals of quant-tests/reference/signals.py, sample for sample: integers, then one exact division.

/// `n` numbers of 16 bits from a linear congruential generator.
fn lcg(n: usize, seed: u32) -> impl Iterator<Item = i32> {
    let mut state = seed;
    (0..n).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        i32::from((state >> 16) as u16 as i16)
    })
}

fn to_float(value: i32) -> f32 {
    value as f32 / 32_768.0
}

fn noise(n: usize, seed: u32, shift: u32) -> Vec<f32> {
    lcg(n, seed).map(|v| to_float(v >> shift)).collect()
}

fn bursts(n: usize, seed: u32) -> Vec<f32> {
    const SHIFTS: [u32; 7] = [0, 3, 6, 9, 12, 5, 1];
    let mut level = 0;
    let low_passed = lcg(n, seed).enumerate().map(|(i, v)| {
        level += (v - level) >> 3;
        to_float(level >> SHIFTS[i / 400 % 7])
    });
    low_passed.collect()
}

fn murmur(n: usize, seed: u32) -> Vec<f32> {
    lcg(n, seed).enumerate().map(|(i, v)| if i < n / 2 { (v >> 8) as f32 / 8_388_608.0 } else { 0.0 }).collect()
}

fn click(n: usize, seed: u32) -> Vec<f32> {
    let mut samples = noise(n, seed, 9);
    samples[n - 1000] = 1.0;
    samples
}

fn gaps(n: usize, seed: u32) -> Vec<f32> {
    let mut samples = noise(n, seed, 2);
    for eighths in [3, 5] {
        samples[n * eighths / 8..][..2000].fill(0.0);
    }
    samples
}

/// The signal that a row of a golden table names.
pub fn signal(kind: &str, n: usize, seed: u32) -> Vec<f32> {
    match kind {
        "hiss" => noise(n, seed, 0),
        "bursts" => bursts(n, seed),
        "murmur" => murmur(n, seed),
        "click" => click(n, seed),
        "gaps" => gaps(n, seed),
        "silence" => vec![0.0; n],
        "square" => (0..n).map(|i| to_float(if i / 40 % 2 == 0 { 8192 } else { -8192 })).collect(),
        _ => panic!("the golden table names a signal that is not in tests/signals/mod.rs: {kind}"),
    }
}

/// Rows of a golden table, cut at tabs: comment lines and the line with the column names left out.
pub fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().filter(|line| !line.starts_with('#')).skip(1).map(|line| line.split('\t').collect()).collect()
}

/// A whole number from a golden table.
pub fn number<T: std::str::FromStr>(cell: &str) -> T {
    cell.parse().unwrap_or_else(|_| panic!("not a number in a golden table: {cell:?}"))
}
