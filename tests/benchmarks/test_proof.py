"""The proofs' arithmetic, tables and plot; the figures come from ``make bench-proof``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from harness.fake_tool import DiscTool, disc
from harness.list_policy import TERMINATE, ListPolicy, click
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import ablation, active_learning, proof_report  # noqa: E402
from benchmarks.phantoms import SIDE  # noqa: E402
from benchmarks.proof_world import FULL, outcome  # noqa: E402
from ibisagent.episode import Episode, Limits, run  # noqa: E402
from ibisagent.prompts import load_profile  # noqa: E402
from ibistrain import tiny  # noqa: E402
from ibistrain.batches.views import grid_of  # noqa: E402
from ibistrain.rewards import RewardWeights  # noqa: E402
from ibistrain.tasks import Task  # noqa: E402
from ibistrain.tokenizer import train_tokenizer  # noqa: E402

FIGURES = {name: 0.5 for name in ablation.FIGURES}


def test_mean_and_deviation_over_seeds():
    found = proof_report.over_seeds([{"iou": 0.5}, {"iou": 0.7}])
    assert found["iou"]["mean"] == pytest.approx(0.6)
    assert found["iou"]["sd"] == pytest.approx(0.1414)
    assert proof_report.over_seeds([{"iou": 0.5}]) == {"iou": {"mean": 0.5}}
    assert proof_report.plus_minus({"mean": 0.5}) == "0.50"


def test_a_table_stands_between_its_marks_and_others_are_left():
    page = "a\n<!-- table: x -->\nold\n<!-- end of table -->\nb\n<!-- table: y -->\nkept\n"
    new = proof_report.with_table(page, "x", "| new |\n")
    assert "old" not in new
    assert "| new |" in new
    assert new.endswith("b\n<!-- table: y -->\nkept\n")
    assert proof_report.with_table(page, "z", "none") == page


def test_rows_are_kept_for_a_rerun(tmp_path: Path):
    assert proof_report.read_row(tmp_path, "one") is None
    proof_report.keep_row(tmp_path, "one", {"seed": 1})
    assert proof_report.read_row(tmp_path, "one") == {"seed": 1}


def test_each_row_of_the_rewards_has_one_more():
    weights = list(ablation.added_rewards().values())
    used = [[w.click > 0, w.progress > 0, w.length > 0] for w in weights]
    assert used == [[False] * 3, [True, False, False], [True, True, False], [True] * 3]
    assert all(w.answer > 0 and w.format > 0 for w in weights)
    assert weights[-1].stopping_pays


def test_gains_are_against_the_one_start_of_all_seeds():
    study = ablation.Study("ablation", {}, "a", "b")
    rows = {
        "a": {0: {"values": FIGURES}},
        "b": {seed: {"values": FIGURES | {"iou": 0.8}} for seed in (0, 1)},
    }
    gains = ablation._gains(study, rows)
    assert gains["iou"]["mean"] == pytest.approx(0.3)
    assert gains["turns"]["mean"] == 0


def test_the_table_of_the_stages_shows_the_bound_last():
    values = proof_report.over_seeds([FIGURES, FIGURES]) | {"seeds": [0, 1]}
    text = ablation.table({"values": {"SFT": values}, "annotator": FIGURES})
    assert "| SFT | 0.50 ± 0.00 |" in text
    assert text.splitlines()[-1].startswith("| annotator")


def test_pictures_are_learnt_at_the_size_at_which_they_are_judged():
    size = FULL.model
    images = tiny.processor(size, train_tokenizer(["liver"], 300)).image_processor
    seen = images(images=[np.zeros((SIDE, SIDE, 3), np.uint8)], return_tensors="np")
    _, rows, columns = seen["image_grid_thw"][0]
    assert (rows, columns) == (SIDE // size.patch, SIDE // size.patch)

    least, most = (images.size[edge] / size.patch**2 for edge in ("shortest_edge", "longest_edge"))
    drawn = {grid_of(1.0, tokens) for tokens in np.linspace(least, most, 50, endpoint=False)}
    assert (rows, columns) in drawn


def test_finished_episodes_are_judged():
    shape = (20, 20)
    tasks = [
        Task(str(n), "the disc", np.zeros((*shape, 3), np.uint8), disc(shape, *at, DiscTool.radius))
        for n, at in enumerate([(10, 10), (4, 4)])
    ]
    episodes = [Episode(t.rgb, t.prompt, DiscTool(), load_profile(), Limits()) for t in tasks]
    policy = ListPolicy([click(0.525, 0.525), click(0.525, 0.525), TERMINATE, TERMINATE])
    run(episodes, policy)

    found = outcome(episodes, tasks, RewardWeights(good=0.8))

    assert found.first_click_hits == 0.5
    assert found.good_stops == 0.5
    assert found.stops == 1
    assert found.f1 == 0.5
    assert found.turns == 2


def test_the_curve_is_drawn_and_tabulated(tmp_path: Path):
    point = {"dice": {"mean": 0.6, "sd": 0.1}, "new_device": {"mean": 0.3, "sd": 0.0}}
    found = {
        "values": {s: {"0": point, "4": point} for s in active_learning.STRATEGIES},
        "seeds": [0, 1],
        "n": 9,
    }
    active_learning.draw(found, tmp_path / "curve.png")
    assert np.asarray(Image.open(tmp_path / "curve.png")).std() > 5
    assert "| 4 | 0.60 ± 0.10 | 0.60 ± 0.10 | 0.30 | 0.30 |" in active_learning.table(found)


@pytest.mark.slow
def test_the_whole_proof_runs_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "proof.md").read_text("utf-8"), "utf-8")
    common = ["--quick", "--folder", str(tmp_path / "work"), "--out", str(tmp_path)]
    common += ["--page", str(page), "--seeds", "0"]
    plot = ["--plot", str(tmp_path / "curve.png")]

    assert ablation.main(common) == 0
    assert ablation.main([*common, "--rewards"]) == 0
    assert active_learning.main([*common, *plot]) == 0

    assert {"ablation.json", "rewards.json", "active_learning.json", "curve.png"} <= {
        file.name for file in tmp_path.iterdir()
    }
    assert page.read_text("utf-8").count("| SFT + reflection + RL |") == 1

    def untouched(*_, **__):
        raise AssertionError("a finished arm is trained again")

    monkeypatch.setattr(ablation, "sft", untouched)
    monkeypatch.setattr(ablation, "reinforced", untouched)
    assert ablation.main(common) == 0
