"""A checkpoint that has learnt a few replies by heart, so that whole episodes can be played."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.prompts import PROFILE_FILE, PromptProfile
from ibistrain.tiny import TinySize, build

SIZE = TinySize(
    picture=56, patch=14, merge=2, vision_width=32, vision_layers=1, vision_heads=2,
    text_width=64, text_layers=2, text_heads=4, text_kv_heads=2, vocabulary=400,
)  # fmt: skip
MOST_STEPS = 300
GOOD_LOSS = 0.01


def memorise(folder: Path, profile: PromptProfile, replies: Mapping[tuple[str, bool], str]) -> Path:
    """Write a checkpoint that answers each (prompt, whether nothing is marked) with its reply.

    It learns to ignore the picture, which a test may change at will.
    """
    texts = {profile.turn_text(prompt, first): reply for (prompt, first), reply in replies.items()}
    build(folder, [profile.system, *texts, *texts.values()], SIZE)
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    batch, labels = _batch(processor, profile, texts)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(MOST_STEPS):
        pixels = torch.randn_like(batch["pixel_values"]) * (step % 2)
        loss = model(**{**batch, "pixel_values": pixels}, labels=labels).loss
        if loss.item() < GOOD_LOSS:
            break
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)
    fields = json.dumps(profile.model_dump(mode="json"))  # JSON is YAML
    (folder / PROFILE_FILE).write_text(fields, encoding="utf-8")
    return folder


def _batch(
    processor: object, profile: PromptProfile, texts: Mapping[str, str]
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    asked = [
        processor.apply_chat_template(
            profile.messages([text], []), tokenize=False, add_generation_prompt=True
        )
        for text in texts
    ]
    end = processor.tokenizer.eos_token
    full = [ask + reply + end for ask, reply in zip(asked, texts.values(), strict=True)]
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
