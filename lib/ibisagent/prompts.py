"""The prompt builder: what a policy reads at each turn.

The words, the overlay's colour and whether earlier turns are kept belong together, since a
checkpoint has learnt them together. They form a profile, kept as YAML; a checkpoint may bring
its own as ``prompts.yaml`` beside its weights.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ibisagent.errors import InvalidProfile
from ibisagent.vocabulary import check_prompt, find_target

PROFILE_FILE = "prompts.yaml"
"""Name under which a checkpoint folder brings its own profile."""

Message = dict[str, Any]
ColourValue = Annotated[int, Field(ge=0, le=255)]


class PromptProfile(BaseModel):
    """Everything that decides what a policy sees and reads, apart from the image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    system: str = ""
    first: str
    """Text of the first turn; ``{prompt}`` is replaced by the user's text."""
    refine: str
    """Text of every later turn; ``{prompt}`` is replaced by the user's text."""
    overlay_colour: tuple[ColourValue, ColourValue, ColourValue] = (34, 139, 34)
    overlay_alpha: float = Field(default=0.4, gt=0.0, le=1.0)
    history: bool = False
    """Whether earlier turns (pictures and replies) are shown again; off in published weights."""
    wording: Literal["short", "varied"] = "varied"
    """Words of the replies that a checkpoint has learnt, or is to learn: those of
    `ibisagent.policies.wording`. A small model that is taught in others forgets its own."""
    targets: tuple[str, ...] = ()
    """Names the checkpoint has learnt; empty for a model that takes any text."""
    aliases: dict[str, tuple[str, ...]] = {}
    """Of a target: other names that are understood, and put to the model as the target's name."""
    anywhere: tuple[str, ...] = ()
    """Targets without a place of their own: "a lesion" asks for them, "a skin lesion" does not."""

    @field_validator("first", "refine")
    @classmethod
    def _has_place_for_prompt(cls, text: str) -> str:
        if "{prompt}" not in text:
            raise ValueError("the text must contain {prompt}")
        return text

    def turn_text(self, prompt: str, first: bool) -> str:
        """The user's side of one turn.

        Args:
            prompt: What the user asked for.
            first: Whether nothing is marked yet. A starting mask makes even the first turn a
                refinement, since the picture already carries an overlay.
        """
        # Not str.format: a prompt or a profile may hold braces of its own.
        text = self.first if first else self.refine
        return text.replace("{prompt}", self._in_learnt_words(prompt))

    def find_target(self, prompt: str) -> str | None:
        """The target that a prompt names; see `ibisagent.vocabulary.find_target`."""
        return find_target(prompt, self.targets, self.aliases, self.anywhere)

    def understands(self, prompt: str) -> bool:
        """Whether `check_prompt` lets a prompt pass: any text where there is no list of targets."""
        return not self.targets or self.find_target(prompt) is not None

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that the checkpoint cannot answer.

        Raises:
            UnknownPrompt: It has a list of targets, and the prompt names none of them.
        """
        check_prompt(prompt, self.targets, self.aliases, self.anywhere)

    def _in_learnt_words(self, prompt: str) -> str:
        """The prompt, or the name of its target where the prompt has another one."""
        target = self.find_target(prompt)
        if target is None or target.lower() in prompt.lower():
            return prompt
        return f"the {target}"

    def messages(self, turns: list[str], replies: list[str]) -> list[Message]:
        """The chat for the present turn.

        Args:
            turns: User texts of all turns so far; the last one is the present turn.
            replies: Raw replies to all turns but the last.

        Returns:
            Messages for a `transformers` chat template, with one image entry a user turn.
            Without history only the last turn is kept.
        """
        if not self.history:
            turns, replies = turns[-1:], []
        chat = [_message("system", self.system)] if self.system else []
        for index, text in enumerate(turns):
            chat.append(_message("user", text, image=True))
            if index < len(replies):
                chat.append(_message("assistant", replies[index]))
        return chat


def load_profile(source: str | Path = "default") -> PromptProfile:
    """Load a profile by its shipped name, by a YAML file, or from a checkpoint folder.

    Raises:
        InvalidProfile: There is no such profile, or it misses a field or a placeholder.
    """
    text = _read(source)
    try:
        return PromptProfile.model_validate(yaml.safe_load(text))
    except (ValidationError, yaml.YAMLError) as error:
        raise InvalidProfile(
            f"The prompt profile {source} is not valid: {_first_line(error)}.",
            "It needs name, first and refine, the last two with {prompt}; see the shipped "
            "profile 'default' for an example.",
        ) from error


def shipped_profiles() -> list[str]:
    """Names of the profiles inside the package."""
    folder = resources.files("ibisagent") / "profiles"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir())


def _read(source: str | Path) -> str:
    path = Path(source)
    try:
        if path.is_dir():
            path = path / PROFILE_FILE
        if path.is_file():
            return path.read_text(encoding="utf-8")
        if str(source) in shipped_profiles():
            folder = resources.files("ibisagent") / "profiles"
            return (folder / f"{source}.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidProfile(
            f"The prompt profile {source} cannot be read: {error}.", "Give a UTF-8 YAML file."
        ) from error
    raise InvalidProfile(
        f"There is no prompt profile {source}.",
        f"Give a YAML file or one of: {', '.join(shipped_profiles())}.",
    )


def _message(role: str, text: str, image: bool = False) -> Message:
    content: list[dict[str, str]] = [{"type": "image"}] if image else []
    return {"role": role, "content": [*content, {"type": "text", "text": text}]}


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        return f"{place}: {first['msg']}"
    return str(error).splitlines()[0]
