//! Distances between what one model computed and what another computes.
//!
//! Slices of different length are a mistake of the caller and panic.

/// Cosine of the angle between two vectors, in double precision; 1 for two zero vectors.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "cosine of vectors of different length");
    let (mut dot, mut aa, mut bb) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x), f64::from(y));
        dot += x * y;
        aa += x * x;
        bb += y * y;
    }
    if aa == 0.0 && bb == 0.0 { 1.0 } else { dot / (aa.sqrt() * bb.sqrt()).max(f64::MIN_POSITIVE) }
}

/// Root mean square of the difference over that of the reference.
pub fn relative_rms(reference: &[f32], other: &[f32]) -> f64 {
    assert_eq!(reference.len(), other.len(), "relative RMS of vectors of different length");
    let (mut difference, mut size) = (0.0_f64, 0.0_f64);
    for (&r, &o) in reference.iter().zip(other) {
        difference += (f64::from(o) - f64::from(r)).powi(2);
        size += f64::from(r).powi(2);
    }
    if difference == 0.0 { 0.0 } else { (difference / size.max(f64::MIN_POSITIVE)).sqrt() }
}

/// Largest absolute difference.
pub fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "difference of vectors of different length");
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

/// Kullback-Leibler divergence of the token distributions two sets of logits stand for, in nats, reference first.
pub fn kl(reference: &[f32], other: &[f32]) -> f64 {
    assert_eq!(reference.len(), other.len(), "divergence of logits of different length");
    let (p, q) = (log_softmax(reference), log_softmax(other));
    p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>().max(0.0)
}

/// Natural logarithm of the probability that `logits` give to token `id`, which must be one of them.
pub fn log_probability(logits: &[f32], id: usize) -> f64 {
    let (peak, sum) = peak_and_sum(logits);
    f64::from(logits[id]) - f64::from(peak) - sum.ln()
}

/// Index of the largest value; the first of equals. `None` for an empty slice.
pub fn top1(logits: &[f32]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (i, value) in logits.iter().enumerate() {
        if best.is_none_or(|b| *value > logits[b]) {
            best = Some(i);
        }
    }
    best
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let (peak, sum) = peak_and_sum(logits);
    let offset = f64::from(peak) + sum.ln();
    logits.iter().map(|&x| f64::from(x) - offset).collect()
}

/// The largest logit, and the sum of the exponentials of the distances to it.
fn peak_and_sum(logits: &[f32]) -> (f32, f64) {
    let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (peak, logits.iter().map(|&x| f64::from(x - peak).exp()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        assert_eq!(cosine(&[3.0, 4.0], &[4.0, 3.0]), 24.0 / 25.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 0.0]), 0.0);
        assert_eq!(relative_rms(&[3.0, 4.0], &[3.0, 3.0]), 0.2);
        assert_eq!(max_difference(&[1.0, -2.0], &[1.5, -4.0]), 2.0);
    }

    #[test]
    fn distributions() {
        assert_eq!(kl(&[0.0, 1.0], &[5.0, 6.0]), 0.0);
        // 0.5 ln(0.5/0.25) + 0.5 ln(0.5/0.75)
        let expected = 0.5 * (2.0_f64).ln() + 0.5 * (2.0_f64 / 3.0).ln();
        assert!((kl(&[0.0, 0.0], &[0.0, 3.0_f32.ln()]) - expected).abs() < 1e-7);
        assert!((log_probability(&[0.0, 3.0_f32.ln()], 1) - 0.75_f64.ln()).abs() < 1e-7);
        assert_eq!(top1(&[1.0, 3.0, 3.0, 2.0]), Some(1));
        assert_eq!(top1(&[]), None);
    }
}
