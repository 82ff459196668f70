//! Tells sound that stands out from sound that is always there: the level of each frequency band against its own
//! background.

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use std::f32::consts::TAU;
use std::fmt;
use std::sync::Arc;

/// Samples of one frame: 10 ms.
pub(super) const FRAME: usize = 160;

/// Samples a level is measured over: the 32 ms that end with the frame, so that nothing is heard ahead of time.
const WINDOW: usize = 512;

/// First bin (31.25 Hz each) of every band, and one past the last bin of the last. Below 125 Hz lie DC offset, steps
/// and rumble; above 7.5 kHz the slope of resampling filters.
const EDGES: [usize; BANDS + 1] = [4, 8, 12, 16, 22, 30, 40, 52, 68, 88, 112, 144, 184, 240];

/// Number of bands.
const BANDS: usize = 13;

/// A frame with no band above this is digital silence: nothing was recorded. In dB of full scale (mean square 1);
/// rounding to 16 bits makes about −109 dB per band.
const DIGITAL_SILENCE: f32 = -85.0;

/// Sound stands out when the bands exceed their backgrounds by this much, in dB, averaged over the [`LOUDEST`].
const STANDS_OUT: f32 = 5.0;

/// How many of the bands must carry it.
const LOUDEST: usize = 3;

/// Share of the latest frame in the slow level, which the background follows: the level itself strays so far down in
/// noise that a background at its lowest would leave the noise standing out.
const SLOW: f32 = 0.1;

/// How fast a background climbs towards a higher level: 3 dB/s.
const CLIMB: f32 = 0.03;

/// Share of the way to a lower level that a background falls per frame.
const FALL: f32 = 0.2;

/// Where backgrounds begin: so low that one band above [`DIGITAL_SILENCE`] stands out.
const LOWEST: f32 = DIGITAL_SILENCE - STANDS_OUT * LOUDEST as f32;

/// The levels and their backgrounds.
pub(super) struct Levels {
    fft: Arc<dyn RealToComplex<f32>>,
    hann: Vec<f32>,
    /// The last [`WINDOW`] samples.
    heard: Vec<f32>,
    windowed: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    /// Mean level of every band in dB, over about a tenth of a second.
    slow: Option<[f32; BANDS]>,
    background: [f32; BANDS],
}

impl Levels {
    pub(super) fn new() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(WINDOW);
        Self {
            hann: (0..WINDOW).map(|i| 0.5 - 0.5 * (TAU * i as f32 / WINDOW as f32).cos()).collect(),
            heard: vec![0.0; WINDOW],
            windowed: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            slow: None,
            background: [LOWEST; BANDS],
            fft,
        }
    }

    /// Whether sound stands out in this frame (samples finite and in [-1, 1]); learns from it.
    pub(super) fn stands_out(&mut self, frame: &[f32; FRAME]) -> bool {
        self.heard.copy_within(FRAME.., 0);
        self.heard[WINDOW - FRAME..].copy_from_slice(frame);
        let levels = self.levels();
        // Nothing was recorded. A muted line says nothing about the room: what was learned of it stays.
        if levels.iter().all(|&level| level <= DIGITAL_SILENCE) {
            return false;
        }
        let levels = levels.map(|level| level.max(LOWEST));
        let slow = self.slow.get_or_insert(levels);
        let mut excess = [0.0f32; BANDS];
        for band in 0..BANDS {
            excess[band] = (levels[band] - self.background[band]).max(0.0);
            slow[band] += SLOW * (levels[band] - slow[band]);
            let above = slow[band] - self.background[band];
            self.background[band] += if above < 0.0 { above * FALL } else { above.min(CLIMB) };
        }
        excess.sort_unstable_by(f32::total_cmp);
        excess[BANDS - LOUDEST..].iter().sum::<f32>() > STANDS_OUT * LOUDEST as f32
    }

    /// Mean square of every band over the window, in dB of full scale.
    fn levels(&mut self) -> [f32; BANDS] {
        let mean = self.heard.iter().sum::<f32>() / WINDOW as f32;
        for ((out, &sample), &weight) in self.windowed.iter_mut().zip(&self.heard).zip(&self.hann) {
            *out = (sample - mean) * weight;
        }
        let done = self.fft.process_with_scratch(&mut self.windowed, &mut self.spectrum, &mut self.scratch);
        debug_assert!(done.is_ok(), "the plan made these buffers, so it takes them: {done:?}");
        // A Hann window's squares add up to 3/8 of its length; half of the power lies at negative frequencies.
        let scale = 2.0 / (WINDOW as f32 * WINDOW as f32 * 0.375);
        std::array::from_fn(|band| {
            let bins = &self.spectrum[EDGES[band]..EDGES[band + 1]];
            let power = bins.iter().map(Complex::norm_sqr).sum::<f32>() * scale;
            10.0 * power.max(1e-20).log10()
        })
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels").field("background", &self.background).finish_non_exhaustive()
    }
}
