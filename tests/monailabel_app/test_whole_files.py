from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException

from ibisagent_app.whole_files import WholeFiles


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "ct.nii.gz").write_bytes(b"x")
    return folder


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "upload.nii.gz"
    path.write_bytes(b"new" * 100_000)
    return path


def opened(studies: Path, **options: bool) -> WholeFiles:
    return WholeFiles(str(studies), extensions=["*.nii.gz", "*.nrrd"], **options)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 64 KiB."""
    resource = pytest.importorskip("resource", reason="limits of Unix stand for a full disk")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_it_keeps_what_the_stock_one_keeps(studies: Path, upload: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(studies, other)
    for store in (opened(studies), LocalDatastore(str(other), extensions=["*.nii.gz", "*.nrrd"])):
        assert store.save_label("ct", str(upload), "draft", {"model": "m"}) == "ct"
        assert store.add_image("mr", str(upload), {"by": "me"}) == "mr"
        assert store.add_image("", str(upload), {}) == "upload"
    ours, theirs = (json.loads((f / "datastore_v2.json").read_text()) for f in (studies, other))
    for each in (ours, theirs):
        for image in each["objects"].values():
            for part in (image["image"], *image["labels"].values()):
                part["info"].pop("ts")
    assert ours == theirs
    assert (studies / "labels" / "draft" / "ct.nii.gz").read_bytes() == upload.read_bytes()


def test_full_disk_leaves_the_old_label(studies: Path, upload: Path, tmp_path: Path) -> None:
    store = opened(studies)
    good = tmp_path / "good.nii.gz"
    good.write_bytes(b"good")
    store.save_label("ct", str(good), "final", {"model": "m"})
    index = (studies / "datastore_v2.json").read_text()
    with full_disk(), pytest.raises(OSError, match="large"):
        store.save_label("ct", str(upload), "final", {"model": "n"})
    assert (studies / "labels" / "final" / "ct.nii.gz").read_bytes() == b"good"
    assert (studies / "datastore_v2.json").read_text() == index
    assert not list(studies.rglob("*.part"))
    assert opened(studies).get_label_info("ct", "final")["model"] == "m"


def test_full_disk_leaves_no_half_image(studies: Path, upload: Path) -> None:
    store = opened(studies)
    with full_disk(), pytest.raises(OSError, match="large"):
        store.add_image("mr", str(upload), {})
    assert "mr" not in store.list_images()
    assert not list(studies.glob("mr*"))


def test_full_disk_leaves_the_index_whole(studies: Path) -> None:
    store = opened(studies)
    with full_disk(), pytest.raises(OSError, match="large"):
        store.update_image_info("ct", {"note": "x" * 2**17})
    assert opened(studies).list_images() == ["ct"]


def test_label_of_an_unknown_image(studies: Path, upload: Path) -> None:
    with pytest.raises(ImageNotFoundException):
        opened(studies).save_label("mr", str(upload), "final", {})
    assert not (studies / "labels" / "final" / "mr.nii.gz").exists()


def test_what_another_process_writes_is_seen(studies: Path, upload: Path) -> None:
    with watched(studies) as watching:
        opened(studies).save_label("ct", str(upload), "final", {"model": "m"})
        wait_until(lambda: watching.get_label_info("ct", "final").get("model") == "m")


def test_folder_that_cannot_be_read_for_a_while(studies: Path) -> None:
    with watched(studies) as watching:
        (studies / "labels").rename(studies / "away")
        (studies / "mr.nii.gz").write_bytes(b"x")
        time.sleep(1)
        (studies / "away").rename(studies / "labels")
        (studies / "us.nii.gz").write_bytes(b"x")
        wait_until(lambda: {"mr", "us"} <= set(watching.list_images()))


def test_threads_and_processes_in_one_folder(studies: Path, upload: Path) -> None:
    for number in range(40):
        (studies / f"{number}.nii.gz").write_bytes(b"x")
    ours, other = opened(studies), opened(studies)
    names = [(store, f"{at}-{n}") for n in range(8) for at, store in enumerate((ours, ours, other))]

    def upload_and_read(task: tuple[WholeFiles, str]) -> list[bool]:
        store, name = task
        store.add_image(name, str(upload), {"by": name})
        store.save_label(name, str(upload), "final", {"model": name})
        store.refresh()
        return ["39" in store.list_images() and bool(store.status()) for _ in range(200)]

    with ThreadPoolExecutor(8) as threads:
        assert all(all(seen) for seen in threads.map(upload_and_read, names))
    kept = opened(studies)
    assert all(kept.get_image_info(name)["by"] == name for _, name in names)
    assert all(kept.get_label_info(name, "final")["model"] == name for _, name in names)


@contextmanager
def watched(studies: Path) -> Iterator[WholeFiles]:
    watching = opened(studies, auto_reload=True)
    try:
        yield watching
    finally:
        watching._observer.stop()
        watching._observer.join()


def wait_until(is_so: Callable[[], bool]) -> None:
    patience = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < patience
        time.sleep(0.05)
