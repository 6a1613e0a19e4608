"""Clients of runs: one that watches, and many that also drop their connections."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any

import numpy as np
import requests

_TIMEOUT = 600
_DROP = 0.2
"""Share of events after which a client cuts its connection."""


class TooMany(Exception):
    """The server has enough to do."""


class Watcher:
    """Starts runs and reads their events.

    Args:
        url: Of the server.
    """

    def __init__(self, url: str) -> None:
        self._runs = f"{url}/ibisagent/runs"

    def start(self, **fields: Any) -> str:
        """Start a run; returns its identifier.

        Raises:
            TooMany: The server refused it.
        """
        answer = requests.post(self._runs, json=fields, timeout=_TIMEOUT)
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise TooMany
        answer.raise_for_status()
        return str(answer.json()["run"])

    def order(self, run: str, what: str, **fields: Any) -> None:
        """Click, undo, continue or cancel."""
        answer = requests.post(f"{self._runs}/{run}/{what}", json=fields, timeout=_TIMEOUT)
        answer.raise_for_status()

    def follow(self, run: str, since: int = 0) -> Iterator[tuple[dict[str, Any], float]]:
        """Events until the run rests, each with its age in seconds when it arrived."""
        query = {"since": str(since), "follow": "true"}
        address = f"{self._runs}/{run}/events"
        with requests.get(address, params=query, stream=True, timeout=_TIMEOUT) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines(chunk_size=1):
                if line:
                    event = json.loads(line)
                    told = datetime.fromisoformat(event["time"])
                    yield event, (datetime.now(timezone.utc) - told).total_seconds()


class Clients:
    """Several clients at once; each starts runs, clicks, and reconnects after dropping out.

    Args:
        url: Of the server.
        count: Clients.
        seconds: For which new runs are started.
        prompt: Known to the model; it is not asked.

    Attributes:
        runs: Finished.
        events: Received.
        drops: Connections cut.
        refused: Starts refused because the server had enough to do.
        lost: Events that no client received, or received twice.
        failures: What went wrong otherwise.
    """

    def __init__(self, url: str, count: int, seconds: float, prompt: str) -> None:
        self._prompt = prompt
        self._watcher, self._count, self._seconds = Watcher(url), count, seconds
        self._lock = threading.Lock()
        self.runs = self.events = self.drops = self.refused = self.lost = 0
        self.failures: list[str] = []

    def play(self) -> None:
        """Let all of them work until the time is over."""
        until = time.monotonic() + self._seconds
        threads = [
            threading.Thread(target=self._client, args=(number, until))
            for number in range(self._count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, number: int, until: float) -> None:
        dice = random.Random(number)
        while time.monotonic() < until:
            try:
                self._one_run(dice)
            except TooMany:
                with self._lock:
                    self.refused += 1
                time.sleep(dice.uniform(0.2, 1))
            except requests.RequestException as error:
                with self._lock:
                    self.failures.append(str(error)[:200])

    def _one_run(self, dice: random.Random) -> None:
        fields = {"image": "ct", "prompt": self._prompt, "slice": dice.randrange(3)}
        run = self._watcher.start(wait_for_human=True, **fields)
        numbers = self._read(run, 0, dice)
        for _ in range(2):
            self._watcher.order(
                run, "click", index=fields["slice"], x=dice.uniform(0.3, 0.7), y=0.5
            )
            numbers += self._read(run, len(numbers), dice)
        gaps = sum(got != expected for expected, got in enumerate(numbers, start=1))
        with self._lock:
            self.runs += 1
            self.events += len(numbers)
            self.lost += gaps

    def _read(self, run: str, since: int, dice: random.Random) -> list[int]:
        """Numbers of the events until the run rests, over as many connections as it takes."""
        numbers: list[int] = []
        over = False
        while not over:
            for event, _ in self._watcher.follow(run, since + len(numbers)):
                numbers.append(event["seq"])
                over = event["event"] in ("finished", "failed")
                if not over and dice.random() < _DROP:
                    with self._lock:
                        self.drops += 1
                    break
        return numbers


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and largest, with the number of values."""
    values = np.array(seconds)
    return {
        "median": round(float(np.median(values)), 4),
        "p95": round(float(np.percentile(values, 95)), 4),
        "max": round(float(values.max()), 4),
        "n": len(values),
    }
