"""Studies from a DICOMweb server: nothing is downloaded from elsewhere, and failures have names.

MONAI Label fetches the program ``itkimage2segimage`` from the internet when it starts, if it is
not on the path, to write DICOM segmentations. Here it is used where it is, and otherwise the
writer in Python (pydicom-seg) that MONAI Label brings along as well.
"""

from __future__ import annotations

import logging
from pathlib import Path
from shutil import which
from threading import RLock
from typing import Any

from monailabel.datastore import dicom
from monailabel.datastore.utils import convert
from monailabel.endpoints import infer
from monailabel.interfaces import app as stock_app

from ibisagent.errors import InvalidRequest
from ibisagent_app.errors import EmptyResult, StudiesUnavailable, UnknownImage

logger = logging.getLogger(__name__)

CONVERTER = "itkimage2segimage"


class DicomStudies(dicom.DICOMWebDatastore):
    """MONAI Label's copy of what it has fetched from a DICOMweb server."""

    _fetching = RLock()
    """Of two who ask for a series at once, the second finds it fetched."""

    def get_image_uri(self, image_id: str) -> str:
        """File of a series, which is fetched if need be; see `Datastore.get_image_uri`.

        Raises:
            UnknownImage: The server has no such series.
            StudiesUnavailable: The server does not answer, or not with images.
        """
        try:
            with self._fetching:
                fetched: str = super().get_image_uri(image_id)
                kept: str = super().get_image_uri(image_id)
        except IndexError as error:  # of an empty list of series
            raise UnknownImage(
                f"There is no series {image_id[:64]!r} on the DICOMweb server.",
                "GET /datastore/?output=all lists the series.",
            ) from error
        except Exception as error:  # of several libraries, each with errors of its own
            raise _away(error) from error
        if fetched != kept:  # the first time it is a copy in the folder for temporary files
            Path(fetched).unlink(missing_ok=True)
        return kept


def _away(error: Exception) -> StudiesUnavailable:
    logger.error("the DICOMweb server failed", exc_info=error)
    return StudiesUnavailable(
        "The DICOMweb server does not answer as it should.",
        "See the log; check its address, and the user name and password in the environment "
        "variables MONAI_LABEL_DICOMWEB_USERNAME and MONAI_LABEL_DICOMWEB_PASSWORD.",
    )


def prepare_dicom() -> None:
    """Let MONAI Label use the class above, and a converter that is there."""
    stock_app.DICOMWebDatastore = DicomStudies
    dicom.nifti_to_dicom_seg = to_dicom_seg
    infer.nifti_to_dicom_seg = to_dicom_seg
    if which(CONVERTER) is None:
        logger.info("%s is not on the path; segmentations are written in Python", CONVERTER)


def to_dicom_seg(series: Any, label: str, label_info: Any, **_: Any) -> str:
    """A DICOM SEG of a label.

    Args:
        series: Folder with the DICOM files of the image.
        label: Image file with whole numbers on the grid of the image.
        label_info: One object a segment, with ``name``; see MONAI Label.

    Returns:
        Path of the DICOM file.

    Raises:
        InvalidRequest: `label_info` is of another form.
        EmptyResult: The label is empty.
    """
    if label_info is not None and not _are_objects(label_info):
        raise InvalidRequest(
            "The field 'label_info' is no list of objects.", 'Send [{"name": "liver"}].'
        )
    use_itk = which(CONVERTER) is not None
    path: str = convert.nifti_to_dicom_seg(series, label, label_info, use_itk=use_itk)
    if not path:
        raise EmptyResult(
            "The mask is empty, and a DICOM SEG cannot say that nothing was found.",
            "Ask for output=json, or for another prompt.",
        )
    return path


def _are_objects(label_info: Any) -> bool:
    return isinstance(label_info, list) and all(isinstance(each, dict) for each in label_info)
