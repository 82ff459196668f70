//! A microphone through `cpal`: its callback feeds a [`super::ring`], and nothing else.

use super::{Alarm, Device, Feeder, Source, ring};
use crate::audio::recording::RawFormat;
use crate::error::{Error, Result};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, Data, ErrorKind, FromSample, SampleFormat, SizedSample, SupportedBufferSize};
use std::time::Duration;

/// The device gives audio in portions of this length where it can.
const PORTION: Duration = Duration::from_millis(20);
/// How long a device may take to start.
const START: Duration = Duration::from_secs(10);

pub(super) fn devices() -> Result<Vec<Device>> {
    hush();
    Ok(inputs()?.into_iter().map(|(_, device)| device).filter(is_real).collect())
}

pub(super) fn microphone(wanted: Option<&str>, ring_seconds: u32) -> Result<Source> {
    hush();
    let (device, name) = match wanted {
        Some(wanted) => choose(inputs()?, wanted)?,
        None => match cpal::default_host().default_input_device() {
            Some(device) => (device, "microphone".to_owned()),
            None => return Err(none()),
        },
    };
    open(&device, &name, ring_seconds).map_err(|e| match wanted {
        // Where there is no device at all, the default one is a name that leads nowhere.
        None if inputs().is_ok_and(|inputs| !inputs.iter().any(|(_, device)| is_real(device))) => none(),
        _ => Error::audio(format!("{name}: cannot be opened: {}", cause(&e))),
    })?
}

fn none() -> Error {
    Error::audio("no microphone was found: plug one in or allow access to it, or pipe audio to standard input")
}

/// ALSA has a device of silence, which can be named, but is no microphone.
fn is_real(device: &Device) -> bool {
    device.id != "null"
}

/// Every input that can be opened, the default one first.
fn inputs() -> Result<Vec<(cpal::Device, Device)>> {
    let host = cpal::default_host();
    let all = host.devices().map_err(|e| Error::audio(format!("the sound system cannot be asked: {}", cause(&e))))?;
    let default = host.default_input_device().and_then(|device| device.id().ok());
    let mut inputs: Vec<(cpal::Device, Device)> = all
        .filter_map(|device| {
            let (mut low, mut high, mut channels) = (u32::MAX, 0, 0);
            for range in device.supported_input_configs().ok()? {
                low = low.min(range.min_sample_rate());
                high = high.max(range.max_sample_rate());
                channels = channels.max(range.channels());
            }
            let id = device.id().ok()?;
            let name = device.description().ok()?.name().to_owned();
            let is_default = Some(&id) == default.as_ref();
            let found = Device { name, id: id.id().to_owned(), is_default, rates: (low, high), channels };
            (channels > 0).then_some((device, found))
        })
        .collect();
    inputs.sort_by_key(|(_, device)| !device.is_default);
    Ok(inputs)
}

/// The device that a name means: an id or a whole name, else a part of only one name.
fn choose<D>(mut inputs: Vec<(D, Device)>, wanted: &str) -> Result<(D, String)> {
    let names = |of: &[&(D, Device)]| {
        of.iter().map(|(_, d)| format!("\"{}\" ({})", d.name, d.id)).collect::<Vec<_>>().join(", ")
    };
    let part = wanted.to_lowercase();
    let exact =
        inputs.iter().position(|(_, d)| d.id == wanted).or_else(|| inputs.iter().position(|(_, d)| d.name == wanted));
    let similar: Vec<usize> = (0..inputs.len()).filter(|&n| inputs[n].1.name.to_lowercase().contains(&part)).collect();
    match (exact, &similar[..]) {
        (Some(found), _) | (None, &[found]) => {
            let (device, found) = inputs.swap_remove(found);
            Ok((device, found.name))
        }
        (None, []) if !inputs.iter().any(|(_, device)| is_real(device)) => Err(none()),
        (None, []) => {
            let all: Vec<_> = inputs.iter().filter(|(_, device)| is_real(device)).collect();
            Err(Error::usage(format!("no microphone is called \"{wanted}\"; there are {}", names(&all))))
        }
        (None, several) => {
            let several: Vec<_> = several.iter().map(|&n| &inputs[n]).collect();
            Err(Error::usage(format!("\"{wanted}\" can mean {}: name one by its id", names(&several))))
        }
    }
}

/// Opens and starts a device. The outer error is the device's.
fn open(device: &cpal::Device, name: &str, ring_seconds: u32) -> std::result::Result<Result<Source>, cpal::Error> {
    let supported = device.default_input_config()?;
    let kind = supported.sample_format();
    if kind.is_dsd() {
        return Ok(Err(Error::audio(format!("{name}: gives DSD, which cannot be read: choose another device"))));
    }
    let mut config = supported.config();
    let format = RawFormat { rate: config.sample_rate, channels: config.channels };
    let portion = (u64::from(format.rate) * PORTION.as_millis() as u64 / 1000) as u32;
    let sizes = match *supported.buffer_size() {
        SupportedBufferSize::Range { min, max } if min <= max => {
            vec![BufferSize::Fixed(portion.clamp(min, max)), BufferSize::Default]
        }
        _ => vec![BufferSize::Default],
    };
    let mut failed = None;
    for size in sizes {
        config.buffer_size = size;
        let (mut feeder, mut source) = match ring(name, format, ring_seconds) {
            Ok(ring) => ring,
            Err(error) => return Ok(Err(error)),
        };
        let alarm = feeder.alarm();
        let built = device.build_input_stream_raw(
            config,
            kind,
            move |data: &Data, _: &_| feed(&mut feeder, data),
            move |error| trouble(&alarm, &error),
            Some(START),
        );
        match built.and_then(|stream| stream.play().map(|()| stream)) {
            Ok(stream) => {
                source.keep(stream);
                return Ok(Ok(source));
            }
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| ErrorKind::UnsupportedConfig.into()))
}

