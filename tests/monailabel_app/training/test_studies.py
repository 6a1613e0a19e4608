from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_studies import accept, accepted, disc_info

from ibisagent.manifest import load_manifest
from ibisagent_app.training.final_labels import Study, final_studies
from ibisagent_app.training.refusals import OneSubjectOnly, TooFewStudies
from ibisagent_app.training.studies import (
    JUDGES,
    NEEDED,
    Sides,
    check_enough,
    file_stem,
    split,
    write_set,
)


def study(name, subject=None, marked=True):
    names = frozenset({"disc"}) if marked else frozenset()
    return Study(name, subject or name, Path("i"), Path("l"), {1: "disc"}, names)


def test_enough_studies_pass():
    check_enough([study(f"s{n}") for n in range(NEEDED)])


@pytest.mark.parametrize("number", range(NEEDED))
def test_fewer_than_the_minimum_are_refused(number):
    with pytest.raises(TooFewStudies, match=str(NEEDED)) as caught:
        check_enough([study(f"s{n}") for n in range(number)])
    assert f"Accept {NEEDED - number} more" in caught.value.fix


def test_studies_without_a_mark_do_not_count():
    with pytest.raises(TooFewStudies):
        check_enough([study(f"s{n}", marked=n > 0) for n in range(NEEDED)])


def test_one_subject_only_is_refused():
    with pytest.raises(OneSubjectOnly):
        check_enough([study(f"s{n}", "ann") for n in range(NEEDED)])


def test_as_many_subjects_as_judges_leave_nobody_to_learn_from():
    with pytest.raises(TooFewStudies, match="2 subjects"):
        check_enough([study(f"s{n}", "ann" if n else "ben") for n in range(NEEDED)])


@given(st.sets(st.text(min_size=1, max_size=8), min_size=JUDGES + 1, max_size=40))
def test_both_sides_have_somebody_and_stay_when_others_join(subjects):
    sides = split(subjects)

    assert sides.learnt | sides.held_back == subjects
    assert not sides.learnt & sides.held_back
    assert len(sides.held_back) >= JUDGES
    assert sides.learnt

    later = split({*subjects, "somebody new"}, sides.set_name)
    assert later.set_name == sides.set_name
    assert sides.held_back <= later.held_back
    assert sides.learnt <= later.learnt


def test_a_name_that_can_no_longer_be_used_is_given_up():
    everybody = {f"s{n}" for n in range(20)}
    sides = split(everybody)

    later = split(sides.learnt, sides.set_name)

    assert later.set_name != sides.set_name
    assert len(later.held_back) >= JUDGES


def test_the_set_is_read_as_any_other(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=4)
    studies = list(final_studies(store))
    sides = split({one.subject for one in studies})

    manifest = load_manifest(write_set(studies, sides, tmp_path / "set"))

    assert manifest.name == sides.set_name
    assert [item.name for item in manifest.items] == [f"study{n}" for n in range(4)]
    assert {item.subject for item in manifest.items if item.is_held_back()} == sides.held_back
    truth = manifest.items[0].read()["disc"]
    assert 200 < truth.sum() < 300


def test_images_are_linked_and_labels_are_copied(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=1)
    studies = list(final_studies(store))

    write_set(studies, Sides("set", frozenset(), frozenset()), tmp_path / "set")
    accept(store, tmp_path, "study0", np.zeros((56, 56), np.uint8), disc_info())

    assert (tmp_path / "set" / "images" / "study0.png").is_symlink()
    (item,) = load_manifest(tmp_path / "set").items
    assert item.read().present == ("disc",)


def test_a_set_takes_the_place_of_an_earlier_one(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=2)
    studies = list(final_studies(store))
    sides = Sides("set", frozenset(), frozenset())

    write_set(studies, sides, tmp_path / "set")
    write_set(studies[1:], sides, tmp_path / "set")

    assert [path.name for path in (tmp_path / "set" / "labels").iterdir()] == ["study1.png"]


def test_the_subject_of_a_study_is_kept(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=2)
    for name in ("study0", "study1"):
        store.update_image_info(name, {"PatientID": "ann"})

    manifest = write_set(final_studies(store), Sides("s", frozenset(), frozenset()), tmp_path / "s")

    assert {item["subject"] for item in json.loads(manifest.read_text())["items"]} == {"ann"}
    assert {item.subject for item in load_manifest(manifest).items} == {"ann"}


@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=8, unique=True))
def test_names_of_files_hold_no_dots_and_do_not_meet(names):
    stems = [file_stem(name) for name in names]

    assert len(set(stems)) == len(names)
    assert not any("." in stem or "/" in stem for stem in stems)
    assert all(stems)
