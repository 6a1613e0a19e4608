"""A run that was downloaded, and is brought again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from harness.list_policy import ListPolicy, click
from harness.run_studies import Place, undone

from ibisagent.episode import StopReason
from ibisagent.errors import InvalidRequest, InvalidTrajectory, SliceOutOfRange
from ibisagent.runs.run import Run
from ibisagent.runs.saved_run import SavedRun

Make = Callable[..., Place]


def saved(run: Run) -> dict[str, Any]:
    """A run as a client downloads it."""
    trajectories, carried = run.trajectories()
    whole = SavedRun(trajectories=trajectories, carried=carried)
    return whole.model_dump(mode="json")


def test_saved_run_is_taken_up_with_all_its_steps(place: Make) -> None:
    here = place(ListPolicy([click(0.5, 0.5)]))
    old = undone(here.done(slice=8), 8)
    download = saved(old)
    here.runs.delete(old.name)
    run = here.done(slice=8, saved=download)
    (record,) = run.trajectories()[0]
    assert [len(record.steps), record.stop] == [2, StopReason.TERMINATED]
    assert not undone(undone(run, 8), 8).mask().any()
    assert run.facts.request.saved is None  # not written a second time


def test_saved_volume_is_where_the_next_one_starts(place: Make) -> None:
    here = place()
    old = here.done(scope="volume")
    assert old.trajectories()[1]  # some slices were carried
    run = here.done(slice=20, saved=saved(old))
    others = [k for k in range(len(old.mask())) if k != 20]
    np.testing.assert_array_equal(run.mask()[others], old.mask()[others])
    again = here.done(scope="volume", saved=saved(old))
    assert (again.mask() >= old.mask()).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"image": "other"}, InvalidRequest, "of the image 'other'"),
        ({"plane": "coronal"}, InvalidRequest, "looked at coronal slices"),
        ({"index": 10_000}, SliceOutOfRange, "no axial slice 10000"),
    ],
)
def test_saved_run_that_does_not_fit_is_refused(
    place: Make, change: dict[str, object], error: type[Exception], words: str
) -> None:
    here = place()
    download = saved(here.done(slice=8))
    download["trajectories"][0]["slice"] |= change
    with pytest.raises(error, match=words):
        here.start(slice=8, saved=download)


def test_saved_run_that_was_damaged_is_refused(place: Make) -> None:
    here = place()
    download = saved(here.done(slice=8))
    with pytest.raises(InvalidRequest, match="ibisagent-run/1"):
        here.start(slice=8, saved=download | {"format": "another"})
    download["trajectories"][0]["steps"][-1]["mask"]["counts"] = "1"
    with pytest.raises(InvalidTrajectory, match="run lengths"):
        here.start(slice=8, saved=download)
