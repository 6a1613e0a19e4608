from __future__ import annotations

import json
from typing import Any

import pytest

from ibisagent.errors import InvalidRequest
from ibisagent.segment import Scope, SegmentRequest
from ibisagent.slices import Plane
from ibisagent_app.request_fields import (
    DECIDED_ELSEWHERE,
    OF_CLIENTS,
    check_known,
    check_overrides,
    client_options,
    to_request,
)


def test_form_covers_the_request() -> None:
    without_a_range = SegmentRequest.model_fields.keys() - {"first", "last"}
    assert client_options(10).keys() == without_a_range


def test_form_sent_back_untouched_but_for_the_prompt_is_the_default_request() -> None:
    form = {**client_options(10), "prompt": "the liver"}
    first = {key: v[0] if isinstance(v, list) else v for key, v in form.items()}
    for sent in (form, first):
        request = to_request(json.loads(json.dumps(sent)), max_steps=3)
        assert request == SegmentRequest(prompt="the liver", max_steps=10)


def test_configured_limit_is_used_where_none_is_sent() -> None:
    assert to_request({"prompt": "x", "max_steps": ""}, max_steps=3).max_steps == 3
    assert to_request({"prompt": "x", "max_steps": "5"}, max_steps=3).max_steps == 5


def test_text_becomes_numbers_and_choices() -> None:
    request = to_request(
        {"prompt": "  x ", "slice": " 12 ", "plane": "coronal", "scope": "volume"}, max_steps=3
    )
    assert (request.prompt, request.slice) == ("x", 12)
    assert (request.plane, request.scope) == (Plane.CORONAL, Scope.VOLUME)


@pytest.mark.parametrize("prompt", ["", "  ", None, [], "\n"])
def test_empty_prompt(prompt: Any) -> None:
    with pytest.raises(InvalidRequest, match="prompt"):
        to_request({"prompt": prompt}, max_steps=3)


def test_missing_prompt() -> None:
    with pytest.raises(InvalidRequest, match="prompt is empty"):
        to_request({}, max_steps=3)


@pytest.mark.parametrize("name", DECIDED_ELSEWHERE)
def test_override_is_named(name: str) -> None:
    with pytest.raises(InvalidRequest, match=name) as caught:
        check_overrides({"prompt": "x", name: "y"})
    assert caught.value.fix == DECIDED_ELSEWHERE[name]


def test_unknown_field_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match="promt") as caught:
        check_known({"promt": "x"})
    assert "prompt" in caught.value.fix


def test_fields_of_clients_are_known_and_override_nothing() -> None:
    params = dict.fromkeys(OF_CLIENTS, "x")
    check_known(params)
    check_overrides(params)
