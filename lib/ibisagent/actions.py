"""The action grammar: what a policy may write, and what it means.

A reply is reasoning in ``<think>``, one action in ``<action>`` and, when stopping, a summary in
``<answer>`` (arXiv 2601.03054, section 3). Published weights write several spellings of the same
thing: ``Terminate`` and ``Termination``, with and without line breaks inside the tags. `parse`
accepts them all, `format_reply` writes one canonical form, and nothing else in this project
knows the grammar. A reply that cannot be understood is a value, `Malformed`, because a model
that writes nonsense is an event of an episode and not an error of the program.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ibisagent.errors import InvalidClick

COORDINATE_DECIMALS = 4


@dataclass(frozen=True)
class Click:
    """A point prompt in normalised image coordinates.

    Attributes:
        x: Horizontal position in [0, 1], 0 at the left edge, growing to the right.
        y: Vertical position in [0, 1], 0 at the top edge, growing downwards.
        positive: True for "this belongs to the target", False for "this does not".

    Raises:
        InvalidClick: A coordinate is not a finite number in [0, 1].
    """

    x: float
    y: float
    positive: bool = True

    def __post_init__(self) -> None:
        for name, value in (("x", self.x), ("y", self.y)):
            if not (math.isfinite(value) and 0.0 <= value <= 1.0):
                raise InvalidClick(
                    f"The click's {name} is {value}, which is outside the image.",
                    "Give coordinates as fractions of the image's size, from 0 to 1.",
                )

    def to_pixel(self, height: int, width: int) -> tuple[int, int]:
        """Pixel (row, column) that holds the click in an image of `height` x `width` pixels.

        A coordinate of exactly 1.0 belongs to the last pixel; `int(1.0 * width)` would fall off.
        """
        return min(int(self.y * height), height - 1), min(int(self.x * width), width - 1)

    @classmethod
    def from_pixel(
        cls, row: int, column: int, height: int, width: int, positive: bool = True
    ) -> Click:
        """Click at the centre of pixel (`row`, `column`), rounded as the grammar writes it."""
        x = round((column + 0.5) / width, COORDINATE_DECIMALS)
        y = round((row + 0.5) / height, COORDINATE_DECIMALS)
        return cls(x, y, positive)


@dataclass(frozen=True)
class Terminate:
    """The policy is satisfied (or finds no target) and stops."""


Action = Click | Terminate


@dataclass(frozen=True)
class Reply:
    """A well-formed reply: reasoning, one action, and a summary when the action is to stop."""

    thought: str
    action: Action
    answer: str = ""


@dataclass(frozen=True)
class Malformed:
    """A reply that holds no action we can carry out, and why.

    Attributes:
        reason: One sentence for the log and for whoever watches.
        thought: The reasoning, where it could still be read.
    """

    reason: str
    thought: str = ""


# Each blank and digit can be matched in one way only, so that hostile text costs linear time.
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_POINT = re.compile(
    rf"(?:(?P<positive>positive)|negative)\s*point\s*(?:[:=]\s*)?"
    rf"[(\[]\s*(?P<x>{_NUMBER})\s*,\s*(?P<y>{_NUMBER})\s*[)\]]",
    re.IGNORECASE,
)
_STOP = re.compile(r"\bterminat(?:e|ion)\b", re.IGNORECASE)
_TAG = re.compile(r"<\s*(?:/\s*)?(?:think|action|answer)\s*>", re.IGNORECASE)


def parse(text: str) -> Reply | Malformed:
    """Read a policy's reply.

    The action is looked for inside ``<action>`` only, so that a thought that mentions "positive
    point" does nothing. A missing closing tag is forgiven (generation may end at the token
    limit); several different actions in one tag are not, since which one is meant is a guess. Of
    several ``<action>`` tags the first counts: models run on and invent the turns to come.
    """
    thought = _section(text, "think") or ""
    body = _section(text, "action")
    if body is None:
        return Malformed("The reply has no <action> tag.", thought)
    actions = _actions(body)
    if isinstance(actions, Malformed):
        return Malformed(actions.reason, thought)
    distinct = set(actions)
    if not distinct:
        return Malformed(
            "The <action> is neither a positive point, a negative point nor Terminate.", thought
        )
    if len(distinct) > 1:
        return Malformed(f"The <action> holds {len(distinct)} actions; one is allowed.", thought)
    action = distinct.pop()
    answer = _section(text, "answer") or "" if isinstance(action, Terminate) else ""
    return Reply(thought, action, answer)


def format_reply(reply: Reply) -> str:
    """Write a reply in the canonical form, which `parse` reads back unchanged.

    Tags are stripped from the free text, so that a thought cannot smuggle in an action.
    """
    text = f"<think>{_plain(reply.thought)}</think><action>{format_action(reply.action)}</action>"
    if isinstance(reply.action, Terminate):
        text += f"<answer>{_plain(reply.answer)}</answer>"
    return text


def format_action(action: Action) -> str:
    """The action as it stands between the ``<action>`` tags."""
    if isinstance(action, Terminate):
        return "Terminate"
    sign = "Positive" if action.positive else "Negative"
    decimals = COORDINATE_DECIMALS
    return f"{sign} Point ({action.x:.{decimals}f}, {action.y:.{decimals}f})"


def _actions(body: str) -> list[Action] | Malformed:
    found: list[Action] = []
    for match in _POINT.finditer(body):
        try:
            positive = match["positive"] is not None
            found.append(Click(float(match["x"]), float(match["y"]), positive))
        except InvalidClick as error:
            return Malformed(error.message)
    if _STOP.search(body):
        found.append(Terminate())
    return found


def _section(text: str, tag: str) -> str | None:
    """Content of the first ``<tag>``; open-ended up to the next known tag or the end."""
    start = re.search(rf"<\s*{tag}\s*>", text, re.IGNORECASE)
    if start is None:
        return None
    rest = text[start.end() :]
    end = _TAG.search(rest)
    return (rest if end is None else rest[: end.start()]).strip()


def _plain(text: str) -> str:
    """Free text without our tags, on one line, so that the canonical form has one reading."""
    previous = None
    while previous != text:  # removing a tag may join the halves of another one
        previous, text = text, _TAG.sub(" ", text)
    return " ".join(text.split())
