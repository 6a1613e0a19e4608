"""``ibisagent evaluate``: tables, continuation, and bad input."""

from __future__ import annotations

import json

import pytest
from harness.labelled_set import disc_agent, write_set

from ibisagent import agent as agents

PLACES = [(8 + number, 10 + number) for number in range(6)]


@pytest.fixture
def manifest(tmp_path):
    return write_set(tmp_path, "pictures", PLACES)


@pytest.fixture
def use(monkeypatch):
    """Put an agent in place of whichever is asked for."""
    return lambda agent: monkeypatch.setattr(agents, "load_agent", lambda *names: agent)


def test_results_and_table(ibisagent, use, manifest, tmp_path):
    use(disc_agent())

    done = ibisagent("evaluate", manifest, "--all", "--absent", 1, "--out", tmp_path / "out")

    assert done.code == 0
    assert "pictures" in done.out
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    labels = results["sets"]["pictures"]["labels"]
    assert labels["disc"]["dice"] == 1.0
    assert labels["block"]["dice"] == 0.0
    assert results["mean"]["dice"] == 0.5
    assert results["absent"] == {"n": 5, "recognised": 1.0}
    assert results["command"].startswith("ibisagent evaluate pictures/manifest.json --all")
    assert results["machine"]["cores"] >= 1
    assert str(tmp_path) not in (tmp_path / "out" / "results.json").read_text()
    assert "**mean of 2**" in (tmp_path / "out" / "table.md").read_text()


def test_interrupted_run_tells_how_to_go_on(ibisagent, use, manifest, tmp_path, monkeypatch):
    agent = disc_agent()

    def interrupt(observations, cancelled=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(agent.policy, "replies", interrupt, raising=False)
    use(agent)

    done = ibisagent("evaluate", manifest, "--all", "--out", tmp_path / "out")

    assert done.code == 130
    assert "The same command continues" in done.err


def test_other_settings_in_the_same_folder(ibisagent, use, manifest, tmp_path):
    use(disc_agent())
    ibisagent("evaluate", manifest, "--all", "--out", tmp_path / "out")

    line = ibisagent("evaluate", manifest, "--all", "--seed", 1, "--out", tmp_path / "out").error()

    assert "seed was 0 and is now 1" in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--plane", "diagonal"], "no plane 'diagonal'"),
        (["--absent", "0"], "nothing to ask"),
    ],
)
def test_bad_options(ibisagent, use, tmp_path, options, said):
    use(disc_agent())
    (tmp_path / "manifest.json").write_text('{"name": "empty", "items": []}')

    line = ibisagent("evaluate", tmp_path, "--out", tmp_path / "out", *options).error()

    assert said in line


def test_bad_manifest(ibisagent, tmp_path):
    (tmp_path / "manifest.json").write_text("{")

    assert "manifest.json" in ibisagent("evaluate", tmp_path, "--out", tmp_path / "out").error()


def test_file_in_place_of_the_folder(ibisagent, use, manifest, tmp_path):
    use(disc_agent())
    (tmp_path / "out").write_text("")

    line = ibisagent("evaluate", manifest, "--all", "--out", tmp_path / "out").err.splitlines()[-1]

    assert line.startswith("error: ")
    assert "a file stands" in line
