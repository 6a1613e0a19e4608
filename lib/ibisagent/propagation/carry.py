"""Bringing the tool to an expected mask, as an annotator would who knew it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from ibisagent.actions import Click
from ibisagent.metrics import iou
from ibisagent.policies.base import Cancelled
from ibisagent.policies.scripted import next_click
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.tools.base import RGB, Mask, Segmentation, SegmentationTool


@dataclass(frozen=True, eq=False)
class Carried:
    """What the tool made of an expected mask.

    Attributes:
        expected: The mask that was carried here, axes (row, column).
        clicks: What the tool was given beside it, oldest first.
        segmentation: What it answered.
        agreement: IoU of both masks.
        seconds: Time the tool took, for answers that agreed less included.
    """

    expected: Mask
    clicks: tuple[Click, ...]
    segmentation: Segmentation
    agreement: float
    seconds: float = 0.0


def carry(
    tool: SegmentationTool,
    rgb: RGB,
    expected: Mask,
    settings: PropagationSettings,
    cancelled: Cancelled,
) -> Carried | None:
    """Ask the tool for what is expected on a slice.

    The expected mask is the prior. The first click is at its deepest point, each further one
    where the tool's mask errs most from it, until they agree well enough or the clicks are
    spent. The answer that agreed best is taken.

    Args:
        tool: The tool.
        rgb: The slice's picture, axes (row, column, channel), uint8.
        expected: Not empty, axes (row, column).
        settings: `clicks` and `enough` of them.
        cancelled: Read before each call.

    Returns:
        None if cancelled.

    Raises:
        ToolOutOfMemory: The tool's device is too small.
    """
    if cancelled():
        return None
    began = time.perf_counter()
    prepared = tool.set_image(rgb)
    segmentation, mask = Segmentation(expected, 1.0), np.zeros_like(expected)
    best: Carried | None = None
    clicks: list[Click] = []
    while True:
        clicks.append(next_click(expected, mask)[0])
        if cancelled():
            return None
        segmentation = prepared.segment(clicks, segmentation)
        mask = segmentation.mask
        agreement = iou(mask, expected)
        if best is None or agreement > best.agreement:
            best = Carried(expected, tuple(clicks), segmentation, agreement)
        if agreement >= settings.enough or len(clicks) >= settings.clicks:
            return replace(best, seconds=time.perf_counter() - began)
