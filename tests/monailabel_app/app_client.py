"""Speaks to the server as MONAI Label clients do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import SimpleITK as sitk

from demo.server import Server


@dataclass(frozen=True)
class Client:
    """Speaks to the server as MONAI Label clients do: a form with params as JSON text."""

    server: Server
    studies: Path

    @property
    def url(self) -> str:
        return self.server.url

    def ask(self, method: str, address: str, **body: Any) -> requests.Response:
        """Any address, with whatever `requests` takes."""
        return requests.request(method, f"{self.url}{address}", timeout=60, **body)

    def files(self) -> set[str]:
        """What lies in the studies and beside them, but for logs and locks."""
        folder = self.studies.parent
        every = (path for path in folder.rglob("*") if path.suffix not in (".txt", ".lock"))
        return {str(path.relative_to(folder)) for path in every}

    def infer(
        self, image: str = "head", output: str = "json", model: str = "ibisagent", **params: Any
    ) -> requests.Response:
        return self.infer_raw(json.dumps(params), image, output, model)

    def infer_raw(
        self, params: str, image: str = "head", output: str = "json", model: str = "ibisagent"
    ) -> requests.Response:
        return requests.post(
            f"{self.url}/infer/{model}",
            params={"image": image, "output": output},
            files={"params": (None, params)},
            timeout=60,
        )

    def mask(self, path: Path, image: str = "head", **params: Any) -> sitk.Image:
        """The mask of a run, read from the file that the server sent."""
        answer = self.infer(image, "image", **params)
        assert answer.status_code == 200, answer.text
        path.write_bytes(answer.content)
        return sitk.ReadImage(str(path))


def assert_refused(answer: requests.Response, status: int, code: str, *words: str) -> None:
    """An answer with this status and code, a sentence, and a fix; `words` occur in them."""
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert set(detail) == {"code", "message", "fix"}
    assert detail["code"] == code
    assert detail["message"].endswith((".", "'", "}"))
    assert detail["fix"]
    text = f"{detail['message']} {detail['fix']}"
    assert all(word in text for word in words), text
