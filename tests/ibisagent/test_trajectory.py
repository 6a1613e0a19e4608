"""The record of an episode: whole, readable by others, and refused where it was changed."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from harness.fake_tool import DiscTool, disc
from harness.list_policy import TERMINATE, click

from ibisagent import __version__
from ibisagent.actions import Click
from ibisagent.episode import Episode, StopReason
from ibisagent.errors import InvalidTrajectory, OutputNotWritable
from ibisagent.prompts import load_profile
from ibisagent.tools.base import Segmentation
from ibisagent.trajectory import FORMAT, SliceRecord, Trajectory, record

HEIGHT, WIDTH = 40, 50
WHERE = SliceRecord(
    image="ct.nii.gz", plane="axial", index=7, height=HEIGHT, width=WIDTH, pixel_mm=0.8
)
FULL_DEVICE = Path("/dev/full")


def new_episode(start: np.ndarray | None = None) -> Episode:
    picture = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    first = None if start is None else Segmentation(start, 1.0)
    return Episode(picture, "the kidney – Niere", DiscTool(), load_profile(), start=first)


@pytest.fixture
def episode() -> Episode:
    """One of everything: click, nonsense, a person's click, an undone click, and a stop."""
    episode = new_episode()
    episode.apply(click(0.5, 1.0), policy_seconds=0.123456)
    episode.apply("<think>Hmm.</think>")
    episode.click(Click(0.2, 0.2, positive=False))
    episode.apply(click(0.9, 0.9))
    episode.undo()
    episode.apply(TERMINATE)
    return episode


@pytest.fixture
def trajectory(episode: Episode) -> Trajectory:
    return record(episode, WHERE, "list-policy")


def test_who_did_what_where(trajectory: Trajectory, episode: Episode) -> None:
    agent, nonsense, human, stop = trajectory.steps
    assert agent.author == "agent"
    assert (agent.action.kind, agent.action.x, agent.action.y) == ("positive", 0.5, 1.0)
    assert agent.pixel == (HEIGHT - 1, 25)
    assert agent.thought == "Here."
    assert agent.raw == episode.steps[0].raw
    assert agent.policy_seconds == 0.1235
    assert (nonsense.action.kind, nonsense.carried_out, nonsense.pixel) == (
        "malformed",
        False,
        None,
    )
    assert (nonsense.thought, nonsense.reason) == ("Hmm.", "The reply has no <action> tag.")
    assert (human.author, human.action.kind, human.raw) == ("human", "negative", "")
    assert human.carried_out
    assert (stop.action.kind, stop.action.x, stop.pixel) == ("terminate", None, None)


def test_identities(trajectory: Trajectory) -> None:
    assert trajectory.format == FORMAT
    assert trajectory.version == __version__
    assert (trajectory.policy, trajectory.tool) == ("list-policy", "disc-tool")
    assert trajectory.profile == "default"
    assert trajectory.prompt == "the kidney – Niere"
    assert trajectory.stop is StopReason.TERMINATED
    assert trajectory.answer == "Done."
    offset = datetime.fromisoformat(trajectory.written).utcoffset()
    assert offset is not None
    assert not offset


def test_masks_are_those_of_the_episode(trajectory: Trajectory, episode: Episode) -> None:
    for kept, step in zip(trajectory.steps, episode.steps, strict=True):
        assert np.array_equal(kept.mask.decode(), step.segmentation.mask)
    assert np.array_equal(trajectory.mask.decode(), episode.segmentation.mask)
    assert not trajectory.start.decode().any()


def test_undone_steps_are_kept_apart(trajectory: Trajectory) -> None:
    assert [step.action.x for step in trajectory.undone] == [0.9]
    assert trajectory.undone[0].mask.decode()[36, 45]


def test_before_the_first_step() -> None:
    start = disc((HEIGHT, WIDTH), 10, 10, 5)
    trajectory = record(new_episode(start), WHERE, "list-policy")
    assert trajectory.steps == []
    assert trajectory.stop is None
    assert np.array_equal(trajectory.mask.decode(), start)
    assert not record(new_episode(), WHERE, "list-policy").mask.decode().any()


