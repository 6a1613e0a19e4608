from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import UploadFile
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException
from monailabel.utils.sessions import Sessions

from ibisagent.errors import OutputNotWritable
from ibisagent_app.errors import InvalidIdentifier, UnknownImage
from ibisagent_app.images import find_image, save_mask
from ibisagent_app.uploads import IMAGE_SUFFIXES, kept


@pytest.fixture
def store(tmp_path: Path) -> LocalDatastore:
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "ct.nii.gz").write_bytes(b"x")
    return LocalDatastore(str(folder))


def test_identifier_wins_over_a_file_of_that_name(
    store: LocalDatastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ct").mkdir()
    monkeypatch.chdir(tmp_path)
    image = find_image("ct", store, None)
    assert (image.path.name, image.name, image.in_datastore) == ("ct.nii.gz", "ct", True)


def test_upload_is_found_only_while_its_request_is_answered(store: LocalDatastore) -> None:
    with kept(UploadFile(BytesIO(b"x"), filename="mine.nii.gz"), IMAGE_SUFFIXES) as path:
        image = find_image(str(path), store, None)
        assert (image.path, image.name, image.in_datastore) == (path, "upload", False)
        beside = path.with_name("other.nii.gz")
        beside.write_bytes(b"x")
        with pytest.raises(UnknownImage):
            find_image(str(beside), store, None)
    with pytest.raises(UnknownImage):
        find_image(str(path), store, None)


def test_session(store: LocalDatastore, tmp_path: Path) -> None:
    session = tmp_path / "sessions" / "s1" / "image.nii.gz"
    session.parent.mkdir(parents=True)
    session.write_bytes(b"x")
    image = find_image(str(session), store, Sessions(str(tmp_path / "sessions")))
    assert (image.path, image.name, image.in_datastore) == (session, "upload", False)
    with pytest.raises(UnknownImage):
        find_image(str(session), store, None)


@pytest.mark.parametrize("name", ["", "mr", "studies/ct.nii.gz", "ct.nii.gz"])
def test_unknown(store: LocalDatastore, name: str, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownImage) as caught:
        find_image(name, store, None)
    assert "datastore" in caught.value.fix


def test_files_of_the_server_are_no_uploads(store: LocalDatastore, tmp_path: Path) -> None:
    sessions = Sessions(str(tmp_path / "sessions"))
    (tmp_path / "sessions").mkdir()
    secret = tmp_path / "secret.nii.gz"
    secret.write_bytes(b"x")
    link = tmp_path / "sessions" / "link.nii.gz"
    link.symlink_to(secret)
    climbing = tmp_path / "sessions" / ".." / "secret.nii.gz"
    in_temporary_folder = Path(tempfile.mkstemp(suffix=".nii.gz", dir=tmp_path)[1])
    for path in (secret, link, climbing, in_temporary_folder):
        with pytest.raises(UnknownImage) as caught:
            find_image(str(path), store, sessions)
        assert str(tmp_path) not in str(caught.value)


def test_deleted_study(store: LocalDatastore, tmp_path: Path) -> None:
    (tmp_path / "studies" / "ct.nii.gz").unlink()
    with pytest.raises(UnknownImage, match="ct"):
        find_image("ct", store, None)


def test_mask_is_kept_with_its_result(store: LocalDatastore, tmp_path: Path) -> None:
    mask = tmp_path / "m.nrrd"
    mask.write_bytes(b"mask")
    result = {"file": str(mask), "params": {"answer": "Done."}}
    save_mask(result, {"image": "ct", "model": "ibisagent", "label_tag": "draft"}, store)
    assert (result["label"], result["tag"]) == ("ct", "draft")
    assert Path(store.get_label_uri("ct", "draft")).read_bytes() == b"mask"
    assert store.get_label_info("ct", "draft")["params"] == {"answer": "Done."}


def test_tag_that_climbs(store: LocalDatastore) -> None:
    with pytest.raises(InvalidIdentifier, match="label_tag"):
        save_mask({"params": {}}, {"image": "ct", "model": "m", "label_tag": "../x"}, store)


def test_full_disk(store: LocalDatastore, tmp_path: Path) -> None:
    full = SimpleNamespace(save_label=_no_space)
    mask = tmp_path / "m.nrrd"
    mask.write_bytes(b"mask")
    with pytest.raises(OutputNotWritable, match="draft"):
        save_mask(
            {"file": str(mask), "params": {}},
            {"image": "ct", "model": "m", "label_tag": "draft"},
            full,
        )
    assert not mask.exists(), "the temporary mask should not be left on a full disk"


def test_image_that_was_deleted_meanwhile(store: LocalDatastore, tmp_path: Path) -> None:
    mask = tmp_path / "m.nrrd"
    mask.write_bytes(b"mask")
    with pytest.raises(ImageNotFoundException):
        save_mask({"file": str(mask), "params": {}}, {"image": "gone", "model": "m"}, store)
    assert not mask.exists()


def _no_space(*_: object) -> str:
    raise OSError(28, "No space left on device")
