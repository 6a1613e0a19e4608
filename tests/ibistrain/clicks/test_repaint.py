"""Contrasts of our own."""

from __future__ import annotations

from random import Random

import numpy as np

from ibistrain.clicks.repaint import repaint
from ibistrain.corpus import LabelledPicture


def test_regions_get_other_grey_values_and_keep_their_texture(
    pictures: list[LabelledPicture],
) -> None:
    picture = pictures[0]
    disc = picture.labels == 1
    means = set()
    for seed in range(8):
        painted = repaint(picture.rgb, picture.labels, Random(seed))
        assert painted.shape == picture.rgb.shape
        assert painted.dtype == np.uint8
        means.add(round(float(painted[disc].mean()) / 10))
        before, after = (image[disc][:, 0].astype(float) for image in (picture.rgb, painted))
        if after.min() > 10 and after.max() < 245:  # nothing was cut off
            assert np.corrcoef(before, after)[0, 1] > 0.9
    assert len(means) > 4
