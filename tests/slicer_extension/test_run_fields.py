"""Requests and descriptions have the fields that the server knows."""

from __future__ import annotations

import dataclasses

import pytest

from ibisagent.runs import description, orders
from IBISAgentLib.reading import read
from IBISAgentLib.run_fields import Click, RunDescription, RunRequest

FULL = RunRequest(
    image="a",
    prompt="the liver",
    plane="coronal",
    slice=3,
    scope="volume",
    method="every_slice",
    clean=("largest", "holes"),
    window="lung",
    max_steps=5,
    seed=1,
    clicks=(Click(True, 3, 0.5, 0.25), Click(False, ijk=(1, 2, 3))),
    start_label="final",
    resume="r0",
    wait_for_human=True,
)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (RunRequest, orders.RunRequest),
        (Click, orders.PersonsClick),
        (RunDescription, description.RunDescription),
    ],
    ids=lambda kind: kind.__name__,
)
def test_the_fields_are_the_servers(ours, theirs):
    assert {field.name for field in dataclasses.fields(ours)} == set(theirs.model_fields)


def test_the_server_understands_a_full_request():
    understood = orders.RunRequest.parse(FULL.fields())
    assert (understood.image, understood.seed, understood.resume) == ("a", 1, "r0")
    assert [step.value for step in understood.clean] == ["largest", "holes"]
    assert understood.clicks[1].ijk == (1, 2, 3)


def test_the_server_understands_a_range():
    request = RunRequest("a", "liver", scope="range", first=0, last=4)
    assert orders.RunRequest.parse(request.fields()).last == 4


def test_the_server_understands_a_run_that_was_downloaded():
    saved = {"format": "ibisagent-run/1", "trajectories": [], "carried": []}
    request = RunRequest("a", "liver", saved=saved)
    assert orders.RunRequest.parse(request.fields()).saved.model_dump() == saved


def test_the_server_understands_a_short_request():
    assert RunRequest("a", "liver").fields() == {"image": "a", "prompt": "liver"}
    orders.RunRequest.parse(RunRequest("a", "liver").fields())


@pytest.mark.parametrize("click", [Click(index=0, x=0.0, y=1.0), Click(ijk=(0, 0, 0))])
def test_the_server_understands_clicks(click):
    orders.ClickOrder.parse({**click.fields(), "then": "agent"})


@pytest.mark.parametrize("state", description.State)
def test_a_description_is_read(state):
    error = {"code": "x", "message": "It failed.", "fix": "Mend it."}
    sent = description.RunDescription(
        run="r", state=state, image="a", prompt="p", plane="axial", scope="slice", queue=0,
        events=3, author="me", created="now", seconds=1, answer="", found=False, error=error,
    )  # fmt: skip
    found = read(RunDescription, sent.model_dump(mode="json"))
    assert found.error.fix == "Mend it."
    assert found.at_rest == (state.value in ("resting", "failed"))
