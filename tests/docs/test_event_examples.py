"""The examples of events are what clients get."""

from __future__ import annotations

import json
from pathlib import Path

from ibisagent.events import EVENTS

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "events.example.ndjson"


def test_examples_are_events_of_every_kind() -> None:
    lines = EXAMPLES.read_text(encoding="utf-8").splitlines()
    events = [EVENTS.validate_json(line) for line in lines]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    kinds = EVENTS.json_schema()["discriminator"]["mapping"]
    assert {event.event for event in events} == set(kinds)
    for line, event in zip(lines, events, strict=True):
        assert json.loads(line) == event.model_dump(mode="json")
