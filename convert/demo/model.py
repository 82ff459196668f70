"""The model: the official modules, with a batched forward over equally long audio."""
import math
import os

import torch
import torch.nn.functional as F
from qwen_asr.core.transformers_backend import Qwen3ASRConfig, Qwen3ASRForConditionalGeneration
from safetensors.torch import load_file, save_file
from transformers import Qwen2TokenizerFast
from transformers.cache_utils import DynamicCache

from features import audio_tokens
from words import MELS, WINDOW_TOKENS, WORDS

WEIGHTS = "model.safetensors"


def build(folder):
    """A freshly initialised float32 model of the shape that `folder`'s config.json tells."""
    cfg = Qwen3ASRConfig.from_pretrained(folder)
    torch.manual_seed(0)
    model = Qwen3ASRForConditionalGeneration(cfg).float()
    thinker = model.thinker
    thinker.lm_head.weight = thinker.model.embed_tokens.weight     # tied, as in the real model
    with torch.no_grad():
        for m in model.modules():
            if isinstance(m, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
                m.bias.zero_()
            elif isinstance(m, torch.nn.Linear) and m is not thinker.lm_head:
                m.weight.normal_(0, .8 / math.sqrt(m.in_features))
                if m.bias is not None:
                    m.bias.zero_()
        thinker.model.embed_tokens.weight.normal_(0, .04)
    return model


def load_weights(model, folder):
    """Copy a checkpoint's weights; layers it lacks stay as they are. -> (new tensors, unused tensors)."""
    old = {k: v.float() for k, v in load_file(os.path.join(folder, WEIGHTS)).items()}
    result = model.load_state_dict(old, strict=False)
    return len(result.missing_keys), len(result.unexpected_keys)


def save_weights(state, folder, dtype=torch.bfloat16):
    """Write model.safetensors beside the configuration, under its final name only when complete."""
    tensors = {k: v.to(dtype).contiguous().clone() for k, v in state.items()}
    # Both the embedding and the (tied) head are stored, as in the real files.
    tensors.setdefault("thinker.lm_head.weight", tensors["thinker.model.embed_tokens.weight"].clone())
    path = os.path.join(folder, WEIGHTS)
    save_file(tensors, path + ".part", metadata={"format": "pt"})
    os.replace(path + ".part", path)


def encode(tower, mel, window=WINDOW_TOKENS):
    """Audio tower over equally long log-mels: (B, 128, T) -> (B, audio_tokens(T), width).

    window: tokens per attention window (104 as in the published inference),
    or None for attention over everything (the official transformers path on a CPU).
    """
    B, _, T = mel.shape
    chunks = -(-T // 100)
    if chunks > 1:
        mel = F.pad(mel, (0, chunks * 100 - T))
    x = mel.view(B, MELS, chunks, -1).transpose(1, 2).reshape(B * chunks, 1, MELS, -1)
    for conv in (tower.conv2d1, tower.conv2d2, tower.conv2d3):
        x = F.gelu(conv(x))
    x = tower.conv_out(x.permute(0, 3, 1, 2).flatten(2))
    x = x + tower.positional_embedding.positional_embedding[:x.shape[1]]
    N = audio_tokens(T)
    x = x.reshape(B, -1, x.shape[-1])[:, :N]
    mask = None
    if window and N > window:
        block = torch.arange(N) // window
        mask = block[:, None] == block[None, :]
    for layer in tower.layers:
        h = layer.self_attn_layer_norm(x)
        att = layer.self_attn
        q, k, v = (f(h).view(B, N, att.num_heads, -1).transpose(1, 2) for f in (att.q_proj, att.k_proj, att.v_proj))
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + att.out_proj(o.transpose(1, 2).reshape(B, N, -1))
        x = x + layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(x))))
    return tower.proj2(F.gelu(tower.proj1(tower.ln_post(x))))


class Prompt:
    """Token ids around the audio, and the ids of an answer."""

    def __init__(self, folder):
        self.tok = Qwen2TokenizerFast.from_pretrained(folder)
        self.system = self.ids("<|im_start|>system\n")
        self.before = self.ids("<|im_end|>\n<|im_start|>user\n<|audio_start|>")
        self.after = self.ids("<|audio_end|><|im_end|>\n<|im_start|>assistant\n")
        self.end = self.ids("<|im_end|>")
        self.pad = self.ids("<|endoftext|>")[0]
        assert all(len(self.ids(" " + w)) == 1 and len(self.ids(w)) == 1 for w in WORDS)

    def ids(self, text):
        return self.tok.encode(text, add_special_tokens=False)

    def answer(self, words):
        """Word indices -> ids of the whole answer."""
        if not words:
            return self.ids("language None<asr_text>") + self.end
        return self.ids("language English<asr_text>" + " ".join(WORDS[w] for w in words)) + self.end


def embed_fixed(model, ids, batch):
    return model.thinker.model.embed_tokens(torch.tensor(ids))[None].expand(batch, -1, -1)


@torch.no_grad()
def greedy(model, mel, prompt, max_new=48):
    """Batched greedy decoding over equally long log-mels (B, 128, T) -> list of raw answers."""
    thinker = model.thinker
    B = mel.shape[0]
    x = torch.cat([embed_fixed(model, prompt.system + prompt.before, B), encode(thinker.audio_tower, mel),
                   embed_fixed(model, prompt.after, B)], 1)
    cache = DynamicCache()
    out = torch.full((B, max_new), prompt.pad)
    done = torch.zeros(B, dtype=torch.bool)
    for i in range(max_new):
        h = thinker.model(inputs_embeds=x, past_key_values=cache, use_cache=True).last_hidden_state[:, -1]
        new = thinker.lm_head(h).argmax(-1)
        new[done] = prompt.pad
        out[:, i] = new
        done |= (new == prompt.end[0]) | (new == prompt.pad)
        if done.all():
            break
        x = thinker.model.embed_tokens(new)[:, None]
    return [prompt.tok.decode([t for t in row.tolist() if t not in (prompt.pad, prompt.end[0])]) for row in out]
