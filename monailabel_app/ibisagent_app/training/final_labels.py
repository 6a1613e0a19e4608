"""The accepted labels of a datastore, and what is in them.

The local datastore and the DICOMweb one are asked through the same interface, with one
difference: a label on a DICOMweb server goes by the name of its own series.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from pydicom import dcmread

from ibisagent.errors import IBISAgentError
from ibisagent.volume import read_image
from ibisagent_app.training.grid import check_same_grid
from ibisagent_app.training.label_names import names_of_values
from ibisagent_app.training.refusals import UnnamedLabel

logger = logging.getLogger(__name__)

FINAL = DefaultLabelTag.FINAL.value
"""Tag under which clients submit what they accept."""

_UNKNOWN = ("", "UNK", "None")
"""What MONAI Label writes where a DICOM server names no patient."""


@dataclass(frozen=True)
class Study:
    """An image and its accepted label.

    Attributes:
        name: Identifier of the image in the datastore.
        subject: Who is on it, as far as is known; else the image's identifier.
        image: File, or folder of one DICOM series.
        label: File of the label image.
        names: Value in the label image -> name.
        marked: Names of what this label marks.
    """

    name: str
    subject: str
    image: Path
    label: Path
    names: Mapping[int, str]
    marked: frozenset[str]


def final_images(datastore: Datastore) -> list[str]:
    """Identifiers of images with an accepted label, sorted; reads no file.

    Of a DICOMweb server, those that this machine knows: MONAI Label remembers its answers for
    hours, and what was accepted a minute ago would be missing.
    """
    if isinstance(datastore, DICOMWebDatastore):
        return sorted(LocalDatastore.get_labeled_images(datastore, FINAL))
    return sorted(datastore.get_labeled_images(FINAL))


def subject_of_image(datastore: Datastore, name: str) -> str:
    """The patient as the datastore knows it; the image's own name where it does not."""
    patient = str(datastore.get_image_info(name).get("PatientID") or "").strip()
    return name if patient in _UNKNOWN else patient


def final_studies(datastore: Datastore) -> Iterator[Study]:
    """The accepted studies, each checked; label images are read on the way.

    Raises:
        UnnamedLabel: A label marks something without a name.
        LabelMisfit: A label is not on the grid of its image.
        UnreadableImage: An image or a label is damaged.
        UnsupportedImage: A label is in colour or holds overlapping segments.
    """
    if isinstance(datastore, DICOMWebDatastore):
        datastore.datalist()  # fetches what the server has and this machine has not
    for name in final_images(datastore):
        yield _study(datastore, name)


def final_studies_that_fit(datastore: Datastore) -> Iterator[Study]:
    """As `final_studies`, but what is wrong with a study is logged and the study left out."""
    if isinstance(datastore, DICOMWebDatastore):
        datastore.datalist()
    for name in final_images(datastore):
        try:
            yield _study(datastore, name)
        except IBISAgentError as error:
            logger.warning("the label of %s is left out: %s", name, error)


def _study(datastore: Datastore, name: str) -> Study:
    label_id = datastore.get_label_by_image_id(name, FINAL)
    info = datastore.get_label_info(label_id, FINAL)
    label = _label_file(datastore, name, label_id, info)
    image = Path(datastore.get_image_uri(name))
    check_same_grid(name, image, label)
    stat = label.stat()
    values = _values(label, stat.st_mtime_ns, stat.st_size)
    if values is None:
        raise UnnamedLabel(
            f"The label of {name} holds values that are no label numbers.",
            "Submit a label image of whole numbers, 0 where nothing is marked.",
        )
    names = names_of_values(name, info, values, _names_in_file(label, info))
    marked = frozenset(names[value] for value in values)
    return Study(name, subject_of_image(datastore, name), image, label, names, marked)


def _label_file(datastore: Datastore, name: str, label_id: str, info: Mapping[str, Any]) -> Path:
    if isinstance(datastore, DICOMWebDatastore):
        series = str(info.get("SeriesInstanceUID") or label_id)
        return Path(datastore.get_label_uri(series, FINAL, name))
    return Path(datastore.get_label_uri(label_id, FINAL))


@lru_cache(maxsize=1000)
def _values(label: Path, _changed: int, _size: int) -> tuple[int, ...] | None:
    """What a label image marks; None for values that are no labels. Large ones load slowly."""
    values = np.unique(sitk.GetArrayFromImage(read_image(label)))
    if not np.array_equal(values, np.rint(values)) or values.min() < 0:
        return None
    return tuple(int(value) for value in values if value > 0)


def _names_in_file(label: Path, info: Mapping[str, Any]) -> dict[int, str]:
    """Names of segments that the label's own file holds: of a DICOM SEG, or a .seg.nrrd."""
    series = str(info.get("SeriesInstanceUID") or "")
    files = sorted((label.parent / series).glob("*.dcm")) if series else []
    if files:
        segments = dcmread(files[0], stop_before_pixels=True).get("SegmentSequence") or ()
        return {int(one.SegmentNumber): str(one.SegmentLabel) for one in segments}
    return _names_in_nrrd(label) if label.suffix == ".nrrd" else {}


def _names_in_nrrd(label: Path) -> dict[int, str]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(label))
    reader.ReadImageInformation()
    texts = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    ends = ("_LabelValue", "_Name")
    segments = [key.removesuffix(ends[0]) for key in texts if key.endswith(ends[0])]
    return {int(texts[key + ends[0]]): texts.get(key + ends[1], "") for key in segments}
