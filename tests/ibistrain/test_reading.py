"""Training's way through the model is the model's own."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.errors import InvalidRequest
from ibisagent.prompts import load_profile
from ibistrain.batches.answers import Answers, Kind
from ibistrain.batches.scripts import IGNORE, Scripts, ScriptWriter, Told
from ibistrain.labelled_picture import LabelledPicture
from ibistrain.reading import Watch, attention_mask, prepare, read, see
from ibistrain.starting_point import write_starting_point
from ibistrain.tiny import TinySize

LAYERS = (0, 2)
SIDES = (80, 112)
"""(height, width) of pictures that the processor leaves as they are."""
GRID = (5, 7)
MERGED = TinySize(
    picture=96,
    patch=8,
    merge=2,
    vision_width=32,
    vision_layers=3,
    vision_heads=4,
    text_width=32,
    text_layers=3,
    text_heads=4,
    text_kv_heads=1,
    vocabulary=400,
)


@pytest.fixture(scope="module")
def merged(
    pictures: list[LabelledPicture], catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A checkpoint in which four patches make a token."""
    folder = tmp_path_factory.mktemp("merged")
    write_starting_point(folder, pictures, catalogue, MERGED, seed=1)
    return folder


@pytest.fixture(scope="module", params=["start", "merged"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def load(folder: Path):
    model = AutoModelForImageTextToText.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def prepared(folder: Path):
    model = load(folder)
    prepare(model)
    return model


@pytest.fixture(scope="module")
def plain(folder: Path):
    return load(folder)


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Pictures of one size, axes (picture, channel, row, column), whole numbers."""
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (4, 3, *SIDES), generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="module")
def seen(prepared, images: Tensor) -> Tensor:
    return see(prepared, images.float())


def write(folder: Path, rows: list[int], pictures: int, seed: int = 0) -> Scripts:
    """Questions about pictures, with answers of all kinds."""
    count, generator = len(rows), torch.Generator().manual_seed(0)
    nothing = torch.zeros(0)
    answers = Answers(
        torch.arange(count) % len(Kind),
        torch.rand(count, 2, generator=generator).clamp(0.01, 0.99),
        torch.rand(count, 3, generator=generator),
        nothing,
        nothing,
    )
    names = ("disc", "square left")
    writer = ScriptWriter(AutoProcessor.from_pretrained(folder), load_profile(folder), names, {})
    told = Told(torch.tensor(rows), torch.arange(count) % 2, answers)
    return writer.write(told, pictures, GRID, False, Random(seed), torch.device("cpu"))


def watch_of(scripts: Scripts) -> Watch:
    queries = torch.cat([scripts.thinks, scripts.xs, scripts.ys])
    return Watch(LAYERS, queries, scripts.image)


def run_plainly(model, folder: Path, ids: Tensor, image: Tensor):
    """The model's own forward pass of one sequence."""
    inputs = AutoProcessor.from_pretrained(folder).image_processor(
        [image.permute(1, 2, 0).numpy()], return_tensors="pt"
    )
    return model(
        input_ids=ids[None],
        attention_mask=torch.ones_like(ids[None]),
        mm_token_type_ids=(ids == model.config.image_token_id).int()[None],
        output_attentions=True,
        output_hidden_states=True,
        **inputs,
    )


def test_pictures_are_seen_as_the_model_sees_them(
    plain, folder: Path, images: Tensor, seen: Tensor
) -> None:
    processor = AutoProcessor.from_pretrained(folder).image_processor
    every = [image.permute(1, 2, 0).numpy() for image in images]
    inputs = processor(every, return_tensors="pt")
    grid = inputs["image_grid_thw"]
    merge = plain.config.vision_config.spatial_merge_size
    assert (grid[0, 1:] // merge).tolist() == list(GRID)
    features = plain.model.get_image_features(inputs["pixel_values"], grid).pooler_output
    assert torch.allclose(seen, torch.stack(features), atol=1e-4)


def test_pictures_do_not_see_each_other(prepared, images: Tensor, seen: Tensor) -> None:
    assert torch.allclose(see(prepared, images[2:3].float()), seen[2:3], atol=1e-5)


def test_a_sequence_is_read_as_the_model_reads_it(
    prepared, plain, folder: Path, images: Tensor, seen: Tensor
) -> None:
    """Logits, inputs of layers and the first head's looks, of a sequence of one question."""
    scripts = write(folder, [0], 1)
    watch = watch_of(scripts)
    hidden, states = read(prepared, scripts, seen[:1], watch)
    length = int((scripts.blocks[0] >= 0).sum())
    expected = run_plainly(plain, folder, scripts.ids[0, :length], images[0])
    assert torch.allclose(prepared.lm_head(hidden)[0, :length], expected.logits[0], atol=1e-4)
    assert len(states) == len(expected.hidden_states)
    for mine, own in zip(states[:-1], expected.hidden_states[:-1], strict=True):
        assert torch.allclose(mine[0, :length], own[0], atol=1e-4)
    assert len(watch.queries) == 3
    for layer, looks in zip(LAYERS, watch.looks, strict=True):
        own = expected.attentions[layer][0, 0, watch.queries[:, 1], slice(*scripts.image)]
        assert looks.shape == (3, GRID[0] * GRID[1])
        assert torch.allclose(looks, own, atol=1e-5)
        assert looks.sum() > 0.1


def test_many_questions_are_read_as_each_alone(
    prepared, plain, folder: Path, images: Tensor, seen: Tensor
) -> None:
    """Neither other questions of a sequence, nor other sequences, nor padding change anything."""
    scripts = write(folder, [0, 0, 0, 2, 3, 3], 4)
    watch = watch_of(scripts)
    hidden, _ = read(prepared, scripts, seen, watch)
    logits = prepared.lm_head(hidden)
    for number, (row, think) in enumerate(scripts.thinks.tolist()):
        block = scripts.blocks[row]
        mine = (block == 0) | (block == block[think])
        alone = run_plainly(plain, folder, scripts.ids[row][mine], images[row])
        learnt = mine & (scripts.labels[row] != IGNORE)
        assert torch.allclose(logits[row][learnt], alone.logits[0][learnt[mine]], atol=1e-4)
        at = int(mine[:think].sum())
        for layer, looks in zip(LAYERS, watch.looks, strict=True):
            own = alone.attentions[layer][0, 0, at, slice(*scripts.image)]
            assert torch.allclose(looks[number], own, atol=1e-5)


def test_looks_and_states_can_be_learnt(folder: Path, images: Tensor) -> None:
    model = load(folder).requires_grad_(True)
    prepare(model)
    scripts = write(folder, [0, 1], 2)
    watch = watch_of(scripts)
    hidden, _ = read(model, scripts, see(model, images[:2].float()), watch)
    (watch.looks[0].sum() + hidden[scripts.labels != IGNORE].square().sum()).backward()
    blind = [name for name, one in model.named_parameters() if one.grad is None]
    assert not blind
    assert model.model.visual.patch_embed.proj.weight.grad.any()


def test_windows_are_refused(start: Path) -> None:
    model = load(start)
    model.config.vision_config.fullatt_block_indexes = [1]
    with pytest.raises(InvalidRequest, match="windows"):
        prepare(model)


def test_blocks_do_not_see_each_other() -> None:
    blocks = torch.tensor([[0, 0, 1, 1, 2, -1]])
    allowed = attention_mask(blocks)[0, 0]
    assert allowed[4].tolist() == [True, True, False, False, True, False]
    assert allowed[3].tolist() == [True, True, True, True, False, False]
    assert allowed[0].tolist() == [True] + [False] * 5
    assert allowed.diagonal().all()
