"""Questions and right replies as tokens: several of each in the sequence of one picture.

The picture's tokens are most of a sequence. Questions about the same picture share them: the
sequence is prefix, question 1, question 2, ...; a question sees the prefix and itself, and its
positions start where the prefix ends. The result equals that of separate sequences, at a
fraction of the cost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ibisagent.actions import COORDINATE_DECIMALS, Click, Reply, Terminate, format_reply
from ibisagent.policies import narration
from ibisagent.policies.narration import Facts
from ibisagent.prompts import PromptProfile
from ibistrain.batches.answers import Answers, Kind
from ibistrain.questions import ask
from ibistrain.tokenizer import VISION_END, X_LEAD, Y_LEAD, token_id

IGNORE = -100
"""Label that carries no loss."""
_COORDINATES = re.compile(r"0\.(\d\d)(\d\d), 0\.(\d\d)(\d\d)")


@dataclass(frozen=True, eq=False)
class Scripts:
    """Sequences of a batch of pictures, and where what is in them.

    Attributes:
        ids: Tokens, axes (picture, position).
        labels: The same where they are to be learnt, else `IGNORE`.
        blocks: 0 for the prefix, then the number of the question in the sequence, -1 for padding.
        positions: Rotary positions, axes (time or row or column, picture, position).
        image: First and last + 1 position of the picture's tokens, the same in all sequences.
        thinks: Where a reply begins, axes (question, (picture, position)).
        xs: Where the first two digits of x are to be written next, axes (click, (picture,
            position)).
        ys: Likewise of y.
        clicking: Number of each click's question, axis (click).
    """

    ids: Tensor
    labels: Tensor
    blocks: Tensor
    positions: Tensor
    image: tuple[int, int]
    thinks: Tensor
    xs: Tensor
    ys: Tensor
    clicking: Tensor


class Told:
    """Numbers of questions and answers on their way to the processor, which writes the words.

    The copy is only waited for when it is read, so that a graphics card can be given other work
    in between.

    Args:
        rows: Picture of each question, in order, axis (question).
        targets: Number of each question's target.
        answers: The replies.
    """

    def __init__(self, rows: Tensor, targets: Tensor, answers: Answers) -> None:
        which = torch.stack([rows, targets, answers.kinds], 1)
        numbers = torch.cat([which, answers.clicks, answers.facts], 1)
        self._here = numbers.to("cpu", non_blocking=True)
        self._copied: torch.cuda.Event | None = None
        if numbers.is_cuda:
            self._copied = torch.cuda.Event()
            self._copied.record()

    def read(self) -> list[list[float]]:
        """Row, target, kind, click and facts of each question; see `Answers`."""
        if self._copied is not None:
            self._copied.synchronize()
        numbers: list[list[float]] = self._here.tolist()
        return numbers


class ScriptWriter:
    """Writes scripts for a checkpoint.

    Args:
        processor: The checkpoint's processor.
        profile: The prompt profile; history must be off.
        names: Targets, by number.
        synonyms: Other words for targets.
    """

    def __init__(
        self,
        processor: Any,
        profile: PromptProfile,
        names: Sequence[str],
        synonyms: Mapping[str, Sequence[str]],
    ) -> None:
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._profile = profile
        self._names = names
        self._synonyms = synonyms
        self._leads = [token_id(self._tokenizer, lead) for lead in (X_LEAD, Y_LEAD)]
        self._encode = lru_cache(maxsize=200_000)(self._tokens)
        self._question = lru_cache(maxsize=200_000)(self._question_tokens)

    def write(
        self,
        told: Told,
        pictures: int,
        grid: tuple[int, int],
        first: bool,
        rng: Random,
        device: torch.device,
    ) -> Scripts:
        """Put questions and replies into sequences.

        Args:
            told: What is asked and answered.
            pictures: How many pictures.
            grid: Rows and columns of the vision tokens of each picture.
            first: Whether nothing is marked on the pictures.
            rng: Draws words.
            device: For the result.
        """
        sequences = [_Sequence(self._prefix(grid)) for _ in range(pictures)]
        thinks, xs, ys, clicking = [], [], [], []
        for number, (row, target, *answer) in enumerate(told.read()):
            name, row = self._names[int(target)], int(row)
            sequence = sequences[row]
            sequence.ask(self._question(ask(name, self._synonyms, rng), first))
            thinks.append((row, len(sequence.ids)))
            at = sequence.reply(self._reply(name, answer, rng), self._leads)
            if at:
                xs.append((row, at[0]))
                ys.append((row, at[1]))
                clicking.append(number)
        return self._stacked(sequences, grid, thinks, xs, ys, clicking, device)

    def _reply(self, name: str, told: Sequence[float], rng: Random) -> list[int]:
        """Tokens of a reply, with the one that ends it."""
        text = reply_text(name, told, rng)
        end = self._tokenizer.eos_token_id
        match = _COORDINATES.search(text)
        if match is None:
            return [*self._encode(text), end]
        # All but the numbers is said again and again; a number is two tokens.
        numbers = [token for part in match.groups() for token in self._encode(part)]
        x_lead, y_lead = self._leads
        click = [x_lead, *numbers[:2], y_lead, *numbers[2:]]
        head, tail = text[: match.start()], text[match.end() :]
        return [*self._encode(head), *click, *self._encode(tail), end]

    def _tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text).input_ids)

    def _chat(self, question: str) -> tuple[str, str]:
        """The chat up to the end of the picture, and from there to the reply."""
        text = self._processor.apply_chat_template(
            self._profile.messages([question], []), tokenize=False, add_generation_prompt=True
        )
        before, after = text.split(VISION_END)
        return before, after

    def _question_tokens(self, prompt: str, first: bool) -> tuple[int, ...]:
        return self._tokens(self._chat(self._profile.turn_text(prompt, first))[1])

    @lru_cache(maxsize=64)  # noqa: B019 - a writer lives as long as its run
    def _prefix(self, grid: tuple[int, int]) -> tuple[int, ...]:
        image = self._processor.image_token
        before = self._chat("")[0].replace(image, image * (grid[0] * grid[1]))
        return self._tokens(before + VISION_END)

    def _stacked(
        self,
        sequences: Sequence[_Sequence],
        grid: tuple[int, int],
        thinks: Sequence[tuple[int, int]],
        xs: Sequence[tuple[int, int]],
        ys: Sequence[tuple[int, int]],
        clicking: Sequence[int],
        device: torch.device,
    ) -> Scripts:
        prefix = self._prefix(grid)
        length = -8 * (-max(len(one.ids) for one in sequences) // 8)  # as attention kernels like it
        pad = self._tokenizer.pad_token_id
        ids, labels, blocks = (
            np.full((len(sequences), length), fill, np.int64) for fill in (pad, IGNORE, -1)
        )
        within = np.zeros((len(sequences), length), np.int64)
        for row, one in enumerate(sequences):
            ids[row, : len(one.ids)] = one.ids
            labels[row, : len(one.ids)] = one.labels
            blocks[row, : len(one.ids)] = one.blocks
            within[row, : len(one.ids)] = one.within
        start = len(prefix) - 1 - grid[0] * grid[1]
        spread = _prefix_positions(start, grid)
        positions = np.broadcast_to(within + spread.max() + 1, (3, *within.shape)).copy()
        positions[:, :, : len(prefix)] = spread[:, None]

        def to(array: Any) -> Tensor:
            return torch.as_tensor(array).to(device, non_blocking=True)

        return Scripts(
            ids=to(ids),
            labels=to(labels),
            blocks=to(blocks),
            positions=to(positions),
            image=(start, len(prefix) - 1),
            thinks=to(np.array(thinks, np.int64).reshape(-1, 2)),
            xs=to(np.array(xs, np.int64).reshape(-1, 2)),
            ys=to(np.array(ys, np.int64).reshape(-1, 2)),
            clicking=to(np.array(clicking, np.int64)),
        )


def reply_text(name: str, told: Sequence[float], rng: Random) -> str:
    """A reply in the annotator's words.

    Args:
        name: The target.
        told: Kind, click (down, across) and facts (share, down, across); see `Answers`.
        rng: Draws words.
    """
    kind = Kind(int(told[0]))
    if kind is Kind.ABSENT:
        thought = narration.absent_thought(name, rng)
        return format_reply(Reply(thought, Terminate(), narration.absent_answer(name)))
    y, x, share, down, across = (float(value) for value in told[1:])
    facts = Facts(name, narration.place_at(down, across), narration.size_of(share))
    if kind is Kind.DONE:
        thought = narration.done_thought(facts, rng)
        return format_reply(Reply(thought, Terminate(), narration.answer(facts)))
    x, y = (round(side, COORDINATE_DECIMALS) for side in (x, y))
    click = Click(x, y, kind is not Kind.SPILLED)
    return format_reply(Reply(_SAY[kind](facts, rng), click))


_SAY = {
    Kind.FIRST: narration.first_thought,
    Kind.MISSED: narration.missed_thought,
    Kind.SPILLED: narration.spilled_thought,
    Kind.ELSEWHERE: narration.elsewhere_thought,
}


class _Sequence:
    """Tokens of one picture's sequence in the making."""

    def __init__(self, prefix: Sequence[int]) -> None:
        self.ids = list(prefix)
        self.labels = [IGNORE] * len(prefix)
        self.blocks = [0] * len(prefix)
        self.within = [0] * len(prefix)
        self._block = 0

    def ask(self, question: Sequence[int]) -> None:
        """Begin a new question."""
        self._block += 1
        self._begun = len(self.ids)
        self._add(question, [IGNORE] * len(question))

    def reply(self, reply: Sequence[int], leads: Sequence[int]) -> list[int]:
        """Add the reply; positions of the tokens that lead to coordinates, if it clicks."""
        begun = len(self.ids)
        self._add(reply, reply)
        if leads[1] not in reply:
            return []
        return [begun + list(reply).index(lead) for lead in leads]

    def _add(self, ids: Sequence[int], labels: Sequence[int]) -> None:
        first = len(self.ids) - self._begun
        self.ids.extend(ids)
        self.labels.extend(labels)
        self.blocks.extend([self._block] * len(ids))
        self.within.extend(range(first, first + len(ids)))


def _prefix_positions(start: int, grid: tuple[int, int]) -> NDArray[np.int64]:
    """Rotary positions of text, picture and its end (Qwen2-VL, arXiv 2409.12191, section 2.1).

    Returns:
        Axes (time or row or column, position).
    """
    rows, columns = grid
    text = np.broadcast_to(np.arange(start), (3, start))
    row, column = np.divmod(np.arange(rows * columns), columns)
    picture = start + np.stack([np.zeros_like(row), row, column])
    end = np.full((3, 1), start + max(rows, columns))
    return np.concatenate([text, picture, end], 1)
