//! The microphones of this machine. They need a system library where the system is Linux, so they are a feature of the
//! build, `mic`; without it the functions here say so.

use super::Source;
use crate::error::Result;

/// True when this build can listen to microphones.
pub const HAS_MICROPHONE: bool = cfg!(feature = "mic");

/// A microphone or another input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name for people. Not always unique.
    pub name: String,
    /// The identifier by which [`microphone`] finds exactly this one, stable from one run to the next.
    pub id: String,
    /// Taken when no other is named.
    pub is_default: bool,
    /// Frames per second: lowest and highest.
    pub rates: (u32, u32),
    /// Most channels at a time.
    pub channels: u16,
}

/// The inputs of this machine, the default one first.
///
/// # Errors
/// [`crate::error::ErrorKind::Audio`] when the machine's sound system cannot be asked,
/// [`crate::error::ErrorKind::Usage`] in a build without microphones.
pub fn devices() -> Result<Vec<Device>> {
    #[cfg(feature = "mic")]
    return super::capture::devices();
    #[cfg(not(feature = "mic"))]
    Err(unsupported())
}

/// Starts to listen to a microphone: the default one, or the one whose id or name is `device`, or whose name alone
/// contains it, whatever the case. `ring_seconds` of audio (1 to 600) are kept for a consumer that is late; what comes
/// then is dropped and counted.
///
/// # Errors
/// [`crate::error::ErrorKind::Usage`] when no or more than one device is called so, or in a build without microphones;
/// [`crate::error::ErrorKind::Audio`] when there is none or it cannot be opened. A device that disappears later is an
/// error of [`Source::next`].
pub fn microphone(device: Option<&str>, ring_seconds: u32) -> Result<Source> {
    #[cfg(feature = "mic")]
    return super::capture::microphone(device, ring_seconds);
    #[cfg(not(feature = "mic"))]
    {
        let _ = (device, ring_seconds);
        Err(unsupported())
    }
}

#[cfg(not(feature = "mic"))]
fn unsupported() -> crate::error::Error {
    crate::error::Error::usage(
        "this build cannot listen to a microphone: build it with the feature `mic` (on Linux that needs ALSA's \
         headers, on Debian the package libasound2-dev)",
    )
}
