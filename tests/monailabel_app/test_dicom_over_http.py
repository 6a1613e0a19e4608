"""Studies from a DICOMweb server: found, segmented, and segmentations sent back as DICOM SEG.

The server is started by `ibisagent serve`, which is seen to do what MONAI Label's command does.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
import SimpleITK as sitk
from app_client import Client, assert_refused
from harness.dicomweb import DicomWeb, dicomweb
from stock_server import SERVE, StockServer

pytestmark = pytest.mark.slow  # starts a server of its own

CLICK = "click 0.5 0.5"
VIEWER = "https://viewer.hospital.org"


@pytest.fixture(scope="module")
def archive(data_dir: Path) -> Iterator[DicomWeb]:
    folder = data_dir / "dicom_ct3_dcmqi" / "dicom"
    if not folder.is_dir():
        pytest.skip(f"there are no DICOM files at {folder}")
    with dicomweb(sorted(folder.glob("*.dcm"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def series(archive: DicomWeb) -> str:
    return str(archive.instances[0].SeriesInstanceUID)


@pytest.fixture(scope="module")
def hospital(archive: DicomWeb, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("hospital")
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    settings = {"MONAI_LABEL_DICOMWEB_CACHE_PATH": str(folder / "cache")}
    arguments = ["--cors-origin", VIEWER]
    conf = {"policy": str(checkpoint)}
    log = folder / "log.txt"
    place = archive.url
    with StockServer(place, log, conf, arguments, settings, command=SERVE) as server:
        yield Client(server, folder)


def test_nothing_is_fetched_from_the_internet(hospital: Client) -> None:
    log = hospital.server.log_tail(1000)
    assert "github.com" not in log
    assert "segmentations are written in Python" in log


def test_series_are_listed(hospital: Client, series: str) -> None:
    answer = requests.get(f"{hospital.url}/datastore/?output=stats", timeout=60)
    assert answer.ok, answer.text
    sample = requests.post(f"{hospital.url}/activelearning/random", json={}, timeout=60).json()
    assert sample["id"] == series


def test_mask_is_on_the_grid_of_the_series(
    hospital: Client, series: str, data_dir: Path, tmp_path: Path
) -> None:
    mask = hospital.mask(tmp_path / "mask.nrrd", series, prompt=CLICK, slice=1)
    truth = sitk.ReadImage(str(data_dir / "dicom_ct3_dcmqi" / "labels" / "liver_seg.nrrd"))
    assert mask.GetSize() == truth.GetSize()
    np.testing.assert_allclose(mask.GetSpacing(), truth.GetSpacing(), atol=1e-3)
    array = sitk.GetArrayFromImage(mask)
    assert array[1].any()
    assert not array[[0, 2]].any()


def test_result_is_dicom_seg(hospital: Client, series: str) -> None:
    fields = {"prompt": CLICK, "slice": 1, "label_info": [{"name": "liver"}]}
    answer = hospital.infer(series, "dicom_seg", **fields)
    assert answer.status_code == 200, answer.text
    found = pydicom.dcmread(io.BytesIO(answer.content))
    assert found.Modality == "SEG"
    assert [segment.SegmentLabel for segment in found.SegmentSequence] == ["liver"]


def test_segment_is_named_by_the_prompt(hospital: Client, series: str) -> None:
    answer = hospital.infer(series, "dicom_seg", prompt=CLICK, slice=1)
    assert answer.status_code == 200, answer.text
    found = pydicom.dcmread(io.BytesIO(answer.content))
    assert [segment.SegmentLabel for segment in found.SegmentSequence] == [CLICK]


def test_empty_mask_is_no_dicom_seg(hospital: Client, series: str) -> None:
    answer = hospital.infer(series, "dicom_seg", prompt="the unicorn")
    assert_refused(answer, 422, "empty_result", "nothing")


def test_accepted_label_goes_to_the_archive(
    hospital: Client, archive: DicomWeb, series: str, tmp_path: Path
) -> None:
    mask = hospital.mask(tmp_path / "mask.nrrd", series, prompt=CLICK, slice=1)
    before = len(archive.instances)
    params = json.dumps({"label_info": [{"name": "liver"}]})
    with (tmp_path / "mask.nrrd").open("rb") as stream:
        answer = requests.put(
            f"{hospital.url}/datastore/label",
            params={"image": series, "tag": "final"},
            files={"label": ("mask.nrrd", stream), "params": (None, params)},
            timeout=60,
        )
    assert answer.ok, answer.text
    (stored,) = archive.instances[before:]
    assert stored.Modality == "SEG"
    assert stored.StudyInstanceUID == archive.instances[0].StudyInstanceUID
    marked = int(np.count_nonzero(stored.pixel_array))
    assert marked == int(sitk.GetArrayFromImage(mask).sum())


def test_series_that_is_not_there(hospital: Client) -> None:
    assert_refused(hospital.infer("1.2.3", prompt=CLICK), 404, "unknown_image", "1.2.3")


def test_archive_that_is_away(hospital: Client, archive: DicomWeb, series: str) -> None:
    archive.away = True
    try:
        answer = hospital.infer("1.2.4", prompt=CLICK)
        assert_refused(answer, 502, "studies_unavailable")
        assert archive.url not in answer.text
        assert hospital.infer(series, prompt=CLICK, slice=1).status_code == 200, "it is fetched"
    finally:
        archive.away = False


def test_proxy_passes_on(hospital: Client, series: str) -> None:
    answer = requests.get(f"{hospital.url}/proxy/dicom/qido/series", timeout=60)
    assert answer.ok, answer.text
    assert series in answer.text


def test_our_own_command_allows_the_pages_it_is_told(hospital: Client) -> None:
    answer = requests.get(f"{hospital.url}/nowhere", headers={"origin": VIEWER}, timeout=60)
    assert_refused(answer, 404, "not_found")
    assert answer.headers["access-control-allow-origin"] == VIEWER
    other = requests.get(
        f"{hospital.url}/info/", headers={"origin": "https://evil.example"}, timeout=60
    )
    assert_refused(other, 403, "foreign_origin")
    assert "No --host was given" not in hospital.server.log_tail(2000)
