"""What the server was started with: ``--conf KEY VALUE``."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ibisagent.errors import InvalidRequest, ModelNotFound
from ibisagent.machine_profile import load_machine_profile
from ibisagent.policies import EMBEDDED, ENDPOINT, embedded_checkpoint
from ibisagent.policies.checkpoint_source import FORMS, CheckpointSource
from ibisagent.policies.policy_spec import OPTIONS, PolicySpec
from ibisagent.prompts import PROFILE_FILE, PromptProfile, load_profile
from ibisagent.tools.weights import FORMS as TOOL_FORMS
from ibisagent.tools.weights import tool_source
from ibisagent.torch_device import resolve_device
from ibisagent_app.visitors import parse_origins

logger = logging.getLogger(__name__)

MODEL_CARD = "README.md"
"""Name under which a checkpoint folder describes itself, as on model hubs."""

_OF_MONAILABEL = {"server_mode"}
_CHECKPOINT_FILES = ("config.json", "adapter_config.json")


class Configuration(BaseModel):
    """The keys of ``--conf``; the description of each is its documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str = Field(
        default="",
        description="Machine profile that sets the other keys where they are not given: "
        "laptop, workstation, server, or a YAML file.",
    )
    policy: str = Field(
        default=EMBEDDED,
        min_length=1,
        description=f"'embedded', {FORMS}, or endpoint:ADDRESS#MODEL; {OPTIONS}.",
    )
    tool: str = Field(
        default="embedded",
        min_length=1,
        description=f"{TOOL_FORMS}.",
    )
    device: str = Field(
        default="auto", min_length=1, description="'auto', 'cpu', 'cuda' or 'cuda:N'."
    )
    max_steps: int = Field(
        default=10, ge=1, le=50, description="Most actions on a slice, if a request names none."
    )
    prompts: str = Field(
        default="", description="Prompt profile by name or YAML file; empty for the checkpoint's."
    )
    cors_origins: str = Field(
        default="",
        description="Web pages that may ask this server beside those of its own machine, such as "
        "https://viewer.hospital.org; several are separated by commas.",
    )
    runs: str = Field(
        default="",
        description="Folder in which runs are kept; empty for one of the app's own, by studies.",
    )
    runs_at_once: int = Field(
        default=4, ge=1, le=64, description="Runs at work at the same time, in turns."
    )
    runs_waiting: int = Field(
        default=16, ge=0, le=1000, description="Runs that wait behind them; more are refused."
    )
    runs_kept: int = Field(
        default=200, ge=1, le=10_000, description="Runs kept; the oldest are forgotten."
    )
    client_minutes: float = Field(
        default=10, ge=0, description="A run nobody watches for so long is cancelled; 0: never."
    )
    idle_minutes: float = Field(
        default=30, ge=0, description="Models nobody uses for so long are freed; 0: never."
    )
    images_mib: int = Field(
        default=1024, ge=0, description="MiB for images kept in memory, so that clicks are quick."
    )


def read_configuration(conf: Mapping[str, str]) -> Configuration:
    """Check what the command line gave; unknown keys are warned of and dropped.

    Raises:
        InvalidRequest: A value does not fit its key.
        DeviceUnavailable: There is no such device.
        ModelNotFound: There is no such checkpoint, or no such file of tool weights.
        MissingPackage: The machine profile, or the embedded tool, needs one.
    """
    known = {key: value for key, value in conf.items() if key in Configuration.model_fields}
    for key in conf.keys() - known.keys() - _OF_MONAILABEL:
        choices = ", ".join(Configuration.model_fields)
        logger.warning("--conf %s is unknown and has no effect; known keys: %s", key, choices)
    machine = load_machine_profile(known["profile"]) if known.get("profile") else None
    chosen = machine.settings() if machine else {}
    try:
        configuration = Configuration.model_validate({**chosen, **known})
    except ValidationError as error:
        raise _misfit(error) from error
    if machine:  # first, as it says best what is missing
        machine.require_machine(configuration.policy, configuration.tool, configuration.device)
    resolve_device(configuration.device)
    PolicySpec.parse(configuration.policy).require_packages()
    checkpoint_folder(configuration)
    tool_source(configuration.tool)
    parse_origins(configuration.cors_origins)
    return configuration


def checkpoint_folder(configuration: Configuration) -> Path | None:
    """Folder of the policy's checkpoint; None for one on a hub or behind an endpoint.

    Raises:
        ModelNotFound: There is no such folder, or it holds no checkpoint.
    """
    policy = PolicySpec.parse(configuration.policy).where
    if policy == EMBEDDED:
        return embedded_checkpoint()
    if policy.startswith(ENDPOINT):
        return None
    source = CheckpointSource.parse(policy)
    if source.on_hub:
        return None
    folder = Path(source.name)
    if not any((folder / name).is_file() for name in _CHECKPOINT_FILES):
        raise ModelNotFound(f"There is no checkpoint in the folder {policy}.", f"Give {FORMS}.")
    return folder


def load_profile_of(configuration: Configuration) -> PromptProfile:
    """The words the policy reads, known before its weights are loaded.

    Raises:
        InvalidProfile: The profile does not exist or misses something.
    """
    folder = checkpoint_folder(configuration)
    if configuration.prompts:
        return load_profile(configuration.prompts)
    own = folder is not None and (folder / PROFILE_FILE).is_file()
    return load_profile(folder) if folder and own else load_profile()


def describe(configuration: Configuration, profile: PromptProfile) -> str:
    """A few lines for the users of a client: what this server's model is and knows."""
    known = ", ".join(sorted(profile.targets))
    knows = f"It has learnt to find: {known}." if known else "It takes any text as prompt."
    folder = checkpoint_folder(configuration)
    card = _first_paragraph(folder)
    model = f"Policy: {public_name(configuration.policy)}; tool: {public_name(configuration.tool)}."
    name = Path(configuration.profile).stem
    machine = f"Machine profile: {name}." if name else ""
    return " ".join(part for part in (_WHAT_IT_IS, card, knows, model, machine) if part)


_WHAT_IT_IS = (
    "An agent that looks, thinks aloud and clicks until the target of your prompt is segmented."
)


def public_name(spec: str) -> str:
    """A policy or tool without paths and addresses, which are the server's own business."""
    if spec.startswith(ENDPOINT):
        return "a model server"
    where, asked, options = spec.partition("?")
    kind, _, place = where.rpartition(":")
    name = Path(place).name if kind or Path(place).exists() else place
    return f"{kind} {name}".strip() + asked + options


def _first_paragraph(folder: Path | None) -> str:
    """First paragraph of the checkpoint's model card, without headings and front matter."""
    card = folder / MODEL_CARD if folder else None
    if card is None or not card.is_file():
        return ""
    text = re.sub(r"\A---\n.*?\n---\n", "", card.read_text(encoding="utf-8"), flags=re.DOTALL)
    paragraphs = (part.strip() for part in re.split(r"\n\s*\n", text))
    plain = (part for part in paragraphs if part and not part.startswith(("#", "|", "!", "<")))
    return " ".join(next(plain, "").split())


def _misfit(error: ValidationError) -> InvalidRequest:
    first = error.errors()[0]
    key = str(first["loc"][0])
    description = Configuration.model_fields[key].description
    return InvalidRequest(
        f"--conf {key} {first['input']!r} does not fit: {first['msg']}.", f"{key}: {description}"
    )
