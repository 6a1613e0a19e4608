"""A run that somebody waits for is a run like any other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from harness.fake_tool import DiscTool
from harness.list_policy import ListPolicy, click
from harness.run_studies import ClickOnce, Gated, Place, clicked

from ibisagent.agent import Agent
from ibisagent.errors import RunCancelled, ToolOutOfMemory, TooManyRuns
from ibisagent.prompts import load_profile
from ibisagent.runs.description import State
from ibisagent.runs.registry import RunLimits
from ibisagent.segment import SegmentRequest, segment
from ibisagent.volume import read_image
from ibisagent_app.asker import Asker, asked_by
from ibisagent_app.runs.waited_run import Waited, wait_for_run

TUBE = {"prompt": "the tube"}


@pytest.fixture
def places(tmp_path: Path) -> Iterator[list[Place]]:
    made: list[Place] = []
    yield made
    for place in made:
        place.runs.close()


def waited(place: Place, **fields: object) -> Waited:
    request = SegmentRequest.parse({**TUBE, **fields})
    return wait_for_run(place.runs, request, "tube", place.studies.image("tube"))


@pytest.mark.parametrize(
    "fields", [{"slice": 8}, {"scope": "volume", "slice": 20, "clean": "largest"}, {}]
)
def test_outcome_is_that_of_the_library(tmp_path: Path, fields: dict[str, object]) -> None:
    place = Place(tmp_path, ClickOnce())
    found = waited(place, **fields)
    image = read_image(place.studies.image("tube"))
    agent = Agent(ClickOnce(), DiscTool(), load_profile())
    alone = segment(image, SegmentRequest.parse({**TUBE, **fields}), agent, "tube")
    np.testing.assert_array_equal(found.result.mask, alone.mask)
    assert found.result.answer == alone.answer
    assert found.identity == {"policy": "click-once", "tool": "disc-tool", "profile": "default"}
    timed = {"written", "policy_seconds", "tool_seconds"}
    for ours, theirs in [
        (found.result.trajectories, alone.trajectories),
        (found.result.carried, alone.carried),
    ]:
        assert [without(one.model_dump(), timed) for one in ours] == [
            without(one.model_dump(), timed) for one in theirs
        ]


def without(record: object, names: set[str]) -> object:
    if isinstance(record, dict):
        return {key: without(value, names) for key, value in record.items() if key not in names}
    return [without(one, names) for one in record] if isinstance(record, list) else record


def test_it_is_listed_and_can_be_stepped_into(tmp_path: Path) -> None:
    place = Place(tmp_path, ClickOnce())
    with asked_by(Asker("ann")):
        found = waited(place, slice=8)
    run = place.runs.get(found.run)
    assert (run.describe().author, run.describe().image) == ("ann", "tube")
    clicked(run, 8, 0.1, 0.1)
    assert run.mask()[8, 4, 4]


def test_finished_steps_survive(tmp_path: Path) -> None:
    place = Place(tmp_path, ClickOnce())
    found = waited(place, slice=8)
    place.restart()
    again = place.runs.get(found.run)
    np.testing.assert_array_equal(again.mask(), found.result.mask)


def test_who_cancels_it_ends_the_wait(tmp_path: Path, places: list[Place]) -> None:
    policy = Gated(ListPolicy([click(0.5, 0.5)]))
    place = Place(tmp_path, policy)
    places.append(place)
    policy.let_through()

    def cancel() -> None:
        policy.wait_until_asked()
        policy.wait_until_asked()
        place.runs.all()[0].cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(RunCancelled, match="what stood then is kept"):
        waited(place, slice=8)
    thread.join()
    assert place.runs.all()[0].mask()[8].any()


def test_failure_is_that_of_the_run(tmp_path: Path) -> None:
    place = Place(tmp_path, ClickOnce(), tool=DiscTool(failure=ToolOutOfMemory("No room.", "Buy.")))
    with pytest.raises(ToolOutOfMemory, match="No room"):
        waited(place, slice=8)
    assert place.runs.all()[0].state is State.FAILED


def test_too_many_are_refused(tmp_path: Path) -> None:
    place = Place(tmp_path, ClickOnce(), limits=RunLimits(at_once=1, waiting=0))
    with place.runs.line.book(), pytest.raises(TooManyRuns):
        waited(place, slice=8)


@pytest.mark.parametrize("gone", [False, True])
def test_nobody_watches_once_the_client_has_hung_up(
    tmp_path: Path, places: list[Place], gone: bool
) -> None:
    policy = Gated(ClickOnce())
    place = Place(tmp_path, policy, limits=RunLimits(client_minutes=2 / 60))
    places.append(place)
    outcome: list[object] = []

    def ask() -> None:
        with asked_by(Asker("ann", lambda: gone)):
            try:
                outcome.append(waited(place, slice=8).result.answer)
            except RunCancelled as error:
                outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    policy.wait_until_asked()
    run = place.runs.all()[0]
    for _ in range(35):
        place.runs.tend()
        threading.Event().wait(0.1)
    assert run.at_work is not gone
    policy.let_through(9)
    thread.join(20)
    assert [isinstance(one, RunCancelled) for one in outcome] == [gone]


def test_image_that_was_sent_along_is_not_looked_for_later(tmp_path: Path) -> None:
    place = Place(tmp_path, ClickOnce())
    sent = place.studies.image("tube").rename(tmp_path / "sent.nrrd")
    request = SegmentRequest.parse({**TUBE, "slice": 8})
    found = wait_for_run(place.runs, request, "upload", sent)
    run = place.runs.get(found.run)
    assert run.facts.request.image == "upload"
    clicked(run, 8, 0.1, 0.1)
    sent.unlink()
    clicked(run, 8, 0.2, 0.2)
    assert run.state is State.FAILED
    assert run.mask()[8].any()
