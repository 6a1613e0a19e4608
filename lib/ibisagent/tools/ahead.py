"""Looking at several pictures in one call of a model, before they are clicked on.

Where it is known which pictures come next - the slices that an agent has just clicked on, the
slices that masks are carried to - their embeddings are made together and wait in the tool's cache.
On a GPU that is faster than one after the other; on a CPU it is not (LiteMedSAM took 2.4 s of one
core for a picture alone and 3.0 s for each of four), so there nothing is done ahead, and whoever
watches sees the first mask as early as ever.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import torch

from ibisagent.tools.arguments import checked
from ibisagent.tools.base import RGB, SegmentationTool
from ibisagent.tools.embedding_cache import EmbeddingCache

PICTURES_AT_ONCE = 8
"""In one call on a GPU, to begin with; halved for good wherever memory does not suffice."""


@runtime_checkable
class LooksAhead(Protocol):
    """A tool, or a wrapper of one, that can embed several pictures at once."""

    @property
    def at_once(self) -> int:
        """Pictures in one call of the model; 1 where nothing is to be gained."""
        ...

    def embed_ahead(self, pictures: Iterable[RGB]) -> None:
        """Embed pictures that will be set soon, as many as the tool's cache keeps.

        Args:
            pictures: As for `SegmentationTool.set_image`; taken only as they are needed.

        Raises:
            UnsupportedImage: One is not an 8-bit colour picture.
        """
        ...


class EmbedsAhead(ABC):
    """What tools with an encoder and a cache of its embeddings have in common; see `LooksAhead`."""

    _cache: EmbeddingCache

    @abstractmethod
    def _embed_many(self, pictures: Sequence[RGB]) -> list[torch.Tensor]:
        """One embedding a picture, made in one call of the encoder."""

    @property
    def at_once(self) -> int:
        """See `LooksAhead`."""
        return self._cache.at_once

    def embed_ahead(self, pictures: Iterable[RGB]) -> None:
        """See `LooksAhead`.

        Raises:
            UnsupportedImage: One is not an 8-bit colour picture.
        """
        self._cache.fill(checked(pictures), self._embed_many)


def at_once(tool: SegmentationTool) -> int:
    """Pictures that a tool embeds in one call; 1 if it cannot, or would not gain by it."""
    return tool.at_once if isinstance(tool, LooksAhead) else 1


def embed_ahead(tool: SegmentationTool, pictures: Iterable[RGB]) -> None:
    """Let a tool embed pictures together if it can and gains by it; see `LooksAhead`."""
    if isinstance(tool, LooksAhead) and tool.at_once > 1:
        tool.embed_ahead(pictures)


def usual_at_once(device: torch.device) -> int:
    """How many pictures to try in one call on a device."""
    return 1 if device.type == "cpu" else PICTURES_AT_ONCE
