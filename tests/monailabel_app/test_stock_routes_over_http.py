"""MONAI Label's own addresses: what each refuses, in which form, and that the rest works."""

from __future__ import annotations

import http.client
import io
import json
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import SimpleITK as sitk
from app_client import Client, assert_refused
from app_studies import blocks, head

CLICK = "click 0.75 0.5"
LONG = "x" * 201
DETACHED = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nencoding: raw\ndata file: %s\n\n"


@pytest.fixture(autouse=True)
def _server_survives(client: Client) -> Any:
    yield
    assert requests.get(f"{client.url}/info/", timeout=30).ok


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    sitk.WriteImage(head(), str(tmp_path / "head.nii.gz"))
    return (tmp_path / "head.nii.gz").read_bytes()


def ask(client: Client, method: str, address: str, **body: Any) -> requests.Response:
    return requests.request(method, f"{client.url}{address}", timeout=60, **body)


def files_of(client: Client) -> set[str]:
    return {str(path.relative_to(client.studies.parent)) for path in _all(client.studies.parent)}


def _all(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix not in (".txt", ".lock")]


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
    before = files_of(client)
    body = {"files": {"file": ("x.nii.gz", image), "label": ("x.nii.gz", image)}}
    answer = ask(client, method, address.format(name), **(body if method == "PUT" else {}))
    if method == "HEAD":
        assert answer.status_code == 400
    else:
        assert_refused(answer, 400, "invalid_identifier")
    assert files_of(client) == before


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
    assert_refused(ask(client, method, path), 400, "invalid_identifier")


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
    assert_refused(ask(client, method, address), status, code)


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
    assert_refused(ask(client, method, address), 422, "invalid_request", repr(name))


def test_unknown_field_of_a_form_is_named(client: Client) -> None:
    answer = ask(client, "POST", "/infer/ibisagent?image=head", data={"prompt": "the liver"})
    assert_refused(answer, 422, "invalid_request", "'prompt'", "params")
    answer = ask(client, "PUT", "/datastore/image", files={"image": ("x.png", b"x")})
    assert_refused(answer, 422, "invalid_request", "'image'", "file")


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("x.json", b"{}", 415, "unsupported_file"),
        ("x", b"{}", 415, "unsupported_file"),
        ("x.mhd", b"ObjectType = Image\n", 415, "unsupported_file"),
        ("x.nhdr", DETACHED % b"/etc/passwd", 415, "unsupported_file"),
        ("x.nrrd", DETACHED % b"/etc/passwd", 422, "detached_data"),
        ("x.nrrd", DETACHED % b"head.nii.gz", 422, "detached_data"),
        ("x.mha", b"NDims = 3\nElementDataFile = /etc/passwd\n", 422, "detached_data"),
        ("x.nii.gz", b"no image", 422, "unreadable_image"),
        ("x.png", b"", 422, "unreadable_image"),
    ],
)
def test_image_that_is_none(
    client: Client, name: str, content: bytes, status: int, code: str
) -> None:
    before = files_of(client)
    for address in ("/datastore/image?image=datastore_v2", "/datastore/?image=new"):
        answer = ask(client, "PUT", address, files={"file": (name, content)})
        assert_refused(answer, status, code)
    params = (None, json.dumps({"prompt": CLICK}))
    along = {"file": (name, content), "params": params}
    assert_refused(ask(client, "POST", "/infer/ibisagent", files=along), status, code)
    assert files_of(client) == before


def test_image_is_kept_under_its_own_name(client: Client, image: bytes) -> None:
    for sent, image_id in (("mine.nii.gz", "mine"), ("C:\\scans\\yours.nii.gz", "yours")):
        answer = ask(client, "PUT", "/datastore/image", files={"file": (sent, image)})
        assert answer.json() == {"image": image_id}
        assert client.infer(image_id, prompt=CLICK).json()["found"]
        assert ask(client, "DELETE", f"/datastore/image?id={image_id}").ok


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("x.json", b"{}", 415, "unsupported_file"),
        ("x.bin", b"voxels", 415, "unsupported_file"),
        ("x.nrrd", DETACHED % b"/etc/passwd", 422, "detached_data"),
        ("x.nii.gz", b"no label", 422, "unreadable_image"),
    ],
)
def test_label_that_is_none(
    client: Client, name: str, content: bytes, status: int, code: str
) -> None:
    before = files_of(client)
    address = "/datastore/label?image=head&tag=final"
    assert_refused(ask(client, "PUT", address, files={"label": (name, content)}), status, code)
    assert files_of(client) == before


