"""Write the pages of docs/ that follow from the code: `make docs`.

A test compares them with what stands in the folder, so that they cannot grow old.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from ibisagent.cli import app as agent_app
from ibisagent.events import EVENTS, FORMAT
from ibisagent.trajectory import CarriedSlice, Trajectory
from ibistrain.cli import app as training_app
from ibistrain.episode_record import EpisodeRecord

DOCS = Path(__file__).resolve().parent

_CLI_HEAD = """\
# Command line

<!-- Written by docs/generate.py; change the help texts of the commands instead. -->
"""


def pages() -> dict[str, str]:
    """File name in docs/ -> content."""
    return {
        "cli.md": cli_page(),
        "trajectory.schema.json": schema_page(Trajectory),
        "carried.schema.json": schema_page(CarriedSlice),
        "event.schema.json": event_page(),
        "episode.schema.json": episode_page(),
    }


def schema_page(record: type[BaseModel]) -> str:
    """JSON schema of a record that the library writes."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **record.model_json_schema(),
    }
    schema["properties"]["version"].pop("default")  # or every release would be another schema
    return json.dumps(schema, indent=2) + "\n"


def event_page() -> str:
    """JSON schema of a line of a run's events."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FORMAT,
        **EVENTS.json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2) + "\n"


def episode_page() -> str:
    """JSON schema of a simulated episode, a line of a shard."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **EpisodeRecord.model_json_schema(),
    }
    schema["$defs"]["Trajectory"]["properties"]["version"].pop("default")
    return json.dumps(schema, indent=2) + "\n"


def cli_page() -> str:
    """Every command with its arguments and options."""
    parts = [_CLI_HEAD]
    for program, app in (("ibisagent", agent_app), ("ibistrain", training_app)):
        group: Any = typer.main.get_command(app)
        parts += _command(program, group)
        for name, command in group.commands.items():
            parts += _command(f"{program} {name}", command)
    return "\n".join(parts).rstrip() + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"## {name}\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    parameters = [p for p in command.params if not getattr(p, "hidden", False)]
    rows = [_row(parameter) for parameter in parameters if parameter.name != "help"]
    if rows:
        yield "\n".join(["| | meaning | default |", "|---|---|---|", *rows]) + "\n"


def _row(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    names = [*parameter.opts, *parameter.secondary_opts] if is_option else [parameter.name.upper()]
    shown = ", ".join(f"`{name}`" for name in names)
    return f"| {shown} | {parameter.help} | {_default(parameter)} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return str(parameter.show_default)
    value = parameter.default
    if isinstance(value, bool) and parameter.secondary_opts:
        return f"`{(parameter.opts if value else parameter.secondary_opts)[0]}`"
    return "" if value is None or value is False or value == "" else f"`{value}`"


if __name__ == "__main__":
    for file_name, text in pages().items():
        (DOCS / file_name).write_text(text, encoding="utf-8", newline="\n")
