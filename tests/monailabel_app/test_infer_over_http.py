"""What a client gets: masks, results, and a server that goes on answering."""

from __future__ import annotations

import json
import tempfile
import threading
import time
import warnings
from email import message_from_bytes
from pathlib import Path

import numpy as np
import pytest
import requests
import SimpleITK as sitk
from app_client import Client
from app_studies import LEFT, RIGHT, blocks, oblique

from ibisagent.trajectory import Trajectory

ON_THE_LEFT = "click 0.75 0.5"
"""In the radiological display the patient's left is on the right of the picture."""


def test_info_lists_the_model_with_its_form(client: Client) -> None:
    info = requests.get(f"{client.url}/info/", timeout=30).json()
    model = info["models"]["ibisagent"]
    assert model["type"] == "segmentation"
    assert model["config"]["prompt"] == ""
    assert model["config"]["plane"] == ["axial", "coronal", "sagittal"]
    assert model["config"]["scope"] == ["slice", "volume"]
    assert model["config"]["max_steps"] == 7
    assert model["labels"] == []
    assert "any text" in info["description"]


def test_description_names_no_folder_of_the_server(client: Client) -> None:
    info = requests.get(f"{client.url}/info/", timeout=30).json()
    assert "checkpoint" in info["description"]
    assert str(client.studies.parent) not in json.dumps(info)


def test_unknown_conf_key_is_warned_of(client: Client) -> None:
    assert "--conf colour is unknown" in client.server.log_tail(1000)


def test_json_result_holds_a_valid_trajectory(client: Client, tmp_path: Path) -> None:
    result = client.infer(prompt=ON_THE_LEFT).json()
    assert result["answer"] == "It is marked."
    assert result["found"] is True
    assert result["label_names"] == {ON_THE_LEFT: 1}
    assert (result["policy"], result["tool"]) == ("obedient", "brightness")
    (record,) = result["trajectory"]
    saved = tmp_path / "trajectory.json"
    saved.write_text(json.dumps(record))
    trajectory = Trajectory.load(saved)
    assert trajectory.slice.image == "head"
    assert [step.action.kind for step in trajectory.steps] == ["positive", "terminate"]


def test_all_is_a_form_of_result_and_mask(client: Client, tmp_path: Path) -> None:
    answer = client.infer(output="all", prompt=ON_THE_LEFT, result_extension=".nii.gz")
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = {
        part.get_param("name", header="content-disposition"): part
        for part in message_from_bytes(head + answer.content).get_payload()
    }
    assert json.loads(parts["params"].get_payload(decode=True))["found"] is True
    assert parts["image"].get_filename().endswith(".nii.gz")


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
@pytest.mark.parametrize("image", ["head", "oblique"])
def test_mask_has_the_geometry_of_the_image(
    client: Client, tmp_path: Path, image: str, suffix: str
) -> None:
    path = tmp_path / f"mask{suffix}"
    mask = client.mask(path, image, prompt=ON_THE_LEFT, result_extension=suffix)
    reference = sitk.ReadImage(str(client.studies / f"{image}.nii.gz"))
    assert mask.GetPixelID() == sitk.sitkUInt8
    assert mask.GetSize() == reference.GetSize()
    for ours, theirs in [
        (mask.GetOrigin(), reference.GetOrigin()),
        (mask.GetSpacing(), reference.GetSpacing()),
        (mask.GetDirection(), reference.GetDirection()),
    ]:
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_mask_is_exactly_what_the_tool_marked(client: Client, tmp_path: Path) -> None:
    mask = client.mask(tmp_path / "mask.nrrd", prompt=ON_THE_LEFT, slice=8)
    expected = np.zeros(blocks().shape, np.uint8)
    expected[8] = blocks()[8] == LEFT
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), expected)