def test_label_goes_round(client: Client, image: bytes) -> None:
    place = "/datastore/label?image=oblique&tag=mine"
    params = (None, json.dumps({"by": "hand"}))
    saved = ask(client, "PUT", place, files={"label": ("l.nii.gz", image), "params": params})
    assert saved.json() == {"image": "oblique", "label": "oblique"}
    query = "label=oblique&tag=mine"
    assert ask(client, "GET", f"/datastore/label?{query}").content == image
    assert ask(client, "GET", f"/datastore/label/info?{query}").json()["by"] == "hand"
    more = {"info": json.dumps({"checked": True})}
    assert ask(client, "PUT", f"/datastore/label/info?{query}", data=more).ok
    assert ask(client, "GET", f"/datastore/label/info?{query}").json()["checked"] is True
    assert ask(client, "DELETE", "/datastore/label?id=oblique&tag=mine").ok


def test_label_of_no_image(client: Client, image: bytes) -> None:
    answer = ask(
        client, "PUT", "/datastore/label?image=nowhere", files={"label": ("l.nii.gz", image)}
    )
    assert_refused(answer, 404, "unknown_image", "nowhere")


def test_archive_of_the_dataset_is_not_left_behind(client: Client, image: bytes) -> None:
    folder = Path(tempfile.gettempdir())
    place = "/datastore/label?image=oblique&tag=final"
    assert ask(client, "PUT", place, files={"label": ("l.nii.gz", image)}).ok
    before = set(folder.glob("tmp*"))
    archive = ask(client, "GET", "/datastore/dataset")
    assert archive.content.startswith(b"PK")
    patience = time.monotonic() + 20
    while _archives(folder, before) and time.monotonic() < patience:
        time.sleep(0.1)
    assert not _archives(folder, before)
    assert ask(client, "DELETE", "/datastore/label?id=oblique&tag=final").ok


def _archives(folder: Path, before: set[Path]) -> list[Path]:
    new = [path for path in set(folder.glob("tmp*")) - before if path.is_file()]
    return [path for path in new if path.read_bytes()[:2] == b"PK"]


@pytest.mark.parametrize("text", ["{", "[1]", "3", '{"a": NaN}'])
@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("/datastore/image/info?image=head", "info"),
        ("/datastore/label/info?label=head&tag=final", "info"),
    ],
)
def test_information_that_is_no_object(client: Client, address: str, field: str, text: str) -> None:
    answer = ask(client, "PUT", address, data={field: text})
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
    answer = ask(client, "HEAD", f"/datastore/image?image=head&check_sum={value}")
    assert answer.status_code == (404 if good else 422)  # a good one, but of another file


