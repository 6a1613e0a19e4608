"""All runs of a server: restarts, limits, and what is left behind."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from harness.fake_tool import DiscTool
from harness.list_policy import ListPolicy, click
from harness.phantom import image_of, tube
from harness.run_studies import (
    PATIENCE,
    ClickOnce,
    Gated,
    Place,
    clicked,
    eventually,
    gone_on,
    kinds,
    rest,
    undone,
)

from ibisagent.errors import (
    OutputNotWritable,
    ServerClosing,
    TooManyRuns,
    UnknownRun,
    UnreadableImage,
)
from ibisagent.events import Finished, Progressed, Stepped
from ibisagent.runs.description import State
from ibisagent.runs.registry import RunLimits
from ibisagent.runs.run import STOPPED_WITH_SERVER
from ibisagent.runs.turns import Turns

Make = Callable[..., Place]


def test_run_is_there_after_a_restart_and_goes_on(place: Make) -> None:
    here = place(ListPolicy([click(0.5, 0.5)]))
    before = clicked(here.done(slice=8), 8, 0.1, 0.1)
    here.restart()
    run = here.runs.get(before.name)
    assert run.describe() == before.describe()
    np.testing.assert_array_equal(run.mask(), before.mask())
    assert run.trajectories() == before.trajectories()
    undone(run, 8)
    clicked(run, 8, 0.9, 0.9)
    gone_on(run, 8)
    assert [event.seq for event in run.log.events()] == list(range(1, len(run.log) + 1))
    assert [step.author.value for step in run.trajectories()[0][0].steps] == [
        *("agent", "agent", "human", "agent")
    ]


def test_volume_is_there_after_a_restart(place: Make) -> None:
    here = place()
    before = here.done(scope="volume", slice=20)
    here.restart()
    run = here.runs.get(before.name)
    np.testing.assert_array_equal(run.mask(), before.mask())
    assert run.trajectories() == before.trajectories()


def test_click_after_a_restart_gives_the_mask_of_a_click_before_it(place: Make) -> None:
    masks = []
    for restarts in (False, True):
        here = place()
        run = here.done(slice=8)
        if restarts:
            here.restart()
            run = here.runs.get(run.name)
        masks.append(clicked(run, 8, 0.1, 0.1).mask())
    np.testing.assert_array_equal(*masks)


def test_tool_gets_its_logits_back_on_a_run_that_rested(place: Make) -> None:
    tool = DiscTool()
    here = place(tool=tool)
    run = clicked(here.done(slice=8), 8, 0.1, 0.1)
    assert tool.asked[-1][1].logits is not None
    here.restart()
    clicked(here.runs.get(run.name), 8, 0.9, 0.9)
    assert tool.asked[-1][1].logits is None


def test_run_cut_off_by_a_kill_rests_with_its_finished_steps(place: Make) -> None:
    policy = Gated(ListPolicy([click(0.5, 0.5), click(0.2, 0.2)]))
    here = place(policy)
    run = here.start(slice=8)
    policy.let_through()
    eventually(lambda: any(isinstance(event, Stepped) for event in run.log.events()))
    policy.wait_until_asked()
    policy.wait_until_asked()
    here.restart()  # the old run waits at its gate for ever, as if it had never been
    found = here.runs.get(run.name)
    assert found.state is State.RESTING
    assert found.describe().answer == STOPPED_WITH_SERVER
    assert found.found
    last = found.log.last
    assert isinstance(last, Finished)
    assert last.cancelled
    new = Gated(ClickOnce())
    here.policy = new
    new.let_through(9)
    resumed = here.done(slice=8, resume=run.name)
    assert len(resumed.trajectories()[0][0].steps) == 2


def test_queued_run_cut_off_by_a_kill_says_so(place: Make) -> None:
    policy = Gated(ClickOnce())
    here = place(policy, limits=RunLimits(at_once=1))
    here.start()
    waiting = here.start()
    here.restart()
    assert here.runs.get(waiting.name).describe().answer == STOPPED_WITH_SERVER


def test_what_is_no_run_is_left_out(place: Make, caplog: pytest.LogCaptureFixture) -> None:
    here = place()
    run = here.done(slice=8)
    (here.folder / "runs" / "20200101-000000-junk").mkdir()
    (here.folder / "runs" / "file").write_text("nothing")
    here.restart()
    assert [one.name for one in here.runs.all()] == [run.name]
    assert "junk" in caplog.text


def test_runs_beyond_the_limit_wait_and_are_told_their_place(place: Make) -> None:
    policy = Gated(ClickOnce())
    here = place(policy, limits=RunLimits(at_once=1, waiting=2))
    runs = [here.start(slice=8) for _ in range(3)]
    policy.wait_until_asked()
    eventually(lambda: len(runs[2].log) > 0)
    assert [run.describe().queue for run in runs] == [0, 1, 2]
    assert [run.state for run in runs] == [State.RUNNING, State.QUEUED, State.QUEUED]
    with pytest.raises(TooManyRuns):
        here.start(slice=8)
    policy.let_through(6)
    for run in runs:
        rest(run)
    told = [event.queue for event in runs[2].log.events() if isinstance(event, Progressed)]
    assert told[0] == 2
    assert told[-1] == 0
    assert told == sorted(told, reverse=True)
    here.start(slice=8)


def test_refused_start_gives_its_place_back(place: Make) -> None:
    here = place(limits=RunLimits(at_once=1, waiting=0))
    for _ in range(3):
        with pytest.raises(UnreadableImage):
            here.start("nothing")
    here.done(slice=8)


def test_waiting_run_can_be_cancelled(place: Make) -> None:
    policy = Gated(ClickOnce())
    here = place(policy, limits=RunLimits(at_once=1))
    here.start(slice=8)
    policy.wait_until_asked()
    waiting = here.start(slice=8)
    waiting.cancel()
    rest(waiting)
    assert kinds(waiting.log.events()) == ["finished"]


def test_click_does_not_wait_behind_long_runs(place: Make) -> None:
    here = place(limits=RunLimits(at_once=1))
    run = here.done(slice=8)
    here.policy = policy = Gated(ClickOnce())
    here.start(slice=9)
    policy.wait_until_asked()
    here.turns = Turns()  # another device, as that run waits with the turn in its hands
    clicked(run, 8, 0.1, 0.1)


def test_runs_take_turns(place: Make) -> None:
    order: list[str] = []

    class Slow(ClickOnce):
        def replies(self, observations, cancelled=lambda: False):
            order.append(observations[0].messages[-1]["content"][-1]["text"])
            time.sleep(0.01)
            return [click(0.01 * len(order), 0.5)] * len(observations)

    here = place(Slow())
    runs = [here.start(prompt=prompt, max_steps=15) for prompt in ("red", "blue")]
    for run in runs:
        rest(run)
    reds = ["red" in text for text in order]
    both = reds[reds.index(not reds[0]) : -2]
    changes = sum(one != other for one, other in pairwise(both))
    assert changes >= len(both) // 2


def test_oldest_resting_runs_are_forgotten(place: Make) -> None:
    here = place(limits=RunLimits(kept=3))
    runs = [here.done(slice=8) for _ in range(5)]
    assert {run.name for run in here.runs.all()} == {run.name for run in runs[2:]}
    assert len(list((here.folder / "runs").iterdir())) == 3


def test_starting_at_once_with_others_never_fails_over_what_is_forgotten(place: Make) -> None:
    here = place(limits=RunLimits(kept=2, waiting=64))
    with ThreadPoolExecutor(8) as clients:
        fields = {"slice": 8, "wait_for_human": True}
        started = [clients.submit(lambda: rest(here.start(**fields))) for _ in range(64)]
        assert all(run.result() for run in started)
    here.done(slice=8)
    assert len(here.runs.all()) == 2


def test_newest_come_first(place: Make) -> None:
    here = place()
    runs = [here.done(slice=8) for _ in range(3)]
    assert [run.facts.created for run in here.runs.all()] == sorted(
        (run.facts.created for run in runs), reverse=True
    )


def test_deleted_run_is_gone_from_memory_and_disk(place: Make) -> None:
    here = place()
    run = here.done(slice=8)
    here.runs.delete(run.name)
    with pytest.raises(UnknownRun):
        here.runs.get(run.name)
    assert list((here.folder / "runs").iterdir()) == []


def test_run_deleted_at_work_ends_and_leaves_nothing(place: Make) -> None:
    policy = Gated(ClickOnce())
    here = place(policy)
    run = here.start(slice=8)
    policy.wait_until_asked()
    here.runs.delete(run.name)
    rest(run)
    eventually(lambda: not list((here.folder / "runs").iterdir()))


def test_run_that_nobody_watches_is_cancelled_and_kept(place: Make) -> None:
    policy = Gated(ClickOnce())
    here = place(policy, limits=RunLimits(client_minutes=0.001))
    run = here.start(slice=8)
    policy.wait_until_asked()
    here.runs.tend()
    assert run.at_work
    deadline = time.monotonic() + PATIENCE
    while run.at_work and time.monotonic() < deadline:
        here.runs.tend()
        time.sleep(0.02)
    assert "Nobody watched" in here.runs.get(run.name).describe().answer


def test_run_that_is_watched_goes_on(place: Make) -> None:
    policy = Gated(ClickOnce())
    here = place(policy, limits=RunLimits(client_minutes=0.01))
    run = here.start(slice=8)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        here.runs.get(run.name)
        here.runs.tend()
        time.sleep(0.05)
    policy.let_through(9)
    rest(run)
    assert not run.log.last.cancelled


def test_closed_server_takes_nothing_new_and_ends_what_goes_on(place: Make) -> None:
    policy = Gated(ClickOnce())
    here = place(policy)
    run = here.start(slice=8)
    policy.wait_until_asked()
    here.runs.close()
    rest(run)
    with pytest.raises(ServerClosing):
        here.start(slice=8)


def test_full_disk_fails_one_run_and_no_other(place: Make) -> None:
    """For real: the process may write no longer files than those of the smaller run."""
    here = place(ListPolicy([click(0.01 * n, 0.5) for n in range(1, 60)]))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    long = here.start(slice=8, max_steps=1)
    rest(long)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, hard))
    try:
        failed = rest(here.start(slice=8, max_steps=40))
        here.policy = ClickOnce()
        fine = rest(here.start(slice=8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert failed.state is State.FAILED
    assert failed.describe().error["code"] == "output_not_writable"
    assert failed.log.events()[-1].event == "failed"
    assert fine.state is State.RESTING
    gone_on(failed, 8)  # there is room again: what was in memory is written first
    here.restart()
    kept = here.runs.get(failed.name)
    assert [event.seq for event in kept.log.events()] == list(range(1, len(failed.log) + 1))


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OutputNotWritable):
        Place(tmp_path, ClickOnce())


def test_memory_is_bounded_by_the_images_and_not_by_the_runs(place: Make) -> None:
    here = place(limits=RunLimits(image_bytes=0))
    for number in range(4):
        here.write(f"image{number}", image_of(tube()))
        run = here.done(f"image{number}", slice=8)
        assert run._story is None
    shelf = here.runs._shelf
    assert len(shelf._kept) == 1
