from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibisagent_app.training.label_names import names_of_values, stated_names
from ibisagent_app.training.refusals import UnnamedLabel


def names(info, values, of_file=None):
    return names_of_values("head", info, values, of_file or {})


def segments(*pairs):
    return {"label_info": [{"name": name, "idx": idx} for name, idx in pairs]}


def test_segments_of_the_stock_slicer_module():
    assert names(segments(("Liver", 1), ("Spleen", 2)), [1, 2]) == {1: "liver", 2: "spleen"}


def test_label_names_of_a_result_that_was_kept():
    info = {"model": "ibisagent", "params": {"label_names": {"the left kidney": 1}}}

    assert names(info, [1]) == {1: "left kidney"}


def test_label_names_as_mapping_and_as_list():
    assert names({"label_names": {"aorta": 3}}, [3]) == {3: "aorta"}
    assert names({"label_names": ["liver", "spleen"]}, [2]) == {2: "spleen", 1: "liver"}


def test_a_name_in_the_file_goes_first():
    assert names(segments(("liver", 1)), [1], {1: "left kidney"}) == {1: "left kidney"}


def test_a_name_that_is_not_marked_is_known_all_the_same():
    assert names(segments(("liver", 1), ("spleen", 2)), [1]) == {1: "liver", 2: "spleen"}


def test_segments_that_were_numbered_before_one_was_dropped_are_counted_anew():
    assert names(segments(("liver", 2), ("spleen", 3)), [1, 2]) == {1: "liver", 2: "spleen"}


def test_numbers_with_gaps_are_believed_where_only_they_fit():
    assert names(segments(("liver", 6), ("spleen", 9)), [6, 9]) == {6: "liver", 9: "spleen"}


def test_two_ways_of_reading_are_refused():
    with pytest.raises(UnnamedLabel, match="two ways"):
        names(segments(("liver", 2), ("spleen", 3)), [2])


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"label_info": []},
        {"label_info": [{"idx": 1}]},
        {"label_info": [{"name": "", "idx": 1}]},
        {"label_info": [{"name": "  ", "idx": 1}]},
        {"label_info": [{"name": "Segment_1", "idx": 1}]},
        {"label_info": [{"name": "unknown", "idx": 1}]},
        {"label_names": {}},
        {"label_names": {"liver": 2}},
        {"params": None},
        {"label_info": "liver"},
    ],
)
def test_a_label_without_a_name_is_refused(info):
    with pytest.raises(UnnamedLabel, match="no name") as caught:
        names(info, [1])
    assert "head" in caught.value.message


def test_two_segments_of_one_name_are_refused():
    with pytest.raises(UnnamedLabel, match="Two segments"):
        names(segments(("kidney", 1), ("Kidney", 2)), [1, 2])


def test_names_are_as_prompts_have_them():
    assert names(segments(("The Left_Kidney (pole)", 1)), [1]) == {1: "left kidney"}


def test_an_empty_label_needs_no_name():
    assert names({}, []) == {}


def test_stated_names_need_no_image():
    assert stated_names(segments(("Liver", 2), ("background", 1))) == {"liver", "background"}
    assert stated_names({}) == set()


@given(
    st.dictionaries(
        st.sampled_from(["label_info", "label_names", "params"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["name", "idx", "label_names"]), inner)
            ),
        ),
    ),
    st.sets(st.integers(1, 5)),
)
def test_whatever_was_kept_marked_values_have_names_or_are_refused(info, values):
    try:
        found = names(info, sorted(values))
    except UnnamedLabel:
        return
    assert values <= set(found)
    assert all(found.values())
