"""The drawn world: what a subject is, and what the tool makes of clicks."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.growing_tool import GrowingTool  # noqa: E402
from benchmarks.phantoms import MIXED, ORGANS, PLAIN, SIDE, draw_subject, write_set  # noqa: E402
from ibisagent.actions import Click  # noqa: E402
from ibisagent.manifest import load_manifest  # noqa: E402
from ibisagent.metrics import iou  # noqa: E402
from ibisagent.policies.scripted import next_click  # noqa: E402
from ibisagent.tools.base import Segmentation  # noqa: E402

DISC = np.hypot(*(np.indices((SIDE, SIDE)) - 48)) < 7


def bright_disc() -> np.ndarray:
    return np.repeat((40 + 150 * DISC).astype(np.uint8)[..., None], 3, axis=2)


def test_a_set_is_written_the_same_each_time_and_can_be_read(tmp_path: Path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        write_set(folder, PLAIN, 3)

    manifest = load_manifest(tmp_path / "a" / PLAIN.name)

    assert [item.subject for item in manifest.items] == ["s0000", "s0001", "s0002"]
    assert manifest.labels == tuple(organ.name for organ in ORGANS)
    files = sorted((tmp_path / "a" / PLAIN.name).iterdir())
    assert len(files) == 7
    assert all(f.read_bytes() == (tmp_path / "b" / PLAIN.name / f.name).read_bytes() for f in files)


def test_the_second_device_turns_bright_into_dark():
    borders = [draw_subject(np.random.default_rng(n), MIXED)[0][0].mean() for n in range(40)]
    inverted = sum(border > 127 for border in borders)
    assert 5 <= inverted <= 25


def test_one_click_grows_a_small_bright_region():
    found = GrowingTool().set_image(bright_disc()).segment([Click(0.505, 0.505)])
    assert iou(found.mask, DISC) > 0.9
    assert found.score > 0.9


def test_a_negative_click_takes_back_what_a_wrong_one_added():
    image = GrowingTool().set_image(bright_disc())
    wrong = Click(0.2, 0.2)
    first = image.segment([wrong])
    second = image.segment([wrong, Click(0.2, 0.2, positive=False)], first)
    assert first.mask.any()
    assert second.mask.sum() < 0.6 * first.mask.sum()


def test_a_users_mask_is_edited_and_not_replaced():
    given = np.zeros((SIDE, SIDE), bool)
    given[:10, :10] = True
    found = (
        GrowingTool()
        .set_image(bright_disc())
        .segment([Click(0.505, 0.505)], Segmentation(given, 0.0))
    )
    assert found.mask[:10, :10].all()
    assert iou(found.mask & ~given, DISC) > 0.9


def test_the_tool_needs_several_clicks_and_gets_there():
    tool, scores = GrowingTool(), []
    for seed in range(6):
        picture, labels = draw_subject(np.random.default_rng(seed))
        image = tool.set_image(np.repeat(picture[..., None], 3, axis=2))
        for number in np.unique(labels)[1:]:
            scores.append(_ious(image, labels == number, Random(seed)))
    first, last = np.mean(scores, axis=0)[[0, -1]]
    assert 0.6 < first < 0.85
    assert last > first + 0.05
    assert last < 0.95


def _ious(image, truth, rng):
    segmentation, clicks, found = None, [], []
    for _ in range(5):
        mask = segmentation.mask if segmentation else np.zeros_like(truth)
        click, _ = next_click(truth, mask, rng)
        clicks.append(click)
        segmentation = image.segment(clicks, segmentation)
        found.append(iou(segmentation.mask, truth))
    return found


def test_equal_clicks_give_equal_masks():
    picture, _ = draw_subject(np.random.default_rng(3))
    rgb = np.repeat(picture[..., None], 3, axis=2)
    clicks = [Click(0.3, 0.4), Click(0.6, 0.5, positive=False)]
    masks = [GrowingTool().set_image(rgb).segment(clicks).mask for _ in range(2)]
    assert masks[0] == pytest.approx(masks[1])
