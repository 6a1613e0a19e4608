"""A forward pass of a Qwen2.5-VL model over pictures of equal size, as training needs it.

The model's own modules do the work; what is saved is what its general path spends on pictures of
all sizes, one after the other. Beside the usual outputs it tells where the first head of some text
layers looks. A test holds it equal to the model's own forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface
from transformers.vision_utils import get_vision_position_ids

from ibisagent.errors import InvalidRequest
from ibisagent.tools.half_precision import half_precision
from ibistrain.batches.scripts import Scripts

PICTURES, TEXTS = "pictures_of_equal_size", "texts_that_are_watched"
"""Names under which transformers knows the two ways of attention below."""


@dataclass(eq=False)
class Watch:
    """Which looks at the picture are watched, and what was seen.

    Attributes:
        layers: Numbers of text layers.
        queries: Positions that look, axes (look, (picture, position)).
        image: First and last + 1 position of the picture's tokens.
        looks: A layer's attention of the first head to the picture, axes (look, token).
    """

    layers: Sequence[int]
    queries: Tensor
    image: tuple[int, int]
    looks: list[Tensor] = field(default_factory=list)


def prepare(model: Any) -> None:
    """Let a model attend as this module does.

    Raises:
        InvalidRequest: Some vision layers see windows only.
    """
    vision = model.config.vision_config
    if set(vision.fullatt_block_indexes) != set(range(vision.depth)):
        raise InvalidRequest(
            "Some vision layers of the checkpoint see windows of a picture only, not all of it.",
            "Start from a checkpoint of `ibistrain init`, or use `ibistrain sft` for this one.",
        )
    model.model.visual.config._attn_implementation = PICTURES
    model.model.language_model.config._attn_implementation = TEXTS


def see(model: Any, pictures: Tensor) -> Tensor:
    """Vision tokens, axes (picture, token, width).

    Args:
        model: Prepared.
        pictures: Axes (picture, channel, row, column), in [0, 255]; sides are whole tokens.
    """
    visual = model.model.visual
    config = visual.config
    count, _, height, width = pictures.shape
    patch, merge = config.patch_size, config.spatial_merge_size
    cells = (height // patch // merge, width // patch // merge)
    # In the order of the image processor: the patches of one token stand together.
    split = (pictures / 127.5 - 1).reshape(count, 3, cells[0], merge, patch, cells[1], merge, patch)
    patches = split.permute(0, 2, 5, 3, 6, 1, 4, 7)
    patches = patches[..., None, :, :].expand(
        *patches.shape[:6], config.temporal_patch_size, -1, -1
    )
    hidden = visual.patch_embed(patches.reshape(-1, patches[0, 0, 0, 0, 0].numel()))
    grid = torch.tensor([[1, height // patch, width // patch]], device=pictures.device)
    places = visual.rotary_pos_emb(hidden, get_vision_position_ids(grid, merge))
    rotary = tuple(part.repeat(count, 1) for part in places)
    whole = torch.tensor([0, len(hidden)], dtype=torch.int32)
    with half_precision(pictures.device):
        for block in visual.blocks:
            hidden = block(
                hidden,
                cu_seqlens=whole,
                max_seqlen=None,
                position_embeddings=rotary,
                pictures=count,
            )
        tokens: Tensor = visual.merger(hidden)
    return tokens.float().view(count, -1, tokens.shape[-1])


def read(model: Any, scripts: Scripts, seen: Tensor, watch: Watch) -> tuple[Tensor, list[Tensor]]:
    """Outputs of the text model.

    Args:
        model: Prepared.
        scripts: Sequences.
        seen: Vision tokens, axes (picture, token, width).
        watch: Filled with looks.

    Returns:
        The last hidden states after the final norm, axes (picture, position, width), and the
        input of every layer, likewise, with the last layer's output at the end.
    """
    embeds = model.get_input_embeddings()(scripts.ids)
    first, last = watch.image
    embeds = torch.cat([embeds[:, :first], seen.to(embeds.dtype), embeds[:, last:]], 1)
    text = model.model.language_model
    allowed = attention_mask(scripts.blocks)
    rotary = text.rotary_emb(embeds, scripts.positions)
    states = [embeds]
    with half_precision(embeds.device):
        for layer in text.layers:
            states.append(
                layer(states[-1], attention_mask=allowed, position_embeddings=rotary, watch=watch)
            )
    return text.norm(states[-1]).float(), [state.float() for state in states]


def attention_mask(blocks: Tensor) -> Tensor:
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


def _attend_to_pictures(
    module: Any, query: Tensor, key: Tensor, value: Tensor, *, pictures: int, **_: Any
) -> tuple[Tensor, None]:
    """Each picture attends to itself; axes (1, head, picture and patch, width)."""

    def apart(states: Tensor) -> Tensor:
        return states.view(states.shape[1], pictures, -1, states.shape[3]).transpose(0, 1)

    mixed = functional.scaled_dot_product_attention(apart(query), apart(key), apart(value))
    return mixed.transpose(1, 2).flatten(0, 1)[None], None


def _attend_to_texts(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    *,
    watch: Watch,
    **_: Any,
) -> tuple[Tensor, None]:
    """Usual attention; the first head's looks at the picture are kept on the way."""
    groups = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(groups, 1) for states in (key, value))
    if module.layer_idx in watch.layers:
        rows, columns = watch.queries.unbind(1)
        scores = torch.einsum("qw,qkw->qk", query[rows, 0, columns], key[:, 0][rows])
        scores = scores.float() * query.shape[-1] ** -0.5
        scores = scores.masked_fill(~attention_mask[rows, 0, columns], -torch.inf)
        watch.looks.append(scores.softmax(-1)[:, slice(*watch.image)])
    mixed = functional.scaled_dot_product_attention(query, key, value, attention_mask)
    return mixed.transpose(1, 2), None


AttentionInterface.register(PICTURES, _attend_to_pictures)
AttentionInterface.register(TEXTS, _attend_to_texts)
