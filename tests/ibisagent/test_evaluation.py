"""An evaluation from manifest to rows, broken off and continued."""

from __future__ import annotations

import pytest
from harness.labelled_set import DiscFinder, disc_agent, write_set

from ibisagent.errors import InvalidRequest, OutputNotWritable, PolicyFailed
from ibisagent.evaluation import EvaluationSettings, evaluate
from ibisagent.evaluation_report import summarise
from ibisagent.film import film_strip
from ibisagent.manifest import load_manifest
from ibisagent.prompts import load_profile
from ibisagent.slice_player import BATCH
from ibisagent.slices import SliceView
from ibisagent.trajectory import Trajectory
from ibisagent.volume import read_image

PLACES = [(8 + number, 10 + number) for number in range(12)]
SETTINGS = EvaluationSettings(held_back=False, absent=1.0)


@pytest.fixture
def manifest(tmp_path):
    return load_manifest(write_set(tmp_path, "pictures", PLACES))


def without_time(rows):
    return [row.model_copy(update={"seconds": 0.0}) for row in rows]


def test_agent_is_judged_by_what_it_did(manifest, tmp_path):
    _, rows = evaluate([manifest], SETTINGS, disc_agent(), tmp_path / "out")

    discs = [row for row in rows if row.label == "disc"]
    (block,) = [row for row in rows if row.label == "block" and row.present]
    absent = [row for row in rows if not row.present]
    assert len(discs) == 12
    assert all((row.hit, row.dice, row.iou, row.turns) == (True, 1, 1, 2) for row in discs)
    assert (block.hit, block.dice, block.stop, block.turns) == (False, 0, "not_present", 1)
    assert summarise(rows).absent.recognised == 1.0
    assert len(absent) == 11


def test_volume_is_judged_on_its_slices(tmp_path):
    manifest = load_manifest(write_set(tmp_path, "volume", PLACES, volume=True))

    _, rows = evaluate([manifest], SETTINGS, disc_agent(), tmp_path / "out")

    discs = [row for row in rows if row.label == "disc"]
    assert {row.plane for row in rows} == {"axial"}
    assert [row.slice for row in discs] == [2, 6, 10]
    assert all(row.dice == 1 for row in discs)


def test_questions_are_played_side_by_side(manifest, tmp_path):
    agent = disc_agent()

    evaluate([manifest], SETTINGS, agent, tmp_path / "out")

    assert isinstance(agent.policy, DiscFinder)
    assert agent.policy.batches[0] == BATCH


def test_run_that_broke_off_is_continued(manifest, tmp_path):
    whole = evaluate([manifest], SETTINGS, disc_agent(), tmp_path / "whole")[1]
    progress = []
    with pytest.raises(PolicyFailed):
        evaluate([manifest], SETTINGS, disc_agent(patience=3), tmp_path / "out")

    agent = disc_agent()
    _, rows = evaluate(
        [manifest], SETTINGS, agent, tmp_path / "out", lambda *step: progress.append(step)
    )

    assert without_time(rows) == without_time(whole)
    assert progress[0] == (BATCH, len(whole))
    assert progress[-1] == (len(whole), len(whole))
    assert max(agent.policy.batches) <= BATCH
    assert sum(agent.policy.batches) < 2 * len(whole) - BATCH


def test_finished_evaluation_plays_nothing(manifest, tmp_path):
    first = evaluate([manifest], SETTINGS, disc_agent(), tmp_path / "out")[1]

    again = evaluate([manifest], SETTINGS, disc_agent(patience=0), tmp_path / "out")[1]

    assert again == first


def test_other_settings_are_refused(manifest, tmp_path):
    evaluate([manifest], SETTINGS, disc_agent(), tmp_path / "out")

    with pytest.raises(InvalidRequest, match="max_steps was 10 and is now 3"):
        evaluate(
            [manifest],
            SETTINGS.model_copy(update={"max_steps": 3}),
            disc_agent(),
            tmp_path / "out",
        )


def test_label_outside_the_models_vocabulary_is_not_asked_for(manifest, tmp_path):
    profile = load_profile().model_copy(update={"targets": ("disc",)})

    _, rows = evaluate([manifest], SETTINGS, disc_agent(profile=profile), tmp_path / "out")

    assert {row.label for row in rows if not row.known} == {"block"}
    assert {row.label for row in rows if row.known} == {"disc"}


def test_trajectories_can_be_shown(manifest, tmp_path):
    folder, rows = evaluate([manifest], SETTINGS, disc_agent(), tmp_path / "out")

    trajectory = Trajectory.load(folder.trajectories / rows[0].trajectory)
    item = manifest.items[0]
    view = SliceView(read_image(item.image), trajectory.slice.plane)
    assert trajectory.slice.image == item.image.name
    film_strip(trajectory, view.rgb(trajectory.slice.index), load_profile())
    assert len({row.trajectory for row in rows}) == len(rows)


def test_nothing_to_ask_is_said(manifest, tmp_path):
    empty = manifest.__class__("empty", ())

    with pytest.raises(InvalidRequest, match="nothing to ask") as refused:
        evaluate([empty], SETTINGS, disc_agent(), tmp_path / "out")

    assert "--all" in refused.value.fix


def test_file_in_place_of_the_folder_is_refused(manifest, tmp_path):
    (tmp_path / "out").write_text("")

    with pytest.raises(OutputNotWritable):
        evaluate([manifest], SETTINGS, disc_agent(), tmp_path / "out")
