"""An untrained checkpoint of the Qwen2.5-VL architecture, small enough to write in a second."""

from __future__ import annotations

import json
from pathlib import Path

from ibisagent.prompts import load_profile
from ibistrain.tiny import TinySize, build

SIZE = TinySize(
    picture=64,
    patch=8,
    merge=2,
    vision_width=32,
    vision_layers=2,
    vision_heads=2,
    text_width=32,
    text_layers=2,
    text_heads=2,
    text_kv_heads=1,
    vocabulary=400,
)


def write_checkpoint(folder: Path, tokens: int = 16, seed: int = 0) -> Path:
    """Write a checkpoint whose replies are noise of exactly `tokens` tokens."""
    profile = load_profile()
    build(folder, [profile.system, profile.first, profile.refine], SIZE, seed)
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    limits = {"min_new_tokens": tokens, "max_new_tokens": tokens}
    path.write_text(json.dumps(settings | limits), encoding="utf-8")
    return folder
