"""Whether an uploaded label can be a label, before it joins the studies."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from ibisagent.detached import refuse_detached
from ibisagent.errors import UnreadableImage
from ibisagent.volume import MAX_SIDE, MAX_VOXELS

_NRRD, _META = "NrrdImageIO", "MetaImageIO"
_FOLLOWS_NAMES = {".nrrd": _NRRD, ".mha": _META}


def check_label_file(path: Path) -> None:
    """Look at a label's header. Clients write segments as labels, channels or 4D files.

    Args:
        path: The upload, whose suffix tells its format.

    Raises:
        DetachedData: It names other files.
        UnreadableImage: It is no image, or of absurd size.
    """
    if path.suffix in _FOLLOWS_NAMES:
        refuse_detached(path, _FOLLOWS_NAMES[path.suffix])
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size = reader.GetSize()
    except RuntimeError as error:
        raise UnreadableImage(
            "The label could not be read as an image.",
            "Check that the file is whole and is what its suffix says.",
        ) from error
    voxels = 1
    for side in size:
        voxels *= side
    if not 0 < voxels <= MAX_VOXELS or max(size) > MAX_SIDE:
        raise UnreadableImage("The label has an absurd size.", "Export it again.")
