from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibisagent.subjects import is_held_back, subject_of


@pytest.mark.parametrize(
    ("set_name", "stem", "subject"),
    [
        ("ct_aorta", "10002_135", "10002"),
        ("ct_brain_hemorrhage", "120018", "120"),
        ("ct_headneck_openkbp", "pt_247_ct", "pt_247"),
        ("ct_spleen_msd", "10026_spleen_14", "spleen_14"),
        ("histo_glands_rings", "P3_A8_12_16_1", "P3_A8"),
        ("mr_brain_tumour_brisc", "10013", "500"),
        ("mr_heart_left_atrium", "10001_104", "10001"),
        ("mr_spine_spider", "1007_5", "1007"),
        ("us_breast_busbra", "1-benign_0804-s", "0804"),
        ("us_breast_busbra", "benign_0889-r", "0889"),
        ("us_carotid_ccaus", "202201121748100022VAS_slice_1128", "202201121748100022"),
        ("vol_totalseg_ct_mr", "ct_3mm", "ct_3mm"),
        ("vol_totalseg_ct_mr", "ct_3mm_small", "ct_3mm"),
        ("vol_totalseg_ct_mr", "mr_3mm_small", "mr_3mm_small"),
        ("us_fetal_head", "1014", "1014"),
        ("a set nobody knows", "10001_104", "10001_104"),
    ],
)
def test_subject_is_read_off_the_file_name(set_name, stem, subject):
    assert subject_of(set_name, stem) == subject


def test_name_that_does_not_fit_its_sets_rule_is_its_own_subject():
    assert subject_of("ct_aorta", "renamed") == "renamed"


def test_neighbouring_numbers_of_a_set_without_patients_are_one_subject():
    assert subject_of("mr_brain_tumour_brisc", "10020") == subject_of(
        "mr_brain_tumour_brisc", "10039"
    )


@pytest.mark.parametrize(
    "name", [("vol_mr_brain_atlas", "mni152_2009a_t1"), ("ct_sammed2d_demo", "s0114_111")]
)
def test_what_training_must_never_see_is_held_back_at_any_fraction(name):
    assert is_held_back(*name, fraction=0.0)


def test_sides_do_not_change_between_versions():
    sides = [is_held_back("ct_spleen_msd", f"spleen_{number}") for number in range(12)]

    assert "".join("T" if side else "." for side in sides) == "...T.......T"


@given(st.text(), st.text(), st.floats(0, 1), st.floats(0, 1))
def test_larger_fraction_holds_back_no_fewer(set_name, subject, one, other):
    small, large = sorted((one, other))

    assert is_held_back(set_name, subject, small) <= is_held_back(set_name, subject, large)


def test_share_held_back_is_near_the_fraction():
    share = sum(is_held_back("any", str(number), 0.25) for number in range(2000)) / 2000

    assert share == pytest.approx(0.25, abs=0.04)