def test_left_is_left_in_an_oblique_mirrored_volume(client: Client, tmp_path: Path) -> None:
    mask = client.mask(tmp_path / "mask.nrrd", "oblique", prompt=ON_THE_LEFT)
    k, j, i = np.argwhere(sitk.GetArrayFromImage(mask)).mean(axis=0)
    size = np.array(oblique().GetSize())
    middle = oblique().TransformContinuousIndexToPhysicalPoint(((size - 1) / 2).tolist())
    found = oblique().TransformContinuousIndexToPhysicalPoint((i, j, k))
    assert found[0] > middle[0] + 5  # LPS: x grows to the patient's left
    marked = blocks()[sitk.GetArrayFromImage(mask) > 0]
    assert set(marked) == {RIGHT}  # the axis is mirrored, so this block lies on the left


@pytest.mark.parametrize(
    ("plane", "slice_", "axis"), [("coronal", 20, 1), ("sagittal", 36, 2), ("axial", 9, 0)]
)
def test_plane_and_slice_may_come_as_text(
    client: Client, tmp_path: Path, plane: str, slice_: int, axis: int
) -> None:
    mask = client.mask(tmp_path / "m.nrrd", prompt=ON_THE_LEFT, plane=plane, slice=str(slice_))
    touched = np.argwhere(sitk.GetArrayFromImage(mask))[:, axis]
    assert set(touched) <= {slice_}


def test_form_of_the_stock_slicer_module_is_accepted(client: Client) -> None:
    model = requests.get(f"{client.url}/info/", timeout=30).json()["models"]["ibisagent"]
    form = {key: v[0] if isinstance(v, list) else v for key, v in model["config"].items()}
    form |= {"prompt": ON_THE_LEFT, "result_extension": ".nrrd", "result_dtype": "uint8"}
    assert client.infer(**form, client_id="slicer").json()["found"] is True


def test_unused_combo_boxes_may_come_as_lists(client: Client) -> None:
    model = requests.get(f"{client.url}/info/", timeout=30).json()["models"]["ibisagent"]
    answer = client.infer(**{**model["config"], "prompt": ON_THE_LEFT})
    (record,) = answer.json()["trajectory"]
    assert record["slice"]["plane"] == "axial"


def test_stock_client_gets_mask_and_result(client: Client, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it parses the form with `cgi`
        from monailabel.client import MONAILabelClient

    stock = MONAILabelClient(client.url, str(tmp_path))
    file, result = stock.infer("ibisagent", "head", {"prompt": ON_THE_LEFT})
    assert Path(file).suffix == ".nrrd"
    assert sitk.GetArrayFromImage(sitk.ReadImage(file)).sum() > 0
    assert result["label_names"] == {ON_THE_LEFT: 1}
    session = stock.create_session(str(client.studies / "head.nii.gz"))["session_id"]
    file, result = stock.infer("ibisagent", "", {"prompt": ON_THE_LEFT}, session_id=session)
    assert result["found"] is True


def test_absent_target_gives_an_empty_mask(client: Client, tmp_path: Path) -> None:
    mask = client.mask(tmp_path / "mask.nrrd", prompt="the unicorn")
    assert sitk.GetArrayFromImage(mask).sum() == 0
    result = client.infer(prompt="the unicorn").json()
    assert (result["found"], result["trajectory"][0]["stop"]) == (False, "not_present")
    assert result["answer"] == "I see nothing of the kind."


def test_nonsense_throughout_gives_an_empty_mask_and_the_reason(
    client: Client, tmp_path: Path
) -> None:
    mask = client.mask(tmp_path / "mask.nrrd", prompt="write nonsense")
    assert sitk.GetArrayFromImage(mask).sum() == 0
    (record,) = client.infer(prompt="write nonsense").json()["trajectory"]
    assert record["stop"] == "malformed"
    assert {step["action"]["kind"] for step in record["steps"]} == {"malformed"}


def test_volume_slice_by_slice(client: Client, tmp_path: Path) -> None:
    fields = {"prompt": ON_THE_LEFT, "scope": "volume", "method": "every_slice"}
    array = sitk.GetArrayFromImage(client.mask(tmp_path / "mask.nrrd", **fields))
    assert (array[5:15] == (blocks()[5:15] == LEFT)).all()


def test_volume_from_key_slices(client: Client, tmp_path: Path) -> None:
    fields = {"prompt": ON_THE_LEFT, "scope": "volume", "slice": 10}
    array = sitk.GetArrayFromImage(client.mask(tmp_path / "mask.nrrd", **fields))
    assert (array[10] == (blocks()[10] == LEFT)).all()
    assert array.any(axis=(1, 2)).sum() > 1


def test_volume_has_a_record_of_every_slice(client: Client) -> None:
    fields = {"prompt": ON_THE_LEFT, "scope": "volume"}
    assert len(client.infer(**fields, method="every_slice").json()["trajectory"]) == 20
    result = client.infer(**fields, clean="largest, holes").json()
    records = result["trajectory"] + result["carried"]
    indices = [record["slice"]["index"] for record in records]
    assert len(indices) == len(set(indices))


@pytest.mark.parametrize("suffix", [".png", ".nrrd"])
def test_picture_study(client: Client, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mask{suffix}"
    mask = client.mask(path, "picture", prompt="click 0.75 0.33", result_extension=suffix)
    expected = np.zeros((60, 80), np.uint8)
    expected[10:30, 50:70] = 1
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask).reshape(60, 80), expected)


