"""From accepted studies to a labelled set that training and evaluation read.

The set is a folder with a manifest (`ibisagent.manifest`). Images are linked, not copied; labels
are copied, since a person may change them while a training goes on that was judged by them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ibisagent.errors import OutputNotWritable
from ibisagent.output import make_folder, write_whole
from ibisagent.subjects import is_held_back
from ibisagent_app.training.final_labels import Study
from ibisagent_app.training.refusals import OneSubjectOnly, TooFewStudies

NEEDED = 4
"""Fewest accepted studies with something marked: below, no difference could be told from luck."""

JUDGES = 2
"""Fewest subjects held back: of one, nobody could tell a better model from a lucky one."""

_SET = "studies"
_NAMES = 1000
_SUFFIXES = (".nii.gz", ".seg.nrrd")


@dataclass(frozen=True)
class Sides:
    """Who is trained on and who is held back.

    Attributes:
        set_name: Name of the set, which decides the sides of all its subjects.
        learnt: Subjects on the training side.
        held_back: Subjects that training must not see.
    """

    set_name: str
    learnt: frozenset[str]
    held_back: frozenset[str]


def check_enough(studies: Sequence[Study], needed: int = NEEDED) -> None:
    """Refuse what cannot be learnt from and judged by.

    Raises:
        TooFewStudies: Fewer than `needed` labels mark anything, or they show two subjects.
        OneSubjectOnly: All studies show one subject.
    """
    marked = [study for study in studies if study.marked]
    if len(marked) < needed:
        raise TooFewStudies(
            f"Training needs {needed} accepted studies with something marked; there "
            f"{'is' if len(marked) == 1 else 'are'} {len(marked)}.",
            f"Accept {needed - len(marked)} more with the tag 'final', then start again.",
        )
    subjects = {study.subject for study in marked}
    if len(subjects) == 1:
        raise OneSubjectOnly(
            "All accepted studies show one subject, so that none can be held back to judge "
            "whether training helped.",
            "Accept studies of other people, then start again.",
        )
    if len(subjects) <= JUDGES:
        raise TooFewStudies(
            f"The accepted studies show {len(subjects)} subjects; {JUDGES} are held back to judge "
            "by, and none is left to learn from.",
            "Accept a study of another person, then start again.",
        )


def split(subjects: Collection[str], earlier: str = "") -> Sides:
    """Decide the sides of subjects: `JUDGES` at least are held back, one at least is learnt from.

    A subject's side is a hash of its name and the set's (`ibisagent.subjects`), so it stays when
    others are added. Few subjects may fall badly; then the set takes another name.

    Args:
        subjects: More than `JUDGES`.
        earlier: Name of the set at an earlier training; kept while its sides can be used.

    Raises:
        TooFewStudies: No name gives sides that can be used.
    """
    kept = _sides(earlier, subjects) if earlier else None
    if kept and len(kept.held_back) >= JUDGES and kept.learnt:
        return kept
    for number in range(_NAMES):
        sides = _sides(f"{_SET}-{number}" if number else _SET, subjects)
        most = max(JUDGES, len(sides.learnt))  # rather learn from many than judge by many
        if JUDGES <= len(sides.held_back) <= most and sides.learnt:
            return sides
    raise TooFewStudies(
        f"{len(set(subjects))} subjects cannot be divided into those to learn from and those to "
        "judge by.",
        "Accept studies of more people, then start again.",
    )


def _sides(set_name: str, subjects: Collection[str]) -> Sides:
    held_back = frozenset(one for one in subjects if is_held_back(set_name, one))
    return Sides(set_name, frozenset(subjects) - held_back, held_back)


def write_set(studies: Iterable[Study], sides: Sides, folder: Path) -> Path:
    """Write the set's folder; what stands there is replaced.

    Args:
        studies: Checked ones.
        sides: Of their subjects.
        folder: Where; made if missing.

    Returns:
        The manifest.

    Raises:
        OutputNotWritable: The disk is full or the folder closed.
    """
    for part in ("images", "labels"):
        shutil.rmtree(folder / part, ignore_errors=True)
        make_folder(folder / part)
    try:
        items = [_item(study, folder) for study in studies if study.names]
    except OSError as error:
        raise OutputNotWritable(
            f"The studies could not be gathered for training: {error.strerror}.",
            "Check free space and permissions of the app's folder.",
        ) from error
    fields = {"name": sides.set_name, "items": items}
    path = folder / "manifest.json"
    write_whole(path, json.dumps(fields, indent=1, ensure_ascii=False).encode("utf-8"))
    return path


def _item(study: Study, folder: Path) -> dict[str, object]:
    stem = file_stem(study.name)
    image = folder / "images" / (stem + ("" if study.image.is_dir() else _suffix(study.image)))
    label = folder / "labels" / (stem + _suffix(study.label))
    _refer(study.image.resolve(), image)
    shutil.copyfile(study.label, label)
    return {
        "image": image.relative_to(folder).as_posix(),
        "label": label.relative_to(folder).as_posix(),
        "labels": {str(value): name for value, name in sorted(study.names.items())},
        "subject": study.subject,
    }


def file_stem(name: str) -> str:
    """A file name without dots that stands for an image and for no other."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", name)[:80]
    return plain if plain == name else f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"


def _suffix(path: Path) -> str:
    return next((suffix for suffix in _SUFFIXES if path.name.endswith(suffix)), path.suffix)


def _refer(image: Path, place: Path) -> None:
    """Link where the file system can, else copy."""
    ways: tuple[Callable[[Path, Path], object], ...] = (os.symlink, os.link)
    for way in ways:
        with suppress(OSError, NotImplementedError):
            way(image, place)
            return
    if image.is_dir():
        shutil.copytree(image, place)
    else:
        shutil.copyfile(image, place)
