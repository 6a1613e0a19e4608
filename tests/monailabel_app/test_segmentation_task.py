from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
from app_studies import head, picture
from fastapi import HTTPException
from harness.run_studies import FolderStudies

from ibisagent.agent import Agent
from ibisagent.policies.base import Cancelled
from ibisagent.prompts import load_profile
from ibisagent.runs.registry import Runs
from ibisagent_app.segmentation_task import SegmentationTask

Run = Callable[..., tuple[str, dict[str, Any]]]


class Held:
    """An agent that is there already."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.uses = 0

    @contextmanager
    def use(self) -> Iterator[Agent]:
        self.uses += 1
        yield self._agent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where masks are made."""
    masks = tmp_path / "masks"
    masks.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(masks))
    return masks


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "head.nrrd"
    sitk.WriteImage(head(), str(path))
    return path


@pytest.fixture
def held(obedient_agent: Agent) -> Held:
    return Held(obedient_agent)


@pytest.fixture
def run(held: Held, image: Path) -> Run:
    return task_of(SegmentationTask(held, load_profile, 7, ""), image)


def refusal(run: Run, *arguments: Any, **fields: Any) -> tuple[int, str]:
    with pytest.raises(HTTPException) as caught:
        run(*arguments, **fields)
    return caught.value.status_code, caught.value.detail["code"]


def test_result_is_plain_json(run: Run, folder: Path) -> None:
    path, result = run()
    assert Path(path).parent == folder
    assert json.loads(json.dumps(result)) == result
    assert result["trajectory"][0]["slice"]["image"] == "head"


def test_info_is_plain_json(held: Held) -> None:
    info = SegmentationTask(held, load_profile(), 7, "It clicks.").info()
    assert json.loads(json.dumps(info))["description"] == "It clicks."


def test_fields_of_batch_inference_do_no_harm(run: Run, folder: Path) -> None:
    _, result = run(device="cuda", multi_gpu=True, _id=0, logging="INFO", max_workers=1)
    assert result["found"]


def test_out_of_memory(run: Run, folder: Path) -> None:
    assert refusal(run, "out of memory") == (503, "tool_out_of_memory")
    assert list(folder.iterdir()) == []


def test_policy_that_raises(run: Run) -> None:
    assert refusal(run, "fail") == (500, "policy_failed")


def test_no_room_for_the_mask(run: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    assert refusal(run) == (507, "output_not_writable")


def test_disk_that_fills_while_the_mask_is_written(run: Run, folder: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of Unix stand for a full disk")
    import signal

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        refused = refusal(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert refused == (507, "output_not_writable")
    assert list(folder.iterdir()) == []


def test_png_is_for_pictures_and_told_before_the_agent_works(
    run: Run, held: Held, tmp_path: Path, folder: Path
) -> None:
    assert refusal(run, result_extension=".png") == (422, "invalid_request")
    assert held.uses == 0
    sitk.WriteImage(picture(), str(tmp_path / "picture.png"))
    path, _ = run("click 0.75 0.33", image=str(tmp_path / "picture.png"), result_extension=".png")
    assert sitk.GetArrayFromImage(sitk.ReadImage(path)).sum() == 400


def test_unknown_target_is_told_before_the_agent_works(held: Held, image: Path) -> None:
    profile = load_profile().model_copy(update={"targets": ("spleen",)})
    task = SegmentationTask(held, lambda: profile, 7, "")
    with pytest.raises(HTTPException) as caught:
        task({"image": str(image), "prompt": "the liver"})
    assert caught.value.detail["code"] == "unknown_prompt"
    assert "spleen" in caught.value.detail["fix"]
    assert held.uses == 0


def test_in_a_server_each_request_is_a_run(held: Held, image: Path, tmp_path: Path) -> None:
    def use(cancelled: Cancelled) -> AbstractContextManager[Agent]:
        return held.use()

    runs = Runs(tmp_path / "runs", FolderStudies(tmp_path), use, load_profile)
    task = SegmentationTask(held, load_profile, 7, "", runs)
    _, result = task({"image": str(image), "image_id": "head", "prompt": "click 0.75 0.5"})
    (run,) = runs.all()
    assert result["run"] == run.name
    assert json.loads(json.dumps(result)) == result
    assert run.facts.request.max_steps == 7
    assert refusal(task_of(task, image), "fail") == (500, "policy_failed")
    assert refusal(task_of(task, image), result_extension=".png") == (422, "invalid_request")
    assert len(runs.all()) == 2


def task_of(task: SegmentationTask, image: Path) -> Run:
    return lambda prompt="click 0.75 0.5", **fields: task(
        {"image": str(image), "image_id": "head", "prompt": prompt, **fields}
    )
