"""The picture of successes and failures; the real one comes from ``make bench-failures``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from harness.fake_tool import DiscTool
from harness.list_policy import ListPolicy
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import failures  # noqa: E402
from demo.study import template  # noqa: E402
from ibisagent.agent import Agent  # noqa: E402
from ibisagent.prompts import load_profile  # noqa: E402


@pytest.fixture(scope="module")
def study():
    pytest.importorskip("nilearn", reason="nilearn brings the template")
    return template()


@pytest.fixture
def agent() -> Agent:
    click = "<think>There.</think><action>Positive Point (0.5000, 0.5000)</action>"
    stop = "<think>Done.</think><action>Terminate</action>"
    return Agent(ListPolicy([click, stop]), DiscTool(), load_profile())


def test_slices_are_spread_over_all_that_show_the_brain(study):
    slices = failures.chosen(study, 5)
    shown = np.flatnonzero(study.reference.mean((1, 2)) > failures.LEAST_SHARE)
    assert len(slices) == 5
    assert [slices[0], slices[-1]] == [shown[0], shown[-1]]


def test_every_slice_is_drawn_and_told(study, agent, tmp_path):
    shown = [failures.ask(agent, study, 95)]
    failures.write(shown, agent, tmp_path / "failures.json")
    failures.draw(shown, tmp_path / "failures.png")
    report = json.loads((tmp_path / "failures.json").read_text())
    assert report["slices"][0]["slice"] == 95
    assert report["slices"][0]["dice"] == pytest.approx(shown[0].dice, abs=1e-4)
    assert 0 < shown[0].dice < 0.2  # a disc of six pixels in a brain
    with Image.open(tmp_path / "failures.png") as image:
        assert np.asarray(image.convert("L")).std() > 5
