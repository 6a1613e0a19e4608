"""Everything real but Slicer's window: server, embedded model, CT, panel, segment.

IBISAGENT_PICTURES keeps what was rendered.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import requests
import SimpleITK as sitk
from harness.slicer_panel import open_module, slicer
from harness.slicer_view import SliceViewWindow

from demo.server import Server

CT = "vol_totalseg_ct_mr/volumes/ct_3mm.nii.gz"
LABELS = "vol_totalseg_ct_mr/volumes/ct_3mm_seg.nii.gz"
LEFT_KIDNEY = 3
"""Value in the label file."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_prompt_becomes_a_segment(data_dir: Path, tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    studies.mkdir()
    pictures = Path(os.environ.get("IBISAGENT_PICTURES", tmp_path))
    with (
        Server(studies, tmp_path / "log.txt", timeout=800) as server,
        open_module(tmp_path / "slicer") as module,
    ):
        volume = module.load(data_dir / CT)
        display = volume.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(400, 40)
        index = _largest_slice(data_dir / LABELS)
        module.widget.enter()
        _scroll_to(volume, index)
        module.connect(server.url)
        assert module.ui.policyLabel.text
        module.ui.promptCombo.setEditText("the left kidney")
        module.ui.runButton.click()
        module.wait(lambda: not module.logic.busy, 600)
        assert module.logic.trouble is None, module.logic.trouble
        run = module.logic.run
        assert run.story.moments, "the agent did something"
        assert run.story.index == index
        module.picture(pictures / "panel.png")
        clicks = [m.number for m in run.story.moments if m.ijk is not None]
        run.show(clicks[-1])
        SliceViewWindow(module.application, "Red", (512, 512)).save(pictures / "view.png")
        assert run.found, run.story.finished
        module.ui.acceptButton.click()
        mask = _served(server, run.id, tmp_path / "mask.nrrd")
        node, segment = run.accepted
        node = slicer.mrmlScene.GetNodeByID(node)
        held = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume)
        assert _dice(held > 0, mask > 0) == 1.0
        assert held.any()


def _largest_slice(labels: Path) -> int:
    """The axial slice that shows most of the left kidney."""
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(labels)))
    return int((array == LEFT_KIDNEY).sum(axis=(1, 2)).argmax())


def _scroll_to(volume: object, index: int) -> None:
    from IBISAgentLib import views
    from IBISAgentLib.geometry import SlicePicture
    from IBISAgentLib.upload import world_grid

    place = SlicePicture(world_grid(volume), "axial", index).centre
    views.go_to(views.view_of("axial"), tuple(map(float, place)))


def _served(server: Server, run: str, path: Path) -> np.ndarray:
    answer = requests.get(f"{server.url}/ibisagent/runs/{run}/mask?suffix=.nrrd", timeout=60)
    answer.raise_for_status()
    path.write_bytes(answer.content)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())
