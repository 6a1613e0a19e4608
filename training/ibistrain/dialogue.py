"""Dialogues to learn from: what the policy sees at each turn, and what it should have written.

Pictures, overlay and words are made as the episode makes them at inference
(`ibisagent.episode.Episode.observe`). With history a whole episode is one dialogue, several
pictures long; without, each turn is a dialogue of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ibisagent.episode import Author
from ibisagent.overlay import overlay
from ibisagent.prompts import Message, PromptProfile
from ibisagent.tools.base import RGB, Mask
from ibistrain.episode_record import EpisodeRecord


@dataclass(frozen=True, eq=False)
class Dialogue:
    """A chat that ends with a reply.

    Attributes:
        messages: In the format of `transformers` chat templates, the last one the assistant's;
            ``{"type": "image"}`` stands where pictures go.
        pictures: One for each image entry, axes (row, column, channel), uint8.
        learn: One a reply: whether it carries loss.
    """

    messages: list[Message]
    pictures: tuple[RGB, ...]
    learn: tuple[bool, ...]

    @property
    def replies(self) -> list[str]:
        """What the assistant wrote, in order."""
        said = (m for m in self.messages if m["role"] == "assistant")
        return ["".join(part["text"] for part in message["content"]) for message in said]


@dataclass(frozen=True, eq=False)
class _Turn:
    mask: Mask
    reply: str
    learn: bool


def dialogue_ends(record: EpisodeRecord, history: bool) -> list[int]:
    """Numbers of the agent's turns at which a dialogue of this episode ends.

    Turns that carry no loss end none: without history they are not shown at all, with history
    only those before a turn that is learnt.
    """
    learnt = [number for number, learn in enumerate(_learn(record)) if learn]
    return learnt[-1:] if history else learnt


def dialogue(record: EpisodeRecord, rgb: RGB, profile: PromptProfile, end: int) -> Dialogue:
    """The dialogue that ends with a turn.

    Args:
        record: The episode.
        rgb: Its plain picture.
        profile: Words, overlay, and whether earlier turns are shown.
        end: Number of the agent's turn; see `dialogue_ends`.
    """
    turns = list(_turns(record))[: end + 1]
    turns = turns if profile.history else turns[-1:]
    prompt = record.trajectory.prompt
    texts = [profile.turn_text(prompt, first=not turn.mask.any()) for turn in turns]
    replies = [turn.reply for turn in turns]
    last = {"role": "assistant", "content": [{"type": "text", "text": replies[-1]}]}
    colour, alpha = profile.overlay_colour, profile.overlay_alpha
    return Dialogue(
        messages=[*profile.messages(texts, replies[:-1]), last],
        pictures=tuple(overlay(rgb, turn.mask, colour, alpha) for turn in turns),
        learn=tuple(turn.learn for turn in turns),
    )


def ends_the_episode(record: EpisodeRecord, end: int) -> bool:
    """Whether the agent terminates at a turn."""
    steps = [step for step in record.trajectory.steps if step.author is Author.AGENT]
    return steps[end].action.kind == "terminate"


def _turns(record: EpisodeRecord) -> Iterator[_Turn]:
    """The agent's turns; a person's clicks only change what it sees."""
    mask = record.trajectory.start.decode()
    for step, learn in zip(record.trajectory.steps, record.learn, strict=True):
        if step.author is Author.AGENT:
            yield _Turn(mask, step.raw.strip(), learn)
        mask = step.mask.decode()


def _learn(record: EpisodeRecord) -> Iterator[bool]:
    for step, learn in zip(record.trajectory.steps, record.learn, strict=True):
        if step.author is Author.AGENT:
            yield learn
