"""What goes wrong while ``/infer`` works: a clear answer, and nothing left behind."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import SimpleITK as sitk
from app_client import Client, assert_refused
from app_studies import blocks, head

CLICK = "click 0.75 0.5"


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(client: Client) -> Any:
    folder = Path(tempfile.gettempdir())
    before = set(folder.glob("ibisagent-*"))
    yield
    assert client.infer(prompt=CLICK).status_code == 200
    patience = time.monotonic() + 20  # a result is deleted once it is sent
    while set(folder.glob("ibisagent-*")) - before and time.monotonic() < patience:
        time.sleep(0.1)
    assert set(folder.glob("ibisagent-*")) <= before


def put(client: Client, name: str, tmp_path: Path, image: sitk.Image | None = None) -> None:
    file = tmp_path / f"{name}.nii.gz"
    sitk.WriteImage(image or head(), str(file))
    with file.open("rb") as stream:
        answer = requests.put(
            f"{client.url}/datastore/image?image={name}", files={"file": stream}, timeout=60
        )
    assert answer.ok, answer.text


def infer_along(client: Client, file: Path, **params: Any) -> requests.Response:
    with file.open("rb") as stream:
        files = {"file": (file.name, stream), "params": (None, json.dumps(params))}
        return requests.post(f"{client.url}/infer/ibisagent?output=json", files=files, timeout=60)


def stop_of(answer: requests.Response) -> tuple[str, int]:
    (record,) = answer.json()["trajectory"]
    return record["stop"], len(record["steps"])


def test_model_that_never_ends(client: Client) -> None:
    assert stop_of(client.infer(prompt="wander")) == ("step_limit", 7)
    assert stop_of(client.infer(prompt="wander", max_steps=2)) == ("step_limit", 2)


def test_model_that_repeats_itself(client: Client) -> None:
    stop, steps = stop_of(client.infer(prompt="repeat"))
    assert (stop, steps) == ("repeated_action", 3)


def test_model_that_writes_nonsense(client: Client) -> None:
    answer = client.infer(prompt="write nonsense")
    assert stop_of(answer)[0] == "malformed"
    assert answer.json()["found"] is False


def test_no_memory_is_tried_smaller_and_then_told(client: Client, tmp_path: Path) -> None:
    large = sitk.GetImageFromArray(np.repeat(np.repeat(blocks(), 4, 1), 4, 2))
    put(client, "large", tmp_path, large)
    answer = client.infer("large", prompt="out of memory")
    assert_refused(answer, 503, "tool_out_of_memory", "memory")
    assert "Trying again with a smaller picture" in client.server.log_tail(3000)
    assert client.infer("large", prompt=CLICK).json()["found"]


def test_image_deleted_while_the_agent_works(client: Client, tmp_path: Path) -> None:
    put(client, "doomed", tmp_path)
    with ThreadPoolExecutor(2) as pool:
        kept = pool.submit(
            client.infer, "doomed", prompt="wait 2", save_label=True, label_tag="draft"
        )
        seen = pool.submit(client.infer, "doomed", prompt="wait 2")
        time.sleep(1)
        gone = requests.delete(f"{client.url}/datastore/image?id=doomed", timeout=60)
        assert gone.ok
        assert seen.result().status_code in (200, 404)  # it had been read, or had not
        assert_refused(kept.result(), 404, "unknown_image")
    assert_refused(client.infer("doomed", prompt=CLICK), 404, "unknown_image")


def test_image_that_rots(client: Client, tmp_path: Path) -> None:
    put(client, "rotten", tmp_path)
    place = client.studies / "rotten.nii.gz"
    place.write_bytes(place.read_bytes()[:200])
    assert_refused(client.infer("rotten", prompt=CLICK), 422, "unreadable_image", "rotten")
    requests.delete(f"{client.url}/datastore/image?id=rotten", timeout=60)


def test_two_requests_on_one_image(client: Client) -> None:
    began = threading.Barrier(4)

    def ask(number: int) -> dict[str, Any]:
        began.wait()
        tag = f"tag{number % 2}"
        return client.infer(prompt=CLICK, save_label=True, label_tag=tag).json()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    masks = [each["trajectory"][0]["steps"][-1]["mask"] for each in answers]
    assert all(mask == masks[0] for mask in masks)
    for tag in ("tag0", "tag1"):
        label = requests.get(f"{client.url}/datastore/label?label=head&tag={tag}", timeout=60)
        assert label.ok


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 8192), (3, 1, 2)])
def test_images_of_hardly_any_extent(
    client: Client, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    file = tmp_path / "thin.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.ones(shape, np.int16)), str(file))
    answer = infer_along(client, file, prompt=CLICK)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("sizes", "status", "code"),
    [
        ("9000 2 2", 413, "oversize_image"),
        ("8000 8000 8000", 413, "oversize_image"),
        ("2000000000 2000000000 2000000000", 422, "unreadable_image"),
        ("0 4 4", 422, "unreadable_image"),
        ("-4 4 4", 422, "unreadable_image"),
        ("4 4 4", 422, "unreadable_image"),  # but without its voxels
    ],
)
def test_absurd_sizes(client: Client, tmp_path: Path, sizes: str, status: int, code: str) -> None:
    file = tmp_path / "absurd.nrrd"
    file.write_text(f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: {sizes}\nencoding: raw\n\n")
    assert_refused(infer_along(client, file, prompt=CLICK), status, code)
