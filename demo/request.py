"""Asks a server for a mask with MONAI Label's own client."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ibisagent.trajectory import Trajectory


class RequestFailed(Exception):
    """The server failed; the message is what it said."""


class RequestRefused(Exception):
    """The server wants another request; the message is what it said."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What came back.

    Attributes:
        mask: File with the mask.
        trajectory: What the agent did on the slice.
        result: All of the result's parameters.
    """

    mask: Path
    trajectory: Trajectory
    result: dict[str, Any]


def ask(url: str, image: str, params: dict[str, Any], folder: Path) -> Answer:
    """Send ``POST /infer/ibisagent`` and wait for the answer.

    Args:
        url: Of the server.
        image: Identifier of the image in the server's datastore.
        params: Fields as documented in ``monailabel_app/README.md``.
        folder: Where the client puts the mask.

    Raises:
        RequestRefused: The image or a field does not fit.
        RequestFailed: The server could not do it, or went away.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it parses the answer with `cgi`
        from monailabel.client.client import MONAILabelClient, MONAILabelClientException
    client = MONAILabelClient(url, str(folder))
    try:
        file, result = client.infer("ibisagent", image, params)
    except MONAILabelClientException as error:
        refused = error.msg.startswith("Status: 4")
        kind = RequestRefused if refused else RequestFailed
        raise kind(_sentences(error.msg)) from error
    except OSError as error:
        raise RequestFailed(f"The server went away: {error}.") from error
    return Answer(Path(file), Trajectory.model_validate(result["trajectory"][0]), result)


def _sentences(message: str) -> str:
    """Message and fix out of ``Status: 422; Response: {"detail": {...}}``."""
    try:
        detail = json.loads(message.partition("Response: ")[2])["detail"]
        return f"{detail['message']} {detail['fix']}"
    except (ValueError, KeyError, TypeError):
        return message
