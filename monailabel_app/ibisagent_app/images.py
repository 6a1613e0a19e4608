"""Where an image of a request is, and where its mask is kept."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.utils.sessions import Sessions

from ibisagent.errors import OutputNotWritable
from ibisagent_app.errors import UnknownImage
from ibisagent_app.identifiers import check_identifier


@dataclass(frozen=True)
class Image:
    """An image on this server's disk.

    Attributes:
        path: Where it is.
        name: Its identifier in the datastore; ``upload`` for one that was sent along.
        in_datastore: Whether a mask can be kept with it.
    """

    path: Path
    name: str
    in_datastore: bool


def find_image(image_id: str, store: Datastore, sessions: Sessions | None) -> Image:
    """An image of the datastore by its identifier, or one that was just uploaded.

    Args:
        image_id: Identifier, or the path under which MONAI Label has put an upload or keeps a
            session's image.
        store: The studies.
        sessions: Where sessions keep their images; None where they are switched off.

    Raises:
        UnknownImage: Neither.
    """
    path = Path(image_id)
    if path.is_absolute() and path.exists() and _is_upload(path, sessions):
        return Image(path, "upload", in_datastore=False)
    listed = Path(store.get_image_uri(image_id) if image_id and not path.is_absolute() else "")
    if listed.is_absolute() and listed.exists():  # it may be gone since the server listed it
        return Image(listed, image_id, in_datastore=True)
    raise UnknownImage(
        f"There is no image {path.name!r} on this server."
        if image_id
        else "The request names no image, or its session has expired.",
        "GET /datastore/?output=all lists the images; PUT /datastore/image adds one.",
    )


def _is_upload(path: Path, sessions: Sessions | None) -> bool:
    folders = [Path(tempfile.gettempdir())]
    if sessions is not None:
        folders.append(Path(sessions.store_path))
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)


def save_mask(result: dict[str, Any], request: Mapping[str, Any], store: Datastore) -> None:
    """Keep a result's mask and its parameters in the datastore, as MONAI Label does.

    Args:
        result: Of `MONAILabelApp.infer`; its ``label`` becomes the label's identifier.
        request: Has ``image`` (the identifier), ``model`` and, if wished, ``label_tag``.
        store: The studies.

    Raises:
        InvalidIdentifier: The tag could reach outside its folder.
        OutputNotWritable: The disk is full or the folder closed.
    """
    tag = check_identifier("label_tag", str(request.get("label_tag") or DefaultLabelTag.ORIGINAL))
    info = {"model": request["model"], "params": result["params"]}
    try:
        result["label"] = store.save_label(request["image"], result["file"], tag, info)
    except (OSError, shutil.Error) as error:
        Path(result["file"]).unlink(missing_ok=True)
        raise OutputNotWritable(
            f"The mask could not be kept under the tag {tag!r}.",
            "Check free space and permissions of the studies folder.",
        ) from error
    result["tag"] = tag
