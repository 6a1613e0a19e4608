from __future__ import annotations

import pytest

from ibisagent.errors import InvalidRequest
from ibisagent.runs.orders import AcceptOrder, ClickOrder, RunRequest, SliceOrder, Then


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"index": 1, "x": 0.5},
        {"index": 1, "x": 0.5, "y": 0.5, "ijk": [1, 2, 3]},
        {"index": 1, "x": 1.5, "y": 0.5},
        {"index": -1, "x": 0.5, "y": 0.5},
        {"index": 1, "x": float("nan"), "y": 0.5},
        {"ijk": [1, 2]},
        {"ijk": [1, 2, 3], "then": "stop"},
        {"ijk": [1, 2, 3], "colour": "red"},
    ],
)
def test_click_that_is_none_is_refused_with_a_fix(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ClickOrder.parse(fields)
    assert "ijk" in caught.value.fix


def test_click_waits_unless_told_otherwise() -> None:
    order = ClickOrder.parse({"ijk": [1, 2, 3]})
    assert (order.then, order.positive) == (Then.WAIT, True)


def test_defaults_of_accept() -> None:
    assert AcceptOrder.parse({}) == AcceptOrder(tag="final", label="")


def test_slice_is_needed() -> None:
    with pytest.raises(InvalidRequest, match="index"):
        SliceOrder.parse({})


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "x"},
        {"image": "a"},
        {"image": "", "prompt": "x"},
        {"image": "a", "prompt": "x", "policy": "mine"},
        {"image": "a", "prompt": "x", "seed": -1},
        {"image": "a", "prompt": "x", "first": 1},
        {"image": "a", "prompt": "x", "scope": "range", "first": 3, "last": 2},
        {"image": "a", "prompt": "x", "clicks": [{"x": 0.5}]},
    ],
)
def test_request_that_does_not_fit_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        RunRequest.parse(fields)


def test_request_survives_json() -> None:
    clicks = [{"index": 3, "x": 0.1, "y": 0.2}, {"ijk": [1, 2, 3], "positive": False}]
    request = RunRequest.parse({"image": "a", "prompt": "x", "clicks": clicks})
    assert RunRequest.model_validate_json(request.model_dump_json()) == request
