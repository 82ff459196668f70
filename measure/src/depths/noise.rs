//! Noise of a measured loudness, always the same: what makes clean recordings hard.

use super::Clip;
use qasr_convert::random::Random;

/// The added noise.
#[derive(Debug, Clone, Copy)]
pub enum Noise<'a> {
    /// Normally distributed samples of this seed.
    White(u64),
    /// Other recordings, all equally loud and at once, each repeated to the end: a room of voices.
    Babble(&'a [Clip]),
}

/// The clip with `noise` in it, `decibels` quieter than the clip itself (both by their mean square over the whole clip).
/// A sum outside [-1, 1] makes the whole quieter. A silent clip, and a room without voices, stay as they are.
pub fn add(clip: &Clip, noise: Noise<'_>, decibels: f64) -> Clip {
    let (name, noise) = match noise {
        Noise::White(seed) => {
            let mut random = Random::new(seed);
            ("white noise", (0..clip.samples.len()).map(|_| random.normal()).collect())
        }
        Noise::Babble(voices) => ("babble", babble(voices, clip.samples.len())),
    };
    let (signal, power) = (mean_square(clip.samples.iter().map(|&x| f64::from(x))), mean_square(noise.iter().copied()));
    let mut clip = Clip { condition: format!("{name} {decibels:.0} dB"), ..clip.clone() };
    if signal > 0.0 && power > 0.0 {
        let factor = (signal / power / 10_f64.powf(decibels / 10.0)).sqrt();
        let mixed: Vec<f64> = clip.samples.iter().zip(&noise).map(|(&x, &n)| f64::from(x) + factor * n).collect();
        let peak = mixed.iter().fold(1.0_f64, |peak, value| peak.max(value.abs()));
        clip.samples = mixed.into_iter().map(|value| (value / peak) as f32).collect();
    }
    clip
}

fn babble(voices: &[Clip], len: usize) -> Vec<f64> {
    let mut sum = vec![0.0; len];
    for voice in voices {
        let loudness = mean_square(voice.samples.iter().map(|&x| f64::from(x))).sqrt();
        if loudness > 0.0 {
            sum.iter_mut().zip(voice.samples.iter().cycle()).for_each(|(sum, &x)| *sum += f64::from(x) / loudness);
        }
    }
    sum
}

/// 0 for nothing.
fn mean_square(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1);
    values.map(|value| value * value).sum::<f64>() / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frequency: f64, amplitude: f64, len: usize) -> Clip {
        let value = |i: usize| (amplitude * (i as f64 * frequency).sin()) as f32;
        let samples = (0..len).map(value).collect();
        Clip { name: "tone".into(), samples, condition: "clean".into(), language: None, text: None }
    }

    /// Of the noise that was added, in decibels below the clip.
    fn measured(clean: &Clip, noisy: &Clip) -> f64 {
        // A clip that was made quieter is scaled back: the tone's own share stays the same.
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
        let share = dot(&clean.samples, &noisy.samples) / dot(&clean.samples, &clean.samples);
        let added = clean.samples.iter().zip(&noisy.samples[..]).map(|(&x, &y)| f64::from(y) / share - f64::from(x));
        let added: Vec<f64> = added.collect();
        let clean = mean_square(clean.samples.iter().map(|&x| f64::from(x)));
        10.0 * (clean / mean_square(added.into_iter())).log10()
    }

    #[test]
    fn noise_is_as_loud_as_asked() {
        let voices = [tone(0.31, 0.9, 3000), tone(0.77, 0.01, 50)];
        for amplitude in [0.05, 0.9] {
            // Long enough that noise and tone are hardly alike by chance.
            let clean = tone(0.05, amplitude, 160_000);
            for decibels in [20.0, 10.0, 0.0, -5.0] {
                for noise in [Noise::White(3), Noise::Babble(&voices)] {
                    let noisy = add(&clean, noise, decibels);
                    let found = measured(&clean, &noisy);
                    assert!((found - decibels).abs() < 0.1, "{} is {found:.2} dB", noisy.condition);
                    assert!(noisy.samples.iter().all(|x| x.abs() <= 1.0), "{}", noisy.condition);
                }
            }
        }
    }

    #[test]
    fn noise_is_repeatable_and_named_and_silence_stays() {
        let clean = tone(0.05, 0.5, 1000);
        let noisy = add(&clean, Noise::White(3), 10.0);
        assert_eq!(noisy.condition, "white noise 10 dB");
        assert_eq!(noisy.samples, add(&clean, Noise::White(3), 10.0).samples);
        assert_ne!(noisy.samples, add(&clean, Noise::White(4), 10.0).samples);
        assert_eq!(add(&tone(0.05, 0.0, 100), Noise::White(3), 10.0).samples, tone(0.05, 0.0, 100).samples);
        assert_eq!(add(&clean, Noise::Babble(&[]), 10.0).samples, clean.samples);
    }
}
