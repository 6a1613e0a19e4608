from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibisagent.errors import OutputNotWritable
from ibisagent.events import EVENTS, Progressed
from ibisagent.runs.event_log import EventLog


def event(done: int) -> Progressed:
    return Progressed(done=done, left=0)


def numbers(lines: list[str]) -> list[int]:
    return [EVENTS.validate_json(line).seq for line in lines]


@settings(max_examples=60, deadline=None)
@given(actions=st.lists(st.sampled_from(["append", "fail", "reopen", "cut"]), max_size=25))
def test_numbers_have_no_gaps_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str]
) -> None:
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    log = EventLog(path)
    for action in actions:
        if action == "append":
            log.append(event(len(log)))
        elif action == "fail":
            with FullDisk(), pytest.raises(OutputNotWritable):
                log.append(event(len(log)))
        elif action == "reopen":
            log = EventLog(path)
        elif path.is_file():
            path.write_bytes(path.read_bytes()[:-3])  # a kill in the middle of a line
            log = EventLog(path)
        for since in range(len(log) + 1):
            assert numbers(log.lines(since)) == list(range(since + 1, len(log) + 1))
    assert [one.done for one in log.events()] == list(range(len(log)))
    assert log.last is None or log.last.seq == len(log)


class FullDisk:
    """Writes to files end in ENOSPC, after half of what is written."""

    def __enter__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        real = Path.open

        def half(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
            stream = real(path, mode, *rest, **more)
            if "a" not in mode:
                return stream
            write = stream.write

            class Full:
                def __enter__(self) -> Full:
                    return self

                def __exit__(self, *_: object) -> None:
                    stream.close()

                def __getattr__(self, name: str) -> Any:
                    return getattr(stream, name)

                def write(self, data: bytes) -> int:
                    write(data[: len(data) // 2])
                    stream.flush()
                    raise OSError(errno.ENOSPC, "No space left on device")

            return Full()

        self._patch.setattr(Path, "open", half)

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def test_full_disk_is_told_and_what_it_did_not_take_is_written_later(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append(event(0))
    with FullDisk(), pytest.raises(OutputNotWritable, match="No space left"):
        log.append(event(1))
    assert numbers(log.lines()) == [1, 2]
    assert len(EventLog(tmp_path / "events.jsonl")) == 1
    log.append(event(2))
    assert [one.done for one in EventLog(tmp_path / "events.jsonl").events()] == [0, 1, 2]


def test_few_lines_at_a_time(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for done in range(10):
        log.append(event(done))
    assert numbers(log.lines(3, 4)) == [4, 5, 6, 7]
    assert log.lines(10) == []
    assert log.lines(99) == []


def test_listeners_are_called_until_they_are_removed(tmp_path: Path) -> None:
    log, heard = EventLog(tmp_path / "events.jsonl"), []
    remove = log.listen(lambda: heard.append(len(log)))
    log.append(event(0))
    log.append(event(1))
    remove()
    remove()
    log.append(event(2))
    assert heard == [1, 2]


def test_threads_share_the_numbers(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")

    def work() -> None:
        for _ in range(50):
            log.append(event(0))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert numbers(EventLog(tmp_path / "events.jsonl").lines()) == list(range(1, 201))


def test_line_that_is_no_event_ends_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.append(event(0))
    with path.open("ab") as file:
        file.write(b'{"event": "unheard of"}\n')
    again = EventLog(path)
    assert len(again) == 1
    again.append(event(1))
    assert numbers(EventLog(path).lines()) == [1, 2]
