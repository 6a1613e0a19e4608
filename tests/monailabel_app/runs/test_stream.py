from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from harness.run_studies import ClickOnce, Gated, Place, rest

from ibisagent_app.runs import stream
from ibisagent_app.runs.stream import events


async def numbers(source: AsyncIterator[bytes], most: int = 10**6) -> list[int | None]:
    """Numbers of the events, None for a blank line, until so many lines came."""
    seen: list[int | None] = []
    async for piece in source:
        seen += [json.loads(line)["seq"] if line else None for line in piece.splitlines()]
        if len(seen) >= most:
            await source.aclose()
            break
    return seen


def test_run_at_rest_is_told_whole_and_the_stream_ends(tmp_path: Path) -> None:
    place = Place(tmp_path, ClickOnce())
    run = place.done(slice=8)
    for follow in (False, True):
        assert asyncio.run(numbers(events(place.runs, run, 0, follow))) == list(range(1, 8))
        assert asyncio.run(numbers(events(place.runs, run, 5, follow))) == [6, 7]
        assert asyncio.run(numbers(events(place.runs, run, 99, follow))) == []


def test_without_follow_a_run_at_work_is_told_so_far(tmp_path: Path) -> None:
    policy = Gated(ClickOnce())
    place = Place(tmp_path, policy)
    run = place.start(slice=8)
    policy.wait_until_asked()
    assert asyncio.run(numbers(events(place.runs, run, 0, follow=False))) == [1, 2]
    place.runs.close()


def test_blank_lines_while_nothing_happens_and_each_look_counts_as_watching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.05)
    policy = Gated(ClickOnce())
    place = Place(tmp_path, policy)
    run = place.start(slice=8)
    policy.wait_until_asked()
    run.seen = 0.0
    assert asyncio.run(numbers(events(place.runs, run, 0, follow=True), 4)) == [1, 2, None, None]
    assert run.seen > 0
    place.runs.close()


def test_cut_stream_leaves_no_listener(tmp_path: Path) -> None:
    policy = Gated(ClickOnce())
    place = Place(tmp_path, policy)
    run = place.start(slice=8)
    policy.wait_until_asked()
    asyncio.run(numbers(events(place.runs, run, 0, follow=True), 1))
    assert run.log._listeners == []
    place.runs.close()


def test_stream_ends_when_the_server_does_though_the_run_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "GRACE_SECONDS", 0.1)
    policy = Gated(ClickOnce(), heeds_cancel=False)
    place = Place(tmp_path, policy)
    run = place.start(slice=8)
    policy.wait_until_asked()
    place.runs.close()
    seen = asyncio.run(numbers(events(place.runs, run, 0, follow=True)))
    assert [number for number in seen if number] == [1, 2]
    policy.let_through(9)
    rest(run)


def test_deleted_run_ends_its_stream(tmp_path: Path) -> None:
    place = Place(tmp_path, ClickOnce())
    run = place.done(slice=8)
    place.runs.delete(run.name)
    assert asyncio.run(numbers(events(place.runs, run, 0, follow=True))) == []
