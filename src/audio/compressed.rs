//! Everything that `symphonia` takes apart: FLAC, MP3, Ogg, MP4, Matroska, AIFF, CAF, AAC, ADPCM in WAV.

use super::Fault;
use super::collect::Collector;
use super::opus::OpusTrack;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};

/// Packets in a row that cannot be decoded before the rest is given up: what follows is not audio.
const HOPELESS: u32 = 1000;

/// The decoder of one track.
enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<OpusTrack>),
}

/// Decodes the default audio track. Returns the name of container and codec for the report.
pub(crate) fn read(source: Box<dyn MediaSource>, collector: &mut Collector) -> Result<String, Fault> {
    let stream = MediaSourceStream::new(source, Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, Default::default(), Default::default())
        .map_err(|e| format!("cannot be opened ({e}): it is damaged, cut, or of an unknown kind"))?;
    let container = format.format_info().short_name;
    let (mut track, mut decoder, codec) = open_track(format.as_ref())?;
    let promised = format.tracks().iter().find(|t| t.id == track).and_then(|t| t.num_frames).unwrap_or(0);
    // Opus promises ticks of 48 kHz, and lossy headers are estimates: there only a large gap means a cut file.
    let exact = matches!(codec.as_str(), "flac" | "alac") || codec.starts_with("pcm");
    let least = if exact { promised } else { promised - promised / 10 };

    let mut damaged = 0u64;
    let mut in_a_row = 0u32;
    let mut early = None;
    let mut samples: Vec<f32> = Vec::new();
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // A chained stream goes on with new parameters.
            Err(Error::ResetRequired) => {
                (track, decoder, _) = open_track(format.as_ref())?;
                continue;
            }
            Err(e) => {
                early = Some(e.to_string());
                break;
            }
        };
        if packet.track_id != track {
            continue;
        }
        let decoded = match &mut decoder {
            Decoder::Symphonia(decoder) => match decoder.decode(&packet) {
                Ok(buffer) => {
                    buffer.copy_to_vec_interleaved(&mut samples);
                    Ok((buffer.spec().rate(), buffer.spec().channels().count()))
                }
                Err(Error::ResetRequired) => {
                    decoder.reset();
                    continue;
                }
                Err(e) => Err(e.to_string()),
            },
            Decoder::Opus(decoder) => decoder.decode(&packet, &mut samples),
        };
        match decoded {
            Ok((rate, channels)) => {
                in_a_row = 0;
                if channels == 0 || samples.is_empty() {
                    continue;
                }
                collector.format(rate, channels)?;
                if !collector.push(&samples, channels)? {
                    return Ok(format!("{container} ({codec})"));
                }
            }
            Err(why) => {
                damaged += 1;
                in_a_row += 1;
                if in_a_row >= HOPELESS {
                    early = Some(why);
                    break;
                }
            }
        }
    }
    if collector.frames() == 0 {
        return Err(match early {
            Some(why) => format!("holds no decodable audio ({why}): it is damaged or cut"),
            None if damaged > 0 => format!("holds no decodable audio: all its {damaged} packets are damaged"),
            None => "ends before its first sample: it is cut".to_owned(),
        });
    }
    if damaged > 0 {
        collector.damaged(format!("{damaged} of its packets are damaged and were left out"));
    }
    if let Some(why) = early {
        collector.damaged(format!("it could only be read up to a damaged or missing part ({why})"));
    } else {
        let got = match &decoder {
            Decoder::Symphonia(_) => collector.frames(),
            Decoder::Opus(decoder) => decoder.ticks(collector.frames()),
        };
        if got < least {
            collector.damaged(format!("only {got} of the {promised} samples that its header promises could be read"));
        }
    }
    Ok(format!("{container} ({codec})"))
}

/// Finds the audio track and makes its decoder. Also returns the codec's name.
fn open_track(format: &dyn FormatReader) -> Result<(u32, Decoder, String), Fault> {
    let track = format.default_track(TrackType::Audio).or_else(|| format.first_track(TrackType::Audio));
    let Some(track) = track else {
        return Err(format!("is a {} file without an audio track that can be read", format.format_info().short_name));
    };
    let Some(CodecParameters::Audio(parameters)) = &track.codec_params else {
        return Err("has an audio track whose codec is not supported".to_owned());
    };
    let (decoder, name) = make_decoder(parameters)?;
    Ok((track.id, decoder, name))
}

fn make_decoder(parameters: &AudioCodecParameters) -> Result<(Decoder, String), Fault> {
    if parameters.codec == CODEC_ID_OPUS {
        return Ok((Decoder::Opus(Box::new(OpusTrack::new(parameters)?)), "opus".to_owned()));
    }
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &Default::default())
        .map_err(|e| format!("has an audio track that cannot be decoded ({e})"))?;
    let name = decoder.codec_info().short_name.to_owned();
    Ok((Decoder::Symphonia(decoder), name))
}
