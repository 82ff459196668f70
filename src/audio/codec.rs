//! Codecs: packets in, samples out. `symphonia` and `opus-rs` decode most; `rusty_aac` decodes the AAC that symphonia
//! does not: more than two channels, and the rarer object types.

use super::aac;
use super::containers::Track;
use super::containers::mpeg::{beyond_layer_2, mpeg_frame};
use super::opus::{self, OpusTrack};
use super::samples::{self, Encoding};
use super::wav_format::encoding_name;
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_ADPCM_IMA_QT, CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS, CODEC_ID_ALAC, CODEC_ID_FLAC,
    CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3, CODEC_ID_VORBIS,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

/// Frames of a packet of short ADPCM blocks: containers put as many into one as fit.
const MOST_FRAMES: u64 = 4096;

/// How a track is coded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Codec {
    Aac,
    Alac,
    Flac,
    /// MPEG audio of this layer.
    Mpeg(u8),
    Vorbis,
    Opus,
    Adpcm(Adpcm),
    Pcm {
        encoding: Encoding,
        big_endian: bool,
    },
    /// One that nothing here decodes, by the name that people know.
    Other(String),
}

/// ADPCM in blocks of `block` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adpcm {
    Microsoft { block: u32 },
    Ima { block: u32 },
    QuickTime,
}

impl Adpcm {
    /// Bytes of a block.
    pub(crate) fn block(self, channels: u32) -> u32 {
        match self {
            Self::Microsoft { block } | Self::Ima { block } => block,
            Self::QuickTime => 34 * channels,
        }
    }

    /// Frames in a block; 0 where its size makes no sense.
    pub(crate) fn frames(self, channels: u32) -> u32 {
        let channels = channels.max(1);
        match self {
            Self::Microsoft { block } => block.checked_sub(7 * channels).map_or(0, |data| data * 2 / channels + 2),
            Self::Ima { block } => block.checked_sub(4 * channels).map_or(0, |data| data * 2 / channels + 1),
            Self::QuickTime => 64,
        }
    }
}

impl Codec {
    /// For the report: `vorbis`, `16-bit`.
    pub(crate) fn short_name(&self) -> String {
        match self {
            Self::Aac => "aac".to_owned(),
            Self::Alac => "alac".to_owned(),
            Self::Flac => "flac".to_owned(),
            Self::Mpeg(layer) => format!("mp{layer}"),
            Self::Vorbis => "vorbis".to_owned(),
            Self::Opus => "opus".to_owned(),
            Self::Adpcm(Adpcm::Microsoft { .. }) => "adpcm_ms".to_owned(),
            Self::Adpcm(Adpcm::Ima { .. }) => "adpcm_ima_wav".to_owned(),
            Self::Adpcm(Adpcm::QuickTime) => "adpcm_ima_qt".to_owned(),
            Self::Pcm { encoding, .. } => encoding_name(*encoding).to_owned(),
            Self::Other(name) => name.clone(),
        }
    }

    /// For people: `AAC`, `AC-3`.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Aac => "AAC".to_owned(),
            Self::Alac => "ALAC".to_owned(),
            Self::Flac => "FLAC".to_owned(),
            Self::Mpeg(layer) => format!("MP{layer}"),
            Self::Vorbis => "Vorbis".to_owned(),
            Self::Opus => "Opus".to_owned(),
            Self::Adpcm(_) => "ADPCM".to_owned(),
            Self::Pcm { encoding: encoding @ (Encoding::ALaw | Encoding::MuLaw), .. } => {
                encoding_name(*encoding).to_owned()
            }
            Self::Pcm { encoding, .. } => format!("PCM, {}", encoding_name(*encoding)),
            Self::Other(name) => name.clone(),
        }
    }
}

/// The decoder of one track.
pub(crate) struct Decoder {
    track: Track,
    inner: Inner,
    /// Header bits that no frame of one MPEG decoder may change.
    mpeg: Option<[u8; 2]>,
    /// A codec found in its packets that nothing here decodes.
    unsupported: Option<String>,
}

