"""Whatever people do to a run, its events add up to what stands."""

from __future__ import annotations

import numpy as np
import pytest
from harness.list_policy import ListPolicy, click
from harness.run_studies import ClickOnce, Place, clicked, gone_on, undone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibisagent.episode import Author
from ibisagent.errors import NothingToUndo
from ibisagent.events import EVENTS, Stepped
from ibisagent.runs.run import Run
from ibisagent.runs.story import Story
from ibisagent.slices import Plane

SLICES = st.sampled_from([7, 8, 9])
PLACES = st.sampled_from([0.1, 0.5, 0.9])
ACTIONS = st.one_of(
    st.tuples(st.just("click"), SLICES, PLACES, PLACES, st.booleans()),
    st.tuples(st.just("undo"), SLICES),
    st.tuples(st.just("continue"), SLICES),
    st.tuples(st.just("restart")),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(ACTIONS, max_size=8))
def test_events_add_up_and_numbers_have_no_gaps(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[object, ...]]
) -> None:
    here = Place(tmp_path_factory.mktemp("place"), ClickOnce())
    run = here.done(scope="range", first=8, last=9)
    depth = {7: 0, 8: 2, 9: 2}
    for kind, *rest in actions:
        if kind == "restart":
            here.restart()
            run = here.runs.get(run.name)
        elif kind == "click":
            clicked(run, *rest[:3], positive=rest[3])
            depth[rest[0]] += 1
        elif kind == "continue":
            before = len(run.log)
            gone_on(run, rest[0])
            depth[rest[0]] += sum(isinstance(event, Stepped) for event in run.log.events(before))
        elif depth[rest[0]] == 0:
            with pytest.raises(NothingToUndo):
                undone(run, rest[0])
        else:
            undone(run, rest[0])
            depth[rest[0]] -= 1
        assert_adds_up(run, depth)
    here.runs.close()


def assert_adds_up(run: Run, depth: dict[int, int]) -> None:
    events = [EVENTS.validate_json(line) for line in run.log.lines(most=10**6)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    records = {one.slice.index: one for one in run.trajectories()[0]}
    assert {index: len(one.steps) for index, one in records.items()} == {
        index: depth[index] for index in records
    }
    mask = run.mask()
    for index, record in records.items():
        np.testing.assert_array_equal(mask[index] > 0, record.mask.decode())
    outside = np.setdiff1d(np.arange(len(mask)), list(records))
    assert not mask[outside].any()
    assert run.found == bool(mask.any())


def test_story_of_nothing() -> None:
    story = Story()
    assert not story.found
    assert story.trajectories("x", "default") == []
    assert story.trajectory(3, "x", "default") is None


def test_record_holds_who_played_and_why(tmp_path_factory: pytest.TempPathFactory) -> None:
    here = Place(tmp_path_factory.mktemp("place"), ListPolicy([click(0.5, 0.5)]))
    run = here.done(scope="volume", slice=20)
    story = Story(run.log.events())
    first = story.trajectory(20, "the tube", "default")
    assert first is not None
    assert (first.policy, first.tool, first.profile) == ("list-policy", "disc-tool", "default")
    assert first.asked_because == "The slice to begin with."
    assert all(step.author is Author.AGENT for step in first.steps)
    painted = story.paint(run.facts.geometry.view(Plane.AXIAL))
    np.testing.assert_array_equal(painted, run.mask())
