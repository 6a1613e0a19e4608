"""Reads the YAML file of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ibisagent.errors import InvalidRequest

ConfigT = TypeVar("ConfigT", bound=BaseModel)


def read_config(kind: type[ConfigT], file: Path, changes: dict[str, Any]) -> ConfigT:
    """Read settings; paths in the file are relative to the folder it is called from.

    Args:
        kind: `SftConfig` or `RlConfig`.
        file: YAML with its fields.
        changes: Fields given on the command line, which go before the file's.

    Raises:
        InvalidRequest: The file cannot be read, or a field is missing, unknown or out of range.
    """
    try:
        fields = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        return kind.model_validate({**fields, **changes})
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise InvalidRequest(
            f"{file} is not readable YAML.", "Start from a file of training/ibistrain/configs."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise InvalidRequest(
            f"{file.name}: {place}: {first['msg']}.",
            f"Known fields: {', '.join(kind.model_fields)}.",
        ) from error


def read_changes(texts: list[str]) -> dict[str, Any]:
    """Fields from ``name=value`` texts; values are YAML.

    Raises:
        InvalidRequest: A text has no ``=``, or its value is not YAML.
    """
    changes: dict[str, Any] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        try:
            changes[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            mark = ""
        if not mark:
            raise InvalidRequest(f"{text!r} is not a setting.", "Write it as name=value.")
    return changes
