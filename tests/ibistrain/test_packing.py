"""A packed sequence must give the logits of the separate ones."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.prompts import load_profile
from ibistrain.examples import Example, ExampleMaker
from ibistrain.packing import (
    IGNORE,
    PackingCollator,
    attention_mask,
    coverage,
    looks,
    restart_positions,
    worth,
)
from ibistrain.tokenizer import VISION_END


@pytest.fixture(scope="module")
def parts(start, catalogue):
    processor = AutoProcessor.from_pretrained(start)
    model = AutoModelForImageTextToText.from_pretrained(start, attn_implementation="eager").eval()
    profile = load_profile(start)
    maker = ExampleMaker(profile, catalogue.synonyms)
    return processor, model, PackingCollator(processor, profile), maker


def reply_logits(model, batch):
    """Logits at the positions that predict a reply, by the packed path."""
    core, ids = model.model, batch["input_ids"]
    is_image = ids == model.config.image_token_id
    grid = batch["image_grid_thw"]
    positions, _ = core.get_rope_index(ids, is_image.int(), image_grid_thw=grid)
    allowed = attention_mask(batch["blocks"])
    bias = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    with torch.no_grad():
        output = model(
            input_ids=ids,
            pixel_values=batch["pixel_values"],
            image_grid_thw=grid,
            attention_mask={"full_attention": bias},
            position_ids=restart_positions(positions, batch["blocks"]),
        )
    return output.logits[:, :-1][batch["labels"][:, 1:] != IGNORE]


def test_packed_questions_equal_separate_ones(parts, pictures):
    _, model, collate, maker = parts
    example = maker.first(pictures[0], Random(3))
    assert len(example.turns) > 1
    packed = reply_logits(model, collate([example]))
    alone = [
        reply_logits(model, collate([Example(example.picture, [turn], example.mask, {})]))
        for turn in example.turns
    ]
    assert torch.allclose(packed, torch.cat(alone), atol=1e-4)


def test_packed_path_equals_the_models_own(parts, pictures):
    """What is trained is what generation will compute from plain input."""
    _, model, collate, maker = parts
    example = maker.first(pictures[1], Random(5))
    single = Example(example.picture, example.turns[:1], example.mask, {})
    batch = collate([single])
    is_image = (batch["input_ids"] == model.config.image_token_id).int()
    with torch.no_grad():
        plain = model(
            input_ids=batch["input_ids"],
            attention_mask=torch.ones_like(batch["input_ids"]),
            pixel_values=batch["pixel_values"],
            image_grid_thw=batch["image_grid_thw"],
            mm_token_type_ids=is_image,
        ).logits[:, :-1][batch["labels"][:, 1:] != IGNORE]
    assert torch.allclose(reply_logits(model, batch), plain, atol=1e-4)


def test_padding_in_a_batch_changes_nothing(parts, pictures):
    _, model, collate, maker = parts
    examples = [maker.first(picture, Random(i)) for i, picture in enumerate(pictures[:3])]
    together = reply_logits(model, collate(examples))
    alone = torch.cat([reply_logits(model, collate([example])) for example in examples])
    assert torch.allclose(together, alone, atol=1e-4)


def test_only_replies_are_learnt(parts, pictures):
    processor, _, collate, maker = parts
    example = maker.first(pictures[2], Random(1))
    labels = collate([example])["labels"][0]
    learnt = processor.tokenizer.decode(labels[labels != IGNORE])
    end = processor.tokenizer.eos_token
    assert learnt == end.join(turn.reply for turn in example.turns) + end


def test_prefix_is_the_chat_template_up_to_the_picture(parts, pictures):
    processor, _, collate, maker = parts
    batch = collate([maker.first(pictures[2], Random(1))])
    text = processor.tokenizer.decode(batch["input_ids"][0])
    rows, columns = batch["grids"][0]
    assert text.count(VISION_END) == 1
    assert text.count(processor.image_token) == rows * columns


def test_coverage_is_the_share_of_each_cell():
    mask = torch.zeros(4, 6, dtype=torch.bool).numpy()
    mask[:2, :3] = True
    mask[2, 3] = True
    assert coverage(mask, (2, 2)).tolist() == [[1.0, 0.0], [0.0, pytest.approx(1 / 6)]]


def test_blocks_do_not_see_each_other():
    blocks = torch.tensor([[0, 0, 1, 1, 2, -1]])
    allowed = attention_mask(blocks)[0, 0]
    assert allowed[4].tolist() == [True, True, False, False, True, False]
    assert allowed[3].tolist() == [True, True, True, True, False, False]
    assert allowed.diagonal().all()


def test_a_click_is_worth_most_at_the_deepest_point_and_nothing_outside():
    region = np.zeros((50, 100), bool)
    region[10:21, 40:61] = True  # deepest in the row 15, that is 0.31 of the height
    across, down = worth(region)
    assert across[:40].sum() == 0 == across[61:].sum()
    assert across[50] == 1
    assert across[40] == pytest.approx(0.5 + 0.5 / 6)
    assert down[30] == 1
    assert down[:20].sum() == 0 == down[42:].sum()


def test_the_look_for_y_is_at_the_part_whose_x_is_written():
    region = np.zeros((80, 80), bool)
    region[10:30, 10:30] = True  # the deepest: columns 2 to 5 of 16, rows 2 to 5
    region[60:78, 60:78] = True
    for_x, for_y = looks(region, (16, 16))
    assert float(for_x.sum()) == pytest.approx(1) == float(for_y.sum())
    assert for_x[2:6, 2:6].sum() > for_x[12:16, 12:16].sum() > 0.1
    assert for_y[2:6, 2:6].sum() > 0.999
    assert for_y.sum(0).argmax() in (3, 4)


def test_where_nothing_is_there_nowhere_is_looked():
    assert not looks(None, (3, 4)).any()
