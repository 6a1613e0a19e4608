"""The command line: from labelled pictures to a release and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness.fake_tool import DiscTool
from harness.labelled_set import write_set

from ibistrain.catalogue import Catalogue, SetEntry
from ibistrain.cli import main
from ibistrain.episode_record import read_episodes
from ibistrain.release import Releases

PLACES = [(8 + 3 * n, 10 + 4 * n) for n in range(8)]


@pytest.fixture
def ibistrain(monkeypatch, capsys):
    """Runs a command; returns its exit code and what it wrote."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["ibistrain", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, " ".join(capsys.readouterr().err.split())

    return run


@pytest.fixture
def root(tmp_path) -> Path:
    write_set(tmp_path / "sets", "discs", PLACES)
    return tmp_path / "sets"


@pytest.fixture
def episodes(ibistrain, root, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("ibistrain.simulation.run.load_tool", lambda *_: DiscTool())
    out = tmp_path / "episodes"
    code, text = ibistrain("simulate", "--data", root, "--out", out, "--set", "keep_iou=0.2")
    assert code == 0, text
    return out


def results(folder: Path, dices: list[float]) -> Path:
    rows = [
        {
            "key": f"discs/{n}",
            "set": "discs",
            "item": str(n),
            "subject": str(n),
            "label": "disc",
            "plane": "picture",
            "slice": 0,
            "prompt": "the disc",
            "present": True,
            "dice": dice,
            "turns": 2,
        }
        for n, dice in enumerate(dices)
    ]
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps({"rows": rows}))
    return folder


def test_simulate_writes_shards_and_says_what_came_of_it(episodes):
    found = list(read_episodes(episodes))
    assert found
    assert json.loads((episodes / "report.json").read_text())["episodes"] == len(found)


def test_simulate_takes_settings_from_file_and_command_line(ibistrain, root, tmp_path, monkeypatch):
    monkeypatch.setattr("ibistrain.simulation.run.load_tool", lambda *_: DiscTool())
    (tmp_path / "s.yaml").write_text("keep_iou: 0.2\nform: parquet\nseed: 3\n")
    out = tmp_path / "out"
    given = ("--settings", tmp_path / "s.yaml", "--episodes", 3, "--set", "seed=4")
    code, text = ibistrain("simulate", "--data", root, "--out", out, *given)
    assert code == 0, text
    assert "seed: 4" in (out / "config.yaml").read_text()
    assert [path.name for path in out.glob("episodes-*")] == ["episodes-00000.parquet"]


def test_an_unknown_setting_is_one_line(ibistrain, root, tmp_path):
    code, text = ibistrain("simulate", "--data", root, "--out", tmp_path / "o", "--set", "sead=4")
    assert code == 2
    assert text.startswith("error: ")
    assert "sead" in text


def test_episodes_are_exported_in_the_published_forms(ibistrain, episodes, root, tmp_path):
    out = tmp_path / "published"
    code, text = ibistrain("export-published", episodes, "--data", root, "--out", out)
    assert code == 0, text
    assert (out / "train.json").is_file()
    assert (out / "train_rl.parquet").is_file()


def test_compare_tells_and_writes(ibistrain, tmp_path):
    before, after = results(tmp_path / "a", [0.4, 0.5]), results(tmp_path / "b", [0.5, 0.6])
    code, text = ibistrain("compare", before, after, "--out", tmp_path / "c.json")
    assert code == 0
    assert "Better." in text
    assert json.loads((tmp_path / "c.json").read_text())["subjects"] == 2
    assert "Not better." in ibistrain("compare", after, before)[1]


def test_tools_are_compared_on_both_kinds_of_strangers(ibistrain, root, tmp_path, monkeypatch):
    write_set(tmp_path / "sets", "others", PLACES[:2])
    known = Catalogue(sets={"discs": SetEntry()}, synonyms={})
    monkeypatch.setattr("ibistrain.cli.embedded.load_catalogue", lambda: known)
    monkeypatch.setattr("ibisagent.tools.load_tool", lambda *_: DiscTool())
    given = ("--tool", "one", "--tool", "two", "--out", tmp_path / "tools.json")
    code, text = ibistrain("compare-tools", "--data", root, *given)
    assert code == 0, text
    report = json.loads((tmp_path / "tools.json").read_text())
    assert [one["of"] for one in report] == ["held-back subjects", "sets left out"]
    assert [tool["tool"] for tool in report[0]["tools"]] == ["one", "two"]
    assert "| held-back subjects: two |" in text
    assert "0.000 [0.000, 0.000]" in text


def test_only_what_is_better_is_released_and_it_can_be_taken_back(
    ibistrain, start, episodes, root, tmp_path
):
    before, after = results(tmp_path / "a", [0.4, 0.5]), results(tmp_path / "b", [0.5, 0.6])
    model = tmp_path / "model"
    common = ("--episodes", episodes, "--data", root, "--title", "Discs")
    code, text = ibistrain("release", model, start, before, after, *common)
    assert code == 0, text
    first = Releases(model).current()
    card = (first / "README.md").read_text()
    assert "# Discs" in card
    assert "| discs |" in card
    code, text = ibistrain("release", model, start, after, before, *common)
    assert code == 2
    assert "not better" in text
    assert Releases(model).current() == first
    code, text = ibistrain("release", model, start, after, before, *common, "--anyway")
    assert code == 0, text
    assert Releases(model).current().name == "0002"
    code, text = ibistrain("rollback", model)
    assert code == 0
    assert "version 0001 is in use again" in text
    assert ibistrain("rollback", model)[0] == 2
