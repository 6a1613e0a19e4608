"""Bringing the tool to an expected mask, as an annotator would who knew it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ibisagent.actions import Click
from ibisagent.metrics import iou
from ibisagent.policies.base import Cancelled
from ibisagent.policies.scripted import next_click
from ibisagent.propagation.between import between
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.tools.base import RGB, Mask, Segmentation, SegmentationTool


@dataclass(frozen=True, eq=False)
class Carried:
    """What the tool made of an expected mask.

    Attributes:
        expected: The mask that was carried here, axes (row, column).
        clicks: What the tool was given, oldest first.
        segmentation: What it answered.
        agreement: IoU of both masks.
        mask: Midway between both: the outline expected, drawn to what the tool sees.
        seconds: Time the tool took, for answers that agreed less included.
    """

    expected: Mask
    clicks: tuple[Click, ...]
    segmentation: Segmentation
    agreement: float
    mask: Mask
    seconds: float


def carry(
    tool: SegmentationTool,
    rgb: RGB,
    expected: Mask,
    settings: PropagationSettings,
    cancelled: Cancelled,
) -> Carried | None:
    """Ask the tool for what is expected on a slice.

    The first click is at the deepest point of the expected mask, each further one where the
    tool's mask errs most from it, until they agree well enough or the clicks are spent. The
    answer that agreed best is taken. The tool is not shown the expected mask: one that follows
    its prior would only repeat it, and agreement would mean nothing.

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
    clicks: list[Click] = []
    answers: list[tuple[float, Segmentation]] = []
    while not answers or not (answers[-1][0] >= settings.enough or len(clicks) >= settings.clicks):
        last = answers[-1][1] if answers else None
        seen = last.mask if last else np.zeros_like(expected)
        clicks.append(next_click(expected, seen)[0])
        if cancelled():
            return None
        answer = prepared.segment(clicks, last)
        answers.append((iou(answer.mask, expected), answer))
    best = max(range(len(answers)), key=lambda place: answers[place][0])
    agreement, segmentation = answers[best]
    mask = between(expected, segmentation.mask, 0.5)
    seconds = time.perf_counter() - began
    return Carried(expected, tuple(clicks[: best + 1]), segmentation, agreement, mask, seconds)
