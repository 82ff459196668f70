#!/usr/bin/env python3
"""Train the demo model on spoken words that are mixed on the fly.

The learning rate follows the clock: it comes down to zero after --minutes,
however busy the machine is.  State is written often; --resume goes on from
it.  At the end (or at a file named `stop` in --out) the averaged weights are
written as a bfloat16 checkpoint beside the configuration.
"""
import argparse
import copy
import json
import math
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from clips import load
from features import Mel
from mixing import colored_noise, compose
from model import Prompt, build, greedy, load_weights, save_weights
from objective import HEAD_SIZE, losses, make_batch
from scoring import wer
from words import RATE, WINDOW_TOKENS, WORDS

SHARES = {"fsdd_train": .40, "gsc_train": .45, "tts_train": .15}


def pick_frames(rng, step, scale, long_share, longest):
    """Curriculum over audio length in mel frames: short strings first, long ones later."""
    s = step / scale if scale else math.inf
    if s < 300:
        return int(rng.integers(60, 200))
    if s < 800:
        return int(rng.integers(50, 400))
    if s < 1500:
        return int(rng.integers(50, 900))
    return int(rng.integers(600, longest)) if rng.random() < long_share else int(rng.integers(50, 600))


def dev_strings(seed, pool, count, seconds):
    """Fixed strings of one length by unseen speakers, for the learning curve: (count, samples), texts."""
    rng = np.random.default_rng(seed)
    waves, refs = [], []
    for _ in range(count):
        y, words, _ = compose(rng, seconds * RATE, [pool], [1.], none_share=0, cut_share=0, max_words=24,
                              tempo=0, mixed_share=0)
        waves.append(y * .5 + colored_noise(rng, len(y), 1.) * .001)
        refs.append(" ".join(WORDS[w] for w in words))
    return torch.from_numpy(np.stack(waves).astype(np.float32)), refs


class Run:
    """Everything that changes while training, and how it is written and read back."""

    def __init__(self, a):
        self.a = a
        self.model = build(a.out)
        self.head = torch.nn.Linear(256, HEAD_SIZE)
        if a.init:
            new, unused = load_weights(self.model, a.init)
            print("started from", a.init, "- new tensors:", new, "unused:", unused, flush=True)
        self.mean = copy.deepcopy(self.model).requires_grad_(False)
        self.params = list(self.model.parameters()) + list(self.head.parameters())
        self.tower = list(self.model.thinker.audio_tower.parameters()) + list(self.head.parameters())
        groups = [{"params": [p for p in self.params if p.dim() > 1], "weight_decay": a.weight_decay},
                  {"params": [p for p in self.params if p.dim() <= 1], "weight_decay": 0.}]
        self.opt = torch.optim.AdamW(groups, lr=a.lr, betas=(.9, .98))
        self.step, self.elapsed, self.audio_s = 0, 0., 0.
        self.path = os.path.join(a.out, "train.pt")
        if a.resume and os.path.exists(self.path):
            st = torch.load(self.path, weights_only=False)
            for name in ("model", "mean", "head", "opt"):
                getattr(self, name).load_state_dict(st[name])
            self.step, self.elapsed, self.audio_s = st["step"], st["elapsed"], st["audio_s"]
            print("resumed at step", self.step, flush=True)
        self.began = time.time() - self.elapsed

    def save(self):
        state = {name: getattr(self, name).state_dict() for name in ("model", "mean", "head", "opt")}
        torch.save(dict(state, step=self.step, elapsed=time.time() - self.began, audio_s=self.audio_s), self.path + ".part")
        os.replace(self.path + ".part", self.path)

    def progress(self):
        return min(1., (time.time() - self.began) / 60 / self.a.minutes)

    def apply(self, params, grads, lr):
        """One optimiser step on the mean of `grads`, one list per worker; then the running mean of the weights."""
        for group in self.opt.param_groups:
            group["lr"] = lr
        for p, *gs in zip(params, *grads):
            p.grad = torch.stack(gs).mean(0) if len(gs) > 1 else gs[0]
        torch.nn.utils.clip_grad_norm_(self.params, 1.)
        self.opt.step()
        self.opt.zero_grad(set_to_none=True)
        keep = min(.998, (self.step + 1) / (self.step + 20))
        with torch.no_grad():
            for mean, p in zip(self.mean.parameters(), self.model.parameters()):
                mean.lerp_(p, 1 - keep)
        self.step += 1


