"""One training batch and its losses."""
import numpy as np
import torch
import torch.nn.functional as F

from features import audio_tokens
from mixing import compose, degrade
from model import embed_fixed, encode
from tokenizer import TEXT_TOKENS
from words import HOP, MELS, RATE, WINDOW_TOKENS, WORDS

SILENCE = len(WORDS)             # class of an audio token where no word is spoken
HEAD_SIZE = len(WORDS) + 2       # auxiliary head: the words, silence, and "a word ends here"


def make_batch(rng, frames, count, pools, weights, noises, mel, prompt, strength=1., max_words=28):
    """`count` strings of `frames` mel frames each.

    -> mel (B, 128, T), answer ids (B, K), their weights (B, K), the word at
    every audio token (B, N), word ends (B, N), and random context ids (B, C) or None.
    """
    length = frames * HOP
    waves, answers, spoken, ends = [], [], [], []
    N = audio_tokens(frames)
    centre = np.array([(i // 13) * 100 + (i % 13) * 8 + 4 for i in range(N)]) * HOP
    for _ in range(count):
        y, words, spans = compose(rng, length, pools, weights, max_words=max_words)
        waves.append(degrade(rng, y, noises, strength))
        answers.append(prompt.answer(words))
        s, e = np.full(N, SILENCE), np.zeros(N, np.float32)
        for first, last, w in spans:
            s[(centre >= first) & (centre < last)] = w
            e[min(N - 1, int(np.abs(centre - (last - .06 * RATE)).argmin()))] = 1
        spoken.append(s)
        ends.append(e)
    m = mel(torch.from_numpy(np.stack(waves)), rng, strength)
    if rng.random() < .5 * strength:                     # mild SpecAugment
        for b in range(count):
            w = rng.integers(1, 14)
            low = rng.integers(0, MELS - w)
            m[b, low:low + w] = m[b].min()
    K = max(map(len, answers)) + 2
    ids = np.full((count, K), prompt.pad)
    share = np.full((count, K), .02, np.float32)         # keep emitting pad after the end
    for b, t in enumerate(answers):
        ids[b, :len(t)] = t
        share[b, :len(t)] = 1
    context = rng.integers(0, TEXT_TOKENS, (count, rng.integers(1, 24))) if rng.random() < .1 else None
    return (m, torch.from_numpy(ids), torch.from_numpy(share), torch.from_numpy(np.stack(spoken)),
            torch.from_numpy(np.stack(ends)), None if context is None else torch.from_numpy(context))


def losses(model, head, prompt, batch, window=WINDOW_TOKENS, text=True):
    """-> text loss, auxiliary loss, token accuracy, audio-token accuracy.

    The auxiliary head tells for every audio token which word is being spoken
    and where words end; it is dropped after training.
    """
    m, ids, share, spoken, ends, context = batch
    B = m.shape[0]
    thinker = model.thinker
    audio = encode(thinker.audio_tower, m, window)
    z = head(audio).float()
    word, end = z[..., :SILENCE + 1], z[..., SILENCE + 1]
    l_head = F.cross_entropy(word.flatten(0, 1), spoken.flatten())
    l_head = l_head + F.binary_cross_entropy_with_logits(end, ends, pos_weight=torch.tensor(3.))
    heard = (word.argmax(-1) == spoken).float().mean()
    if not text:
        return torch.zeros(()), l_head, torch.zeros(()), heard
    embed = thinker.model.embed_tokens
    parts = [embed_fixed(model, prompt.system, B)] + ([embed(context)] if context is not None else [])
    parts += [embed_fixed(model, prompt.before, B), audio, embed_fixed(model, prompt.after, B), embed(ids[:, :-1])]
    h = thinker.model(inputs_embeds=torch.cat(parts, 1), use_cache=False).last_hidden_state
    K = ids.shape[1]
    logits = thinker.lm_head(h[:, -K:])
    ce = F.cross_entropy(logits.flatten(0, 1).float(), ids.flatten(), reduction="none").view(B, K)
    l_text = (ce * share).sum() / share.sum()
    wrong = ((logits.argmax(-1) != ids) & (share >= .5)).float().sum()
    return l_text, l_head, 1 - wrong / (share > .5).sum(), heard
