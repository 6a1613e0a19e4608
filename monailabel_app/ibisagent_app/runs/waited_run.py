"""A run that somebody waits for: ``/infer/ibisagent``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ibisagent.errors import RunCancelled
from ibisagent.events import Finished, Started
from ibisagent.runs.orders import RunRequest
from ibisagent.runs.registry import Runs
from ibisagent.runs.run import Run
from ibisagent.segment import SegmentRequest, SegmentResult
from ibisagent_app.asker import current_asker

_LOOK_SECONDS = 1.0
"""Between looks at whether whoever asked still waits."""


@dataclass(frozen=True, eq=False)
class Waited:
    """What came out.

    Attributes:
        result: As `ibisagent.segment.segment` returns it.
        identity: Names of policy, tool and prompt profile.
        run: Identifier of the run; empty where there was none.
    """

    result: SegmentResult
    identity: dict[str, str]
    run: str = ""


def wait_for_run(runs: Runs, request: SegmentRequest, name: str, file: Path) -> Waited:
    """Start a run and wait until it rests.

    It is watched for as long as whoever asks is connected.

    Args:
        runs: All runs.
        request: What to do.
        name: Of the image.
        file: Of the image.

    Raises:
        RunCancelled: Somebody cancelled it, or the server is being stopped.
        IBISAgentError: It failed, or was refused.
    """
    asker = current_asker()
    fields = request.model_dump(exclude_unset=True)
    run = runs.start(RunRequest.parse({**fields, "image": name}), asker.name, file)
    while not run.wait(_LOOK_SECONDS):
        if not asker.gone():
            run.touch()
    return _outcome(run)


def _outcome(run: Run) -> Waited:
    if run.failure is not None:
        raise run.failure
    events = run.log.events()
    if any(isinstance(event, Finished) and event.cancelled for event in events):
        raise RunCancelled(
            f"The run {run.name} was cancelled: {run.answer}",
            f"GET /ibisagent/runs/{run.name}/mask has what stands.",
        )
    started = next(event for event in events if isinstance(event, Started))
    identity = {"policy": started.policy, "tool": started.tool, "profile": run.facts.profile}
    trajectories, carried = run.trajectories()
    result = SegmentResult(run.mask(), trajectories, run.answer, carried)
    return Waited(result, identity, run.name)
