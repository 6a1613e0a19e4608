"""Several independent questions about one picture in one sequence.

The picture's tokens are most of a sequence. Questions about the same picture share them: the
sequence is prefix, question 1, question 2, ...; a question sees the prefix and itself, and its
positions start where the prefix ends. The result equals that of separate sequences, at a
fraction of the cost. This works for every model that takes a 4D attention mask and position ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from ibisagent.policies.scripted import depth_of
from ibisagent.prompts import PromptProfile
from ibisagent.tools.base import Mask
from ibistrain.examples import Example
from ibistrain.tokenizer import VISION_END

IGNORE = -100
"""Label that carries no loss."""
DEPTH_POWER = 3
"""How much more the deepest cells of a region count: what is looked at broadly is read dimly."""
QUARTERS = 2
"""Parts of a token's cell, in each direction, whose coverage is told apart."""


@dataclass
class _Sequence:
    """Token ids of one example, with the block (0 = prefix) of each."""

    ids: list[int] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def add(self, ids: Sequence[int], block: int, learn: bool) -> None:
        self.ids.extend(ids)
        self.blocks.extend([block] * len(ids))
        self.labels.extend(ids if learn else [IGNORE] * len(ids))


class PackingCollator:
    """Turns examples into a batch for a model of the Qwen-VL family.

    Args:
        processor: The checkpoint's processor.
        profile: The prompt profile; history must be off.
    """

    def __init__(self, processor: Any, profile: PromptProfile) -> None:
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._profile = profile

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Tensors ``input_ids``, ``labels``, ``blocks``, ``pixel_values``, ``image_grid_thw``.

        Beside them, for auxiliary losses: ``grids`` (token rows and columns of each picture),
        ``regions`` (for each picture a list with what `looks` says at token resolution, one a
        question), ``worths`` (likewise; see `worth`),
        ``masks`` and ``organs`` (coverage of quarter cells). Without any question there are no
        texts and no regions.
        """
        pictures = [Image.fromarray(example.picture) for example in examples]
        images = self._processor.image_processor(images=pictures, return_tensors="pt")
        merge = self._processor.image_processor.merge_size
        grids = [(int(h) // merge, int(w) // merge) for _, h, w in images["image_grid_thw"]]
        fine = [(QUARTERS * h, QUARTERS * w) for h, w in grids]
        return {
            **self._texts(examples, grids),
            "pixel_values": images["pixel_values"],
            "image_grid_thw": images["image_grid_thw"],
            "grids": grids,
            "masks": [coverage(e.mask, cells) for e, cells in zip(examples, fine, strict=True)],
            "organs": [
                {name: coverage(mask, cells) for name, mask in e.organs.items()}
                for e, cells in zip(examples, fine, strict=True)
            ],
        }

    def _texts(
        self, examples: Sequence[Example], grids: Sequence[tuple[int, int]]
    ) -> dict[str, Any]:
        if not any(example.turns for example in examples):
            return {}
        sequences = [self._sequence(e, h * w) for e, (h, w) in zip(examples, grids, strict=True)]
        regions = [
            [looks(t.region, grid) for t in e.turns]
            for e, grid in zip(examples, grids, strict=True)
        ]
        worths = [
            [None if t.region is None else worth(t.region) for t in e.turns] for e in examples
        ]
        texts = _pad(sequences, self._tokenizer.pad_token_id)
        return {**texts, "regions": regions, "worths": worths}

    def _sequence(self, example: Example, image_tokens: int) -> _Sequence:
        packed = _Sequence()
        for block, turn in enumerate(example.turns, start=1):
            prefix, question = self._split(turn.question, image_tokens)
            if block == 1:
                packed.add(prefix, 0, learn=False)
            packed.add(question, block, learn=False)
            packed.add(self._tokenizer(turn.reply).input_ids, block, learn=True)
            packed.add([self._tokenizer.eos_token_id], block, learn=True)
        return packed

    def _split(self, question: str, image_tokens: int) -> tuple[list[int], list[int]]:
        """Token ids up to the end of the picture, and from there to the reply."""
        text = self._processor.apply_chat_template(
            self._profile.messages([question], []), tokenize=False, add_generation_prompt=True
        )
        before, after = text.split(VISION_END)
        image = self._processor.image_token
        before = before.replace(image, image * image_tokens) + VISION_END
        return self._tokenizer(before).input_ids, self._tokenizer(after).input_ids


def attention_mask(blocks: torch.Tensor) -> torch.Tensor:
    """Which position may attend to which.

    Args:
        blocks: Block of each position, axes (batch, position); 0 is the prefix, -1 padding.

    Returns:
        Boolean, axes (batch, 1, query, key). Padding attends to itself, to keep rows finite.
    """
    length = blocks.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=blocks.device).tril()
    query, key = blocks[:, :, None], blocks[:, None, :]
    allowed = ((key == 0) | (query == key)) & causal
    return allowed[:, None]


def restart_positions(positions: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    """Let every question's positions start where the prefix ends.

    Args:
        positions: Rotary positions of the whole sequence, axes (3, batch, position), as the
            model computes them for one long text.
        blocks: Block of each position, axes (batch, position).
    """
    restarted = positions.clone()
    for row in range(blocks.shape[0]):
        for block in range(2, int(blocks[row].max()) + 1):
            here = blocks[row] == block
            first = positions[:, row, blocks[row] == 1].min()
            restarted[:, row, here] += first - positions[:, row, here].min()
    return restarted


def coverage(mask: Mask, grid: tuple[int, int]) -> torch.Tensor:
    """Share of each cell of a grid that a mask covers, axes (row, column), in [0, 1]."""
    return _resize(mask.astype(np.float32), grid)


def worth(region: Mask) -> torch.Tensor:
    """What each value of a click's coordinates is worth, in [0, 1], axes (x or y, hundredth).

    Nothing outside the region, a half at its border, 1 at its deepest point. For x it is the best
    that any y could make of it, for y that at the x of the deepest point.
    """
    depth = depth_of(region)
    score = region * (0.5 + 0.5 * depth / depth.max())
    deepest = int(np.unravel_index(int(depth.argmax()), depth.shape)[1])
    height, width = region.shape
    middles = (np.arange(100) + 0.5) / 100
    across = score.max(0)[(middles * width).astype(int)]
    down = score[:, deepest][(middles * height).astype(int)]
    return torch.from_numpy(np.stack([across, down]).astype(np.float32))


def looks(region: Mask | None, grid: tuple[int, int]) -> torch.Tensor:
    """Where to look before x is written, and where before y; each map sums to 1.

    More weight the deeper inside. The second look is at what lies above and below the deepest
    point: of several parts, y must be that of the part whose x has been written. Where there is
    nothing to click on, the maps are 0: whoever looks for it should look at no part of the
    picture, and so knows that it is not there.

    Returns:
        Axes (x or y, row, column).
    """
    if region is None:
        return torch.zeros(2, *grid)
    depth = depth_of(region) ** DEPTH_POWER
    cells = _resize(depth.astype(np.float32), grid)
    deepest = (int(depth.argmax()) % region.shape[1] + 0.5) / region.shape[1] * grid[1] - 0.5
    near = torch.exp(-((torch.arange(grid[1]) - deepest) ** 2) / 2)
    maps = torch.stack([cells, cells * near])
    return maps / maps.sum((1, 2), keepdim=True)


def _resize(image: np.ndarray[Any, Any], grid: tuple[int, int]) -> torch.Tensor:
    return torch.nn.functional.interpolate(
        torch.from_numpy(image)[None, None], size=grid, mode="area"
    )[0, 0]


def _pad(sequences: list[_Sequence], pad: int) -> dict[str, torch.Tensor]:
    length = max(len(sequence.ids) for sequence in sequences)

    def stack(rows: list[list[int]], fill: int) -> torch.Tensor:
        return torch.tensor([row + [fill] * (length - len(row)) for row in rows])

    return {
        "input_ids": stack([s.ids for s in sequences], pad),
        "labels": stack([s.labels for s in sequences], IGNORE),
        "blocks": stack([s.blocks for s in sequences], -1),
    }