def test_save_and_load(trajectory: Trajectory, tmp_path: Path) -> None:
    path = tmp_path / "trajectory.json"
    trajectory.save(path)
    trajectory.save(path)  # again, over itself
    assert Trajectory.load(path) == trajectory
    assert [entry.name for entry in tmp_path.iterdir()] == ["trajectory.json"]


def test_other_programs_can_check_it(trajectory: Trajectory, tmp_path: Path) -> None:
    path = tmp_path / "trajectory.json"
    trajectory.save(path)
    written = json.loads(path.read_text(encoding="utf-8"))
    schema = Trajectory.model_json_schema()
    jsonschema.validate(written, schema)
    written["steps"][0]["action"]["kind"] = "scribble"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written, schema)


def change(keys: tuple[str | int, ...], value: Any) -> Any:
    """A function that changes one place of a trajectory; `...` removes it."""

    def apply(tree: Any) -> None:
        for key in keys[:-1]:
            tree = tree[key]
        if value is ...:
            del tree[keys[-1]]
        else:
            tree[keys[-1]] = value

    return apply


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (change(("format",), "ibisagent-trajectory/9"), "format"),
        (change(("prompt",), ...), "prompt: Field required"),
        (change(("note",), "hi"), "note: Extra inputs"),
        (change(("stop",), "bored"), "stop"),
        (change(("steps", 0, "author"), "ghost"), r"steps\.0\.author"),
        (change(("steps", 0, "action", "x"), 1.5), r"steps\.0\.action\.x"),
        (change(("steps", 0, "action", "x"), float("nan")), r"steps\.0\.action\.x"),
        (change(("steps", 0, "action", "x"), None), "positive action has x and y"),
        (change(("steps", 3, "action", "x"), 0.5), "terminate action has no x and y"),
        (change(("steps", 0, "mask", "counts"), "oooo"), r"steps\.0\.mask\.counts"),
        (change(("steps", 0, "mask", "size"), [1, 2]), "not of the slice's height and width"),
        (change(("undone", 0, "mask", "size"), [1, 2]), "not of the slice's height and width"),
        (change(("start", "size"), [50, 40]), "not of the slice's height and width"),
        (change(("slice", "height"), 0), r"slice\.height"),
        (change(("slice", "index"), -1), r"slice\.index"),
    ],
)
def test_a_changed_file_is_refused(
    trajectory: Trajectory, tmp_path: Path, tamper: Any, reason: str
) -> None:
    tree = trajectory.model_dump(mode="json")
    tamper(tree)
    path = tmp_path / "trajectory.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    with pytest.raises(InvalidTrajectory, match=rf"trajectory\.json is not .*{reason}"):
        Trajectory.load(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"prompt": "\\ud800"}', b"1" * 9999],
)
def test_what_is_no_trajectory_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trajectory.json"
    path.write_bytes(content)
    with pytest.raises(InvalidTrajectory, match="not a readable trajectory"):
        Trajectory.load(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTrajectory, match="not a readable trajectory"):
        Trajectory.load(tmp_path / "none.json")
    with pytest.raises(InvalidTrajectory):
        Trajectory.load(tmp_path)


def test_saving_to_a_missing_folder(trajectory: Trajectory, tmp_path: Path) -> None:
    with pytest.raises(OutputNotWritable, match=r"t\.json could not be written: ") as caught:
        trajectory.save(tmp_path / "none" / "t.json")
    assert "free space" in caught.value.fix


def test_saving_below_a_file(trajectory: Trajectory, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OutputNotWritable, match=r"t\.json could not be written: "):
        trajectory.save(tmp_path / "file" / "t.json")


def test_saving_over_a_folder_leaves_no_part_behind(trajectory: Trajectory, tmp_path: Path) -> None:
    (tmp_path / "t.json").mkdir()
    with pytest.raises(OutputNotWritable):
        trajectory.save(tmp_path / "t.json")
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.json"]


@pytest.mark.skipif(not FULL_DEVICE.exists(), reason="needs a device that is always full")
def test_a_full_disk_leaves_the_old_file_whole(trajectory: Trajectory, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text("yesterday's", encoding="utf-8")
    (tmp_path / "t.json.part").symlink_to(FULL_DEVICE)
    with pytest.raises(OutputNotWritable, match="No space left"):
        trajectory.save(path)
    assert path.read_text(encoding="utf-8") == "yesterday's"
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.json"]
