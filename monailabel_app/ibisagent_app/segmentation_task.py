"""The task behind ``/infer/ibisagent``: an image and a prompt in, a mask and a record out."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import SimpleITK as sitk
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from ibisagent.agent import Agent
from ibisagent.errors import InvalidRequest, OutputNotWritable
from ibisagent.prompts import PromptProfile
from ibisagent.runs.registry import Runs
from ibisagent.segment import SegmentRequest, SegmentResult, segment
from ibisagent.volume import is_picture, read_image, write_mask
from ibisagent_app.errors import named_http_errors
from ibisagent_app.request_fields import RESULT_EXTENSION, client_options, to_request
from ibisagent_app.runs.waited_run import Waited, wait_for_run
from ibisagent_app.shared_agent import SharedAgent

MODEL = "ibisagent"
"""Name of the one model in ``/infer/MODEL``."""

VOLUME_SUFFIXES = (".nrrd", ".nii.gz", ".mha")
PICTURE_SUFFIXES = (*VOLUME_SUFFIXES, ".png")
"""What a client may ask for as ``result_extension``."""


class SegmentationTask(InferTask):
    """Segments by letting the agent look, think and click.

    No transforms and no network of MONAI Label's own take part: the agent is the library's.

    Args:
        agent: Shared by all requests.
        profile: Gives the agent's words; they tell unknown prompts before the agent is waited for.
        max_steps: Most actions on a slice where a request names none.
        description: Shown by clients.
        runs: Of the server: each request is a run that is waited for. None outside of a server,
            as in a process of MONAI Label's own, where requests leave nothing behind.
    """

    def __init__(
        self,
        agent: SharedAgent,
        profile: Callable[[], PromptProfile],
        max_steps: int,
        description: str,
        runs: Runs | None = None,
    ) -> None:
        options = client_options(max_steps)
        # No labels: clients would make an empty segment of each, and run without a prompt.
        super().__init__(InferType.SEGMENTATION, [], 3, description, options)
        self._agent = agent
        self._profile = profile
        self._max_steps = max_steps
        self.runs = runs

    def is_valid(self) -> bool:
        """Whether clients are shown this task; a wrong configuration did not let us start."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Segment.

        Args:
            request: ``image`` (a path), ``image_id`` and the fields of
                `ibisagent_app.request_fields`.

        Returns:
            Path of the mask (uint8, 1 where the target is, geometry of the image), which the
            caller deletes; and the result's parameters, JSON-plain.

        Raises:
            HTTPException: For whatever goes wrong, see `ibisagent_app.errors`.
        """
        with named_http_errors():
            return self._segment(request)

    def _segment(self, fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        began = time.perf_counter()
        request = to_request(fields, self._max_steps)
        self._profile().check_prompt(request.prompt)
        file, name = Path(fields["image"]), str(fields.get("image_id", "upload"))
        image = self.runs.open_image(name, file).image if self.runs else read_image(file)
        asked = fields.get("result_extension")
        suffix = writable_suffix("result_extension", asked, is_picture(image))
        if self.runs is not None:
            waited = wait_for_run(self.runs, request, name, file)
        else:
            waited = self._alone(image, request, name)
        path = empty_file(suffix)
        try:
            write_mask(waited.result.mask, image, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        described = _describe(request, waited.result)
        seconds = round(time.perf_counter() - began, 3)
        of_run = {"run": waited.run} if waited.run else {}
        return str(path), {**described, **waited.identity, **of_run, "seconds": seconds}

    def _alone(self, image: sitk.Image, request: SegmentRequest, name: str) -> Waited:
        with self._agent.use() as agent:
            result = segment(image, request, agent, name)
            return Waited(result, _identity(agent))


def writable_suffix(field: str, asked: object, picture: bool) -> str:
    """How the name of a mask's file ends.

    Args:
        field: Of the request, for the message.
        asked: What it holds; empty for the usual suffix.
        picture: Whether the image is 2D.

    Raises:
        InvalidRequest: Masks are not written in this format.
    """
    suffix = RESULT_EXTENSION if asked in (None, "") else asked
    allowed = PICTURE_SUFFIXES if picture else VOLUME_SUFFIXES
    if suffix not in allowed:
        raise InvalidRequest(
            f"The field {field!r}: this image's mask is not written as {suffix!r}.",
            f"Use one of {', '.join(allowed)}.",
        )
    return str(suffix)


def empty_file(suffix: str) -> Path:
    """A new temporary file.

    Raises:
        OutputNotWritable: None could be made.
    """
    try:
        handle, name = tempfile.mkstemp(suffix=suffix, prefix="ibisagent-")
    except OSError as error:
        raise OutputNotWritable(
            f"No file for the mask could be made: {error.strerror}.",
            "Check free space and permissions of the server's temporary folder.",
        ) from error
    os.close(handle)
    return Path(name)


def _describe(request: SegmentRequest, result: SegmentResult) -> dict[str, Any]:
    return {
        "label_names": {request.prompt: 1},  # the stock clients name segments by it
        "answer": result.answer,
        "found": bool(result.mask.any()),
        "trajectory": [one.model_dump(mode="json") for one in result.trajectories],
        "carried": [one.model_dump(mode="json") for one in result.carried],
    }


def _identity(agent: Agent) -> dict[str, str]:
    return {"policy": agent.policy.name, "tool": agent.tool.name, "profile": agent.profile.name}
