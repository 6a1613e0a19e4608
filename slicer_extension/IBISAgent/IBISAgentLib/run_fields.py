"""Fields of requests and of descriptions, as ``docs/runs.md`` has them.

Clients of another version may know more or fewer; what we do not know is passed over.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Click:
    """A person's click, by fractions of the slice's picture or by voxel.

    Attributes:
        index: Slice number in the run's plane.
        x: Fraction of the picture's width.
        y: Fraction of the picture's height.
        ijk: Voxel (i, j, k) instead.
    """

    positive: bool = True
    index: int | None = None
    x: float | None = None
    y: float | None = None
    ijk: tuple[int, int, int] | None = None

    def fields(self) -> dict[str, object]:
        """What goes into the body: only what is given."""
        return _given(self)


@dataclass(frozen=True)
class RunRequest:
    """What to segment, and where; None leaves the choice to the server.

    Attributes:
        image: Identifier on the server.
        prompt: In words.
        slice: Slice number in `plane`.
        scope: slice, range or volume.
        first: First slice of a range.
        last: Last slice of a range, included.
        seed: 0 for the agent's likeliest words; another number for another attempt.
        clicks: The person's, before the agent's first look.
        start_label: Tag of a label of this image whose mask is the start.
        resume: A run whose trajectories are taken up.
        saved: What the server gave of a run when it was downloaded, which is taken up likewise.
        wait_for_human: The agent is not asked before `Client.go_on`.
    """

    image: str
    prompt: str
    plane: str | None = None
    slice: int | None = None
    scope: str | None = None
    method: str | None = None
    clean: tuple[str, ...] | None = None
    window: str | None = None
    max_steps: int | None = None
    seed: int | None = None
    first: int | None = None
    last: int | None = None
    clicks: tuple[Click, ...] = ()
    start_label: str | None = None
    resume: str | None = None
    saved: dict[str, object] | None = None
    wait_for_human: bool | None = None

    def fields(self) -> dict[str, object]:
        """What goes into the body: only what is given."""
        return _given(self)


def _given(request: Click | RunRequest) -> dict[str, object]:
    values = dataclasses.asdict(request)
    if isinstance(request, RunRequest):
        values["clicks"] = [click.fields() for click in request.clicks]
    return {name: value for name, value in values.items() if value not in (None, [])}


@dataclass(frozen=True)
class Trouble:
    """Why a run failed: code, what happened, what to do."""

    code: str
    message: str
    fix: str


@dataclass(frozen=True)
class RunDescription:
    """A run as the server describes it.

    Attributes:
        state: queued, running, resting or failed.
        queue: Runs before it.
        events: Number of its last event.
        seconds: How long it has worked.
        found: Whether the mask holds anything; None while unknown.
    """

    run: str
    state: str
    image: str
    prompt: str
    plane: str = ""
    scope: str = ""
    queue: int = 0
    events: int = 0
    author: str = ""
    created: str = ""
    seconds: float = 0.0
    answer: str = ""
    found: bool | None = None
    error: Trouble | None = None

    @property
    def at_rest(self) -> bool:
        """Whether no event will come unless somebody asks for something."""
        return self.state in ("resting", "failed")


@dataclass(frozen=True)
class ServerInfo:
    """What ``GET /ibisagent/info`` tells.

    Attributes:
        version: Of the server's software.
        format: Of its events.
        policy: Identity of the policy.
        tool: Identity of the segmentation tool.
        knows: Names that the model has learnt; empty where it states no vocabulary.
        examples: Prompts to try.
        limits: Such as ``upload_bytes`` and ``max_steps``.
        runs: Runs now going on.
        waiting: Runs that wait for their turn.
        loaded: Whether the models are in memory; the first run waits for them otherwise.
        release: The trained model in use; empty for the one that the server was started with.
    """

    version: str
    format: str
    policy: str = ""
    tool: str = ""
    knows: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    limits: dict[str, object] = field(default_factory=dict)
    runs: int = 0
    waiting: int = 0
    loaded: bool = False
    release: str | None = None
