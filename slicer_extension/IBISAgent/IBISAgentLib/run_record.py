"""The events of a run as a text node, so that a saved scene knows the run's whole story."""

from __future__ import annotations

import dataclasses
import json
import logging

import slicer

from .errors import ClientError
from .protocol import Event, read_event

logger = logging.getLogger(__name__)

RECORD_NAME = "IBISAgent record"


def write(
    node: slicer.vtkMRMLTextNode | None, events: list[Event]
) -> slicer.vtkMRMLTextNode | None:
    """Write a run's events, a line each; makes the node where there is none."""
    if node is None or node.GetScene() is None:
        if not events:
            return None
        name = slicer.mrmlScene.GenerateUniqueName(RECORD_NAME)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", name)
        node.SetHideFromEditors(True)
    node.SetText("\n".join(map(_line, events)))
    return node


def read(node: slicer.vtkMRMLTextNode | None) -> list[Event]:
    """The events of a run; empty where there are none, or none of a version that we know."""
    if node is None:
        return []
    try:
        pairs = [read_event(line) for line in (node.GetText() or "").splitlines() if line.strip()]
    except ClientError:
        logger.warning("the scene's record of a run is of another version", exc_info=True)
        return []
    return [event for _, event in pairs if event is not None]


def _line(event: Event) -> str:
    return json.dumps({"event": event.event, **dataclasses.asdict(event)})
