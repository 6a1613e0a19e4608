"""Keeps what the model made of the words that every turn begins with.

Without history each turn is the system text, then a new picture. What a causal model computes for
the tokens in front of the first picture (keys and values of its attention) is the same at every
turn, so it is kept and only the rest is computed. Servers such as vLLM do the same by themselves.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from packaging.version import Version
from transformers import DynamicCache
from transformers import __version__ as transformers_version

TESTED = {"qwen2_5_vl", "qwen3_vl", "gemma3"}
"""Families for which a test shows that the text stays the same; others compute everything anew."""

SINCE = Version("5.23")
"""Earlier versions place the picture's tokens wrongly where generation continues kept ones."""

WORTH = 16
"""Fewest tokens that are worth keeping."""


class PrefixCache:
    """What one model made of the latest common beginning. Safe to share between threads.

    Args:
        model: From transformers.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        tested = model.config.model_type in TESTED
        self._usable = tested and Version(transformers_version) >= SINCE
        self._kept: tuple[list[int], DynamicCache] | None = None

    @torch.inference_mode()
    def past(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What `generate` takes to go on from the kept beginning; empty where none fits.

        Args:
            inputs: Of the processor. Only a single chat can be continued, since in a batch the
                beginnings lie at different places.
        """
        tokens = inputs["input_ids"]
        if not self._usable or len(tokens) != 1:
            return {}
        before = self._before_pictures(tokens[0].tolist())
        if len(before) < WORTH:
            return {}
        kept = self._kept
        if kept is None or kept[0] != before:
            self._kept = kept = (before, self._look_at(tokens[:, : len(before)]))
        return {"past_key_values": copy.deepcopy(kept[1])}  # generation writes into it

    def _before_pictures(self, tokens: list[int]) -> list[int]:
        picture = self._model.config.image_token_id
        return tokens[: tokens.index(picture)] if picture in tokens else []

    def _look_at(self, tokens: torch.Tensor) -> DynamicCache:
        cache = DynamicCache(config=self._model.config.get_text_config())
        self._model(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return cache
