"""Speaks to runs as the Slicer extension does, with nothing of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
import SimpleITK as sitk

PATIENCE = 60.0


@dataclass(frozen=True)
class RunClient:
    """One server.

    Attributes:
        url: Its address.
    """

    url: str

    def ask(self, method: str, path: str, body: object = None, **more: Any) -> requests.Response:
        """Send a request below ``/ibisagent``."""
        address = f"{self.url}/ibisagent{path}"
        return requests.request(method, address, json=body, timeout=PATIENCE, **more)

    def start(self, prompt: str, image: str = "head", **fields: Any) -> str:
        answer = self.ask("POST", "/runs", {"image": image, "prompt": prompt, **fields})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["run"])

    def order(self, run: str, what: str, **fields: Any) -> dict[str, Any]:
        answer = self.ask("POST", f"/runs/{run}/{what}", fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def describe(self, run: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"/runs/{run}").json())

    def events(self, run: str, since: int = 0) -> list[dict[str, Any]]:
        """Those that there are."""
        answer = self.ask("GET", f"/runs/{run}/events?since={since}")
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        return [json.loads(line) for line in answer.text.splitlines() if line]

    def follow(self, run: str, since: int = 0) -> Iterator[dict[str, Any]]:
        """Those that come, until the run rests."""
        address = f"{self.url}/ibisagent/runs/{run}/events"
        query = {"since": since, "follow": "true"}
        with requests.get(address, params=query, stream=True, timeout=PATIENCE) as answer:
            assert answer.status_code == 200, answer.text
            for line in answer.iter_lines(chunk_size=1):
                if line:
                    yield json.loads(line)

    def rest(self, run: str) -> dict[str, Any]:
        """Wait until it rests."""
        deadline = time.monotonic() + PATIENCE
        while (described := self.describe(run))["state"] in ("queued", "running"):
            assert time.monotonic() < deadline, described
            time.sleep(0.02)
        return described

    def mask(self, run: str, folder: Path, suffix: str = ".nrrd") -> sitk.Image:
        answer = self.ask("GET", f"/runs/{run}/mask?suffix={suffix}")
        assert answer.status_code == 200, answer.text
        path = folder / f"mask{suffix}"
        path.write_bytes(answer.content)
        return sitk.ReadImage(str(path))

    def marked(self, run: str, folder: Path) -> np.ndarray:
        """The mask, bool, axes (k, j, i)."""
        return sitk.GetArrayFromImage(self.mask(run, folder)) > 0