enum Inner {
    Symphonia(Box<dyn AudioDecoder>),
    Aac(Box<rusty_aac::AacDecoder>),
    Opus(Box<OpusTrack>),
    Pcm,
}

/// Why a track cannot be decoded.
#[derive(Debug, PartialEq)]
pub(crate) enum Undecodable {
    /// Nothing here knows its codec, which is named: `AC-3`, `AAC with 16 channels`.
    Codec(String),
    /// Its header is damaged: a sentence that begins after the name of the file.
    Damaged(String),
}

impl Decoder {
    pub(crate) fn new(track: &Track) -> Result<Self, Undecodable> {
        let inner = match &track.codec {
            Codec::Pcm { .. } => Inner::Pcm,
            Codec::Opus => Inner::Opus(Box::new(OpusTrack::new(&track.extra).map_err(Undecodable::Damaged)?)),
            Codec::Aac => aac_decoder(track)?,
            Codec::Other(name) => return Err(Undecodable::Codec(name.clone())),
            codec => Inner::Symphonia(symphonia_decoder(codec, track)?),
        };
        Ok(Self { track: track.clone(), inner, mpeg: None, unsupported: None })
    }

    /// The codec found in its packets, if it is not decoded here.
    pub(crate) fn unsupported(&self) -> Option<&str> {
        self.unsupported.as_deref()
    }

    /// Decodes one packet into `out`, interleaved. `seconds` is its length by the container, 0 where it does not say.
    /// Returns rate and channel count.
    pub(crate) fn decode(&mut self, packet: &[u8], seconds: f64, out: &mut Vec<f32>) -> Result<(u32, usize), String> {
        out.clear();
        self.refuse_zeros(packet, seconds)?;
        self.follow_mpeg(packet)?;
        match &mut self.inner {
            Inner::Pcm => {
                let Codec::Pcm { encoding, big_endian } = self.track.codec else { unreachable!("PCM decodes PCM") };
                samples::decode_packet(encoding, big_endian, packet, out);
                Ok((self.track.rate, self.track.channels as usize))
            }
            Inner::Opus(decoder) => decoder.decode(packet, out),
            Inner::Aac(decoder) => {
                let decoded = decoder.decode(packet, None).map_err(|e| e.to_string())?;
                out.extend_from_slice(&decoded.samples);
                Ok((decoded.sample_rate, usize::from(decoded.channels)))
            }
            Inner::Symphonia(decoder) => {
                let frames = match self.track.codec {
                    Codec::Adpcm(kind) => {
                        let blocks = packet.len() as u64 / u64::from(kind.block(self.track.channels).max(1));
                        blocks * u64::from(kind.frames(self.track.channels))
                    }
                    _ => 0,
                };
                let packet = PacketRef::new(0, Timestamp::new(0), Duration::new(frames), packet);
                let buffer = decoder.decode_ref(&packet).map_err(|e| e.to_string())?;
                buffer.copy_to_vec_interleaved(out);
                Ok((buffer.spec().rate(), buffer.spec().channels().count()))
            }
        }
    }

    /// Bytes that were lost and replaced by zeros, which some decoders take for packets.
    fn refuse_zeros(&self, packet: &[u8], seconds: f64) -> Result<(), String> {
        let is_sound = matches!(self.track.codec, Codec::Pcm { .. } | Codec::Adpcm(_));
        if !is_sound && packet.len() > 8 && packet.iter().all(|byte| *byte == 0) {
            return Err("a packet of zeros".to_owned());
        }
        let ticks = f64::from(opus::ticks(packet)) / f64::from(opus::TICKS);
        if self.track.codec == Codec::Opus && seconds - ticks > 1e-3 {
            return Err("a packet that is shorter than its container says".to_owned());
        }
        Ok(())
    }

