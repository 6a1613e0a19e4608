"""What a policy is: observation in, text out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ibisagent.actions import Click
from ibisagent.tools.base import RGB, Mask

Cancelled = Callable[[], bool]
"""Asked often, perhaps from another thread: must be quick. True means stop as soon as you can."""


def never() -> bool:
    """For those who have nobody to cancel them."""
    return False


@dataclass(frozen=True, eq=False)
class Observation:
    """All a policy may know about the episode at one turn.

    Attributes:
        messages: The turn as a chat in the format of `transformers` chat templates; entries
            ``{"type": "image"}`` stand where pictures go.
        pictures: One picture for each image entry, in order: the image with the mask of that
            turn overlaid, axes (row, column, channel), uint8. The last one is the present; it
            is the only one unless the prompt profile keeps history.
        mask: The current mask, axes (row, column). A model reads it off the picture; a
            scripted annotator compares it with the truth.
        clicks: All clicks so far, oldest first.
        step: Number of actions taken so far, 0 at the first turn.
    """

    messages: list[dict[str, Any]]
    pictures: tuple[RGB, ...]
    mask: Mask
    clicks: tuple[Click, ...] = ()
    step: int = 0


class Policy(Protocol):
    """Anything that looks at observations and writes replies."""

    @property
    def name(self) -> str:
        """Identity for trajectories and logs: backend, checkpoint and version."""
        ...

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        """Write one raw reply an observation, in order.

        Replies are free text; `actions.parse` reads them.

        Args:
            observations: What is seen, one an episode.
            cancelled: Read while a reply is written, where that takes long. Once it is true,
                replies may be cut short or empty; whoever cancelled throws them away.

        Raises:
            PolicyFailed: The model could not be run.
            PolicyUnavailable: The server that runs the model does not answer.
        """
        ...
