"""What is sent to MONAI Label's own addresses: images, labels and sessions, good and bad."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from app_client import Client, assert_refused
from app_studies import head_file

CLICK = "click 0.75 0.5"
LONG = "x" * 201
DETACHED = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nencoding: raw\ndata file: %s\n\n"


@pytest.fixture(autouse=True)
def _server_survives(client: Client) -> Iterator[None]:
    yield
    assert requests.get(f"{client.url}/info/", timeout=30).ok


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    return head_file(tmp_path)


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
    before = client.files()
    for address in ("/datastore/image?image=datastore_v2", "/datastore/?image=new"):
        answer = client.ask("PUT", address, files={"file": (name, content)})
        assert_refused(answer, status, code)
    params = (None, json.dumps({"prompt": CLICK}))
    along = {"file": (name, content), "params": params}
    assert_refused(client.ask("POST", "/infer/ibisagent", files=along), status, code)
    assert client.files() == before


def test_image_is_kept_under_its_own_name(client: Client, image: bytes) -> None:
    for sent, image_id in (("mine.nii.gz", "mine"), ("C:\\scans\\yours.nii.gz", "yours")):
        answer = client.ask("PUT", "/datastore/image", files={"file": (sent, image)})
        assert answer.json() == {"image": image_id}
        assert client.infer(image_id, prompt=CLICK).json()["found"]
        assert client.ask("DELETE", f"/datastore/image?id={image_id}").ok


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
    before = client.files()
    address = "/datastore/label?image=head&tag=final"
    assert_refused(client.ask("PUT", address, files={"label": (name, content)}), status, code)
    assert client.files() == before


def test_label_goes_round(client: Client, image: bytes) -> None:
    place = "/datastore/label?image=oblique&tag=mine"
    params = (None, json.dumps({"by": "hand"}))
    saved = client.ask("PUT", place, files={"label": ("l.nii.gz", image), "params": params})
    assert saved.json() == {"image": "oblique", "label": "oblique"}
    query = "label=oblique&tag=mine"
    assert client.ask("GET", f"/datastore/label?{query}").content == image
    assert client.ask("GET", f"/datastore/label/info?{query}").json()["by"] == "hand"
    more = {"info": json.dumps({"checked": True})}
    assert client.ask("PUT", f"/datastore/label/info?{query}", data=more).ok
    assert client.ask("GET", f"/datastore/label/info?{query}").json()["checked"] is True
    assert client.ask("DELETE", "/datastore/label?id=oblique&tag=mine").ok


def test_label_of_no_image(client: Client, image: bytes) -> None:
    answer = client.ask(
        "PUT", "/datastore/label?image=nowhere", files={"label": ("l.nii.gz", image)}
    )
    assert_refused(answer, 404, "unknown_image", "nowhere")


def test_archive_of_the_dataset_is_not_left_behind(client: Client, image: bytes) -> None:
    folder = Path(tempfile.gettempdir())
    place = "/datastore/label?image=oblique&tag=final"
    assert client.ask("PUT", place, files={"label": ("l.nii.gz", image)}).ok
    before = set(folder.glob("tmp*"))
    archive = client.ask("GET", "/datastore/dataset")
    assert archive.content.startswith(b"PK")
    patience = time.monotonic() + 20
    while _archives(folder, before) and time.monotonic() < patience:
        time.sleep(0.1)
    assert not _archives(folder, before)
    assert client.ask("DELETE", "/datastore/label?id=oblique&tag=final").ok


def _archives(folder: Path, before: set[Path]) -> list[Path]:
    new = [path for path in set(folder.glob("tmp*")) - before if path.is_file()]
    return [path for path in new if path.read_bytes()[:2] == b"PK"]


def test_archives_are_not_unpacked(client: Client, image: bytes, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo(f"../../../../../{tmp_path.relative_to('/')}/evil.nii.gz")
        info.size = len(image)
        tar.addfile(info, io.BytesIO(image))
    files = {"files": ("x.tar", packed.getvalue())}
    answer = client.ask("PUT", "/session/?uncompress=true", files=files)
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
    assert_refused(client.ask("PUT", "/session/", files=files), status, code)


@pytest.mark.parametrize("expiry", ["-1", "99999999", "soon"])
def test_session_that_would_never_end(client: Client, expiry: str, image: bytes) -> None:
    files = {"files": ("x.nii.gz", image)}
    answer = client.ask("PUT", f"/session/?expiry={expiry}", files=files)
    assert_refused(answer, 422, "invalid_request", "expiry")


def test_session_goes_round(client: Client, image: bytes) -> None:
    files = {"files": ("../../mine.nii.gz", image)}
    session = client.ask("PUT", "/session/?expiry=600", files=files).json()["session_id"]
    fields = {"params": (None, json.dumps({"prompt": CLICK}))}
    place = f"/infer/ibisagent?output=json&session_id={session}"
    assert client.ask("POST", place, files=fields).json()["found"]
    assert client.ask("GET", f"/session/{session}?image=true").content == image
    assert client.ask("DELETE", f"/session/{session}").ok
    assert_refused(client.ask("POST", place, files=fields), 404, "unknown_image", "session")


def test_session_with_a_header_that_names_a_file(client: Client) -> None:
    files = {"files": ("x.nrrd", DETACHED % b"/etc/passwd")}
    session = client.ask("PUT", "/session/", files=files).json()["session_id"]
    fields = {"params": (None, json.dumps({"prompt": CLICK}))}
    answer = client.ask("POST", f"/infer/ibisagent?session_id={session}", files=fields)
    assert_refused(answer, 422, "detached_data")


def test_study_with_a_header_that_names_a_file(client: Client, tmp_path: Path) -> None:
    secret = tmp_path / "secret.raw"
    secret.write_bytes(bytes(64))
    place = client.studies / "reaching.nrrd"
    place.write_bytes(DETACHED % str(secret).encode())
    patience = time.monotonic() + 90  # until the server has seen the file; a busy machine is slow
    while time.monotonic() < patience:
        answer = client.infer("reaching", prompt=CLICK)
        if answer.status_code != 404:
            break
        time.sleep(0.2)
    place.unlink()
    assert_refused(answer, 422, "detached_data")


def test_uploads_leave_nothing_behind(client: Client, image: bytes) -> None:
    folder = Path(tempfile.gettempdir())
    before = set(folder.glob("ibisagent-*"))
    params = (None, json.dumps({"prompt": CLICK}))
    for sent in (image, b"no image"):
        files = {"file": ("x.nii.gz", sent), "params": params}
        client.ask("POST", "/infer/ibisagent?output=json", files=files)
        client.ask("PUT", "/session/", files={"files": ("x.nii.gz", sent)})
    patience = time.monotonic() + 20  # the server deletes a result once it is sent
    while set(folder.glob("ibisagent-*")) - before and time.monotonic() < patience:
        time.sleep(0.1)
    assert set(folder.glob("ibisagent-*")) <= before
