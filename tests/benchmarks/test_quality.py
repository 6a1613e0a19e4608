"""The comparison's arithmetic and its plot; the figures come from ``make bench-quality``."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from harness.fake_tool import DiscTool
from harness.list_policy import ListPolicy, click
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import quality  # noqa: E402
from ibisagent.agent import Agent  # noqa: E402
from ibisagent.prompts import load_profile  # noqa: E402
from ibistrain.labelled_picture import LabelledPicture  # noqa: E402


def picture(left: int) -> LabelledPicture:
    labels = np.zeros((50, 100), np.uint8)
    labels[10:20, left : left + 10] = 1
    rgb = np.repeat((200 * labels)[..., None], 3, 2)
    return LabelledPicture("blobs", f"s{left}", f"p{left}", rgb, labels, {"square": (1,)}, False)


def test_the_mean_box_is_in_shares_of_the_picture() -> None:
    boxes = quality.mean_boxes([picture(20), picture(40)])
    assert boxes["square"] == pytest.approx([0.30, 0.20, 0.39, 0.38])


@pytest.mark.parametrize(("clicks", "recognised"), [(0, 1.0), (1, 0.0), (10, 0.0)])
def test_what_is_never_there_is_recognised_by_stopping_at_once(
    clicks: int, recognised: float
) -> None:
    policy = ListPolicy([click(0.1 + 0.08 * number, 0.5) for number in range(clicks)])
    agent = Agent(policy, DiscTool(), load_profile())
    strange = replace(picture(30), targets={"square": (1,), "moon": ()})
    report = quality._never_there(agent, [(strange, "square"), (picture(30), "square")], Random(0))
    assert report == {"n": 1, "recognised": recognised, "recognised_by_set": {"blobs": recognised}}


def test_an_agent_is_not_asked_for_what_it_would_refuse() -> None:
    profile = load_profile().model_copy(update={"targets": ("square",)})
    agent = Agent(ListPolicy([click(0.35, 0.3)]), DiscTool(), profile)
    labels = {"square": (1,), "round": (1,), "moon": (), "star": ()}
    both = replace(picture(30), targets=labels)
    found = quality._agent(agent, [(both, "square"), (both, "round")])
    assert (found["n"], found["refused"]) == (1, 1)
    assert found["first_click_hits"] == found["stops_by_itself"] == 1
    assert quality._agent(agent, [(both, "round")]) == {"n": 0, "refused": 1}
    assert quality._never_there(agent, [(both, "square")], Random(0))["n"] == 0


@pytest.mark.parametrize("target", ["spleen", "square"], ids=["learnt", "not learnt"])
def test_the_whole_comparison_runs(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = replace(picture(30), targets={target: (1,)})
    monkeypatch.setattr(quality, "load_corpus", lambda *_, **__: [known])
    out, plot = tmp_path / "results.json", tmp_path / "plot.png"
    arguments = ["--data", str(tmp_path), "--out", str(out), "--plot", str(plot), "--each", "1"]
    assert quality.main(arguments) == 0
    report = json.loads(out.read_text())
    assert report["n"] == report["labels"] == 1
    assert len(report["annotator"]["dice_after_clicks"]) == 8
    assert set(report["ways"]) == {
        "agent",
        "constant click",
        "random click",
        "constant box, untrained tool",
    }
    assert report["ways"]["agent"]["refused"] == (target == "square")
    assert report["ways"]["constant click"]["first_click_hits"] == 1
    assert report["command"].endswith(" ".join(arguments))
    assert np.asarray(Image.open(plot)).std() > 5
    assert "annotator" in capsys.readouterr().out
