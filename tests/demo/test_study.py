from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from demo.study import own_image, template
from ibisagent.errors import UnreadableImage
from ibisagent.volume import read_image


def test_template_has_a_plausible_brain(tmp_path: Path) -> None:
    pytest.importorskip("nilearn", reason="the extra 'demo' brings the template")
    study = template()
    array = sitk.GetArrayViewFromImage(study.image)
    assert study.reference.shape == array.shape
    litres = study.reference.sum() * np.prod(study.image.GetSpacing()) / 1e6
    assert 1.2 < litres < 2.2
    plane = study.reference[study.slice]
    assert plane.mean() > 0.05  # there is something to find on the slice
    study.copy_to(tmp_path)
    copy = read_image(tmp_path / f"{study.name}.nii.gz")
    assert copy.GetSize() == study.image.GetSize()


@pytest.mark.parametrize(
    ("name", "served"),
    [
        ("ct 1 (left).nii.gz", "ct_1_left.nii.gz"),
        ("a.nrrd", "a.nrrd"),
        ("B.mha", "B.nrrd"),
        ("p.png", "p.png"),
        ("p.bmp", "p.nrrd"),
    ],
)
def test_own_image_is_served_under_a_plain_name(tmp_path: Path, name: str, served: str) -> None:
    flat = name.startswith("p.")
    array = np.arange(60, dtype=np.uint8).reshape((6, 10) if flat else (3, 4, 5))
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / name))
    study = own_image(tmp_path / name)
    studies = tmp_path / "studies"
    studies.mkdir()
    study.copy_to(studies)
    assert [path.name for path in studies.iterdir()] == [served]
    copy = read_image(studies / served)
    assert (sitk.GetArrayFromImage(copy) == sitk.GetArrayFromImage(study.image)).all()
    assert (study.slice, study.reference) == (None, None)


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="gone"):
        own_image(tmp_path / "gone.nii.gz")
