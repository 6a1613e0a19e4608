"""Keeps what the model made of earlier turns, pictures included.

With history a prompt begins with the whole conversation so far: the system text, and each earlier
picture, question and reply. Keys and values of all that are in memory when a reply has been
written, so they are kept, and the next turn computes only what is new: the last turn, and the end
of the reply before it where its tokens are not those that the same text is read as.

What may be reused is decided token by token, and a picture counts as equal only if every pixel is.
Positions are those of the whole prompt, which transformers computes from all of its tokens and
picture sizes, so that rotary positions of Qwen's kind (time, row, column) stay as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from packaging.version import Version
from torch import Tensor
from transformers import DynamicCache
from transformers import __version__ as transformers_version

from ibisagent.policies.prefix_cache import SINCE, WORTH
from ibisagent.policies.prompt_marks import PromptMarks, shared
from ibisagent.tools.base import RGB
from ibisagent.tools.embedding_cache import budget

TESTED = {"qwen2_5_vl", "qwen3_vl"}
"""Families for which a test shows that the text stays the same. Gemma 3 is none of them: most of
its layers keep the latest tokens only, so that a conversation cannot be cut back to a turn."""

DEFAULT_BYTES = 1024 * 2**20
"""Room for some 18,000 tokens of a 7B model in bfloat16: three long episodes."""

BUDGET_VARIABLE = "IBISAGENT_TURNS_MIB"
"""Environment variable with another budget for each policy's earlier turns, in MiB; 0 for none."""

KeysValues = list[tuple[Tensor, Tensor]]
"""Of each layer, axes (1, head, token, channel)."""


@dataclass(frozen=True, eq=False)
class Recalled:
    """A batch of prompts, and what is known of their beginnings.

    Attributes:
        prompts: The prompts.
        arguments: What `generate` takes: inputs and past keys and values.
    """

    prompts: list[PromptMarks]
    arguments: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Kept:
    marks: list[int | str]
    prompt: int  # how many of the marks were asked; the others were replied
    layers: KeysValues

    def begins(self, other: _Kept) -> bool:
        """Whether the other one holds all that was asked here, and so makes this one needless."""
        return self.marks[: self.prompt] == other.marks[: self.prompt]

    @property
    def n_bytes(self) -> int:
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)


