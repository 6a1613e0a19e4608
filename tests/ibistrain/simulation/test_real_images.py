"""Real pictures, volumes and a DICOM series, with a tool that costs nothing."""

from __future__ import annotations

import numpy as np
import pytest
from harness.fake_tool import DiscTool

from ibisagent.slices import Plane
from ibistrain.episode_pictures import EpisodePictures
from ibistrain.episode_record import read_episodes
from ibistrain.simulation.run import simulate
from ibistrain.simulation.settings import SimulationSettings


@pytest.mark.parametrize(
    ("name", "planes"),
    [
        ("ct_brain_hemorrhage", {}),
        ("dicom_ct3_dcmqi", {Plane.AXIAL: 1}),
        ("vol_mr_spinalcord_sct", {Plane.SAGITTAL: 4, Plane.CORONAL: 6}),
    ],
)
def test_episodes_on_real_images(data_dir, tmp_path, name, planes):
    if not (data_dir / name).is_dir():
        pytest.skip(f"{name} is not among the labelled images")
    settings = SimulationSettings(
        sets=(name,), planes=planes, episodes=6, keep_iou=0.0, max_clicks=2
    )
    report = simulate(data_dir, tmp_path, settings, DiscTool(radius=8))
    assert report.finished
    pictures = EpisodePictures(data_dir)
    episodes = list(read_episodes(tmp_path))
    assert episodes
    for episode in episodes:
        rgb = pictures.rgb(episode)
        assert rgb.shape[:2] == episode.truth.size
        assert episode.image.startswith(f"{name}/")
        if episode.present and episode.kind == "plain":
            first = episode.trajectory.steps[0]
            assert episode.truth.decode()[first.pixel]
        if planes:
            assert Plane(episode.trajectory.slice.plane) in planes
    assert np.isfinite([value for episode in episodes for value in episode.iou]).all()
