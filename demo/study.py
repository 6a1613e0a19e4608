"""What the demo segments: a template that comes with a package, or the user's own image."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ibisagent.errors import MissingPackage
from ibisagent.volume import is_picture, read_image

DEFAULT_PROMPT = "the brain"

_T1 = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
_GREY = "mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz"
_WHITE = "mni_icbm152_wm_tal_nlin_sym_09a_converted.nii.gz"
_SLICE = 107
"""The best of 24; on most slices the agent marks a small part of the brain only."""
_HALF = 127
"""The tissue maps hold 0 to 255 for a probability of 0 to 1."""

_SERVED = (".nii.gz", ".nii", ".nrrd", ".jpg", ".png", ".tif")
"""What MONAI Label finds in a folder of studies; other formats are converted."""


@dataclass(frozen=True, eq=False)
class Study:
    """An image to segment.

    Attributes:
        source: The file.
        image: Its content.
        name: Identifier in the server's datastore.
        title: For people.
        slice: Axial slice to look at; None for the middle one.
        reference: The true mask, axes (k, j, i) of the image; None where nobody knows it.
    """

    source: Path
    image: sitk.Image
    name: str
    title: str
    slice: int | None = None
    reference: NDArray[np.bool_] | None = None

    def copy_to(self, folder: Path) -> None:
        """Put the image where the server looks for studies."""
        suffix = next((s for s in _SERVED if self.source.name.lower().endswith(s)), "")
        if suffix and self.source.is_file():
            shutil.copyfile(self.source, folder / f"{self.name}{suffix}")
        else:
            sitk.WriteImage(self.image, str(folder / f"{self.name}.nrrd"))


def template() -> Study:
    """The MNI152 T1 template of nilearn, with the brain made from its tissue maps.

    The slice lies low in the head. Through its middle, the embedded tool takes what is even around
    the click, a gyrus or a nucleus, for the target.

    Raises:
        MissingPackage: nilearn is not installed.
    """
    folder = _nilearn_data()
    image = read_image(folder / _T1)
    brain = _brain(folder)
    return Study(folder / _T1, image, "mni152_t1", "MNI152 T1 template", _SLICE, brain)


def own_image(path: Path) -> Study:
    """The user's image, of which no reference is known.

    Raises:
        IBISAgentError: Whatever `read_image` refuses.
    """
    image = read_image(path)
    name = re.sub(r"[^\w-]+", "_", path.name.split(".")[0]).strip("_") or "image"
    kind = "picture" if is_picture(image) else "volume"
    return Study(path, image, name, f"{kind} {path.name}")


def _nilearn_data() -> Path:
    found = find_spec("nilearn")  # importing it would load scikit-learn
    if found is None or not found.submodule_search_locations:
        raise MissingPackage(
            "nilearn, which brings the demo's image, is not installed.",
            "Run `make demo`, or: pip install 'ibisagent[demo]'.",
        )
    return Path(found.submodule_search_locations[0]) / "datasets" / "data"


def _brain(folder: Path) -> NDArray[np.bool_]:
    """Grey and white matter, with what they enclose (ventricles, vessels)."""
    maps = [sitk.GetArrayFromImage(read_image(folder / name)) for name in (_GREY, _WHITE)]
    tissue = np.asarray(maps[0], dtype=int) + maps[1] > _HALF
    closed = ndimage.binary_closing(tissue, iterations=2)
    return np.stack([ndimage.binary_fill_holes(plane) for plane in closed])