def train(a):
    torch.set_num_threads(a.threads)
    clips, noise = load(a.digits, ("train", "dev"), a.synthetic)
    print({k: f"{len(v.by_speaker)} voices, {len(v)} clips" for k, v in clips.items()}, flush=True)
    names = [k for k in SHARES if len(clips.get(k, ()))]
    pools = [clips[k] for k in names]
    weights = np.array([SHARES[k] for k in names])
    weights = weights / weights.sum()
    prompt, mel, run = Prompt(a.out), Mel(), Run(a)
    print("parameters:", sum(p.numel() for p in run.model.parameters()), flush=True)
    dev = {"fsdd 3 s": dev_strings(7, clips["fsdd_dev"], 16, 3), "fsdd 8 s": dev_strings(8, clips["fsdd_dev"], 16, 8),
           "fsdd 16 s": dev_strings(9, clips["fsdd_dev"], 12, 16), "gsc 8 s": dev_strings(10, clips["gsc_dev"], 16, 8)}
    rng = np.random.default_rng([a.seed, run.step])
    rngs = [np.random.default_rng([a.seed, run.step, i]) for i in range(a.threads)]
    log = open(os.path.join(a.out, "log.jsonl"), "a")

    # Every Python thread computes the gradients of its own part of the batch
    # with one intra-op thread: much cheaper on a busy machine than splitting
    # every small operation over the cores, and still one process.
    torch.set_num_threads(1)

    def part(i, frames, head_share, text):
        r = rngs[i]
        count = max(2, min(32, a.batch_frames // a.threads // frames))
        strength = min(1., .2 + run.step / a.strength_steps)
        batch = make_batch(r, frames, count, pools, weights, noise["train"], mel, prompt, strength, a.max_words)
        window = None if r.random() < .2 else WINDOW_TOKENS
        with torch.autocast("cpu", torch.bfloat16, enabled=a.bf16):
            l_text, l_head, acc, heard = losses(run.model, run.head, prompt, batch, window, text)
        grads = torch.autograd.grad(l_text + head_share * l_head, run.params if text else run.tower)
        return grads, (l_text.item(), l_head.item(), acc.item(), heard.item()), count * frames / 100

    workers = ThreadPoolExecutor(a.threads)
    recent = []
    while (progress := run.progress()) < 1 and not os.path.exists(os.path.join(a.out, "stop")):
        lr = a.lr * min(1, (run.step + 1) / a.warmup) * .5 * (1 + math.cos(math.pi * progress))
        joint = run.step - a.encoder_first               # the text model joins later
        text = joint >= 0
        frames = pick_frames(rng, joint, a.curriculum, a.long_share, a.longest) if text else int(rng.integers(150, 500))
        done = list(workers.map(lambda i: part(i, frames, 1. if joint < 300 and not a.init else .4, text), range(a.threads)))
        run.apply(run.params if text else run.tower, [d[0] for d in done], lr)
        run.audio_s += sum(d[2] for d in done)
        recent.append(np.mean([d[1] for d in done], 0))
        line = dict(step=run.step, minutes=round((time.time() - run.began) / 60, 2))
        if run.step % 25 == 0:
            l_text, l_head, acc, heard = np.round(np.mean(recent, 0), 4).tolist()
            recent.clear()
            print(json.dumps(dict(line, text=l_text, head=l_head, acc=acc, heard=heard, lr=round(lr, 7),
                                  audio_h=round(run.audio_s / 3600, 2))), file=log, flush=True)
        if run.step % a.eval_every == 0:
            res = {}
            for name, (wave, refs) in dev.items():
                heard = [t.split("<asr_text>")[-1] for t in greedy(run.mean, mel(wave), prompt)]
                res[name] = round(wer(zip(refs, heard))["wer"], 4)
            print(json.dumps(dict(line, dev=res)), file=log, flush=True)
            print("step", run.step, "dev word error", res, flush=True)
            run.save()
    run.save()
    save_weights(run.mean.state_dict(), a.out)
    print("checkpoint written to", a.out, "at step", run.step, flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--digits", required=True, help="folder with train.tsv, dev.tsv and the FLAC packs")
    p.add_argument("--config", required=True, help="folder with the configuration and tokenizer (tokenizer.py, or a checkpoint)")
    p.add_argument("--out", required=True)
    p.add_argument("--synthetic", help="folder written by synth.py; without it only human speech is used")
    p.add_argument("--init", help="checkpoint folder to start from; text layers it lacks are fresh")
    p.add_argument("--resume", action="store_true", help="go on from the state in --out")
    p.add_argument("--minutes", type=float, required=True, help="wall-clock budget, earlier parts of a resumed run included")
    p.add_argument("--encoder-first", type=int, default=600, help="steps of the audio tower alone")
    p.add_argument("--curriculum", type=float, default=1., help="stretches the length curriculum; 0: all lengths at once")
    p.add_argument("--long-share", type=float, default=.45, help="share of strings longer than 6 s")
    p.add_argument("--longest", type=int, default=2050, help="mel frames (10 ms) of the longest string")
    p.add_argument("--max-words", type=int, default=28)
    p.add_argument("--strength-steps", type=float, default=1500, help="steps until full augmentation")
    p.add_argument("--batch-frames", type=int, default=6400)
    p.add_argument("--lr", type=float, default=8e-4)
    p.add_argument("--weight-decay", type=float, default=.05)
    p.add_argument("--warmup", type=int, default=150)
    p.add_argument("--eval-every", type=int, default=250)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--bf16", action="store_true", help="bfloat16 products, float32 weights")
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    if os.path.abspath(a.config) != os.path.abspath(a.out):
        for name in os.listdir(a.config):
            if name.endswith((".json", ".txt")):
                shutil.copy(os.path.join(a.config, name), a.out)
    train(a)


if __name__ == "__main__":
    main()
