"""A segment on its way to the server, as a label of its volume."""

from __future__ import annotations

import tempfile
from pathlib import Path

import slicer

from .client import Client
from .errors import NothingToDo
from .upload import Snapshot, upload, world_grid

FINAL, START = "final", "start"
"""Tags: what training learns from, and what only a run starts from."""


def snapshot(
    volume: slicer.vtkMRMLScalarVolumeNode | None,
    segmentation: slicer.vtkMRMLSegmentationNode | None,
    segment: str,
) -> tuple[Snapshot, str]:
    """A segment's voxels in the geometry of a volume, and its name.

    Raises:
        NothingToDo: Nothing is chosen, or the segment is empty.
        UnsupportedTransform: The volume's transform bends or shears it.
    """
    parts = segmentation.GetSegmentation() if segmentation is not None else None
    chosen = parts.GetSegment(segment) if parts is not None and segment else None
    if volume is None or chosen is None:
        raise NothingToDo("No segment is chosen.", "Accept a mask first, or choose a segment.")
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment, volume)
    if voxels is None or not voxels.any():
        raise NothingToDo("The segment is empty.", "Choose a segment that holds something.")
    return Snapshot(voxels.astype("uint8"), world_grid(volume)), chosen.GetName()


def send(client: Client, image: Snapshot, label: Snapshot, tag: str, name: str) -> str:
    """Put a label, and its image where the server lacks it; belongs on the worker's thread.

    Args:
        client: Of the server.
        image: The volume.
        label: Of the same geometry.
        tag: FINAL or START.
        name: Of the structure.

    Returns:
        `name`.
    """
    identifier = upload(client, image)
    with tempfile.TemporaryDirectory(prefix="ibisagent-") as folder:
        path = Path(folder) / "label.nrrd"
        label.write(path, compress=True)
        client.put_label(identifier, path, tag, name)
    return name
