"""Studies of a real Orthanc, end to end. Opt-in: see `harness.orthanc.SWITCH`."""

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
from harness.orthanc import Orthanc, orthanc, orthanc_program
from stock_server import SERVE, StockServer

pytestmark = pytest.mark.slow  # starts two servers of its own

CLICK = "click 0.5 0.5"


@pytest.fixture(scope="module")
def files(data_dir: Path) -> list[Path]:
    folder = data_dir / "dicom_ct3_dcmqi" / "dicom"
    if not folder.is_dir():
        pytest.skip(f"there are no DICOM files at {folder}")
    return sorted(folder.glob("*.dcm"))


@pytest.fixture(scope="module")
def archive(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    program = orthanc_program()
    with orthanc(program, tmp_path_factory.mktemp("orthanc"), files) as running:
        yield running


@pytest.fixture(scope="module")
def series(files: list[Path]) -> str:
    return str(pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)


@pytest.fixture(scope="module")
def hospital(archive: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("hospital")
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    settings = {"MONAI_LABEL_DICOMWEB_CACHE_PATH": str(folder / "cache")}
    conf = {"policy": str(checkpoint), "runs": str(folder / "runs")}
    with StockServer(
        archive.dicomweb, folder / "log.txt", conf, settings=settings, command=SERVE
    ) as server:
        yield Client(server, folder)


def test_series_are_listed(hospital: Client, series: str) -> None:
    sample = requests.post(f"{hospital.url}/activelearning/random", json={}, timeout=60).json()
    assert sample["id"] == series


def test_run_on_a_series_and_its_mask_on_the_grid(
    hospital: Client, series: str, data_dir: Path, tmp_path: Path
) -> None:
    runs = f"{hospital.url}/ibisagent/runs"
    started = requests.post(runs, json={"image": series, "prompt": CLICK, "slice": 1}, timeout=60)
    assert started.status_code == 201, started.text
    run = f"{runs}/{started.json()['run']}"
    events = requests.get(f"{run}/events?follow=true", timeout=60).text.splitlines()
    assert json.loads(events[-1])["event"] == "finished"
    saved = tmp_path / "mask.nrrd"
    saved.write_bytes(requests.get(f"{run}/mask", timeout=60).content)
    mask = sitk.ReadImage(str(saved))
    truth = sitk.ReadImage(str(data_dir / "dicom_ct3_dcmqi" / "labels" / "liver_seg.nrrd"))
    assert mask.GetSize() == truth.GetSize()
    np.testing.assert_allclose(mask.GetSpacing(), truth.GetSpacing(), atol=1e-3)
    assert sitk.GetArrayFromImage(mask)[1].any()


def test_accepted_run_is_a_dicom_seg_in_the_archive(
    hospital: Client, archive: Orthanc, series: str, files: list[Path]
) -> None:
    runs = f"{hospital.url}/ibisagent/runs"
    body = {"image": series, "prompt": CLICK, "slice": 1}
    run = f"{runs}/{requests.post(runs, json=body, timeout=60).json()['run']}"
    _ = requests.get(f"{run}/events?follow=true", timeout=60).content
    before = len(archive.instances("SEG"))
    order = {"tag": "final", "label": "liver"}
    answer = requests.post(f"{run}/accept", json=order, timeout=60)
    assert answer.ok, answer.text
    stored = archive.instances("SEG")
    assert len(stored) == before + 1
    found = pydicom.dcmread(io.BytesIO(stored[-1]))
    assert [segment.SegmentLabel for segment in found.SegmentSequence] == ["liver"]
    of_image = pydicom.dcmread(files[0], stop_before_pixels=True)
    assert found.StudyInstanceUID == of_image.StudyInstanceUID


def test_inference_as_dicom_seg(hospital: Client, series: str) -> None:
    answer = hospital.infer(series, "dicom_seg", prompt=CLICK, slice=1)
    assert answer.status_code == 200, answer.text
    assert pydicom.dcmread(io.BytesIO(answer.content)).Modality == "SEG"


def test_label_sent_by_a_client_goes_to_the_archive(
    hospital: Client, archive: Orthanc, series: str, tmp_path: Path
) -> None:
    mask = hospital.mask(tmp_path / "mask.nrrd", series, prompt=CLICK, slice=1)
    before = len(archive.instances("SEG"))
    params = json.dumps({"label_info": [{"name": "liver"}]})
    with (tmp_path / "mask.nrrd").open("rb") as stream:
        answer = requests.put(
            f"{hospital.url}/datastore/label",
            params={"image": series, "tag": "final"},
            files={"label": ("mask.nrrd", stream), "params": (None, params)},
            timeout=60,
        )
    assert answer.ok, answer.text
    stored = archive.instances("SEG")
    assert len(stored) == before + 1
    marked = int(np.count_nonzero(pydicom.dcmread(io.BytesIO(stored[-1])).pixel_array))
    assert marked == int(sitk.GetArrayFromImage(mask).sum())


def test_series_that_is_not_there(hospital: Client) -> None:
    assert_refused(hospital.infer("1.2.3", prompt=CLICK), 404, "unknown_image", "1.2.3")
