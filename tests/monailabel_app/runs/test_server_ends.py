"""A server that is killed or stopped in the middle of a run, and one that comes back."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from app_studies import RIGHT, blocks, write_studies
from run_client import RunClient

from demo.server import Server

LONG = {
    "prompt": "wander",
    "slice": 8,
    "max_steps": 50,
    "scope": "volume",
    "method": "every_slice",
}
"""A request that takes minutes."""
OBEDIENT_APP = Path(__file__).resolve().parents[1] / "obedient_app"

pytestmark = pytest.mark.slow  # each server takes its time to start


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., Server]:
    """Makes servers on the same studies and the same folder of runs."""
    studies, checkpoint = tmp_path / "studies", tmp_path / "checkpoint"
    studies.mkdir()
    checkpoint.mkdir()
    write_studies(studies)
    (checkpoint / "config.json").write_text("{}")

    def make(**conf: str) -> Server:
        given = {"policy": str(checkpoint), "runs": str(tmp_path / "runs"), **conf}
        return Server(studies, tmp_path / "log.txt", OBEDIENT_APP, given)

    return make


def until_steps(runs: RunClient, run: str, count: int) -> list[dict[str, Any]]:
    """Wait until so many steps were taken; all events so far."""
    deadline = time.monotonic() + 60
    while True:
        events = runs.events(run)
        if sum(event["event"] == "step" for event in events) >= count:
            return events
        assert time.monotonic() < deadline, events
        time.sleep(0.05)


def test_kill_in_a_run_then_restart_and_go_on(serve: Callable[..., Server], tmp_path: Path) -> None:
    with serve() as server:
        runs = RunClient(server.url)
        run = runs.start("wander", slice=8, max_steps=50)
        before = until_steps(runs, run, 3)
        os.killpg(server.pid, signal.SIGKILL)
        server.stop()

    with serve() as server:
        runs = RunClient(server.url)
        described = runs.describe(run)
        assert described["state"] == "resting"
        assert "stopped while the run went on" in described["answer"]
        assert described["found"] is True
        after = runs.events(run)
        assert after[: len(before)] == before
        assert [event["seq"] for event in after] == list(range(1, len(after) + 1))
        assert after[-1]["event"] == "finished"
        steps = sum(event["event"] == "step" for event in after)

        runs.order(run, "click", ijk=[10, 20, 8])
        runs.rest(run)
        np.testing.assert_array_equal(runs.marked(run, tmp_path)[8], blocks()[8] == RIGHT)
        runs.order(run, "undo", index=8)
        runs.order(run, "undo", index=8)
        runs.rest(run)
        (record,) = runs.ask("GET", f"/runs/{run}/trajectory").json()["trajectories"]
        assert len(record["steps"]) == steps - 1
        assert [step["author"] for step in record["undone"]] == ["human", "agent"]

        resumed = runs.start("click 0.75 0.5", slice=8, resume=run)
        runs.rest(resumed)
        (record,) = runs.ask("GET", f"/runs/{resumed}/trajectory").json()["trajectories"]
        assert len(record["steps"]) == steps  # those that stood, and the agent's "enough"
        assert record["stop"] == "terminated"
        stop_while_somebody_listens(server, runs)


def stop_while_somebody_listens(server: Server, runs: RunClient) -> None:
    """The stream ends with the run's last event, and the server does not hang."""
    run, heard = runs.start("wander", slice=8, max_steps=50), []

    def listen() -> None:
        try:
            heard.extend(runs.follow(run))
        except requests.RequestException:
            heard.append({"event": "cut"})

    listener = threading.Thread(target=listen)
    listener.start()
    until_steps(runs, run, 1)
    began = time.monotonic()
    server.stop()  # SIGTERM, and SIGKILL after 15 s
    assert time.monotonic() - began < 12
    listener.join(20)
    assert heard[-1]["event"] == "finished"
    assert heard[-1]["cancelled"] is True


def test_run_whose_client_is_gone_ends_and_is_kept(serve: Callable[..., Server]) -> None:
    with serve(client_minutes="0.05", runs_at_once="1") as server:
        runs = RunClient(server.url)
        left = runs.start(**LONG)
        assert "Nobody watched" in resting(runs)["answer"]
        assert runs.events(left)[-1]["cancelled"] is True


def test_stock_request_whose_client_has_hung_up_ends(serve: Callable[..., Server]) -> None:
    with serve(client_minutes="0.05") as server:
        runs = RunClient(server.url)
        address, params = f"{server.url}/infer/ibisagent?image=head", {"params": json.dumps(LONG)}
        with pytest.raises(requests.ReadTimeout):
            requests.post(address, data=params, timeout=6)  # longer than without a client
        described = runs.ask("GET", "/runs").json()[0]
        assert described["state"] == "running"
        assert "Nobody watched" in resting(runs)["answer"]


def resting(runs: RunClient) -> dict[str, Any]:
    """The only run, once it rests."""
    deadline = time.monotonic() + 60
    while True:
        (described,) = runs.ask("GET", "/runs").json()  # the list is no sign of interest
        if described["state"] == "resting":
            return dict(described)
        assert time.monotonic() < deadline, described
        time.sleep(0.2)
