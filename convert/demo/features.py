"""The Whisper log-mel front end, batched, with optional warping."""
import numpy as np
import torch
from transformers.audio_utils import mel_filter_bank

from words import HOP, MELS, RATE

UNWARPED = 6         # index of the factor nearest to 1 in Mel.factors


class Mel:
    def __init__(self):
        bank = mel_filter_bank(num_frequency_bins=201, num_mel_filters=MELS, min_frequency=0., max_frequency=8000.,
                               sampling_rate=RATE, norm="slaney", mel_scale="slaney").T
        self.bank = torch.tensor(bank, dtype=torch.float32)         # (128, 201)
        self.window = torch.hann_window(400)
        # Frequency-warped copies, for other vocal tract lengths.
        self.factors = np.linspace(.86, 1.16, 13)
        k = np.arange(201)
        self.warped = torch.stack([
            torch.tensor(np.stack([np.interp(k * f, k, row, right=0.) for row in bank]), dtype=torch.float32)
            for f in self.factors])

    def __call__(self, wave, rng=None, strength=1.):
        """(B, L) samples -> (B, 128, L // 160); varies voice and microphone when rng is given."""
        s = torch.stft(wave, 400, HOP, window=self.window, return_complex=True, center=True, pad_mode="reflect")
        power = s[..., :-1].abs().pow(2)
        mel = self.bank @ power if rng is None else self._varied(power, rng, strength)
        x = torch.clamp(mel, min=1e-10).log10()
        x = torch.maximum(x, x.amax(dim=(1, 2), keepdim=True) - 8.0)
        return (x + 4.0) / 4.0

    def _varied(self, power, rng, strength):
        B = power.shape[0]
        idx = rng.integers(len(self.factors), size=B)
        idx[rng.random(B) > strength] = UNWARPED
        mel = torch.bmm(self.warped[torch.tensor(idx)], power)
        # A smooth random frequency response in dB, sometimes cut off like a telephone.
        curve = np.stack([np.interp(np.linspace(0, 7, MELS), np.arange(8),
                                    rng.normal(0, rng.uniform(0, 4. * strength), 8)) for _ in range(B)])
        for b in range(B):
            if rng.random() < .25 * strength:
                curve[b] -= 80 / (1 + np.exp(-(np.arange(MELS) - rng.integers(88, 110)) / 1.5))
        return mel * torch.tensor(10 ** (curve / 10), dtype=torch.float32)[..., None]


def audio_tokens(frames):
    """Audio tokens for a number of mel frames: 13 per full chunk of 100."""
    full, rest = divmod(frames, 100)
    for _ in range(3):
        rest = (rest + 1) // 2
    return 13 * full + rest
