"""A policy that runs a vision-language model on this machine, through transformers.

Any checkpoint that `AutoModelForImageTextToText` and `AutoProcessor` load will do: the tiny
default, IBIS and its base Qwen2.5-VL, Qwen3-VL, Gemma 3 and others. Nothing here knows which.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import StoppingCriteriaList

from ibisagent.errors import PolicyFailed
from ibisagent.policies.base import Cancelled, Observation, never
from ibisagent.policies.checkpoint import load_checkpoint
from ibisagent.policies.picture_size import fitted
from ibisagent.policies.prefix_cache import PrefixCache
from ibisagent.policies.stopping import StopWhenCancelled
from ibisagent.policies.turn_cache import TurnCache
from ibisagent.tools.base import RGB
from ibisagent.tools.out_of_memory import is_out_of_memory

logger = logging.getLogger(__name__)

MAX_NEW_TOKENS = 512
"""Length limit of a reply; the published evaluation's (arXiv 2601.03054)."""


class LocalPolicy:
    """Replies by greedy generation with a checkpoint in memory.

    Args:
        checkpoint: Folder with weights, configuration, tokenizer and processor; a LoRA adapter's
            folder; or a hub name ``owner/model@revision#sub-folder``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        max_new_tokens: Length limit of a reply.
        temperature: 0 for greedy; above 0 to sample.
        seed: Of the samples: the same seed and observations give the same replies.
        max_pixels: Larger pictures are scaled down to this; None leaves it to the checkpoint.
        four_bit: Whether to quantise the weights to 4 bits (needs bitsandbytes).
        reuse_prefix: Whether what prompts begin with is looked at once only: the words in front
            of the first picture (`PrefixCache`), and with history all earlier turns
            (`TurnCache`).

    Raises:
        ModelNotFound: The checkpoint does not exist, is incomplete, or of another kind.
        DeviceUnavailable: The device is not there.
        MissingPackage: An option or an adapter needs a package that is not installed.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = "auto",
        max_new_tokens: int = MAX_NEW_TOKENS,
        temperature: float = 0.0,
        seed: int = 0,
        max_pixels: int | None = None,
        four_bit: bool = False,
        reuse_prefix: bool = True,
    ) -> None:
        loaded = load_checkpoint(str(checkpoint), device, four_bit)
        self._model, self._processor = loaded.model, loaded.processor
        self._max_new_tokens = max_new_tokens
        self._temperature = temperature
        self._seed = seed
        self._max_pixels = max_pixels
        self._prefix = PrefixCache(self._model) if reuse_prefix else None
        self._turns = TurnCache(self._model) if reuse_prefix else None
        self.name = loaded.label
        self.profile = loaded.profile

    def sampling(self, temperature: float, seed: int) -> LocalPolicy:
        """The same weights, not loaded again, with another way of choosing words."""
        other = copy.copy(self)
        other._temperature, other._seed = temperature, seed
        return other

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        """One reply an observation, generated as one batch, or as many as memory allows.

        Raises:
            PolicyFailed: The device has no room even for one observation.
        """
        if not observations:
            return []
        try:
            return self._generate(observations, cancelled)
        except (MemoryError, RuntimeError) as error:
            if not (isinstance(error, MemoryError) or is_out_of_memory(error)):
                raise
            forgot = self._turns is not None and self._turns.clear()
            if len(observations) == 1 and not forgot:
                raise self._too_large() from error
        # Outside of the handler, which would hold on to the tensors of the failed attempt.
        torch.cuda.empty_cache()
        if forgot:
            logger.warning(
                "no memory for %d replies; earlier turns are forgotten", len(observations)
            )
            return self.replies(observations, cancelled)
        half = len(observations) // 2
        logger.warning("no memory for %d replies at once; halving", len(observations))
        parts = observations[:half], observations[half:]
        return [reply for part in parts for reply in self.replies(part, cancelled)]

    def _generate(self, observations: Sequence[Observation], cancelled: Cancelled) -> list[str]:
        inputs = self._inputs(observations)
        shown = [seen.pictures for seen in observations]
        recalled = self._turns.recall(inputs, shown) if self._turns else None
        with torch.inference_mode(), self._seeded():
            output = self._model.generate(
                **(recalled.arguments if recalled else self._from_the_start(inputs)),
                **self._choice(),
                max_new_tokens=self._max_new_tokens,
                stopping_criteria=StoppingCriteriaList([StopWhenCancelled(cancelled)]),
                pad_token_id=self._processor.tokenizer.pad_token_id,
            )
        if self._turns and recalled:
            self._turns.keep(recalled, output)
        new = output[:, inputs["input_ids"].shape[1] :]
        decoded: list[str] = self._processor.batch_decode(new, skip_special_tokens=True)
        return decoded

    def _from_the_start(self, inputs: Any) -> dict[str, Any]:
        return {**inputs, **(self._prefix.past(inputs) if self._prefix else {})}

    def _inputs(self, observations: Sequence[Observation]) -> Any:
        texts = [
            self._processor.apply_chat_template(
                seen.messages, tokenize=False, add_generation_prompt=True
            )
            for seen in observations
        ]
        pictures = [[self._picture(picture) for picture in o.pictures] for o in observations]
        batch = self._processor(
            text=texts,
            images=pictures,
            return_tensors="pt",
            padding=True,
            padding_side="left",  # replies must follow their prompts without a gap
            add_special_tokens=False,  # the chat template has written them
        )
        return batch.to(self._model.device, self._model.dtype)

    def _picture(self, picture: RGB) -> Image.Image:
        if self._max_pixels is None:
            return Image.fromarray(picture)
        return fitted(picture, self._max_pixels)

    def _choice(self) -> dict[str, Any]:
        if self._temperature > 0:
            # A checkpoint's own settings may allow the likeliest word only, which is no sampling.
            whole = {"top_p": 1.0, "top_k": 0}
            return {"do_sample": True, "temperature": self._temperature, **whole}
        # None: a checkpoint's own sampling defaults would only cause warnings here.
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """A seed of our own for the block; nobody else's random numbers are disturbed."""
        if self._temperature == 0:
            yield
            return
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(self._seed)
            yield

    def _too_large(self) -> PolicyFailed:
        return PolicyFailed(
            f"The policy {self.name} has no room on {self._model.device} for one picture.",
            "Lower max_pixels, load the weights in 4 bits, close other programs that use the "
            "device, or serve the model from a larger machine.",
        )
