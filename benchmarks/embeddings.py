"""What the tool's cache of embeddings saves: the same click with it and without."""

from __future__ import annotations

import os
from typing import Any

import torch

from benchmarks.pictures import picture
from benchmarks.timing import Times
from ibisagent.actions import Click
from ibisagent.tools import load_tool
from ibisagent.tools.base import SegmentationTool
from ibisagent.tools.embedding_cache import BUDGET_VARIABLE, DEFAULT_BYTES

CLICK = Click(0.42, 0.5)
TOGETHER = 4
PICTURES = 2
"""Looked at in turn, so that a cache without room, which keeps the latest one, always misses."""


def measure_embeddings(spec: str, device: str, repeats: int) -> dict[str, Any]:
    """Seconds of a turn of the tool: look at the picture, or remember it, and decode a click.

    Args:
        spec: See `ibisagent.tools.load_tool`.
        device: Likewise.
        repeats: Turns on each picture.
    """
    kept, anew = Times(), Times()
    tool = _load(spec, device, DEFAULT_BYTES)
    _play(tool, Times(), 1)
    _play(tool, kept, repeats)
    name = tool.name
    _play(_load(spec, device, 0), anew, repeats)
    return {
        "tool": name,
        "seconds_a_turn_kept": kept.as_json(),
        "seconds_a_turn_anew": anew.as_json(),
        "speedup": round(anew.pace(device) / kept.pace(device), 1),
    }


def measure_together(spec: str, device: str) -> dict[str, Any]:
    """Seconds of looking at several new pictures: one after the other, and in one call.

    Args:
        spec: See `ibisagent.tools.load_tool`.
        device: Likewise.
    """
    alone, together = Times(), Times()
    tool: Any = load_tool(spec, device)
    pictures = [picture(seed + 10) for seed in range(TOGETHER)]
    tool.set_image(pictures[0]).segment([CLICK])  # pays for what is set up once
    with alone.measure():
        for one in pictures:
            _wait_for(tool._embed(one))
    with together.measure():
        _wait_for(tool._embed_many(pictures)[-1])
    return {
        "pictures": TOGETHER,
        "used_on_this_device": tool.at_once > 1,
        "seconds_alone": alone.as_json(),
        "seconds_together": together.as_json(),
        "speedup": round(alone.pace(device) / together.pace(device), 2),
    }


def _wait_for(embedding: torch.Tensor) -> None:
    """A GPU goes on working after a call has returned; reading the result waits for it."""
    embedding.flatten()[0].item()


def _load(spec: str, device: str, budget: int) -> SegmentationTool:
    os.environ[BUDGET_VARIABLE] = str(budget // 2**20)
    try:
        return load_tool(spec, device)
    finally:
        del os.environ[BUDGET_VARIABLE]


def _play(tool: SegmentationTool, times: Times, repeats: int) -> None:
    for _ in range(repeats):
        for seed in range(PICTURES):
            shown = picture(seed)
            with times.measure():
                tool.set_image(shown).segment([CLICK])
