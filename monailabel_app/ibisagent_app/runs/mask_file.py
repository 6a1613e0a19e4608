"""A run's mask as a file: to be sent, or kept as a label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore

from ibisagent.runs.orders import AcceptOrder
from ibisagent.runs.run import Run
from ibisagent.slices import Plane
from ibisagent.volume import write_mask
from ibisagent_app.images import save_mask
from ibisagent_app.segmentation_task import MODEL, empty_file, writable_suffix


def write_temporary(run: Run, suffix: str) -> Path:
    """Write the mask into a temporary file, which the caller deletes.

    Raises:
        InvalidRequest: Masks of this image are not written in this format.
        OutputNotWritable: The disk is full.
    """
    suffix = writable_suffix("suffix", suffix, _is_picture(run))
    path = empty_file(suffix)
    try:
        write_mask(run.mask(), run.facts.geometry.blank(), path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def keep_as_label(run: Run, order: AcceptOrder, user: str, store: Datastore) -> str:
    """Keep the mask in the datastore, as ``/infer`` does; returns the label's identifier.

    Raises:
        OutputNotWritable: The disk is full or the folder closed.
        ImageNotFoundException: The image was deleted.
    """
    path = write_temporary(run, ".png" if _is_picture(run) else ".nrrd")
    facts = run.facts
    name = order.label or facts.request.prompt
    params = {
        "label_names": {name: 1},
        "prompt": facts.request.prompt,
        "answer": run.answer,
        "found": run.found,
        "run": run.name,
        "user": user,
    }
    result: dict[str, Any] = {"file": str(path), "params": params}
    request = {
        "image": facts.request.image,
        "model": MODEL,
        "label_tag": order.tag,
        "label_info": [{"name": name, "idx": 1}],
    }
    try:
        save_mask(result, request, store)
    finally:
        path.unlink(missing_ok=True)
    return str(result["label"])


def _is_picture(run: Run) -> bool:
    return run.facts.plane == Plane.PICTURE.value
