"""The official package, with its published inference (attention windows) in place on a CPU."""
import json
import os

import torch
import torch.nn.functional as F
from qwen_asr import Qwen3ASRModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


def windowed_attention(module, q, k, v, attention_mask=None, scaling=None, dropout=0., cu_seq_lens_q=None, **_):
    """Attention within the windows that cu_seq_lens_q tells, as flash-attention does.

    Without flash-attention the official code lets every audio token see every other.
    """
    block = torch.bucketize(torch.arange(q.shape[2]), cu_seq_lens_q[1:].long(), right=True)
    o = F.scaled_dot_product_attention(q, k, v, attn_mask=block[:, None] == block[None, :], scale=scaling)
    return o.transpose(1, 2).contiguous(), None


def load(folder, max_new=64):
    """The official float32 model of a checkpoint folder."""
    asr = Qwen3ASRModel.from_pretrained(folder, dtype=torch.float32, max_inference_batch_size=1, max_new_tokens=max_new)
    ALL_ATTENTION_FUNCTIONS.register("windowed_sdpa", windowed_attention)
    asr.model.thinker.audio_tower.config._attn_implementation = "windowed_sdpa"
    # The official generate() has the published model's end tokens as
    # literals; the demo model's stand in its generation_config.json.
    with open(os.path.join(folder, "generation_config.json")) as f:
        g = json.load(f)
    generate = asr.model.generate
    asr.model.generate = lambda **kw: generate(eos_token_id=g["eos_token_id"], pad_token_id=g["pad_token_id"], **kw)
    return asr
