//! From packets to the collector: a track is chosen, its packets are decoded, and each gets its place in time.

use super::codec::{Decoder, Undecodable};
use super::collect::Collector;
use super::containers::{Demuxer, Track, choose};
use super::fault::Fault;
use super::ffmpeg;
use super::recording::{Decoder as Wish, ReadOptions};
use super::timeline::Missing;
use crate::transcript::WarningCode;

/// Packets in a row that cannot be decoded before the first that can: what follows is not audio.
const HOPELESS: u32 = 1000;

/// Decodes one track of a container. Returns the name of container and codec for the report.
pub(crate) fn read(
    mut demuxer: Box<dyn Demuxer + '_>,
    options: &ReadOptions,
    collector: &mut Collector,
) -> Result<String, Fault> {
    let choice = choose(demuxer.tracks(), options.track, options.decoder == Wish::Auto && ffmpeg::is_there())?;
    if let Some(note) = choice.note {
        collector.warn(WarningCode::AudioTracks, note);
    }
    if let Some(codec) = choice.foreign {
        let source = demuxer.into_source().ok_or("cannot be read from its beginning again")?;
        return ffmpeg::read(source, Some(choice.track), Some(&codec), collector);
    }
    demuxer.select(choice.track);
    let track = demuxer.tracks()[choice.track].clone();
    let container = demuxer.name();
    let codec = track.codec.short_name();
    let name = if container == codec { codec } else { format!("{container} ({codec})") };
    let open = |track: &Track| {
        Decoder::new(track).map_err(|fault| match fault {
            Undecodable::Codec(name) => ffmpeg::refusal(&name, ""),
            Undecodable::Damaged(what) => what,
        })
    };
    let mut decoder = open(&track)?;
    if let Some(seconds) = demuxer.seconds() {
        collector.expect(seconds);
    }

    let mut damaged = 0u32;
    let mut early = None;
    let mut samples: Vec<f32> = Vec::new();
    // Of the last packet that could be decoded, in seconds.
    let mut length = 0.0;
    // Where damaged packets of unknown length began, and how long they probably were.
    let mut owed: Option<(Option<f64>, f64)> = None;
    loop {
        let packet = match demuxer.next() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(why) => {
                early = Some(why);
                break;
            }
        };
        if let Some(track) = &packet.restart {
            match open(track) {
                Ok(another) => decoder = another,
                Err(why) => {
                    early = Some(format!("goes on with a part that {why}"));
                    break;
                }
            }
        }
        let decoded = decoder.decode(&packet.data, packet.duration, &mut samples);
        let (rate, channels) = match &decoded {
            Ok((rate, channels)) if *channels > 0 => (*rate, *channels),
            Ok(_) => continue,
            // Nothing is known yet but the container's word.
            Err(_) => (track.rate, track.channels as usize),
        };
        if decoded.is_ok() || collector.now() == 0.0 && rate > 0 && channels > 0 {
            collector.format(rate, channels)?;
        }
        let mut more = true;
        if decoded.is_ok()
            && let Some((from, about)) = owed.take()
        {
            // Packets with times say it exactly.
            let exact = from.zip(packet.time).map(|(from, to)| to - from).filter(|lost| *lost > 0.0);
            more = collector.lost(exact.unwrap_or(about), Missing::Damaged)?;
        } else if packet.lost > 0.0 {
            more = collector.lost(packet.lost, Missing::Damaged)?;
        }
        match decoded {
            Ok(_) => {
                let frames = samples.len() / channels;
                let count = |seconds: f64| (seconds * f64::from(rate)).round() as usize;
                let front = count(packet.trim_start).min(frames);
                let back = count(packet.trim_end).min(frames - front);
                let kept = &samples[front * channels..(frames - back) * channels];
                length = frames as f64 / f64::from(rate);
                if kept.is_empty() {
                    continue;
                }
                if let Some(time) = packet.time {
                    more = more && collector.at(time + front as f64 / f64::from(rate))?;
                }
                more = more && collector.push(kept, channels)?;
            }
            Err(why) => {
                damaged += 1;
                if collector.frames() == 0 && damaged >= HOPELESS {
                    early = Some(why);
                    break;
                }
                if let Some(time) = packet.time {
                    more = more && collector.at(time + packet.trim_start)?;
                }
                let lost = if packet.duration > 0.0 { packet.duration } else { length };
                let lost = (lost - packet.trim_start - packet.trim_end).max(0.0);
                if packet.duration > 0.0 && owed.is_none() {
                    more = more && collector.lost(lost, Missing::Damaged)?;
                } else {
                    let (from, before) = owed.unwrap_or((packet.time, 0.0));
                    owed = Some((from, before + lost));
                }
            }
        }
        if !more {
            return Ok(name);
        }
    }
    if let Some((_, about)) = owed {
        collector.lost(about, Missing::Damaged)?;
    }
    if collector.frames() == 0 {
        if let Some(name) = decoder.unsupported() {
            return Err(ffmpeg::refusal(name, ""));
        }
        return Err(match early {
            Some(why) => format!("holds no decodable audio ({why}): it is damaged or cut"),
            None if damaged > 0 => format!("holds no decodable audio: all its {damaged} packets are damaged"),
            None => "ends before its first sample: it is cut".to_owned(),
        });
    }
    if let Some(why) = early {
        collector.damaged(why);
    }
    Ok(name)
}