class TurnCache:
    """What one model made of the latest conversations. Safe to share between threads.

    Args:
        model: From transformers.
        max_bytes: Budget; None for what `BUDGET_VARIABLE` says, or `DEFAULT_BYTES`. The
            conversations that were not gone on with for longest are forgotten first.

    Raises:
        InvalidRequest: The variable holds no number of MiB.
    """

    def __init__(self, model: Any, max_bytes: int | None = None) -> None:
        asked = budget(BUDGET_VARIABLE, DEFAULT_BYTES)
        self._max_bytes = asked if max_bytes is None else max_bytes
        self._model = model
        self._usable = self._max_bytes > 0 and _fits(model)
        self._with_history = False
        self._lock = Lock()
        self._kept: list[_Kept] = []  # latest last

    @property
    def n_bytes(self) -> int:
        """Bytes that the kept keys and values occupy."""
        with self._lock:
            return sum(kept.n_bytes for kept in self._kept)

    def clear(self) -> bool:
        """Forget everything; whether there was anything."""
        with self._lock:
            had, self._kept = bool(self._kept), []
        return had

    @torch.inference_mode()
    def recall(
        self, inputs: Mapping[str, Any], pictures: Sequence[Sequence[RGB]]
    ) -> Recalled | None:
        """What `generate` takes to go on from the turns before.

        Args:
            inputs: Of the processor, padded on the left.
            pictures: Of each prompt, as they are before any scaling.

        Returns:
            None where no prompt so far had more than one picture, so that there is no history;
            and for models whose turns cannot be kept.
        """
        self._with_history |= any(len(shown) > 1 for shown in pictures)
        if not (self._usable and self._with_history):
            return None
        prompts = PromptMarks.of(inputs, pictures, self._model.config.image_token_id)
        if prompts is None:
            return None
        found = [self._longest(prompt) for prompt in prompts]
        tail = _tail(prompts, [length for _, length in found])
        cache = DynamicCache(config=self._model.config.get_text_config())
        columns = inputs["input_ids"].shape[1] - tail
        if columns < WORTH:
            return Recalled(prompts, {**inputs, "past_key_values": cache})
        known = [
            (kept.layers if kept else [], max(0, len(prompt.marks) - tail))
            for (kept, _), prompt in zip(found, prompts, strict=True)
        ]
        _fill(cache, known, columns)
        arguments = {**inputs, "past_key_values": cache}
        del arguments["pixel_values"]
        fresh = [
            start >= length
            for prompt, (_, length) in zip(prompts, known, strict=True)
            for start, _ in prompt.pictures
        ]
        arguments["mm_encoder_outputs"] = {"image": self._look_at(inputs, fresh)}
        return Recalled(prompts, arguments)

    def keep(self, recalled: Recalled, output: Tensor) -> None:
        """Keep what was made of the prompts and of the replies to them.

        Args:
            recalled: As `recall` returned it; `generate` has written into its cache.
            output: Of `generate`: prompts and replies, axes (prompt, token).
        """
        cache: Any = recalled.arguments["past_key_values"]
        columns = cache.get_seq_length()  # all but the last token, which nobody has looked at
        pad = self._model.config.get_text_config().pad_token_id
        for row, prompt in enumerate(recalled.prompts):
            length = len(prompt.marks)
            first = recalled.arguments["input_ids"].shape[1] - length
            reply = output[row, first + length : columns].tolist()
            while reply and reply[-1] == pad:
                reply.pop()
            marks = [*prompt.marks, *reply]
            part = slice(first, first + len(marks))
            layers = [
                (
                    one.keys[row : row + 1, :, part].clone(),
                    one.values[row : row + 1, :, part].clone(),
                )
                for one in cache.layers
            ]
            self._remember(_Kept(marks, length, layers))

    def _remember(self, new: _Kept) -> None:
        with self._lock:
            self._kept = [*(kept for kept in self._kept if not kept.begins(new)), new]
            while self._kept and sum(kept.n_bytes for kept in self._kept) > self._max_bytes:
                self._kept.pop(0)

    def _longest(self, prompt: PromptMarks) -> tuple[_Kept | None, int]:
        """The conversation that a prompt goes on with, and how many of its tokens are known.

        The last picture is always looked at anew, since a new one is what makes a new turn.
        """
        with self._lock:
            best, length = None, 0
            for kept in self._kept:
                common = min(shared(kept.marks, prompt.marks), prompt.pictures[-1][0])
                if common > length:
                    best, length = kept, common
            if best is not None and length > prompt.pictures[0][0]:  # more than the system text
                self._kept.remove(best)
                self._kept.append(best)
        return best, length

    def _look_at(self, inputs: Mapping[str, Any], fresh: Sequence[bool]) -> Any:
        """What the model's eyes make of those pictures that are new."""
        grids = inputs["image_grid_thw"]
        patches = inputs["pixel_values"].split(grids.prod(-1).tolist())
        new = [part for part, wanted in zip(patches, fresh, strict=True) if wanted]
        wanted = torch.tensor(fresh, device=grids.device)
        return self._model.get_image_features(torch.cat(new), grids[wanted], return_dict=True)


def _fits(model: Any) -> bool:
    if model.config.model_type not in TESTED or Version(transformers_version) < SINCE:
        return False
    layers: list[Any] = DynamicCache(config=model.config.get_text_config()).layers
    return not any(layer.is_sliding for layer in layers)


def _tail(prompts: Sequence[PromptMarks], known: Sequence[int]) -> int:
    """Tokens at the end of each prompt that are computed anew.

    As many for each, since generation goes on from one column of the padded batch; more than
    are unknown of the others, then, but never a part of a picture.
    """
    tail = max(len(p.marks) - length for p, length in zip(prompts, known, strict=True))
    while True:
        cuts = [(len(prompt.marks) - tail, prompt) for prompt in prompts]
        inside = [cut - start for cut, p in cuts for start, end in p.pictures if start < cut < end]
        if not inside:
            return tail
        tail += max(inside)


def _fill(cache: DynamicCache, known: Sequence[tuple[KeysValues, int]], columns: int) -> None:
    """Write the beginnings of prompts, each ending in the last column; in front is padding."""
    some = next(layers for layers, _ in known if layers)
    for index, pair in enumerate(some):
        both = []
        for which, like in enumerate(pair):
            shape = (len(known), like.shape[1], columns, like.shape[3])
            whole = like.new_zeros(shape)
            for row, (layers, length) in enumerate(known):
                if length:
                    whole[row, :, columns - length :] = layers[index][which][0, :, :length]
            both.append(whole)
        cache.update(both[0], both[1], index)