    /// Frames of MPEG audio say what they are; where that changes, as in files that were joined, or is not what the
    /// container says, they need another decoder.
    fn follow_mpeg(&mut self, packet: &[u8]) -> Result<(), String> {
        let (Codec::Mpeg(_), Some(header)) = (&self.track.codec, packet.first_chunk::<4>()) else { return Ok(()) };
        let layer = 4 - (header[1] >> 1 & 3);
        if let Some(name) = mpeg_frame(packet).and_then(beyond_layer_2) {
            return Err(self.unsupported.insert(name).clone());
        }
        // Version and layer, rate, and whether there is one channel.
        let fixed = [header[1] & 0x1e, header[2] & 0x0c | u8::from(header[3] >> 6 == 3)];
        if layer < 4 && self.mpeg.replace(fixed) != Some(fixed) {
            let again = symphonia_decoder(&Codec::Mpeg(layer), &self.track);
            self.inner = Inner::Symphonia(again.map_err(|_| "another format begins".to_owned())?);
        }
        Ok(())
    }
}

fn symphonia_decoder(codec: &Codec, track: &Track) -> Result<Box<dyn AudioDecoder>, Undecodable> {
    let mut parameters = AudioCodecParameters::new();
    let id: AudioCodecId = match codec {
        Codec::Aac => CODEC_ID_AAC,
        Codec::Alac => CODEC_ID_ALAC,
        Codec::Flac => CODEC_ID_FLAC,
        Codec::Mpeg(1) => CODEC_ID_MP1,
        Codec::Mpeg(2) => CODEC_ID_MP2,
        Codec::Mpeg(_) => CODEC_ID_MP3,
        Codec::Vorbis => CODEC_ID_VORBIS,
        Codec::Adpcm(kind) => {
            let frames = u64::from(kind.frames(track.channels));
            parameters.with_frames_per_block(frames).with_max_frames_per_packet(frames.max(MOST_FRAMES));
            match kind {
                Adpcm::Microsoft { .. } => CODEC_ID_ADPCM_MS,
                Adpcm::Ima { .. } => CODEC_ID_ADPCM_IMA_WAV,
                Adpcm::QuickTime => CODEC_ID_ADPCM_IMA_QT,
            }
        }
        Codec::Opus | Codec::Pcm { .. } | Codec::Other(_) => return Err(Undecodable::Codec(codec.name())),
    };
    parameters.for_codec(id);
    if let (rate @ 1.., Ok(channels @ 1..)) = (track.rate, u16::try_from(track.channels)) {
        parameters.with_sample_rate(rate).with_channels(Channels::Discrete(channels));
    }
    if !track.extra.is_empty() {
        parameters.with_extra_data(track.extra.clone().into_boxed_slice());
    }
    symphonia::default::get_codecs().make_audio_decoder(&parameters, &Default::default()).map_err(|e| match codec {
        Codec::Adpcm(_) if track.channels > 2 => {
            Undecodable::Codec(format!("{} with {} channels", codec.name(), track.channels))
        }
        _ => Undecodable::Damaged(format!("has a header for {} that makes no sense ({e})", codec.name())),
    })
}

fn aac_decoder(track: &Track) -> Result<Inner, Undecodable> {
    if track.extra.is_empty() {
        // Frames with headers of their own.
        return Ok(Inner::Aac(Box::new(rusty_aac::AacDecoder::new())));
    }
    let config = aac::Config::read(&track.extra).ok_or_else(|| {
        Undecodable::Damaged("has an AAC track whose header makes no sense: the file is damaged".to_owned())
    })?;
    if let Some(core) = config.plain_core() {
        let core = Track { extra: core, ..track.clone() };
        return symphonia_decoder(&Codec::Aac, &core).map(Inner::Symphonia);
    }
    match rusty_aac::AacDecoder::with_config_bytes(&track.extra) {
        Ok(decoder) if config.is_known() => Ok(Inner::Aac(Box::new(decoder))),
        _ => Err(Undecodable::Codec(config.name())),
    }
}
