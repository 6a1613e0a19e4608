from __future__ import annotations

import json

import pytest

from ibisagent.errors import InvalidRequest
from ibisagent_app.checked_route import MAX_PARAMS
from ibisagent_app.errors import RequestTooLarge
from ibisagent_app.params import parse_params


def test_an_object_is_taken() -> None:
    assert parse_params('{"prompt": "Leber", "slice": 3}') == {"prompt": "Leber", "slice": 3}
    assert parse_params("") == {}


@pytest.mark.parametrize("text", ["{", "[1]", "3", '"x"', "null", '{"a": NaN}', "[" * 99999])
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match="info"):
        parse_params(text, "info")


def test_length() -> None:
    with pytest.raises(RequestTooLarge, match="1 MiB"):
        parse_params(json.dumps({"prompt": "x" * MAX_PARAMS}))
