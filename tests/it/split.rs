//! Cuts of long recordings against the official package's (quant-tests/reference/split.py).

use crate::signals::{number, rows, signal};
use qasr::endpoint::split::{pad_piece, split};

fn list(cell: &str) -> Vec<usize> {
    cell.split(',').map(number).collect()
}

#[test]
fn cuts_and_padding_are_the_official_ones() {
    let rows = rows(include_str!("../../quant-tests/golden/split.tsv"));
    assert!(rows.len() >= 18, "split.tsv has lost rows: {}", rows.len());
    for row in rows {
        let [kind, seed, n, limit, starts, lengths] = row[..] else { panic!("split.tsv: {row:?}") };
        let samples = signal(kind, number(n), number(seed));
        let pieces = split(&samples, number(limit));
        let ours: Vec<usize> = pieces.iter().map(|piece| piece.start).collect();
        assert_eq!(ours, list(starts), "{row:?}");
        let was_cut = pieces.len() > 1;
        let padded: Vec<usize> = pieces.iter().map(|piece| pad_piece(&samples[piece.clone()], was_cut).len()).collect();
        assert_eq!(padded, list(lengths), "{row:?}");
    }
}

#[test]
fn pieces_cover_the_recording_without_gap_or_overlap() {
    let samples = signal("bursts", 130_000, 77);
    for limit in [0, 1, 2, 799, 1600, 1602, 5000, 48_000, 129_999, 130_000, usize::MAX] {
        // The smallest limits make a piece per sample: a short recording shows as much.
        let samples = &samples[..if limit < 800 { 3000 } else { samples.len() }];
        let pieces = split(samples, limit);
        assert_eq!(pieces.first().map(|p| p.start), Some(0), "limit {limit}");
        assert_eq!(pieces.last().map(|p| p.end), Some(samples.len()), "limit {limit}");
        assert!(pieces.iter().all(|p| p.start < p.end), "limit {limit}: an empty piece");
        assert!(pieces.windows(2).all(|pair| pair[0].end == pair[1].start), "limit {limit}");
        let longest = limit.max(1).saturating_add(limit / 2);
        assert!(pieces.iter().all(|p| p.len() <= longest), "limit {limit}: a piece over {longest} samples");
        let shortest = limit.max(1) - limit / 2;
        assert!(pieces.iter().rev().skip(1).all(|p| p.len() >= shortest), "limit {limit}: under {shortest}");
    }
}
