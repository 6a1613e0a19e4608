"""The published protocol: its profile, its stop rules, and every form its weights may write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import yaml
from harness.fake_tool import DiscTool
from harness.list_policy import ListPolicy, click

from ibisagent.actions import Click, Malformed, Reply, Terminate, parse
from ibisagent.episode import Episode, Limits, StopReason, run
from ibisagent.prompts import load_profile
from ibisagent.slices import SliceView
from ibisagent.volume import read_image

CORPUS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "published_replies.yaml").read_text(encoding="utf-8")
)
PROFILE = load_profile("published")


def episode() -> Episode:
    picture = np.full((40, 50, 3), 100, dtype=np.uint8)
    return Episode(picture, "the kidney", DiscTool(), PROFILE)


@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry["form"])
def test_every_form_is_understood_as_it_should_be(entry: dict[str, Any]) -> None:
    parsed = parse(entry["reply"])
    if entry["action"] == "malformed":
        assert isinstance(parsed, Malformed)
        assert parsed.reason
    else:
        assert isinstance(parsed, Reply)
        assert parsed.action == action_of(entry["action"])
    for part in ("thought", "answer"):
        assert getattr(parsed, part, None) == entry.get(part, getattr(parsed, part, None))


def action_of(written: list[Any] | str) -> Click | Terminate:
    if isinstance(written, str):
        return Terminate()
    sign, x, y = written
    return Click(x, y, positive=sign == "+")


def test_forms_are_told_apart() -> None:
    forms = [entry["form"] for entry in CORPUS]
    assert len(set(forms)) == len(forms)


def test_coordinates_of_one_stay_on_the_image() -> None:
    playing = episode()
    playing.apply("<think>a</think><action>Positive Point (1.0000, 1.0000)</action>")
    assert playing.segmentation.mask[-1, -1]


def test_overlay_and_history() -> None:
    assert (PROFILE.overlay_colour, PROFILE.overlay_alpha) == ((34, 139, 34), 0.4)
    playing = episode()
    playing.apply(click(0.5, 0.5))
    seen = playing.observe()
    assert [message["role"] for message in seen.messages] == ["system", "user"]
    assert len(seen.pictures) == 1
    mask = playing.segmentation.mask
    assert (seen.pictures[0][mask] == np.rint(0.6 * 100 + 0.4 * np.array([34, 139, 34]))).all()
    assert (seen.pictures[0][~mask] == 100).all()


def test_the_literal_image_mark_stands_in_front_of_the_users_words() -> None:
    playing = episode()
    for _ in range(2):
        parts = playing.observe().messages[-1]["content"]
        assert [part["type"] for part in parts] == ["image", "text"]
        assert parts[1]["text"].startswith("<image>")
        assert "the kidney" in parts[1]["text"]
        playing.apply(click(0.5, 0.5))


def test_at_most_20_turns() -> None:
    assert Limits().max_steps == 20
    playing = episode()
    run([playing], ListPolicy([click(0.04 * n, 0.5) for n in range(1, 25)]))
    assert playing.stop is StopReason.STEP_LIMIT
    assert len(playing.steps) == 20


def test_three_equal_actions_in_a_row_end_it() -> None:
    playing = episode()
    run([playing], ListPolicy([click(0.1, 0.5), *[click(0.5, 0.5)] * 5]))
    assert playing.stop is StopReason.REPEATED_ACTION
    assert len(playing.steps) == 4


def test_the_slice_of_the_docs_reaches_the_policy_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the docs give as the reference's preparation is run as it stands there."""
    page = Path(__file__).parents[3] / "docs" / "published-weights.md"
    code = page.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    volume = np.random.default_rng(0).normal(40, 200, (30, 20, 70)).astype(np.float32)
    monkeypatch.chdir(tmp_path)
    nibabel.Nifti1Image(volume, np.diag([0.8, 0.9, 5.0, 1.0])).to_filename("ct.nii.gz")
    exec(compile(code, str(page), "exec"), {})

    values = volume[:, ::-1, 62].T  # turned by 90 degrees against the clock
    low, high = np.percentile(values, [1, 99])
    grey = ((values.clip(low, high) - low) / (high - low) * 255.0).astype(np.uint8)
    view = SliceView(read_image(tmp_path / "slice.png"), "picture")
    assert view.shape == (20, 30)
    difference = view.rgb(0).astype(int) - grey[..., None]
    assert np.abs(difference).max() <= 1  # float32 on disk, percentiles of float64
    assert (difference != 0).mean() < 0.01
