"""A real server whose app is the real one but for the segmentation tool, which is quick.

The app lives in a folder of its own, so that what it releases does not stay in the repository.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from demo.server import APP, Server

OBEDIENT = Path(__file__).resolve().parents[1] / "obedient_app"

MAIN = """
import importlib.util
import sys

import ibisagent.agent
import ibisagent.tools

sys.path[:0] = [{app!r}, {obedient!r}]
from obedient import BrightnessTool

for module in (ibisagent.agent, ibisagent.tools):
    module.load_tool = lambda spec="", device="": BrightnessTool()

spec = importlib.util.spec_from_file_location("real_main", {app!r} + "/main.py")
real_main = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real_main)
IBISAgentApp = real_main.IBISAgentApp
"""


def write_app(folder: Path) -> Path:
    folder.mkdir()
    (folder / "main.py").write_text(MAIN.format(app=str(APP), obedient=str(OBEDIENT)))
    return folder


@dataclass
class Trainings:
    """Speaks to the server about training."""

    server: Server
    app: Path
    studies: Path

    def call(self, method: str, address: str, **more: Any) -> requests.Response:
        return requests.request(method, f"{self.server.url}{address}", timeout=120, **more)

    def report(self) -> dict[str, Any]:
        answer = self.call("GET", "/ibisagent/training")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def start(self, task: str, **options: Any) -> requests.Response:
        return self.call("POST", f"/train/{task}", json=options)

    def wait(self, until: Callable[[dict[str, Any]], bool], seconds: float = 900) -> dict[str, Any]:
        """Ask until something is so; fails with what was last told."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            report = self.report()
            if until(report):
                return report
            time.sleep(0.3)
        raise AssertionError(f"waited {seconds} s; at last: {report}\n{self.server.log_tail()}")

    def wait_for_end(self, seconds: float = 900) -> dict[str, Any]:
        return self.wait(lambda report: not report["running"], seconds)

    def infer(self, prompt: str, image: str) -> requests.Response:
        params = f'{{"prompt": "{prompt}"}}'
        query = {"image": image, "output": "json"}
        return self.call("POST", "/infer/ibisagent", params=query, files={"params": (None, params)})
