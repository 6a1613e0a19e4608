"""Bad input: status, code, sentence and fix of each, and a server that stays up."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from app_client import Client, assert_refused

CLICK = "click 0.75 0.5"


@pytest.fixture(autouse=True)
def _server_survives(client: Client) -> Any:
    yield
    assert client.infer(prompt=CLICK).status_code == 200


@pytest.mark.parametrize(
    ("image", "status", "code", "word"),
    [
        ("nowhere", 404, "unknown_image", "nowhere"),
        ("empty", 422, "unreadable_image", "empty.nii.gz"),
        ("garbage", 422, "unreadable_image", "garbage.nii.gz"),
        ("four", 422, "unsupported_image", "dimensions"),
        ("colour", 422, "unsupported_image", "colour"),
        ("holes", 422, "non_finite_image", "NaN"),
        ("huge", 413, "oversize_image", "9000"),
    ],
)
def test_image(client: Client, image: str, status: int, code: str, word: str) -> None:
    assert_refused(client.infer(image, prompt=CLICK), status, code, word)


def test_image_that_was_deleted(client: Client) -> None:
    (client.studies / "fleeting.nii.gz").unlink()
    assert_refused(client.infer("fleeting", prompt=CLICK), 404, "unknown_image", "fleeting")


def test_no_image_at_all(client: Client) -> None:
    assert_refused(client.infer("", prompt=CLICK), 422, "invalid_request", "?image=")


def test_expired_session(client: Client) -> None:
    answer = requests.post(
        f"{client.url}/infer/ibisagent?session_id=0000",
        files={"params": (None, json.dumps({"prompt": CLICK}))},
        timeout=30,
    )
    assert_refused(answer, 404, "unknown_image", "session")


@pytest.mark.parametrize(
    "image", ["../head", "..", "/etc/hostname", "a/b", "..\\head", "x" * 300, "a\x00b", "a\nb"]
)
def test_image_that_climbs(client: Client, image: str) -> None:
    assert_refused(client.infer(image, prompt=CLICK), 400, "invalid_identifier", "image")


@pytest.mark.parametrize("tag", ["../../evil", "..", "/etc", ""])
def test_tag_that_climbs(client: Client, tag: str) -> None:
    answer = client.infer(prompt=CLICK, save_label=True, label_tag=tag)
    assert_refused(answer, 400, "invalid_identifier", "label_tag")


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("PUT", "/datastore/image?image=../evil"),
        ("PUT", "/datastore/?image=..%2Fevil"),
        ("PUT", "/datastore/label?image=head&tag=../../evil"),
        ("GET", "/datastore/label?label=..%2f..%2fx&tag=final"),
        ("DELETE", "/datastore/image?id=../head"),
        ("POST", "/infer/ibisagent?image=head&image=../head"),
        ("GET", "/ohif/..%2f..%2f..%2fapp.py"),
    ],
)
def test_stock_addresses_are_guarded_too(client: Client, method: str, address: str) -> None:
    files = {"file": ("x.nii.gz", b"x"), "label": ("x.nii.gz", b"x")} if method == "PUT" else None
    answer = requests.request(method, f"{client.url}{address}", files=files, timeout=30)
    assert_refused(answer, 400, "invalid_identifier")
    assert not list(client.studies.parent.glob("evil*"))


@pytest.mark.parametrize(
    "name", ["image", "model", "device", "policy", "tool", "label", "file", "session", "image_id"]
)
def test_override(client: Client, name: str) -> None:
    answer = client.infer_raw(json.dumps({"prompt": CLICK, name: "/etc/hostname"}))
    assert_refused(answer, 422, "invalid_request", repr(name))


@pytest.mark.parametrize(
    "text", ["{", "prompt", "[1]", '"text"', "3", '{"slice": NaN}', "[" * 9999]
)
def test_params_that_is_no_json_object(client: Client, text: str) -> None:
    assert_refused(client.infer_raw(text), 422, "invalid_request", "params", "object")


def test_params_over_the_limit(client: Client) -> None:
    text = json.dumps({"prompt": "x" * 2**20})
    assert_refused(client.infer_raw(text), 413, "request_too_large", "1 MiB")


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"prompt": 5}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"prompt": "x" * 501}, "prompt"),
        ({"slice": "abc"}, "slice"),
        ({"slice": 1.5}, "slice"),
        ({"slice": -1}, "slice"),
        ({"plane": "oblique"}, "plane"),
        ({"plane": 3}, "plane"),
        ({"plane": "picture"}, "picture"),
        ({"scope": "world"}, "scope"),
        ({"method": "magic"}, "method"),
        ({"clean": "soap"}, "clean"),
        ({"window": "sunny"}, "sunny"),
        ({"window": "40,0"}, "40,0"),
        ({"max_steps": 0}, "max_steps"),
        ({"max_steps": "many"}, "max_steps"),
        ({"max_steps": 51}, "max_steps"),
        ({"save_label": "perhaps"}, "save_label"),
        ({"result_extension": ".exe"}, "result_extension"),
        ({"result_extension": ".png"}, "result_extension"),
        ({"result_extension": {}}, "result_extension"),
        ({"colour": "green"}, "colour"),
    ],
)
def test_field(client: Client, fields: dict[str, Any], name: str) -> None:
    answer = client.infer(**{"prompt": CLICK, **fields})
    assert_refused(answer, 422, "invalid_request", name)


@pytest.mark.parametrize("prompt", ["", "   ", None])
def test_empty_prompt(client: Client, prompt: str | None) -> None:
    assert_refused(client.infer(prompt=prompt), 422, "invalid_request", "prompt is empty")


def test_missing_params(client: Client) -> None:
    answer = requests.post(f"{client.url}/infer/ibisagent?image=head", timeout=30)
    assert_refused(answer, 422, "invalid_request", "prompt is empty")


@pytest.mark.parametrize(("plane", "last"), [("axial", 19), ("coronal", 39), ("sagittal", 47)])
def test_slice_out_of_range(client: Client, plane: str, last: int) -> None:
    answer = client.infer(prompt=CLICK, plane=plane, slice=last + 1)
    assert_refused(answer, 422, "slice_out_of_range", f"0 to {last}")
    assert client.infer(prompt=CLICK, plane=plane, slice=last).status_code == 200


def test_json_body_instead_of_a_form(client: Client) -> None:
    answer = requests.post(
        f"{client.url}/infer/ibisagent?image=head", json={"prompt": CLICK}, timeout=30
    )
    assert_refused(answer, 422, "invalid_request", "application/json", "params")


def test_broken_form(client: Client) -> None:
    answer = requests.post(
        f"{client.url}/infer/ibisagent?image=head",
        data=b"no form",
        headers={"content-type": "multipart/form-data; boundary=x"},
        timeout=30,
    )
    assert_refused(answer, 422, "invalid_request", "form")


def test_unknown_model(client: Client) -> None:
    answer = client.infer(model="deepedit", prompt=CLICK)
    assert_refused(answer, 404, "unknown_model", "deepedit", "ibisagent")


def test_unknown_output(client: Client) -> None:
    assert_refused(client.infer(output="video", prompt=CLICK), 422, "invalid_request", "output")


def test_dicom_output_without_dicom_studies(client: Client) -> None:
    answer = client.infer(output="dicom_seg", prompt=CLICK)
    assert_refused(answer, 422, "invalid_request", "dicom_seg")


def test_starting_mask(client: Client) -> None:
    answer = requests.post(
        f"{client.url}/infer/ibisagent?image=head",
        files={"params": (None, json.dumps({"prompt": CLICK})), "label": ("m.nrrd", b"x")},
        timeout=30,
    )
    assert_refused(answer, 422, "invalid_request", "label")


def test_uploaded_image_that_is_none(client: Client) -> None:
    answer = requests.post(
        f"{client.url}/infer/ibisagent",
        files={"params": (None, json.dumps({"prompt": CLICK})), "file": ("m.nrrd", b"x")},
        timeout=30,
    )
    assert_refused(answer, 422, "unreadable_image")


def test_out_of_memory(client: Client) -> None:
    assert_refused(client.infer(prompt="out of memory"), 503, "tool_out_of_memory", "memory")


def test_policy_that_raises(client: Client) -> None:
    assert_refused(client.infer(prompt="fail"), 500, "policy_failed", "told to fail")


def test_label_that_cannot_be_kept(client: Client) -> None:
    answer = client.infer(prompt=CLICK, save_label=True, label_tag="blocked")
    assert_refused(answer, 507, "output_not_writable", "blocked")


@pytest.mark.parametrize(
    ("header", "value", "status", "code"),
    [
        ("Content-Length", str(2**31), 413, "request_too_large"),
        ("Transfer-Encoding", "chunked", 411, "length_required"),
    ],
)
@pytest.mark.parametrize("address", ["/datastore/image?image=big", "/infer/ibisagent?image=head"])
def test_upload_without_bounds(
    client: Client, address: str, header: str, value: str, status: int, code: str
) -> None:
    connection = http.client.HTTPConnection(urlsplit(client.url).netloc, timeout=30)
    connection.putrequest("PUT" if "datastore" in address else "POST", address)
    connection.putheader(header, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == status
    assert json.loads(answer.read())["detail"]["code"] == code
    connection.close()


def test_no_traceback_and_no_path_reaches_a_client(client: Client) -> None:
    for image in ("garbage", "nowhere", "huge"):
        text = client.infer(image, prompt=CLICK).text
        assert "Traceback" not in text
        assert str(client.studies) not in text
