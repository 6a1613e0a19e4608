"""Equal images are embedded once; the budget holds; failures are not remembered."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from ibisagent.errors import InvalidRequest
from ibisagent.tools.base import RGB
from ibisagent.tools.embedding_cache import (
    BUDGET_VARIABLE,
    DEFAULT_BYTES,
    EmbeddingCache,
    budget,
    content_key,
)

KILOBYTE = 1024


class Counting:
    """Embeds an image as its mean in one kilobyte, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, rgb: RGB) -> torch.Tensor:
        self.calls += 1
        return torch.full((KILOBYTE // 4,), float(rgb.mean()))


def image(value: int, shape: tuple[int, int] = (4, 6)) -> RGB:
    return np.full((*shape, 3), value, dtype=np.uint8)


def test_an_equal_copy_is_the_same_image() -> None:
    cache, embed = EmbeddingCache(), Counting()
    first = cache.get(image(3), embed)
    assert cache.get(image(3).copy(), embed) is first
    assert embed.calls == 1


def test_a_changed_pixel_is_another_image() -> None:
    changed = image(3)
    changed[0, 0, 0] = 4
    assert content_key(changed) != content_key(image(3))


def test_the_same_bytes_in_another_shape_are_another_image() -> None:
    assert content_key(image(3, (4, 6))) != content_key(image(3, (6, 4)))


def test_a_view_with_strides_has_the_key_of_its_content() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (8, 5, 3), dtype=np.uint8)
    assert content_key(rgb[::-1]) == content_key(rgb[::-1].copy())
    assert content_key(rgb[::-1]) != content_key(rgb)


def test_the_least_recently_used_is_dropped_first() -> None:
    cache, embed = EmbeddingCache(max_bytes=2 * KILOBYTE), Counting()
    cache.get(image(1), embed)
    cache.get(image(2), embed)
    cache.get(image(1), embed)
    cache.get(image(3), embed)
    assert (len(cache), cache.n_bytes, embed.calls) == (2, 2 * KILOBYTE, 3)
    cache.get(image(1), embed)
    assert embed.calls == 3
    cache.get(image(2), embed)
    assert embed.calls == 4


def test_an_embedding_over_the_budget_is_kept_alone() -> None:
    cache, embed = EmbeddingCache(max_bytes=1), Counting()
    cache.get(image(1), embed)
    cache.get(image(1), embed)
    cache.get(image(2), embed)
    assert (len(cache), embed.calls) == (1, 2)


def test_clear_gives_the_memory_back() -> None:
    cache = EmbeddingCache()
    cache.get(image(1), Counting())
    cache.clear()
    assert (len(cache), cache.n_bytes) == (0, 0)


def test_simultaneous_callers_share_one_computation() -> None:
    cache, calls, release = EmbeddingCache(), Counting(), threading.Event()

    def slow(rgb: RGB) -> torch.Tensor:
        release.wait(10)
        return calls(rgb)

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(cache.get, image(1), slow) for _ in range(4)]
        cache.get(image(2), Counting())  # another image does not wait for the first
        release.set()
        found = [future.result(10) for future in waiting]
    assert calls.calls == 1
    assert all(embedding is found[0] for embedding in found)


def test_a_failure_reaches_the_caller_and_is_not_remembered() -> None:
    cache, embed = EmbeddingCache(), Counting()

    def fail(rgb: RGB) -> torch.Tensor:
        raise MemoryError("full")

    with pytest.raises(MemoryError):
        cache.get(image(1), fail)
    cache.get(image(1), embed)
    assert embed.calls == 1


class Crowded:
    """Runs out of memory while others are kept; `always` after that, too."""

    def __init__(self, cache: EmbeddingCache, error: Exception, always: bool = False) -> None:
        self.cache, self.error, self.always, self.calls = cache, error, always, 0

    def __call__(self, rgb: RGB) -> torch.Tensor:
        self.calls += 1
        if len(self.cache) or self.always:
            raise self.error
        return torch.zeros(1)


