//! Which of several audio tracks is taken, and how they are listed.

use super::Track;
use crate::audio::codec::{Decoder as TrackDecoder, Undecodable};
use crate::audio::fault::Fault;

/// The track that is taken.
#[derive(Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) track: usize,
    /// Nothing here decodes it: its codec's name, for another program.
    pub(crate) foreign: Option<String>,
    /// A sentence for the report, where there were several.
    pub(crate) note: Option<String>,
}

/// Chooses among the tracks of a file: the wished one (counted from 1), else the one marked as default, else the first.
/// One that cannot be decoded is passed over, unless `foreign` says that another program decodes it.
pub(crate) fn choose(tracks: &[Track], wished: Option<u32>, foreign: bool) -> Result<Choice, Fault> {
    let list = || tracks.iter().enumerate().map(|(index, track)| describe(index, track)).collect::<Vec<_>>().join("; ");
    let faults: Vec<Option<Undecodable>> = tracks.iter().map(|track| TrackDecoder::new(track).err()).collect();
    let usable = |index: usize| match &faults[index] {
        None => true,
        Some(Undecodable::Codec(_)) => foreign,
        Some(Undecodable::Damaged(_)) => false,
    };
    let named = |index: usize| match &faults[index] {
        Some(Undecodable::Codec(name)) => Some(name.clone()),
        _ => None,
    };
    if let Some(wished) = wished {
        let index = (wished as usize).wrapping_sub(1);
        return match faults.get(index) {
            None => Err(match tracks.len() {
                0 => "has no audio track".to_owned(),
                1 => format!("has one audio track, so there is no track {wished}"),
                count => format!("has {count} audio tracks ({}), so there is no track {wished}", list()),
            }),
            Some(None) => Ok(Choice { track: index, foreign: None, note: None }),
            Some(Some(Undecodable::Codec(name))) if foreign => {
                Ok(Choice { track: index, foreign: Some(name.clone()), note: None })
            }
            Some(Some(fault)) => Err(refusal(fault, if tracks.len() > 1 { Some(list()) } else { None })),
        };
    }
    let first = (0..tracks.len()).filter(|index| tracks[*index].is_default).find(|index| usable(*index));
    let Some(track) = first.or_else(|| (0..tracks.len()).find(|index| usable(*index))) else {
        // A damaged header of the right codec says more than the name of another one.
        let damaged = |fault: &&Undecodable| matches!(fault, Undecodable::Damaged(_));
        let fault = faults.iter().flatten().find(damaged).or_else(|| faults.iter().flatten().next());
        return Err(match fault {
            None => "has no audio track".to_owned(),
            Some(fault) => refusal(fault, if tracks.len() > 1 { Some(list()) } else { None }),
        });
    };
    let note = (tracks.len() > 1).then(|| {
        let marked = tracks[track].is_default && tracks.iter().any(|track| !track.is_default);
        let why = match tracks.iter().position(|track| track.is_default) {
            _ if first == Some(track) && marked => ", which is marked as default,",
            Some(index) if index < track && !usable(index) => ", the first that can be decoded,",
            None if track > 0 => ", the first that can be decoded,",
            _ => "",
        };
        format!(
            "has {} audio tracks ({}); track {}{why} was taken; another can be chosen",
            tracks.len(),
            list(),
            track + 1
        )
    });
    Ok(Choice { track, foreign: named(track), note })
}

/// Why a file cannot be decoded.
fn refusal(fault: &Undecodable, tracks: Option<String>) -> Fault {
    let tracks = tracks.map_or_else(String::new, |tracks| format!(" (its audio tracks: {tracks})"));
    match fault {
        Undecodable::Damaged(what) => format!("{what}{tracks}"),
        Undecodable::Codec(name) => super::super::ffmpeg::refusal(name, &tracks),
    }
}

