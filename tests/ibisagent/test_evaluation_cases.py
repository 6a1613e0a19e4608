"""Which questions are asked."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from harness.labelled_set import write_set

from ibisagent.errors import InvalidManifest
from ibisagent.evaluation_cases import CaseSettings, plan_cases
from ibisagent.manifest import load_manifest
from ibisagent.slices import Plane

PLACES = [(10, 10 + number) for number in range(12)]
EVERYTHING = CaseSettings(held_back=False, absent=0.0)


def plan(path, **changes):
    return plan_cases([load_manifest(path)], EVERYTHING.model_copy(update=changes))


def asked(cases):
    return [(case.item.name, case.label, case.index, case.present) for case in cases]


def test_every_label_on_a_picture_is_asked_for(tmp_path):
    cases = plan(write_set(tmp_path, "pictures", PLACES[:2]))

    assert asked(cases) == [
        ("0", "disc", 0, True),
        ("0", "block", 0, True),
        ("1", "disc", 0, True),
    ]
    assert cases[0].plane is Plane.PICTURE
    assert cases[0].prompt == "the disc"
    assert cases[0].key == "pictures/0/picture/0/disc"


def test_volume_is_asked_about_on_evenly_spaced_slices(tmp_path):
    cases = plan(write_set(tmp_path, "volume", PLACES, volume=True), slices=3)

    assert asked(cases) == [
        ("0", "disc", 2, True),
        ("0", "disc", 6, True),
        ("0", "disc", 10, True),
        ("0", "block", 0, True),
    ]


def test_slices_of_another_plane(tmp_path):
    cases = plan(write_set(tmp_path, "volume", PLACES, volume=True), plane=Plane.CORONAL)

    assert {case.plane for case in cases} == {Plane.CORONAL}
    assert {case.index for case in cases if case.label == "disc"} <= set(range(4, 17))


def test_label_with_too_few_pixels_is_not_asked_for(tmp_path):
    path = write_set(tmp_path, "pictures", PLACES[:1])

    assert [case.label for case in plan(path, min_pixels=65)] == ["disc"]


def test_absent_labels_stand_beside_the_present_ones_on_the_same_slice(tmp_path):
    cases = plan(write_set(tmp_path, "pictures", PLACES), absent=1.0)

    present = [case for case in cases if case.present]
    absent = [case for case in cases if not case.present]
    assert len(present) == 13
    assert asked(absent) == [(str(number), "block", 0, False) for number in range(1, 12)]
    assert all(not case.item.read()[case.label].any() for case in absent)
    assert len({case.key for case in cases}) == len(cases)


def test_share_of_absent_labels_follows_the_seed(tmp_path):
    path = write_set(tmp_path, "pictures", PLACES)

    first, again, other = (asked(plan(path, absent=0.5, seed=seed)) for seed in (0, 0, 1))

    assert first == again
    assert first != other
    assert 0 < sum(not present for *_, present in first) < 11


def test_limit_draws_by_the_seed_and_keeps_the_order(tmp_path):
    path = write_set(tmp_path, "pictures", PLACES)

    everything = asked(plan(path))
    drawn = [asked(plan(path, limit=4, seed=seed)) for seed in (0, 0, 1)]

    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 4
    assert drawn[0] == [case for case in everything if case in drawn[0]]
    assert asked(plan(path, limit=100)) == everything


def test_subjects_that_training_saw_are_left_out(tmp_path):
    path = write_set(tmp_path, "pictures", PLACES)

    cases = plan(path, held_back=True)

    assert 0 < len(cases) < 13
    assert all(case.item.is_held_back() for case in cases)


def test_label_image_of_another_size_is_refused(tmp_path):
    path = write_set(tmp_path, "pictures", PLACES[:1])
    small = sitk.GetImageFromArray(np.ones((3, 3), np.uint8))
    sitk.WriteImage(small, str(path.parent / "0_labels.png"))

    with pytest.raises(InvalidManifest, match=r"0_labels\.png is of shape \(3, 3\)"):
        plan(path)
