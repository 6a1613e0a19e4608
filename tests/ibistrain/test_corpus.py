"""The corpus from real sets."""

from __future__ import annotations

import json

import numpy as np
import pytest
from harness.labelled_set import write_set

from ibisagent.subjects import is_held_back
from ibistrain.catalogue import Catalogue, SetEntry, load_catalogue
from ibistrain.corpus import load_corpus, load_left_out
from ibistrain.labelled_picture import MAX_SIDE, by_set_and_subject


@pytest.fixture(scope="module")
def some(data_dir):
    return load_corpus(data_dir, load_catalogue(), sets=["ct_spleen_msd", "vol_totalseg_ct_mr"])


def test_no_subject_is_on_both_sides(data_dir):
    sides = [
        {(p.set_name, p.subject) for p in load_corpus(data_dir, load_catalogue(), side, SETS)}
        for side in (False, True)
    ]
    assert all(sides)
    assert not sides[0] & sides[1]


SETS = ["ct_spleen_msd", "mr_spine_spider", "us_breast_busbra"]


def test_the_demo_image_is_in_no_training(data_dir):
    training = load_corpus(data_dir, load_catalogue(), sets=["vol_mr_brain_atlas"])
    assert training
    assert not any("mni152" in picture.name for picture in training)
    assert is_held_back("vol_mr_brain_atlas", "mni152_2009a_t1")


def test_left_is_on_the_right_of_an_axial_picture(some):
    axial = [p for p in some if p.name.startswith("ct_3mm/axial")]
    both = [p for p in axial if {"kidney left", "kidney right"} <= set(p.present)]
    assert both
    for picture in both:
        left, right = (
            np.nonzero(picture.truth(f"kidney {side}"))[1].mean() for side in ("left", "right")
        )
        assert left > right


def test_pictures_are_small_and_labelled(some):
    assert {p.set_name for p in some} == {"ct_spleen_msd", "vol_totalseg_ct_mr"}
    for picture in some:
        assert max(picture.labels.shape) <= MAX_SIDE
        assert picture.rgb.shape == (*picture.labels.shape, 3)
        assert not set(picture.present) & set(picture.absent)


def test_unions_cover_their_parts(some):
    picture = next(p for p in some if "vertebra" in p.present and p.name.startswith("ct_3mm/"))
    assert len(picture.targets["vertebra"]) > 3


def test_pictures_answer_for_what_their_set_never_shows(data_dir):
    catalogue = load_catalogue()
    sets = ["ct_spleen_msd", "us_fetal_head"]
    by_set = by_set_and_subject(load_corpus(data_dir, catalogue, sets=sets))
    spleens, heads = ([p for pictures in by_set[name].values() for p in pictures] for name in sets)
    for picture in spleens:
        assert picture.never == ["fetal head"]
        assert picture.absent == []
        assert picture.present == ["spleen"]
        assert not picture.truth("fetal head").any()
    assert {name for picture in heads for name in picture.never} == set()  # a fetus has a spleen


def test_names_of_held_back_subjects_are_never_asked_for(tmp_path):
    """One subject of discs is held back, and alone has a ring."""
    for name, places in (("discs", [(10, 10), (20, 20)]), ("others", [(10, 10)])):
        write_set(tmp_path, name, places)
    subjects = [f"s{n}" for n in range(40)]
    sides = [
        next(s for s in subjects if is_held_back("discs", s) == side) for side in (True, False)
    ]
    manifest = json.loads((tmp_path / "discs" / "manifest.json").read_text())
    for item, subject in zip(manifest["items"], sides, strict=True):
        item["subject"] = subject
    manifest["items"][0]["labels"]["1"] = "ring"
    (tmp_path / "discs" / "manifest.json").write_text(json.dumps(manifest))
    entries = {"discs": SetEntry(), "others": SetEntry(only=("block",), never=("disc", "ring"))}
    catalogue = Catalogue(sets=entries, synonyms={})
    both = [p for side in (False, True) for p in load_corpus(tmp_path, catalogue, side)]
    assert {tuple(p.never) for p in both if p.set_name == "others"} == {("disc",)}


def test_sets_that_nothing_was_trained_on_are_told_from_the_others(tmp_path):
    for name in ("known", "strange"):
        write_set(tmp_path, name, [(8 + 3 * n, 10 + 4 * n) for n in range(8)])
    (tmp_path / "empty").mkdir()
    catalogue = Catalogue(sets={"known": SetEntry()}, synonyms={})
    left_out = load_left_out(tmp_path, catalogue)
    assert {picture.set_name for picture in left_out} == {"strange"}
    assert len({picture.subject for picture in left_out}) == 8  # of both sides
    both = Catalogue(sets={"known": SetEntry(), "strange": SetEntry()}, synonyms={})
    assert load_left_out(tmp_path, both) == []


def test_grouping_keeps_only_what_can_be_asked(some):
    groups = by_set_and_subject(some)
    assert set(groups) == {"ct_spleen_msd", "vol_totalseg_ct_mr"}
    assert all(p.present for subjects in groups.values() for ps in subjects.values() for p in ps)


def test_the_catalogue_names_existing_sets(data_dir):
    catalogue: Catalogue = load_catalogue()
    assert all((data_dir / name / "manifest.json").is_file() for name in catalogue.sets)