OUT_OF_MEMORY = [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_want_of_memory_empties_the_cache_and_is_tried_again(error: Exception) -> None:
    cache = EmbeddingCache()
    cache.get(image(1), Counting())
    crowded = Crowded(cache, error)
    cache.get(image(2), crowded)
    assert (crowded.calls, len(cache)) == (2, 1)


def test_want_of_memory_that_stays_is_told_after_one_more_try() -> None:
    cache = EmbeddingCache()
    cache.get(image(1), Counting())
    crowded = Crowded(cache, MemoryError(), always=True)
    with pytest.raises(MemoryError):
        cache.get(image(2), crowded)
    assert (crowded.calls, len(cache)) == (2, 0)
    with pytest.raises(MemoryError):  # with nothing to forget there is nothing to try
        cache.get(image(3), crowded)
    assert crowded.calls == 3


def test_other_failures_are_not_tried_again() -> None:
    cache = EmbeddingCache()
    cache.get(image(1), Counting())
    crowded = Crowded(cache, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes"):
        cache.get(image(2), crowded)
    assert (crowded.calls, len(cache)) == (1, 1)


def test_budget_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BUDGET_VARIABLE, raising=False)
    assert budget() == DEFAULT_BYTES
    monkeypatch.setenv(BUDGET_VARIABLE, " 3 ")
    assert budget() == 3 * 2**20
    monkeypatch.setenv(BUDGET_VARIABLE, "0")
    cache, embed = EmbeddingCache(), Counting()
    cache.get(image(1), embed)
    cache.get(image(2), embed)
    assert len(cache) == 1


@pytest.mark.parametrize("text", ["much", "-1", "1.5", "9" * 12])
def test_budget_that_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, text)
    with pytest.raises(InvalidRequest, match=BUDGET_VARIABLE):
        EmbeddingCache()


class CountingMany(Counting):
    """Embeds several images; has room for `room` of them."""

    def __init__(self, room: int = 100) -> None:
        super().__init__()
        self.room, self.sizes = room, []

    def many(self, images: Sequence[RGB]) -> list[torch.Tensor]:
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return [self(rgb) for rgb in images]


def test_filled_ahead_in_parts_and_only_what_is_not_known() -> None:
    cache, embed = EmbeddingCache(at_once=2), CountingMany()
    cache.get(image(1), embed)
    cache.fill(map(image, (1, 2, 3, 4, 4)), embed.many)
    assert embed.sizes == [1, 2]
    assert (embed.calls, len(cache)) == (4, 4)
    cache.get(image(4), embed)
    assert embed.calls == 4


def test_filling_halves_where_memory_is_short_and_remembers_it() -> None:
    cache, embed = EmbeddingCache(at_once=8), CountingMany(room=2)
    cache.fill(map(image, range(5)), embed.many)
    assert embed.sizes == [5, 4, 2, 2, 1]
    assert (len(cache), cache.at_once) == (5, 2)


def test_filling_ends_with_the_budget_and_takes_no_more_images() -> None:
    cache, embed = EmbeddingCache(max_bytes=4 * KILOBYTE, at_once=2), CountingMany()
    coming = iter(map(image, range(10)))
    cache.fill(coming, embed.many)
    assert (embed.sizes, len(cache), len(list(coming))) == ([2, 2], 4, 6)


def test_nothing_is_filled_where_one_is_as_good_as_many() -> None:
    embed = CountingMany()
    EmbeddingCache().fill([image(1)], embed.many)
    assert embed.sizes == []


def test_other_failures_of_filling_are_told_and_block_nobody() -> None:
    cache = EmbeddingCache(at_once=2)

    def broken(images: Sequence[RGB]) -> list[torch.Tensor]:
        raise RuntimeError("nonsense")

    with pytest.raises(RuntimeError, match="nonsense"):
        cache.fill([image(1), image(2)], broken)
    assert cache.get(image(1), Counting()).numel()
