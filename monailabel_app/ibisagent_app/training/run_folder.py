"""The folder of the training that goes on, so that one that was broken off goes on in it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ibisagent.errors import InvalidManifest
from ibisagent.manifest import Manifest, load_manifest
from ibisagent.output import make_folder, write_whole
from ibisagent.prompts import PROFILE_FILE, PromptProfile, load_profile
from ibisagent_app.configuration import Configuration, load_profile_of
from ibisagent_app.training.desk import Plan
from ibisagent_app.training.studies import write_set
from ibisagent_app.training.workplace import Workplace

_PLAN = "plan.json"


@dataclass(frozen=True)
class TrainingFolder:
    """What stands in the folder.

    Attributes:
        path: The folder.
        manifest: The labelled set.
        resumed: Whether a training that was broken off is taken up.
    """

    path: Path
    manifest: Manifest
    resumed: bool

    @property
    def data(self) -> Path:
        """Folder of the labelled set."""
        return self.path / "set"

    @property
    def prompts(self) -> Path:
        """The prompt profile of the model to be, with the names that it will have learnt."""
        return self.path / PROFILE_FILE


def open_folder(plan: Plan, place: Workplace, configuration: Configuration) -> TrainingFolder:
    """Begin a training, or take up the one that was broken off.

    It is taken up if task, options and starting checkpoint are the same. It then goes on with
    its own studies; those accepted since are learnt from next time.

    Raises:
        OutputNotWritable: The disk is full or the folder closed.
        InvalidProfile: The prompts of the starting checkpoint are not valid.
    """
    wanted = _identity(plan)
    earlier = _earlier(place.run, wanted)
    if earlier is not None:
        return TrainingFolder(place.run, earlier, resumed=True)
    shutil.rmtree(place.run, ignore_errors=True)
    make_folder(place.run)
    place.keep_set_name(plan.sides.set_name)
    manifest = load_manifest(write_set(plan.studies, plan.sides, place.run / "set"))
    names = sorted({name for study in plan.studies for name in study.marked})
    profile = taught(_profile_of(plan, configuration), names)
    text = profile.model_dump_json()  # JSON is YAML
    write_whole(place.run / PROFILE_FILE, text.encode("utf-8"))
    # Last, so that a folder with it is complete.
    write_whole(place.run / _PLAN, json.dumps(wanted, indent=1).encode("utf-8"))
    return TrainingFolder(place.run, manifest, resumed=False)


def forget_plan(place: Workplace) -> None:
    """Let the next training begin anew, as what this one was made of makes it fail."""
    (place.run / _PLAN).unlink(missing_ok=True)


def taught(profile: PromptProfile, names: list[str]) -> PromptProfile:
    """The profile of a model that has learnt these names too; others may take any text."""
    new = [name for name in names if profile.find_target(name) is None]
    if not profile.targets or not new:
        return profile
    return profile.model_copy(update={"targets": (*profile.targets, *new)})


def _identity(plan: Plan) -> dict[str, Any]:
    return {
        "task": plan.task,
        "start": Path(plan.start).name,
        "options": plan.options.model_dump(mode="json"),
    }


def _earlier(folder: Path, wanted: dict[str, Any]) -> Manifest | None:
    """The set of a training that was broken off, if it is this one and its images are there."""
    try:
        if json.loads((folder / _PLAN).read_text(encoding="utf-8")) != wanted:
            return None
        return load_manifest(folder / "set")
    except (OSError, ValueError, InvalidManifest):
        return None


def _profile_of(plan: Plan, configuration: Configuration) -> PromptProfile:
    start = Path(plan.start)
    if not configuration.prompts and (start / PROFILE_FILE).is_file():
        return load_profile(start)
    return load_profile_of(configuration)