def test_picture_ignores_the_plane_that_a_form_always_sends(client: Client) -> None:
    answer = client.infer("picture", prompt="click 0.75 0.33", plane="axial")
    assert answer.json()["trajectory"][0]["slice"]["plane"] == "picture"


def test_mask_and_result_are_kept_when_asked(client: Client) -> None:
    answer = client.infer(prompt=ON_THE_LEFT, save_label=True, label_tag="draft")
    assert answer.status_code == 200, answer.text
    kept = requests.get(
        f"{client.url}/datastore/label", params={"label": "head", "tag": "draft"}, timeout=30
    )
    assert kept.status_code == 200
    info = requests.get(
        f"{client.url}/datastore/label/info", params={"label": "head", "tag": "draft"}, timeout=30
    ).json()
    assert info["model"] == "ibisagent"
    assert info["params"]["answer"] == "It is marked."


def test_image_may_be_sent_along(client: Client) -> None:
    with (client.studies / "head.nii.gz").open("rb") as stream:
        answer = requests.post(
            f"{client.url}/infer/ibisagent?output=json",
            files={
                "params": (None, json.dumps({"prompt": ON_THE_LEFT})),
                "file": ("mine.nii.gz", stream),
            },
            timeout=60,
        )
    assert answer.json()["trajectory"][0]["slice"]["image"] == "upload"


def test_results_leave_no_files_behind(client: Client) -> None:
    pattern = "ibisagent-*"
    folder = Path(tempfile.gettempdir())
    before = set(folder.glob(pattern))
    for output in ("json", "image", "all"):
        assert client.infer(output=output, prompt=ON_THE_LEFT).status_code == 200
    patience = time.monotonic() + 20  # the server deletes a file once it is sent
    while set(folder.glob(pattern)) - before and time.monotonic() < patience:
        time.sleep(0.1)
    assert set(folder.glob(pattern)) <= before


def test_server_answers_while_a_run_is_going(client: Client) -> None:
    done: list[float] = []

    def run() -> None:
        client.infer(prompt="wait 2")
        done.append(time.monotonic())

    runs = [threading.Thread(target=run) for _ in range(2)]
    for thread in runs:
        thread.start()
    time.sleep(0.5)
    assert requests.get(f"{client.url}/info/", timeout=30).ok
    assert client.infer("nowhere", prompt="x").status_code == 404
    answered = time.monotonic()
    for thread in runs:
        thread.join()
    assert answered < min(done), "the run held up other requests"
    assert max(done) - min(done) > 1.5, "two runs used the device at once"


def test_docs_of_the_server_still_work(client: Client) -> None:
    schema = requests.get(f"{client.url}/openapi.json", timeout=30).json()
    assert "/infer/{model}" in schema["paths"]
    assert "/datastore/label" in schema["paths"]
