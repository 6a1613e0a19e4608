"""A checkpoint that knows a few replies to one question and has no preference among them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from harness.memorised_checkpoint import SIZE
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.prompts import PROFILE_FILE, PromptProfile
from ibistrain.tiny import build

MOST_STEPS = 400


def undecided(folder: Path, profile: PromptProfile, prompt: str, replies: Sequence[str]) -> Path:
    """Write a checkpoint that answers a prompt with each of the replies equally often.

    It learns to ignore the picture, and whether something is marked.
    """
    texts = [profile.turn_text(prompt, first) for first in (True, False)]
    build(folder, [profile.system, *texts, *replies], SIZE)
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    batch, labels = _batch(processor, profile, [(t, r) for t in texts for r in replies])
    # Where replies part, the best loss a token is the entropy of the choice over their length.
    good = 1.1 * math.log(len(replies)) * len(labels) / (labels >= 0).sum().item() + 0.005
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(MOST_STEPS):
        pixels = torch.randn_like(batch["pixel_values"]) * (step % 2)
        loss = model(**{**batch, "pixel_values": pixels}, labels=labels).loss
        if loss.item() < good:
            break
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)
    fields = json.dumps(profile.model_dump(mode="json"))  # JSON is YAML
    (folder / PROFILE_FILE).write_text(fields, encoding="utf-8")
    return folder


def chance_of(
    checkpoint: Path, profile: PromptProfile, prompt: str, replies: Sequence[str]
) -> list[float]:
    """How likely each reply is at the first turn, as shares of all given."""
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).eval()
    text = profile.turn_text(prompt, True)
    batch, labels = _batch(processor, profile, [(text, reply) for reply in replies])
    with torch.inference_mode():
        logits = model(**batch).logits[:, :-1].log_softmax(-1)
    learn = labels[:, 1:]
    chosen = logits.gather(2, learn.clamp(min=0)[..., None])[..., 0]
    return (chosen * (learn >= 0)).sum(1).softmax(0).tolist()


def _batch(
    processor: object, profile: PromptProfile, pairs: Sequence[tuple[str, str]]
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    asked = [
        processor.apply_chat_template(
            profile.messages([text], []), tokenize=False, add_generation_prompt=True
        )
        for text, _ in pairs
    ]
    end = processor.tokenizer.eos_token
    full = [ask + reply + end for ask, (_, reply) in zip(asked, pairs, strict=True)]
    picture = Image.fromarray(np.zeros((56, 56, 3), dtype=np.uint8))
    batch = processor(
        text=full, images=[[picture]] * len(full), return_tensors="pt", padding=True,
        padding_side="right",
    )  # fmt: skip
    alone = processor(text=asked, images=[[picture]] * len(full))["input_ids"]
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    for row, ids in zip(labels, alone, strict=True):
        row[: len(ids)] = -100
    return dict(batch), labels
