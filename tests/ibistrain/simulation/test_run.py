"""Whole simulations: shards, resuming, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness.fake_tool import DiscTool

import ibistrain
from ibisagent.actions import Click, Reply, Terminate, format_reply
from ibisagent.errors import InvalidManifest, InvalidRequest, ModelNotFound, OutputNotWritable
from ibisagent.policies.base import never
from ibisagent.prompts import load_profile
from ibistrain.episode_pictures import EpisodePictures
from ibistrain.episode_record import read_episodes
from ibistrain.run_config import read_config
from ibistrain.simulation.run import simulate
from ibistrain.simulation.settings import SimulationSettings


@pytest.fixture
def settings(settings) -> SimulationSettings:
    return settings.model_copy(update={"shard_size": 4, "repeats": 2})


def run(root, out, settings, catalogue, **fields):
    return simulate(root, out, settings, DiscTool(), catalogue, **fields)


def shards(out) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("episodes-*"))}


class Killed(Exception):
    """Stands for the end of the process."""


def dying_after(steps: int):
    def on_progress(done: int, _: int) -> None:
        if done == steps:
            raise Killed

    return on_progress


def test_shards_hold_what_the_report_says(root, tmp_path, settings, catalogue):
    told = []
    report = run(root, tmp_path, settings, catalogue, on_progress=lambda *n: told.append(n))
    episodes = list(read_episodes(tmp_path))
    assert report.finished
    assert len(episodes) == report.episodes == report.tasks - report.dropped > 12
    assert len(shards(tmp_path)) == -(-report.tasks // 4) > 2
    assert sum(report.kinds.values()) == sum(report.targets.values()) == report.episodes
    assert json.loads((tmp_path / "report.json").read_text())["episodes"] == report.episodes
    assert told[0] == (0, report.tasks)
    assert told[-1] == (report.tasks, report.tasks)
    assert not list(tmp_path.glob("part-*"))


def test_pictures_can_be_opened_and_fit(root, tmp_path, settings, catalogue):
    run(root, tmp_path, settings, catalogue)
    pictures = EpisodePictures(root)
    for episode in read_episodes(tmp_path):
        rgb = pictures.rgb(episode)
        assert rgb.shape[:2] == episode.truth.size
        if episode.present and episode.target == "disc":
            assert rgb[..., 0][episode.truth.decode()].max() == rgb.max()


def test_a_killed_run_gives_the_same_bytes(root, tmp_path, settings, catalogue):
    run(root, tmp_path / "whole", settings, catalogue)
    broken = tmp_path / "broken"
    with pytest.raises(Killed):
        run(root, broken, settings, catalogue, on_progress=dying_after(6))
    part = broken / "part-00001.jsonl"
    part.write_bytes(part.read_bytes()[:-40])  # killed while writing a line
    calls = []
    report = run(root, broken, settings, catalogue, on_progress=lambda n, _: calls.append(n))
    assert report.finished
    assert shards(broken) == shards(tmp_path / "whole")


KILL = """
import os, signal, sys
from pathlib import Path
from harness.fake_tool import DiscTool
from ibistrain.catalogue import Catalogue
from ibistrain.simulation.run import simulate
from ibistrain.simulation.settings import SimulationSettings

def die(done, _):
    if done == 6:
        os.kill(os.getpid(), signal.SIGKILL)

root, out, settings = sys.argv[1:]
catalogue = Catalogue(sets={}, synonyms={"disc": ("circle",)})
chosen = SimulationSettings.model_validate_json(settings)
simulate(Path(root), Path(out), chosen, DiscTool(), catalogue, on_progress=die)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_run_that_was_really_killed_gives_the_same_bytes(root, tmp_path, settings, catalogue):
    broken = tmp_path / "broken"
    command = [sys.executable, "-c", KILL, str(root), str(broken), settings.model_dump_json()]
    tests = str(Path(__file__).parents[2])
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        timeout=200,
        env={**os.environ, "PYTHONPATH": tests},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-500:]
    assert len(shards(broken)) == 1
    assert run(root, broken, settings, catalogue).finished
    run(root, tmp_path / "whole", settings, catalogue)
    assert shards(broken) == shards(tmp_path / "whole")


def test_what_is_done_is_not_done_again(root, tmp_path, settings, catalogue):
    run(root, tmp_path, settings, catalogue)
    tool = DiscTool()
    simulate(root, tmp_path, settings, tool, catalogue)
    assert tool.asked == []