def test_archives_are_not_unpacked(client: Client, image: bytes, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo(f"../../../../../{tmp_path.relative_to('/')}/evil.nii.gz")
        info.size = len(image)
        tar.addfile(info, io.BytesIO(image))
    files = {"files": ("x.tar", packed.getvalue())}
    answer = ask(client, "PUT", "/session/?uncompress=true", files=files)
    assert_refused(answer, 422, "invalid_request", "Archives")
    assert not (tmp_path / "evil.nii.gz").exists()


@pytest.mark.parametrize(
    ("names", "status", "code"),
    [
        (["x.mhd"], 415, "unsupported_file"),
        (["x.zip"], 415, "unsupported_file"),
        ([".."], 400, "invalid_identifier"),
        (["a.dcm", "a.dcm"], 422, "invalid_request"),
        ([LONG], 400, "invalid_identifier"),
    ],
)
def test_files_that_are_no_session(
    client: Client, names: list[str], status: int, code: str
) -> None:
    files = [("files", (name, b"x")) for name in names]
    assert_refused(ask(client, "PUT", "/session/", files=files), status, code)


@pytest.mark.parametrize("expiry", ["-1", "99999999", "soon"])
def test_session_that_would_never_end(client: Client, expiry: str, image: bytes) -> None:
    files = {"files": ("x.nii.gz", image)}
    answer = ask(client, "PUT", f"/session/?expiry={expiry}", files=files)
    assert_refused(answer, 422, "invalid_request", "expiry")


def test_session_goes_round(client: Client, image: bytes) -> None:
    files = {"files": ("../../mine.nii.gz", image)}
    session = ask(client, "PUT", "/session/?expiry=600", files=files).json()["session_id"]
    fields = {"params": (None, json.dumps({"prompt": CLICK}))}
    place = f"/infer/ibisagent?output=json&session_id={session}"
    assert ask(client, "POST", place, files=fields).json()["found"]
    assert ask(client, "GET", f"/session/{session}?image=true").content == image
    assert ask(client, "DELETE", f"/session/{session}").ok
    assert_refused(ask(client, "POST", place, files=fields), 404, "unknown_image", "session")


def test_session_with_a_header_that_names_a_file(client: Client) -> None:
    files = {"files": ("x.nrrd", DETACHED % b"/etc/passwd")}
    session = ask(client, "PUT", "/session/", files=files).json()["session_id"]
    fields = {"params": (None, json.dumps({"prompt": CLICK}))}
    answer = ask(client, "POST", f"/infer/ibisagent?session_id={session}", files=fields)
    assert_refused(answer, 422, "detached_data")


def test_study_with_a_header_that_names_a_file(client: Client, tmp_path: Path) -> None:
    secret = tmp_path / "secret.raw"
    secret.write_bytes(bytes(64))
    place = client.studies / "reaching.nrrd"
    place.write_bytes(DETACHED % str(secret).encode())
    patience = time.monotonic() + 20  # until the server has seen the file
    while time.monotonic() < patience:
        answer = client.infer("reaching", prompt=CLICK)
        if answer.status_code != 404:
            break
        time.sleep(0.2)
    place.unlink()
    assert_refused(answer, 422, "detached_data")


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
    answer = ask(client, "POST", "/batch/infer/ibisagent", json=fields)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert name in detail["message"]
    assert detail["fix"]
    assert ask(client, "GET", "/batch/infer").status_code == 404, "nothing was started"


@pytest.mark.parametrize("body", ["{", "[1]", '"x"'])
@pytest.mark.parametrize("address", ["/batch/infer/ibisagent", "/scoring/", "/scoring/dice"])
def test_body_that_is_no_object(client: Client, address: str, body: str) -> None:
    kind = {"content-type": "application/json"}
    answer = ask(client, "POST", address, data=body, headers=kind)
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
        answer = ask(client, method, address, headers=headers)
        assert_refused(answer, 403, "foreign_origin")
        assert "access-control-allow-origin" not in answer.headers


def test_page_of_this_machine(client: Client) -> None:
    origin = "http://localhost:3000"
    answer = ask(client, "GET", "/nowhere", headers={"origin": origin})
    assert_refused(answer, 404, "not_found")
    assert answer.headers["access-control-allow-origin"] == origin


def test_pages_of_the_server_itself(client: Client) -> None:
    for address in ("/", "/docs", "/openapi.json", "/favicon.ico", "/ohif/", "/logs/?lines=5"):
        assert ask(client, "GET", address).ok, address


def test_uploads_leave_nothing_behind(client: Client, image: bytes) -> None:
    folder = Path(tempfile.gettempdir())
    before = set(folder.glob("ibisagent-*"))
    params = (None, json.dumps({"prompt": CLICK}))
    for sent in (image, b"no image"):
        files = {"file": ("x.nii.gz", sent), "params": params}
        ask(client, "POST", "/infer/ibisagent?output=json", files=files)
        ask(client, "PUT", "/session/", files={"files": ("x.nii.gz", sent)})
    patience = time.monotonic() + 20  # the server deletes a result once it is sent
    while set(folder.glob("ibisagent-*")) - before and time.monotonic() < patience:
        time.sleep(0.1)
    assert set(folder.glob("ibisagent-*")) <= before


def test_masks_are_still_right(client: Client, tmp_path: Path) -> None:
    mask = client.mask(tmp_path / "mask.nrrd", prompt=CLICK, slice=8)
    assert sitk.GetArrayFromImage(mask).sum() == (blocks()[8] == 200).sum()
