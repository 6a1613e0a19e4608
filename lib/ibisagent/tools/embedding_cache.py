"""Remembers what is slow to compute: the embedding of an image.

An episode clicks many times into one image, and several episodes often share an image, while the
embedding takes seconds. The key is the content of the image, so that a changed pixel is another
image and an equal copy is the same one.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from itertools import chain, islice
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from ibisagent.errors import InvalidRequest
from ibisagent.tools.base import RGB
from ibisagent.tools.out_of_memory import free_device_memory, is_out_of_memory

if TYPE_CHECKING:
    import torch

DEFAULT_BYTES = 512 * 2**20
"""Room for 128 embeddings of 256 x 64 x 64 float32: all slices of a usual volume's organ."""

BUDGET_VARIABLE = "IBISAGENT_EMBEDDINGS_MIB"
"""Environment variable with another budget for each tool's embeddings, in MiB."""

logger = logging.getLogger(__name__)


class EmbeddingCache:
    """Embeddings of the most recently used images, within a budget of bytes.

    Safe to share between threads. Callers that ask for the same image at the same time wait for
    one computation; callers with different images do not wait for each other.

    Where the device has no room for another embedding, those that are kept are forgotten and it
    is tried once more.

    Args:
        max_bytes: Budget; None for what `BUDGET_VARIABLE` says, or `DEFAULT_BYTES`. The newest
            embedding is kept even if it alone is larger.
        at_once: Images that `fill` may compute in one call; 1 for none ahead.

    Attributes:
        at_once: What memory has turned out to allow, never more than was given.

    Raises:
        InvalidRequest: The variable holds no number of MiB.
    """

    def __init__(self, max_bytes: int | None = None, at_once: int = 1) -> None:
        self._max_bytes = budget() if max_bytes is None else max_bytes
        self.at_once = at_once
        self._lock = Lock()
        self._kept: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._under_way: dict[str, Future[torch.Tensor]] = {}

    def __len__(self) -> int:
        """Number of embeddings kept."""
        return len(self._kept)

    @property
    def n_bytes(self) -> int:
        """Bytes that the kept embeddings occupy."""
        with self._lock:
            return self._occupied()

    def get(self, rgb: RGB, compute: Callable[[RGB], torch.Tensor]) -> torch.Tensor:
        """Embedding of an image: remembered, or computed now.

        Args:
            rgb: Image, axes (row, column, channel), uint8.
            compute: Makes the embedding. What it raises reaches every caller that waits for
                this image, and nothing is remembered.
        """
        key = content_key(rgb)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            waiting = self._under_way.get(key)
            if waiting is None:
                ours = self._under_way[key] = Future()
        if waiting is not None:
            return waiting.result()
        return self._compute(key, rgb, compute, ours)

    def fill(
        self, images: Iterable[RGB], compute: Callable[[Sequence[RGB]], list[torch.Tensor]]
    ) -> None:
        """Compute embeddings ahead, `at_once` in one call, until the budget is used up.

        Where memory does not suffice for so many, `at_once` is halved; at 1 the rest is left
        to `get`, which says what is wrong.

        Args:
            images: As for `get`; taken as they are needed.
            compute: Makes one embedding an image.
        """
        coming, made = iter(images), 0
        while self.at_once > 1 and made < self._max_bytes:
            part = list(islice(coming, self.at_once))
            if not part:
                return
            added = self._try_many(part, compute)
            if added is None:
                coming = chain(part, coming)
                self.at_once //= 2
                logger.warning("no memory for %d pictures at once; halving", len(part))
                free_device_memory()
            else:
                made += added

    def _try_many(
        self, images: Sequence[RGB], compute: Callable[[Sequence[RGB]], list[torch.Tensor]]
    ) -> int | None:
        """As `_compute_many`; None where memory does not suffice."""
        try:
            return self._compute_many(images, compute)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _compute_many(
        self, images: Sequence[RGB], compute: Callable[[Sequence[RGB]], list[torch.Tensor]]
    ) -> int:
        """Embed those images that are not known yet; the bytes that this took."""
        ours: dict[str, tuple[RGB, Future[torch.Tensor]]] = {}
        with self._lock:
            for rgb in images:
                key = content_key(rgb)
                if key not in self._kept and key not in self._under_way:
                    ours[key] = (rgb, Future())
                    self._under_way[key] = ours[key][1]
        if not ours:
            return 0
        try:
            found = compute([rgb for rgb, _ in ours.values()])
        except BaseException as error:
            with self._lock:
                for key in ours:
                    del self._under_way[key]
            for _, future in ours.values():
                future.set_exception(error)
            raise
        for (key, (_, future)), embedding in zip(ours.items(), found, strict=True):
            self._keep(key, embedding)
            future.set_result(embedding)
        return sum(embedding.nbytes for embedding in found)

    def clear(self) -> None:
        """Forget everything, to give the memory back."""
        with self._lock:
            self._kept.clear()

    def _compute(
        self,
        key: str,
        rgb: RGB,
        compute: Callable[[RGB], torch.Tensor],
        ours: Future[torch.Tensor],
    ) -> torch.Tensor:
        try:
            embedding = self._with_room(rgb, compute)
        except BaseException as error:
            with self._lock:
                del self._under_way[key]
            ours.set_exception(error)
            raise
        self._keep(key, embedding)
        ours.set_result(embedding)
        return embedding

    def _keep(self, key: str, embedding: torch.Tensor) -> None:
        with self._lock:
            del self._under_way[key]
            self._kept[key] = embedding
            self._drop_oldest()

    def _with_room(self, rgb: RGB, compute: Callable[[RGB], torch.Tensor]) -> torch.Tensor:
        try:
            return compute(rgb)
        except (MemoryError, RuntimeError) as error:
            if not len(self) or not is_out_of_memory(error):
                raise
        # Outside of the handler, which would hold on to the tensors of the failed attempt.
        logger.warning("no memory for another embedding; %d are forgotten", len(self))
        self.clear()
        free_device_memory()
        return compute(rgb)

    def _drop_oldest(self) -> None:
        while self._occupied() > self._max_bytes and len(self._kept) > 1:
            self._kept.popitem(last=False)

    def _occupied(self) -> int:
        return sum(embedding.nbytes for embedding in self._kept.values())


def budget(variable: str = BUDGET_VARIABLE, default: int = DEFAULT_BYTES) -> int:
    """Bytes for what is kept, as the environment says.

    Args:
        variable: Of the environment; those of the embeddings if not given.
        default: Bytes where it is not set.

    Raises:
        InvalidRequest: It says no number of MiB.
    """
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if not text.isdecimal() or len(text) > 9:
        raise InvalidRequest(
            f"{variable} is {text[:20]!r}, which is no number of MiB.",
            f"Set it to a whole number such as 512, or unset {variable}.",
        )
    return int(text) * 2**20


def one_by_one(embeddings: torch.Tensor) -> list[torch.Tensor]:
    """Embeddings of a batch, axes (picture, ...), each with a first axis of 1.

    Each has memory of its own, so that one can be forgotten without the others.
    """
    return [embedding.clone()[None] for embedding in embeddings]


def content_key(rgb: RGB) -> str:
    """Digest of an image's shape, type and pixels."""
    digest = hashlib.blake2b(f"{rgb.shape} {rgb.dtype} ".encode(), digest_size=20)
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()
