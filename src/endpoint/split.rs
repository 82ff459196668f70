//! Cuts a recording that is too long for one prompt where it is quietest, as the official package does.

use std::borrow::Cow;
use std::ops::Range;

/// How far from the target a cut may lie: 5 s. Limits under 10 s use half the limit, so that only the last piece can
/// be shorter than half of it (the official limits are minutes, so the official code has no such rule).
pub(crate) const REACH: usize = 5 * 16_000;

/// The quiet stretch that is looked for: 100 ms.
const QUIET: usize = 1600;

/// Pieces of a cut recording are at least this long: 0.5 s.
const SHORTEST_PIECE: usize = 8000;

/// Sums of |x| are compared as integers of 2⁻⁴⁰: exact for every sample of 2⁻¹⁶ and more, and free of the drift of a
/// running sum of floats, so that equal stretches compare equal and the first one wins.
const FIXED_POINT: f64 = (1u64 << 40) as f64;

/// Cuts `samples` (mono, 16 kHz) into pieces of about `limit_samples`, without gap or overlap.
///
/// While more than the limit remains, the cut is looked for within 5 s (half the limit, if that is less) of the
/// limit: at the smallest |x| of the 100 ms with the smallest sum of |x|; the first one if several are equal. A piece
/// can therefore be up to 5 s longer than the limit. A recording within the limit, even an empty one, is one piece.
/// A limit of 0 is taken as 1.
pub fn split(samples: &[f32], limit_samples: usize) -> Vec<Range<usize>> {
    let limit = limit_samples.max(1);
    let reach = REACH.min(limit / 2);
    let mut pieces = Vec::new();
    let mut start = 0;
    while samples.len() - start > limit {
        let target = start + limit;
        let left = target - reach;
        let right = samples.len().min(target + reach);
        let cut = find_quiet(&samples[left..right]).map_or(target, |at| left + at).max(start + 1);
        pieces.push(start..cut);
        start = cut;
    }
    pieces.push(start..samples.len());
    pieces
}

/// A piece as the model should hear it: with zeros at the end up to 0.5 s if the recording was cut. A whole recording
/// stays as it is, however short.
pub fn pad_piece(piece: &[f32], recording_was_cut: bool) -> Cow<'_, [f32]> {
    if !recording_was_cut || piece.len() >= SHORTEST_PIECE {
        return Cow::Borrowed(piece);
    }
    let mut padded = piece.to_vec();
    padded.resize(SHORTEST_PIECE, 0.0);
    Cow::Owned(padded)
}

/// The quietest sample of the quietest 100 ms, `None` if there is no room to choose.
pub(crate) fn find_quiet(samples: &[f32]) -> Option<usize> {
    if samples.len() <= QUIET {
        return None;
    }
    let loudness: Vec<u64> = samples.iter().map(|x| (f64::from(x.abs()) * FIXED_POINT) as u64).collect();
    let mut sum: u64 = loudness[..QUIET].iter().sum();
    let (mut quietest, mut quietest_at) = (sum, 0);
    for at in 1..=samples.len() - QUIET {
        sum = sum + loudness[at + QUIET - 1] - loudness[at - 1];
        if sum < quietest {
            (quietest, quietest_at) = (sum, at);
        }
    }
    let window = &samples[quietest_at..quietest_at + QUIET];
    // `min_by` keeps the first of equal ones.
    let inside = window.iter().enumerate().min_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).map_or(0, |(at, _)| at);
    Some(quietest_at + inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pieces_of_a_cut_recording_are_padded() {
        assert_eq!(pad_piece(&[0.5; 10], false), vec![0.5; 10]);
        let padded = pad_piece(&[0.5; 10], true);
        assert_eq!((padded.len(), &padded[..11]), (SHORTEST_PIECE, &[[0.5; 10].as_slice(), &[0.0]].concat()[..]));
        assert!(matches!(pad_piece(&[0.5; SHORTEST_PIECE], true), Cow::Borrowed(_)));
        assert!(pad_piece(&[], false).is_empty());
    }

    #[test]
    fn a_recording_within_the_limit_is_one_piece() {
        let ends = |n| split(&vec![0.1; n], 100).iter().map(|piece| (piece.start, piece.end)).collect::<Vec<_>>();
        assert_eq!(ends(0), [(0, 0)]);
        assert_eq!(ends(100), [(0, 100)]);
        assert_eq!(ends(101), [(0, 100), (100, 101)]);
    }

    #[test]
    fn samples_of_any_size_do_not_overflow() {
        let loud = vec![1e30; 40_000];
        assert_eq!(split(&loud, 20_000).last().map(|piece| piece.end), Some(40_000));
    }
}