/// The capture callback's work.
fn feed(feeder: &mut Feeder, data: &Data) {
    fn push<S: SizedSample>(feeder: &mut Feeder, data: &Data)
    where
        f32: FromSample<S>,
    {
        if let Some(samples) = data.as_slice::<S>() {
            feeder.push(samples, f32::from_sample_);
        }
    }
    match data.sample_format() {
        SampleFormat::I8 => push::<i8>(feeder, data),
        SampleFormat::I16 => push::<i16>(feeder, data),
        SampleFormat::I24 => push::<cpal::I24>(feeder, data),
        SampleFormat::I32 => push::<i32>(feeder, data),
        SampleFormat::I64 => push::<i64>(feeder, data),
        SampleFormat::U8 => push::<u8>(feeder, data),
        SampleFormat::U16 => push::<u16>(feeder, data),
        SampleFormat::U24 => push::<cpal::U24>(feeder, data),
        SampleFormat::U32 => push::<u32>(feeder, data),
        SampleFormat::U64 => push::<u64>(feeder, data),
        SampleFormat::F32 => push::<f32>(feeder, data),
        SampleFormat::F64 => push::<f64>(feeder, data),
        // `open` has refused what is left.
        _ => {}
    }
}

/// The meaning of a device's message for the source.
fn trouble(alarm: &Alarm, error: &cpal::Error) {
    match error.kind() {
        ErrorKind::Xrun => alarm.overrun(),
        // The stream goes on.
        ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
        ErrorKind::DeviceNotAvailable => alarm.gone("is gone (unplugged or switched off): connect it and start again"),
        _ => alarm.gone(format!("stopped ({}): start again", cause(error))),
    }
}

/// The device's own words, as the inner part of a sentence.
fn cause(error: &cpal::Error) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}

/// Keeps ALSA, which reports every failed attempt on standard error, from doing so in this thread while devices are
/// tried: what matters comes back as an error.
#[cfg(target_os = "linux")]
fn hush() {
    // Without it there is only more to read.
    let _ = alsa::Output::local_error_handler();
}

#[cfg(not(target_os = "linux"))]
fn hush() {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind as Kind;

    fn inputs() -> Vec<(usize, Device)> {
        [("Built-in Audio", "hw:0"), ("USB Headset", "hw:1"), ("USB Headset", "hw:2"), ("usb", "hw:3")]
            .iter()
            .enumerate()
            .map(|(n, (name, id))| {
                let (name, id) = (name.to_string(), id.to_string());
                (n, Device { name, id, is_default: n == 0, rates: (16_000, 48_000), channels: 2 })
            })
            .collect()
    }

    #[test]
    fn a_device_is_chosen_by_id_name_or_part_of_a_name() {
        for (wanted, device) in [("hw:2", 2), ("USB Headset", 1), ("built", 0), ("usb", 3)] {
            assert_eq!(choose(inputs(), wanted).expect("one of them").0, device, "{wanted}");
        }
        let several = choose(inputs(), "headset").expect_err("two of them");
        assert_eq!(several.kind(), Kind::Usage);
        assert!(several.to_string().contains("\"USB Headset\" (hw:1), \"USB Headset\" (hw:2)"), "{several}");
        let none = choose(inputs(), "webcam").expect_err("none of them");
        assert!(none.kind() == Kind::Usage && none.to_string().contains("\"Built-in Audio\" (hw:0)"), "{none}");
        assert_eq!(choose(Vec::<(usize, Device)>::new(), "usb").expect_err("there is none").kind(), Kind::Audio);
    }

    #[test]
    fn only_what_ends_a_device_ends_its_source() {
        let told = |kind: ErrorKind| {
            let (feeder, mut source) = ring("device", RawFormat { rate: 16_000, channels: 1 }, 1).expect("usable");
            trouble(&feeder.alarm(), &kind.into());
            let next = source.next(Duration::ZERO, 1).map(|block| block.is_some()).map_err(|e| e.to_string());
            (next, source.warnings().len())
        };
        assert_eq!(told(ErrorKind::DeviceChanged), (Ok(true), 0));
        assert_eq!(told(ErrorKind::RealtimeDenied), (Ok(true), 0));
        assert_eq!(told(ErrorKind::Xrun), (Ok(true), 1));
        let unplugged = "device: is gone (unplugged or switched off): connect it and start again";
        assert_eq!(told(ErrorKind::DeviceNotAvailable), (Err(unplugged.to_owned()), 0));
        assert!(told(ErrorKind::BackendError).0.is_err_and(|message| message.starts_with("device: stopped (")));
    }
}
