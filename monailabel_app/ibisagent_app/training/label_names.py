"""What the values of a label image stand for, from what was saved beside it.

Labels come from several hands. MONAI Label's module for 3D Slicer saves ``label_info``, a list
of segments with ``name`` and ``idx``; a label kept by ``/infer`` has the result's
``label_names``, name to value; a ``.seg.nrrd`` and a DICOM SEG name their segments themselves.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ibisagent_app.training.refusals import UnnamedLabel

_NO_NAME = re.compile(r"(segment|label|mask|unknown|untitled)[ _-]*\d*")
_ARTICLE = re.compile(r"(the|a|an) ")


def names_of_values(
    study: str, info: Mapping[str, Any], values: Collection[int], of_file: Mapping[int, str]
) -> dict[int, str]:
    """The name of each value of a label image.

    Args:
        study: Name of the image, for messages.
        info: What the datastore keeps with the label.
        values: Marked in the label image; without 0.
        of_file: Names that the label's file itself holds; they go before `info`.

    Returns:
        Value to name: of all marked values, and of others that are named and were not found.

    Raises:
        UnnamedLabel: A marked value has no name, two have the same, or `info` can be read in
            two ways.
    """
    named = dict(of_file) or _from_info(study, info, values)
    clean = {value: _plain(name) for value, name in named.items()}
    for value in sorted(values):
        if not clean.get(value):
            raise UnnamedLabel(
                f"The label of {study} marks the value {value}, which has no name.",
                "Give the segment the name of what it shows, and submit the label again.",
            )
    names = [clean[value] for value in values]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UnnamedLabel(
            f"Two segments of the label of {study} are called {twice!r}.",
            "Join them or give them different names, and submit the label again.",
        )
    others = {value: name for value, name in clean.items() if name and name not in names}
    return {**others, **{value: clean[value] for value in values}}


def stated_names(info: Mapping[str, Any]) -> set[str]:
    """All names that are kept with a label, whatever its image marks."""
    try:
        names = _from_info("", info, ()).values()
    except UnnamedLabel:
        return set()
    return {_plain(name) for name in names} - {""}


def _from_info(study: str, info: Mapping[str, Any], values: Collection[int]) -> dict[int, str]:
    """Names as MONAI Label and its clients keep them."""
    params = info.get("params")
    for holder in (info, params if isinstance(params, Mapping) else {}):
        segments, names = holder.get("label_info"), holder.get("label_names")
        if isinstance(segments, Sequence) and segments and not isinstance(segments, str):
            return _of_segments(study, segments, values)
        if isinstance(names, Mapping) and names:
            return {int(value): str(name) for name, value in names.items() if _is_number(value)}
        if isinstance(names, Sequence) and names and not isinstance(names, str):
            return {place: str(name) for place, name in enumerate(names, start=1)}
    return {}


def _of_segments(study: str, segments: Sequence[Any], values: Collection[int]) -> dict[int, str]:
    """The stock module numbers segments before it drops some; the label image then counts anew."""
    entries = [entry for entry in segments if isinstance(entry, Mapping)]
    names = [str(entry.get("name") or "") for entry in entries]
    by_place = dict(enumerate(names, start=1))
    numbers = [entry.get("idx") for entry in entries]
    if not all(_is_number(number) for number in numbers):
        return by_place
    by_number = {int(str(number)): name for number, name in zip(numbers, names, strict=True)}
    if not set(values) <= by_number.keys():
        return by_place
    fits_both = set(values) <= by_place.keys()
    if fits_both and any(by_place[value] != by_number[value] for value in values):
        raise UnnamedLabel(
            f"Which segment of the label of {study} has which name can be read in two ways.",
            "Remove segments called background or scribbles, and submit the label again.",
        )
    return by_number


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and str(value).isdecimal()


def _plain(name: str) -> str:
    """As prompts have it: lower case, no article, no remark in brackets; empty for no name."""
    text = " ".join(name.lower().replace("_", " ").split()).partition(" (")[0]
    text = _ARTICLE.sub("", text, count=1) if _ARTICLE.match(text) else text
    return "" if _NO_NAME.fullmatch(text) else text
