"""The mirror shows what the server's table holds, and bears what it does not know."""

from __future__ import annotations

import dataclasses
import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibisagent import events
from ibisagent.rle import Rle
from ibisagent.trajectory import ActionRecord, SliceRecord, StepRecord
from IBISAgentLib import protocol
from IBISAgentLib.errors import UnreadableAnswer, WrongVersion
from IBISAgentLib.protocol import EVENTS, FORMAT, read_event

SERVER_EVENTS = [
    events.Started,
    events.SliceStarted,
    events.Stepped,
    events.SliceDone,
    events.Progressed,
    events.Finished,
    events.Failed,
]
PAIRS = [(kind, EVENTS[kind.model_fields["event"].default]) for kind in SERVER_EVENTS]
PAIRS += [(SliceRecord, protocol.SliceRecord), (StepRecord, protocol.StepRecord)]
PAIRS += [(ActionRecord, protocol.ActionRecord), (Rle, protocol.Rle)]

EMPTY = Rle(size=(4, 5), counts="d0")
WHERE = SliceRecord(image="a", plane="axial", index=3, height=4, width=5, pixel_mm=0.8)
STEP = StepRecord(
    author="agent",
    raw="<think>There.</think>",
    thought="There.",
    action=ActionRecord(kind="positive", x=0.25, y=0.5),
    pixel=(2, 1),
    carried_out=True,
    mask=EMPTY,
    score=0.9,
    policy_seconds=1.5,
    tool_seconds=0.2,
)
PLACE = {"plane": "axial", "index": 3}
ONE_OF_EACH = [
    events.Started(
        seq=1, run="r", image="a", prompt="p", scope="slice", plane="axial", policy="x", tool="y"
    ),
    events.SliceStarted(seq=2, slice=WHERE, start=EMPTY, asked_because="middle"),
    events.Stepped(seq=3, number=1, ijk=(1, 2, 3), step=STEP, mask=EMPTY, **PLACE),
    events.Stepped(seq=3, number=0, undone=True, step=STEP, mask=EMPTY, **PLACE),
    events.SliceDone(seq=4, stop="terminated", mask=EMPTY, answer="Marked.", **PLACE),
    events.SliceDone(seq=4, stop=None, carried=True, mask=EMPTY, **PLACE),
    events.Progressed(seq=5, done=1, left=2, seconds_left=3.5, queue=1),
    events.Finished(seq=6, answer="Marked.", found=True, seconds=4),
    events.Failed(seq=7, code="policy_failed", message="It failed.", fix="Try again."),
]


def test_every_event_of_the_server_is_mirrored():
    server = {kind["properties"]["event"]["const"] for kind in kinds_in_the_schema()}
    assert server == set(EVENTS) == {kind.model_fields["event"].default for kind in SERVER_EVENTS}
    assert events.FORMAT == FORMAT


def kinds_in_the_schema() -> list[dict]:
    schema = events.EVENTS.json_schema()
    return [schema["$defs"][one["$ref"].split("/")[-1]] for one in schema["oneOf"]]


@pytest.mark.parametrize(("theirs", "ours"), PAIRS, ids=lambda kind: kind.__name__)
def test_every_field_of_the_server_is_mirrored(theirs, ours):
    assert {field.name for field in dataclasses.fields(ours)} == set(theirs.model_fields) - {
        "event"
    }


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.event)
def test_an_event_arrives_as_it_was_sent(event):
    number, read = read_event(event.model_dump_json())
    assert number == event.seq
    assert read.event == event.event
    sent = json.loads(event.model_dump_json(exclude={"event"}))
    assert json.loads(json.dumps(dataclasses.asdict(read))) == sent


def test_unknown_fields_are_passed_over():
    data = json.loads(ONE_OF_EACH[2].model_dump_json())
    data["mood"] = "cheerful"
    data["step"]["action"]["pressure"] = 3
    assert read_event(json.dumps(data))[1] == read_event(ONE_OF_EACH[2].model_dump_json())[1]


def test_an_unknown_event_is_passed_over_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert read_event(b'{"seq": 9, "event": "sneezed", "time": "now"}') == (9, None)
    assert "'sneezed'" in caplog.text


@pytest.mark.parametrize("version", ["ibisagent-events/2", "", None, 1])
def test_another_version_is_refused_in_words(version):
    data = json.loads(ONE_OF_EACH[0].model_dump_json()) | {"format": version}
    with pytest.raises(WrongVersion, match="speaks") as refused:
        read_event(json.dumps(data))
    assert "Update" in refused.value.fix


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        '"step"',
        "\ufeff{}",
        '{"event": "step"}',
        '{"seq": "1", "event": "step"}',
        '{"seq": true, "event": "step"}',
        '{"seq": 1, "event": 5}',
        '{"seq": 1, "event": "finished", "time": "now"}',
        "[" * 100_000,
    ],
)
def test_a_broken_line_is_refused(line):
    with pytest.raises(UnreadableAnswer) as refused:
        read_event(line)
    assert refused.value.fix


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("index",), 3.5),
        (("undone",), 1),
        (("ijk",), [1, 2]),
        (("ijk",), "123"),
        (("step",), []),
        (("step", "author"), 7),
        (("step", "action", "x"), "left"),
        (("mask", "size"), [4, None]),
        (("mask", "counts"), 5),
    ],
)
def test_a_field_of_another_type_is_named(path, value):
    data = json.loads(ONE_OF_EACH[2].model_dump_json())
    at = data
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    with pytest.raises(UnreadableAnswer, match=path[-1]):
        read_event(json.dumps(data))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ONE_OF_EACH), st.data())
def test_whatever_comes_is_an_event_or_refused(event, data):
    """One value anywhere in an event is replaced by any other."""
    sent = json.loads(event.model_dump_json())
    at, name = sent, data.draw(st.sampled_from(sorted(sent)))
    while isinstance(at[name], dict) and data.draw(st.booleans()):
        at = at[name]
        name = data.draw(st.sampled_from(sorted(at)))
    at[name] = data.draw(VALUES)
    try:
        _, read = read_event(json.dumps(sent))
    except (UnreadableAnswer, WrongVersion):
        return
    assert read is None or isinstance(read, EVENTS[read.event])


def test_whole_numbers_do_for_fractions():
    data = json.loads(ONE_OF_EACH[6].model_dump_json()) | {"seconds_left": 3}
    assert read_event(json.dumps(data))[1].seconds_left == 3.0