def test_a_stopped_run_says_so_and_goes_on(root, tmp_path, settings, catalogue):
    left = iter([False] * 5)
    first = run(root, tmp_path, settings, catalogue, should_stop=lambda: next(left, True))
    assert not first.finished
    second = run(root, tmp_path, settings, catalogue)
    assert second.finished
    assert second.episodes > first.episodes


def test_parquet_holds_the_same(root, tmp_path, settings, catalogue):
    parquet = settings.model_copy(update={"form": "parquet"})
    run(root, tmp_path / "a", settings, catalogue)
    run(root, tmp_path / "b", parquet, catalogue)
    run(root, tmp_path / "c", parquet, catalogue)
    assert list(read_episodes(tmp_path / "a")) == list(read_episodes(tmp_path / "b"))
    assert shards(tmp_path / "b") == shards(tmp_path / "c")


def test_other_settings_in_the_same_folder_are_refused(root, tmp_path, settings, catalogue):
    run(root, tmp_path, settings, catalogue)
    with pytest.raises(InvalidRequest, match="other settings"):
        run(root, tmp_path, settings.model_copy(update={"seed": 9}), catalogue)


def test_other_data_in_the_same_folder_are_refused(root, tmp_path, settings, catalogue):
    only = settings.model_copy(update={"episodes": 5})
    with pytest.raises(Killed):
        run(root, tmp_path, only, catalogue, on_progress=dying_after(0))
    with pytest.raises(InvalidManifest, match="do not name"):
        run(root / "discs", tmp_path, only, catalogue)


def test_nothing_to_ask_for_is_told(root, tmp_path, settings, catalogue):
    large = settings.model_copy(update={"min_pixels": 5000})
    with pytest.raises(InvalidRequest, match="may be asked for"):
        run(root, tmp_path, large, catalogue)


def test_a_damaged_plan_is_told(root, tmp_path, settings, catalogue):
    run(root, tmp_path, settings, catalogue)
    (tmp_path / "plan.jsonl").write_text("{")
    with pytest.raises(InvalidRequest, match="is damaged"):
        run(root, tmp_path, settings, catalogue)


def test_a_file_in_the_place_of_the_folder_is_told(root, tmp_path, settings, catalogue):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputNotWritable):
        run(root, tmp_path / "out", settings, catalogue)


class OwnWords:
    """A policy that clicks once, and has learnt a profile of its own."""

    name = "own-words"
    profile = load_profile().model_copy(update={"name": "mine"})

    def replies(self, observations, cancelled=never) -> list[str]:
        click = Reply("There.", Click(0.5, 0.5, True))
        done = Reply("Enough.", Terminate(), "Done.")
        return [format_reply(done if seen.step else click) for seen in observations]


def test_a_policy_that_plays_is_asked_in_its_own_words(
    root, tmp_path, settings, catalogue, monkeypatch
):
    monkeypatch.setattr("ibistrain.simulation.run.load_policy", lambda spec, device: OwnWords())
    watched = settings.model_copy(update={"policy": "own-words"})
    report = run(root, tmp_path / "out", watched, catalogue)
    assert report.episodes > 0
    for episode in read_episodes(tmp_path / "out"):
        assert (episode.trajectory.policy, episode.trajectory.profile) == ("own-words", "mine")
        assert not any(episode.learn)


def test_a_policy_that_is_not_there_leaves_the_folder_untouched(
    root, tmp_path, settings, catalogue
):
    watched = settings.model_copy(update={"policy": str(tmp_path / "nowhere")})
    with pytest.raises(ModelNotFound):
        run(root, tmp_path / "out", watched, catalogue)
    assert not (tmp_path / "out").exists()


def test_settings_are_read_from_yaml(tmp_path):
    file = tmp_path / "simulate.yaml"
    file.write_text("planes: {axial: 2, coronal: 4}\nshares: {question: 0.3}\nseed: 7\n")
    settings = read_config(SimulationSettings, file, {})
    assert settings.seed == 7
    assert settings.shares.question == 0.3
    file.write_text("")
    assert read_config(SimulationSettings, file, {}) == SimulationSettings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: [", "not readable YAML"),
        ("sead: 3", "sead"),
        ("shares: {absent: 0.9}", "more than 1"),
        ("stop_iou: 2", "stop_iou"),
    ],
)
def test_faulty_settings_are_told(tmp_path, text, words):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(InvalidRequest, match=words):
        read_config(SimulationSettings, tmp_path / "s.yaml", {})


def test_the_shipped_settings_are_valid():
    file = Path(ibistrain.__file__).parent / "configs" / "simulate.yaml"
    assert read_config(SimulationSettings, file, {}).seed == 0