/// `1: AC-3, 6 channels, 48000 Hz, ger, default`.
pub(crate) fn describe(index: usize, track: &Track) -> String {
    let mut words = shape(&track.codec.name(), track.channels, track.rate, &track.language);
    if track.is_default {
        words.push("default".to_owned());
    }
    format!("{}: {}", index + 1, words.join(", "))
}

/// `AC-3`, `6 channels`, `48000 Hz`, `ger`; values that the container does not give are left out.
pub(crate) fn shape(codec: &str, channels: u32, rate: u32, language: &str) -> Vec<String> {
    let mut words = vec![codec.to_owned()];
    match channels {
        0 => {}
        1 => words.push("1 channel".to_owned()),
        channels => words.push(format!("{channels} channels")),
    }
    if rate > 0 {
        words.push(format!("{rate} Hz"));
    }
    if !language.is_empty() {
        words.push(language.escape_debug().to_string());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::codec::Codec;
    use crate::audio::samples::Encoding;

    fn tracks(kinds: &[(&str, bool)]) -> Vec<Track> {
        let track = |(name, is_default): &(&str, bool)| {
            let codec = match *name {
                "PCM" => Codec::Pcm { encoding: Encoding::Signed(2), big_endian: false },
                "bad" => Codec::Opus,
                other => Codec::Other(other.to_owned()),
            };
            Track { is_default: *is_default, ..Track::only(codec, 16_000, 1, Vec::new()) }
        };
        kinds.iter().map(track).collect()
    }

    fn chosen(kinds: &[(&str, bool)], wished: Option<u32>, foreign: bool) -> Result<(usize, Option<String>), Fault> {
        choose(&tracks(kinds), wished, foreign).map(|choice| (choice.track, choice.foreign))
    }

    #[test]
    fn the_default_comes_first_then_what_can_be_decoded() {
        assert_eq!(chosen(&[("PCM", false), ("PCM", true)], None, false), Ok((1, None)));
        assert_eq!(chosen(&[("PCM", false), ("PCM", false)], None, false), Ok((0, None)));
        assert_eq!(chosen(&[("AC-3", true), ("PCM", true)], None, false), Ok((1, None)));
        assert_eq!(chosen(&[("AC-3", true), ("PCM", false)], None, false), Ok((1, None)));
        assert_eq!(chosen(&[("AC-3", true), ("PCM", false)], None, true), Ok((0, Some("AC-3".to_owned()))));
        assert_eq!(chosen(&[("bad", true), ("PCM", false)], None, true), Ok((1, None)));
        assert_eq!(chosen(&[("PCM", true), ("PCM", false)], Some(2), false), Ok((1, None)));
    }

    #[test]
    fn several_tracks_are_named() {
        let note = |kinds| choose(&tracks(kinds), None, false).expect("one of them").note;
        assert_eq!(note(&[("PCM", true)]), None);
        let marked = note(&[("PCM", false), ("PCM", true)]).expect("a note");
        assert!(marked.contains("track 2, which is marked as default, was taken; another can be chosen"), "{marked}");
        let passed = note(&[("AC-3", true), ("PCM", true)]).expect("a note");
        assert!(passed.contains("1: AC-3") && passed.contains("track 2, the first that can be decoded,"), "{passed}");
    }

    #[test]
    fn what_cannot_be_is_an_error_with_the_list() {
        assert_eq!(chosen(&[], None, true), Err("has no audio track".to_owned()));
        let third = chosen(&[("PCM", true), ("PCM", false)], Some(3), false).expect_err("no third");
        assert!(third.contains("has 2 audio tracks (1: PCM"), "{third}");
        let foreign = chosen(&[("AC-3", true), ("DTS", false)], None, false).expect_err("neither");
        assert!(
            foreign.contains("AC-3") && foreign.contains("2: DTS") && foreign.contains("WAV, FLAC or MP3"),
            "{foreign}"
        );
        assert!(chosen(&[("PCM", true)], Some(0), false).is_err());
        assert!(chosen(&[("AC-3", true), ("PCM", false)], Some(1), false).is_err());
    }
}
