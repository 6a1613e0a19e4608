"""The folder that a segmentation leaves behind.

::

    mask.nii.gz         the mask on the image's own grid (or .nrrd, .mha; .png for a 2D image)
    trajectory.json     every turn; of a whole volume, trajectories/slice_0000.json and so on
    carried/            of a volume, what the tool carried from slice to slice, likewise
    film.png            the turns as a picture; of a volume, on the slice with the largest mask
    summary.json        figures: turns, seconds, identities, the answer
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from PIL import Image

from ibisagent import __version__
from ibisagent.agent import Agent
from ibisagent.episode import Author
from ibisagent.errors import InvalidRequest, OutputNotWritable
from ibisagent.film import film_strip
from ibisagent.output import make_folder, write_whole
from ibisagent.segment import SegmentResult
from ibisagent.slices import SliceView
from ibisagent.trajectory import CarriedSlice, Trajectory
from ibisagent.volume import is_picture, write_mask

VOLUME_FORMATS = ("nii.gz", "nrrd", "mha")
PICTURE_FORMATS = ("png", *VOLUME_FORMATS)
"""Formats of a mask; the first one is the default."""

_FILES = ("trajectory.json", "film.png", "summary.json", *(f"mask.{f}" for f in PICTURE_FORMATS))


class ResultFolder:
    """A folder for one result.

    Args:
        path: The folder; made if missing.
        image: What is segmented.
        file_format: Of the mask; empty for the default one.
        force: Whether an earlier result in the folder may be replaced.

    Raises:
        InvalidRequest: A mask of this image cannot be written in this format.
        OutputNotWritable: The folder may not be written to, is a file, or holds a result.
    """

    def __init__(
        self, path: Path, image: sitk.Image, file_format: str = "", force: bool = False
    ) -> None:
        self._path = path
        self._image = image
        self._mask = path / f"mask.{_known(file_format, is_picture(image))}"
        make_folder(path)
        self._clear(force)

    def write(self, result: SegmentResult, view: SliceView, agent: Agent) -> dict[str, Any]:
        """Write everything.

        Args:
            result: What came out.
            view: The image in the plane that was segmented.
            agent: Who did it.

        Returns:
            What ``summary.json`` holds.

        Raises:
            OutputNotWritable: The disk is full, or the folder was closed.
        """
        # In a PNG, a mask of zeros and ones would look black.
        scale = 255 if self._mask.suffix == ".png" else 1
        write_mask(result.mask * np.uint8(scale), self._image, self._mask)
        self._write_trajectories(result)
        shown = max(result.trajectories, key=lambda each: int(each.mask.decode().sum()))
        film = film_strip(shown, view.rgb(shown.slice.index), agent.profile)
        write_whole(self._path / "film.png", png(film))
        summary = summarise(result, agent)
        write_whole(self._path / "summary.json", json.dumps(summary, indent=1).encode("utf-8"))
        return summary

    def _write_trajectories(self, result: SegmentResult) -> None:
        if len(result.trajectories) == 1 and not result.carried:
            result.trajectories[0].save(self._path / "trajectory.json")
            return
        self._write_records("trajectories", result.trajectories)
        if result.carried:
            self._write_records("carried", result.carried)

    def _write_records(self, name: str, records: Sequence[Trajectory | CarriedSlice]) -> None:
        make_folder(self._path / name)
        for each in records:
            file = self._path / name / f"slice_{each.slice.index:04d}.json"
            write_whole(file, each.model_dump_json(indent=1).encode("utf-8"))

    def _clear(self, force: bool) -> None:
        """Remove an earlier result, and only files that a result has."""
        files = [self._path / name for name in _FILES if (self._path / name).exists()]
        for name in ("trajectories", "carried"):
            files += (self._path / name).glob("slice_*.json")
        if files and not force:
            raise OutputNotWritable(
                f"{self._path} holds a result already ({files[0].name}).",
                "Give another folder, or --force to write over it.",
            )
        try:
            for file in files:
                file.unlink()
        except OSError as error:
            raise OutputNotWritable(
                f"{error.filename} could not be removed: {error.strerror}.", "Give another folder."
            ) from error


def summarise(result: SegmentResult, agent: Agent) -> dict[str, Any]:
    """The figures of a result, for JSON."""
    first = result.trajectories[0]
    steps = [step for each in result.trajectories for step in each.steps]
    turns = sum(step.author is Author.AGENT for step in steps)
    seconds = sum(step.policy_seconds + step.tool_seconds for step in steps)
    return {
        "version": __version__,
        "image": first.slice.image,
        "prompt": first.prompt,
        "plane": first.slice.plane,
        "slices": [each.slice.index for each in result.trajectories],
        "carried": [each.slice.index for each in result.carried],
        "answer": result.answer,
        "voxels": int(np.count_nonzero(result.mask)),
        "turns": turns,
        "seconds": round(seconds, 2),
        "seconds_per_turn": round(seconds / max(turns, 1), 2),
        "stop": [each.stop.value if each.stop else None for each in result.trajectories],
        "policy": agent.policy.name,
        "tool": agent.tool.name,
        "profile": agent.profile.name,
    }


def png(picture: Image.Image) -> bytes:
    """A picture as the content of a PNG file."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _known(file_format: str, picture: bool) -> str:
    formats = PICTURE_FORMATS if picture else VOLUME_FORMATS
    name = file_format.strip().lower().lstrip(".") or formats[0]
    if name not in formats:
        raise InvalidRequest(
            f"A mask of this image cannot be written as {file_format!r}.",
            f"Choose one of {', '.join(formats)}.",
        )
    return name
