"""MONAI Label's own addresses: what each refuses, in which form, and that the rest works."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import SimpleITK as sitk
from app_client import Client, assert_refused
from app_studies import blocks, head_file

CLICK = "click 0.75 0.5"
LONG = "x" * 201


@pytest.fixture(autouse=True)
def _server_survives(client: Client) -> Any:
    yield
    assert requests.get(f"{client.url}/info/", timeout=30).ok


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    return head_file(tmp_path)


ADDRESSES_WITH_IMAGE = [
    ("GET", "/datastore/image?image={}"),
    ("HEAD", "/datastore/image?image={}"),
    ("GET", "/datastore/image/info?image={}"),
    ("PUT", "/datastore/?image={}"),
    ("PUT", "/datastore/image?image={}"),
    ("PUT", "/datastore/image/info?image={}"),
    ("PUT", "/datastore/label?image={}"),
    ("PUT", "/datastore/label?image=head&tag={}"),
    ("HEAD", "/datastore/label?image={}&tag=final"),
    ("GET", "/datastore/label?label={}&tag=final"),
    ("GET", "/datastore/label?label=head&tag={}"),
    ("GET", "/datastore/label/info?label={}&tag=final"),
    ("PUT", "/datastore/label/info?label=head&tag={}"),
    ("PUT", "/datastore/updatelabelinfo?label={}&tag=final"),
    ("DELETE", "/datastore/?id={}"),
    ("DELETE", "/datastore/image?id={}"),
    ("DELETE", "/datastore/label?id={}&tag=final"),
    ("DELETE", "/datastore/label?id=head&tag={}"),
    ("POST", "/infer/ibisagent?image={}"),
    ("POST", "/infer/ibisagent?session_id={}"),
    ("POST", "/infer/wsi/ibisagent?image={}"),
    ("POST", "/infer/wsi_v2/ibisagent?image={}"),
    ("POST", "/infer/wsi_v2/ibisagent?session_id={}"),
]


@pytest.mark.parametrize(("method", "address"), ADDRESSES_WITH_IMAGE)
@pytest.mark.parametrize(
    "name",
    ["%2Fetc%2Fpasswd", "..%2F..%2Fx", "..", "...", "a%00b", "a%0Ab", "a%5Cb", LONG, "%7F"],
)
def test_names_that_reach_elsewhere(
    client: Client, method: str, address: str, name: str, image: bytes
) -> None:
    before = client.files()
    body = {"files": {"file": ("x.nii.gz", image), "label": ("x.nii.gz", image)}}
    answer = client.ask(method, address.format(name), **(body if method == "PUT" else {}))
    if method == "HEAD":
        assert answer.status_code == 400
    else:
        assert_refused(answer, 400, "invalid_identifier")
    assert client.files() == before


@pytest.mark.parametrize(
    "path",
    [
        "/session/..%5C..%5Cx",
        "/session/%00",
        f"/session/{LONG}",
        f"/model/{LONG}",
        "/ohif/..%2F..%2Fapp.py",
        "/ohif/C:%5CWindows%5Cwin.ini",
        "/proxy/dicom/wado/..%2Fx",
        "/static/..%2Fapp.py",
        f"/scoring/{LONG}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_addresses_that_climb(client: Client, method: str, path: str) -> None:
    assert_refused(client.ask(method, path), 400, "invalid_identifier")


@pytest.mark.parametrize(
    ("method", "address", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("PATCH", "/info/", 405, "method_not_allowed"),
        ("GET", "/datastore/image", 422, "invalid_request"),
        ("GET", "/datastore/image?image=nowhere", 404, "not_found"),
        ("GET", "/datastore/label?label=nowhere&tag=final", 404, "not_found"),
        ("DELETE", "/datastore/image?id=nowhere", 404, "unknown_image"),
        ("GET", "/datastore/dataset", 404, "unknown_label"),
        ("GET", "/datastore/dataset?limit_cases=0", 422, "invalid_request"),
        ("GET", "/datastore/?output=secrets", 422, "invalid_request"),
        ("GET", "/session/nowhere", 404, "not_found"),
        ("DELETE", "/session/nowhere", 404, "not_found"),
        ("GET", "/model/ibisagent", 404, "not_found"),
        ("GET", "/model/info/ibisagent", 404, "not_found"),
        ("PUT", "/model/ibisagent", 404, "not_served"),
        ("DELETE", "/model/ibisagent", 404, "not_served"),
        ("POST", "/reload", 404, "not_served"),
        ("POST", "/infer/wsi/ibisagent?image=head", 404, "not_served"),
        ("POST", "/infer/wsi_v2/ibisagent?image=head", 404, "not_served"),
        ("GET", "/proxy/dicom/wado/studies", 404, "not_served"),
        ("POST", "/proxy/dicom/stow/studies", 404, "not_served"),
        ("GET", "/logs/?lines=many", 422, "invalid_request"),
        ("POST", "/batch/infer/deepedit", 404, "unknown_model"),
        ("GET", "/batch/infer", 404, "not_found"),
        ("GET", "/scoring/", 404, "not_found"),
        ("POST", "/scoring/magic", 404, "unknown_task"),
    ],
)
def test_what_is_not_there(
    client: Client, method: str, address: str, status: int, code: str
) -> None:
    assert_refused(client.ask(method, address), status, code)


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", "/datastore/image?image=head&imge=x"),
        ("GET", "/info/?verbose=1"),
        ("POST", "/infer/ibisagent?image=head&prompt=liver"),
        ("PUT", "/datastore/label?image=head&tags=final"),
        ("PUT", "/session/?expire=3"),
        ("GET", "/logs/?line=3"),
    ],
)
def test_unknown_field_of_the_query_is_named(client: Client, method: str, address: str) -> None:
    name = address.rpartition("&" if "&" in address else "?")[2].partition("=")[0]
    assert_refused(client.ask(method, address), 422, "invalid_request", repr(name))


def test_unknown_field_of_a_form_is_named(client: Client) -> None:
    answer = client.ask("POST", "/infer/ibisagent?image=head", data={"prompt": "the liver"})
    assert_refused(answer, 422, "invalid_request", "'prompt'", "params")
    answer = client.ask("PUT", "/datastore/image", files={"image": ("x.png", b"x")})
    assert_refused(answer, 422, "invalid_request", "'image'", "file")


@pytest.mark.parametrize("text", ["{", "[1]", "3", '{"a": NaN}'])
@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("/datastore/image/info?image=head", "info"),
        ("/datastore/label/info?label=head&tag=final", "info"),
    ],
)
def test_information_that_is_no_object(client: Client, address: str, field: str, text: str) -> None:
    answer = client.ask("PUT", address, data={field: text})
    assert answer.status_code in (404, 422)  # there may be no such label
    assert set(answer.json()["detail"]) == {"code", "message", "fix"}


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("SHA256:" + "0" * 64, True),
        ("0" * 64, True),
        ("CRC:" + "0" * 64, False),
        ("SHA256:../x", False),
        ("", False),
    ],
)
def test_check_sum(client: Client, value: str, good: bool) -> None:
    answer = client.ask("HEAD", f"/datastore/image?image=head&check_sum={value}")
    assert answer.status_code == (404 if good else 422)  # a good one, but of another file


@pytest.mark.parametrize(
    ("params", "status", "name"),
    [
        ({"bundle_path": "/tmp"}, 422, "bundle_path"),
        ({"model": "other"}, 422, "model"),
        ({"image": "/etc/hostname"}, 422, "image"),
        ({"images": ["/etc/hostname"]}, 422, "images"),
        ({"promt": "x"}, 422, "promt"),
        ({"label_tag": "../x"}, 400, "label_tag"),
        ({"gpus": "0;rm"}, 422, "gpus"),
        ({"max_workers": 10**6}, 422, "max_workers"),
        ({"max_batch_size": "all"}, 422, "max_batch_size"),
        ({"slice": "abc"}, 422, "slice"),
        ({"prompt": ""}, 422, "prompt"),
    ],
)
def test_batch(client: Client, params: dict[str, Any], status: int, name: str) -> None:
    fields = {"prompt": CLICK, **params}
    answer = client.ask("POST", "/batch/infer/ibisagent", json=fields)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert name in detail["message"]
    assert detail["fix"]
    assert client.ask("GET", "/batch/infer").status_code == 404, "nothing was started"


@pytest.mark.parametrize("body", ["{", "[1]", '"x"'])
@pytest.mark.parametrize("address", ["/batch/infer/ibisagent", "/scoring/", "/scoring/dice"])
def test_body_that_is_no_object(client: Client, address: str, body: str) -> None:
    kind = {"content-type": "application/json"}
    answer = client.ask("POST", address, data=body, headers=kind)
    assert_refused(answer, 422, "invalid_request")


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("PUT", "/datastore/image?image=big"),
        ("PUT", "/datastore/label?image=head"),
        ("PUT", "/session/"),
        ("POST", "/batch/infer/ibisagent"),
        ("POST", "/train/"),
        ("POST", "/activelearning/random"),
        ("PUT", "/model/ibisagent"),
        ("POST", "/proxy/dicom/stow/studies"),
    ],
)
def test_body_over_the_limit(client: Client, method: str, address: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(client.url).netloc, timeout=30)
    connection.putrequest(method, address)
    connection.putheader("Content-Length", str(2**31))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["detail"]["code"] == "request_too_large"
    connection.close()


def test_page_of_another_site(client: Client) -> None:
    headers = {"origin": "https://evil.example"}
    for method, address in (("GET", "/info/"), ("POST", "/infer/ibisagent"), ("POST", "/train/")):
        answer = client.ask(method, address, headers=headers)
        assert_refused(answer, 403, "foreign_origin")
        assert "access-control-allow-origin" not in answer.headers


def test_page_of_this_machine(client: Client) -> None:
    origin = "http://localhost:3000"
    answer = client.ask("GET", "/nowhere", headers={"origin": origin})
    assert_refused(answer, 404, "not_found")
    assert answer.headers["access-control-allow-origin"] == origin


def test_pages_of_the_server_itself(client: Client) -> None:
    for address in ("/", "/docs", "/openapi.json", "/favicon.ico", "/ohif/", "/logs/?lines=5"):
        assert client.ask("GET", address).ok, address


def test_masks_are_still_right(client: Client, tmp_path: Path) -> None:
    mask = client.mask(tmp_path / "mask.nrrd", prompt=CLICK, slice=8)
    assert sitk.GetArrayFromImage(mask).sum() == (blocks()[8] == 200).sum()
