"""From dialogues to a batch: tokens, pictures, and labels on the replies that are learnt.

A dialogue is cut at its replies. What stands between them is tokenised by the processor, with
its pictures, exactly as at inference; the replies by the tokenizer alone, as generation would
have written them. So the labels need no marks in the chat template and fit every family.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ibisagent.errors import InvalidRequest
from ibisagent.policies.picture_size import fitted
from ibistrain.dialogue import Dialogue

IGNORE = -100
"""Label that carries no loss."""


@dataclass
class _Row:
    """One dialogue: values a token, and values a picture."""

    tokens: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    labels: list[int] = field(default_factory=list)
    pictures: dict[str, list[torch.Tensor]] = field(default_factory=lambda: defaultdict(list))


class DialogueCollator:
    """Makes batches for any model that its processor's output fits.

    Args:
        processor: The checkpoint's, with a chat template.
        max_pixels: Larger pictures are scaled down to this; None leaves it to the processor.
    """

    def __init__(self, processor: Any, max_pixels: int | None = None) -> None:
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._max_pixels = max_pixels

    def __call__(self, dialogues: Sequence[Dialogue]) -> dict[str, torch.Tensor]:
        """Tensors for the model, with ``labels``; padded behind.

        Raises:
            InvalidRequest: The chat template changes earlier replies.
        """
        rows = [self._row(dialogue) for dialogue in dialogues]
        length = max(len(row.labels) for row in rows)
        batch = {"labels": _padded([row.labels for row in rows], length, IGNORE)}
        for name in rows[0].tokens:
            fill = self._tokenizer.pad_token_id if name == "input_ids" else 0
            batch[name] = _padded([row.tokens[name] for row in rows], length, fill)
        for name in rows[0].pictures:
            batch[name] = torch.cat([part for row in rows for part in row.pictures[name]])
        return batch

    def _row(self, dialogue: Dialogue) -> _Row:
        row = _Row()
        pictures = iter(dialogue.pictures)
        before = False  # whether the reply in front is learnt, to whose end the next piece begins
        for (asked, reply), learn in zip(self._pieces(dialogue), dialogue.learn, strict=True):
            self._add_asked(row, asked, pictures, before)
            ids = self._tokenizer(reply, add_special_tokens=False)["input_ids"]
            self._add_text(row, ids, [learn] * len(ids))
            before = learn
        ids = self._tokenizer(self._tail(dialogue), add_special_tokens=False)["input_ids"]
        self._add_text(row, ids, [before, *[False] * (len(ids) - 1)])
        return row

    def _add_asked(self, row: _Row, text: str, pictures: Iterator[Any], learn_first: bool) -> None:
        """A piece of chat that ends with an open reply; it holds one picture."""
        picture = next(pictures)
        most = self._max_pixels or picture.shape[0] * picture.shape[1]
        encoded = self._processor(
            text=[text],
            images=[[fitted(picture, most)]],
            return_tensors="pt",
            add_special_tokens=False,
        )
        count = encoded["input_ids"].shape[1]
        for name, values in encoded.items():
            if values.shape[:2] == (1, count):
                row.tokens[name].extend(values[0].tolist())
            else:
                row.pictures[name].append(values)
        ids = encoded["input_ids"][0].tolist()
        row.labels.extend([ids[0] if learn_first else IGNORE, *[IGNORE] * (count - 1)])

    def _add_text(self, row: _Row, ids: list[int], learn: list[bool]) -> None:
        for name, values in row.tokens.items():
            is_ids, is_mask = name == "input_ids", name == "attention_mask"
            values.extend(ids if is_ids else [int(is_mask)] * len(ids))
        row.labels.extend(i if wanted else IGNORE for i, wanted in zip(ids, learn, strict=True))

    def _pieces(self, dialogue: Dialogue) -> Iterator[tuple[str, str]]:
        """(chat up to an open reply, the reply), one a reply."""
        whole = self._render(dialogue.messages, False)
        start = 0
        replies = iter(dialogue.replies)
        for number, message in enumerate(dialogue.messages):
            if message["role"] != "assistant":
                continue
            prefix, reply = self._render(dialogue.messages[:number], True), next(replies)
            if not whole.startswith(prefix + reply):
                raise _changes_replies()
            yield prefix[start:], reply
            start = len(prefix) + len(reply)

    def _tail(self, dialogue: Dialogue) -> str:
        """What ends the last reply."""
        whole = self._render(dialogue.messages, False)
        prefix = self._render(dialogue.messages[:-1], True)
        return whole[len(prefix) + len(dialogue.replies[-1]) :]

    def _render(self, messages: list[dict[str, Any]], open_reply: bool) -> str:
        text: str = self._processor.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=open_reply
        )
        return text


def _padded(rows: list[list[int]], length: int, fill: int) -> torch.Tensor:
    return torch.tensor([row + [fill] * (length - len(row)) for row in rows])


def _changes_replies() -> InvalidRequest:
    return InvalidRequest(
        "The checkpoint's chat template rewrites earlier replies, so that what is learnt would "
        "not be what is read.",
        "Train with a prompt profile without history.",
    )
