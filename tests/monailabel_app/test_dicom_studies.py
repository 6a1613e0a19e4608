from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from monailabel.datastore.dicom import DICOMWebDatastore

from ibisagent.errors import InvalidRequest
from ibisagent_app.dicom_studies import DicomStudies, to_dicom_seg
from ibisagent_app.errors import EmptyResult, StudiesUnavailable, UnknownImage

# It imports MONAI Label's routes, which takes as long as a server's start.
pytestmark = pytest.mark.slow


@pytest.fixture
def series(data_dir: Path) -> Path:
    folder = data_dir / "dicom_ct3_dcmqi" / "dicom"
    if not folder.is_dir():
        pytest.skip(f"there are no DICOM files at {folder}")
    return folder


def label(series: Path, place: Path, slices: tuple[int, ...]) -> str:
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(series))
    image = sitk.ReadImage(files)
    array = np.zeros(sitk.GetArrayViewFromImage(image).shape, np.uint8)
    array[list(slices), 100:200, 50:80] = 1
    mask = sitk.GetImageFromArray(array)
    mask.CopyInformation(image)
    sitk.WriteImage(mask, str(place))
    return str(place)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_segmentation_lies_where_the_label_does(series: Path, tmp_path: Path, suffix: str) -> None:
    file = label(series, tmp_path / f"label{suffix}", (1,))
    written = pydicom.dcmread(to_dicom_seg(series, file, [{"name": "liver"}]))
    Path(written.filename).unlink()
    assert written.SegmentSequence[0].SegmentLabel == "liver"
    frames = written.pixel_array.reshape(-1, 512, 512)
    places = [
        float(each.PlanePositionSequence[0].ImagePositionPatient[2])
        for each in written.PerFrameFunctionalGroupsSequence
    ]
    (place,) = {place for place, frame in zip(places, frames, strict=True) if frame.any()}
    assert place == pytest.approx(-127.69, abs=0.01)
    (frame,) = (frame for frame in frames if frame.any())
    assert frame[100:200, 50:80].all()
    assert frame.sum() == 100 * 30


def test_empty_label(series: Path, tmp_path: Path) -> None:
    with pytest.raises(EmptyResult):
        to_dicom_seg(series, label(series, tmp_path / "label.nrrd", ()), [{"name": "liver"}])


@pytest.mark.parametrize("label_info", ["liver", ["liver"], {"name": "liver"}, 3])
def test_names_of_another_form(tmp_path: Path, label_info: Any) -> None:
    with pytest.raises(InvalidRequest, match="label_info"):
        to_dicom_seg(tmp_path, "label.nrrd", label_info)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (IndexError("list index out of range"), UnknownImage),
        (ConnectionError("refused"), StudiesUnavailable),
        (RuntimeError("no images"), StudiesUnavailable),
        (KeyError("0020000E"), StudiesUnavailable),
    ],
)
def test_failures_have_names(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    def fail(*_: object) -> str:
        raise error

    monkeypatch.setattr(DICOMWebDatastore, "get_image_uri", fail)
    store = DicomStudies.__new__(DicomStudies)  # without a server to ask
    with pytest.raises(kind):
        store.get_image_uri("1.2.3")


def test_copy_in_the_temporary_folder_is_deleted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, kept = tmp_path / "first.nii.gz", tmp_path / "kept.nii.gz"
    for path in (first, kept):
        path.write_bytes(b"x")
    answers = [str(first), str(kept), str(kept), str(kept)]
    monkeypatch.setattr(DICOMWebDatastore, "get_image_uri", lambda *_: answers.pop(0))
    store = DicomStudies.__new__(DicomStudies)
    assert store.get_image_uri("1.2.3") == store.get_image_uri("1.2.3") == str(kept)
    assert not first.exists()
    assert kept.exists()
