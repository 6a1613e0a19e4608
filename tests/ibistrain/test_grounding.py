"""What teaches a small model to see."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibistrain.batches.gallery import Gallery
from ibistrain.batches.scripts import IGNORE
from ibistrain.grounding import (
    DECISION_WEIGHT,
    TAUGHT_WIDTH,
    CoordinateLoss,
    GroundingHeads,
    cell_centres,
    coverage,
    looking_loss,
    missing_loss,
    soft_numbers,
)
from ibistrain.tokenizer import number_ids

GUESSED = math.log(100)
"""Cross-entropy of one number among a hundred, where nothing is known."""


@pytest.fixture(scope="module")
def tokenizer(start: Path):
    return AutoProcessor.from_pretrained(start).tokenizer


def loss_of(tokenizer, wanted: str, written: str) -> float:
    """Loss when a model is sure of `written`, of as many tokens, where `wanted` was right."""
    ids = torch.tensor(tokenizer(wanted).input_ids)
    said = torch.tensor(tokenizer(written).input_ids)
    logits = torch.full((len(ids) - 1, len(tokenizer)), -4.0)
    logits[torch.arange(len(ids) - 1), said[1:]] = 4.0
    return float(CoordinateLoss(tokenizer)(logits, ids[1:], ids[:-1]))


@pytest.mark.parametrize("click", ["({}, 0.5000)", "(0.5000, {})"])
def test_a_near_miss_costs_less_than_a_far_one(tokenizer, click: str) -> None:
    right, near, far = (
        loss_of(tokenizer, "(0.5000, 0.5000)", click.format(value))
        for value in ("0.5000", "0.5200", "0.9000")
    )
    assert right < near < far


def test_the_first_two_digits_weigh_most(tokenizer) -> None:
    wanted = "(0.5050, 0.5050)"
    right = loss_of(tokenizer, wanted, wanted)
    fine = loss_of(tokenizer, wanted, "(0.5090, 0.5050)")
    coarse = loss_of(tokenizer, wanted, "(0.9050, 0.5050)")
    assert right < fine < coarse
    assert coarse - right > 4 * (fine - right)


def test_digits_follow_digits(tokenizer) -> None:
    """Which ones hardly matters, that they do does."""
    right, other, none = (
        loss_of(tokenizer, "(0.5050, 0.5050)", written)
        for written in ("(0.5050, 0.5050)", "(0.5090, 0.5050)", "(0.50), 0.5050)")
    )
    assert none - right > 3 * (other - right) > 0


def test_only_what_is_to_be_learnt_counts(tokenizer) -> None:
    ids = torch.tensor(tokenizer("I stop.</think>").input_ids)
    logits = torch.randn(len(ids) - 1, len(tokenizer), generator=torch.Generator().manual_seed(0))
    loss, labels = CoordinateLoss(tokenizer), ids[1:].clone()
    labels[2:] = IGNORE
    expected = torch.nn.functional.cross_entropy(logits[:2], ids[1:3])
    assert float(loss(logits, labels, ids[:-1])) == pytest.approx(float(expected))
    assert float(loss(logits, torch.full_like(labels, IGNORE), ids[:-1])) == 0


def test_words_weigh_one(tokenizer) -> None:
    """Numbers in words, not in clicks, are words."""
    ids = torch.tensor(tokenizer("I stop 0 43.").input_ids)
    logits = torch.randn(len(ids) - 1, len(tokenizer), generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.cross_entropy(logits, ids[1:])
    found = CoordinateLoss(tokenizer)(logits, ids[1:], ids[:-1])
    assert float(found) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("wanted", "written", "place"),
    [
        ("<think>I see no disc.", "<think>I see the disc.", 3),
        ("<think>The mask fits.", "<think>I mask fits.", 1),
    ],
)
def test_words_that_decide_weigh_more(tokenizer, wanted: str, written: str, place: int) -> None:
    ids, said = (torch.tensor(tokenizer(text).input_ids) for text in (wanted, written))
    assert (ids != said).nonzero().flatten().tolist() == [place]
    said[-1] = ids[-2]  # a word that decides nothing is wrong, too
    logits = torch.full((len(ids) - 1, len(tokenizer)), -4.0)
    logits[torch.arange(len(ids) - 1), said[1:]] = 4.0
    each = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")
    deciding = torch.isin(ids[:-1], torch.tensor(tokenizer("<think> see").input_ids))
    weight = torch.where(deciding, DECISION_WEIGHT, 1.0)
    assert deciding[place - 1]
    found = CoordinateLoss(tokenizer)(logits, ids[1:], ids[:-1])
    assert float(found) == pytest.approx(float((weight * each).sum() / weight.sum()))


def test_numbers_start_as_neighbours(start: Path, tokenizer) -> None:
    model = AutoModelForImageTextToText.from_pretrained(start)
    assert CoordinateLoss(tokenizer).numbers.tolist() == number_ids(tokenizer)
    rows = model.get_input_embeddings().weight[number_ids(tokenizer)].detach()
    similar = torch.nn.functional.cosine_similarity(rows[50:51], rows)
    assert similar[50] > similar[51] > similar[60]


def test_soft_numbers_are_likeliest_themselves() -> None:
    soft = soft_numbers()
    assert torch.allclose(soft.sum(1), torch.ones(100))
    assert torch.equal(soft.argmax(1), torch.arange(100))
    assert soft[50, 49] == soft[50, 51] > soft[50, 53] > soft[50, 60]


def test_cells_lie_row_by_row() -> None:
    centres = cell_centres((2, 4))
    assert centres.tolist() == [
        [down, across] for down in (0.25, 0.75) for across in (0.125, 0.375, 0.625, 0.875)
    ]


def test_coverage_is_the_share_of_each_quarter_cell(gallery: Gallery) -> None:
    drawn = torch.tensor([0, 4])
    labels = gallery.labels[drawn][:, :96, :112]
    masks = torch.zeros(2, 96, 112, dtype=torch.bool)
    masks[0, :8, 8:12] = True  # half of the second quarter cell
    covered = coverage(gallery, drawn, labels, masks, (6, 7))
    assert covered.shape == (2, 12 * 14, 5)
    truths = gallery.masks(drawn, labels, torch.arange(4).expand(2, -1))
    for layer, wanted in ((0, masks), *((1 + n, truths[:, n]) for n in range(4))):
        cells = torch.nn.functional.avg_pool2d(wanted[:, None].float(), 8).flatten(1)
        assert torch.allclose(covered[..., layer], cells)
    assert covered[0, :3, 0].tolist() == [0, 0.5, 0]
    bare = coverage(gallery, drawn, labels, None, (6, 7))
    assert not bare[..., 0].any()
    assert torch.equal(bare[..., 1:], covered[..., 1:])


def test_looking_at_the_target_costs_nothing_and_away_much() -> None:
    wanted = torch.eye(4)[[0, 2]]

    def loss(at_x: int, at_y: int) -> float:
        return float(looking_loss([torch.eye(4)[[at_x, at_y]]], wanted))

    assert loss(0, 2) == pytest.approx(0.0, abs=1e-4)
    assert min(loss(0, 0), loss(2, 2)) > 5


def test_looking_at_what_is_not_there_costs_much() -> None:
    nowhere = torch.zeros(1, 2)

    def loss(*weights: float) -> float:
        return float(looking_loss([torch.tensor([weights])], nowhere))

    assert loss(0, 0) == pytest.approx(0.0, abs=1e-2)
    assert loss(0.5, 0.5) > 5


def test_every_taught_layer_is_to_look() -> None:
    wanted = torch.eye(3)[:1]
    right, wrong = torch.eye(3)[:1], torch.eye(3)[1:2]
    both = float(looking_loss([wrong, wrong], wanted))
    assert float(looking_loss([right, wrong], wanted)) == pytest.approx(both / 2, rel=1e-3)


COVER = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).kron(torch.eye(2)).flatten()
"""Quarter cells of 2 x 3 tokens: diagonals of two cells."""


def test_heads_can_learn_place_and_cover() -> None:
    torch.manual_seed(0)
    heads, grid = GroundingHeads(16, ["disc"]), (2, 3)
    tokens = torch.randn(2, 6, 16)
    covered = torch.zeros(2, 24, 2)
    covered[0, :, 1], covered[1, :, 0] = COVER, COVER
    known = torch.ones(2, 2, dtype=torch.bool)
    optimiser = torch.optim.Adam(heads.parameters(), lr=0.05)
    for _ in range(300):
        losses = heads(tokens, grid, covered, known)
        optimiser.zero_grad()
        (losses["place"] + losses["cover"]).backward()
        optimiser.step()
    assert losses["place"] < 1e-3
    assert losses["cover"] < 0.05
    assert losses["hit"] == 1
    assert torch.equal(heads.covered(tokens, grid) > 0, covered > 0.5)


def test_quarter_cells_lie_where_they_lie_in_the_picture() -> None:
    """Logits that say which token and which quarter of it they are of."""
    heads, rows, columns = GroundingHeads(6, ["disc"]), 2, 3
    with torch.no_grad():
        heads.cover.weight.copy_(4 * torch.arange(6.0).expand(8, -1))
        heads.cover.bias.copy_(torch.arange(4.0).repeat_interleave(2))
    found = heads.covered(torch.eye(6)[None], (rows, columns))
    assert found.shape == (1, 24, 2)
    for layer in found[0].T:
        for number, value in enumerate(layer.tolist()):
            row, column = divmod(number, 2 * columns)
            token, quarter = row // 2 * columns + column // 2, row % 2 * 2 + column % 2
            assert value == 4 * token + quarter


def test_targets_have_their_own_place_behind_the_mask() -> None:
    heads = GroundingHeads(4, ["disc", "star"])
    with torch.no_grad():
        heads.cover.weight.zero_()
        heads.cover.bias.copy_(torch.tensor([0.0, 1.0, 2.0]).repeat(4))
    assert heads.covered(torch.zeros(1, 6, 4), (2, 3))[0, 7].tolist() == [0, 1, 2]


def test_what_the_labels_do_not_tell_is_not_judged() -> None:
    torch.manual_seed(0)
    heads, tokens, grid = GroundingHeads(8, ["disc", "star"]), torch.randn(2, 6, 8), (2, 3)
    covered = torch.zeros(2, 24, 3)
    covered[:, :, 1] = COVER
    known = torch.tensor([[True, True, False], [True, True, False]])
    before = heads(tokens, grid, covered, known)
    covered[:, :, 2] = COVER.flip(0)
    after = heads(tokens, grid, covered, known)
    assert before["cover"] == after["cover"]
    assert before["hit"] == after["hit"]
    assert heads(tokens, grid, covered, ~known | known)["cover"] != after["cover"]


def test_hits_count_targets_that_are_there_only() -> None:
    heads, tokens = GroundingHeads(4, ["disc", "star"]), torch.randn(1, 6, 4)
    with torch.no_grad():
        heads.cover.weight.zero_()
    known = torch.ones(1, 3, dtype=torch.bool)
    covered = torch.zeros(1, 24, 3)
    assert heads(tokens, (2, 3), covered, known)["hit"] == 0
    covered[0, 0, 1] = 1.0  # where all cells are alike, the first is the surest
    assert heads(tokens, (2, 3), covered, known)["hit"] == 1
    covered[0, 5, 2] = 1.0
    assert heads(tokens, (2, 3), covered, known)["hit"] == 0.5


def test_a_teachers_features_can_be_read_off() -> None:
    torch.manual_seed(0)
    heads, grid = GroundingHeads(16, []), (2, 3)
    teacher = torch.randn(2, TAUGHT_WIDTH, 4, 6)
    wanted = torch.nn.functional.avg_pool2d(teacher, 2).flatten(2).transpose(1, 2)
    with torch.no_grad():
        heads.taught.weight.copy_(torch.eye(TAUGHT_WIDTH)[:, :16])
        heads.taught.bias.zero_()
        teacher[:, 16:] = 0
    seen = wanted[..., :16]
    assert heads.taught_loss(seen, grid, teacher).item() == pytest.approx(0, abs=1e-5)
    assert heads.taught_loss(-seen, grid, teacher).item() == pytest.approx(2, abs=1e-5)
    assert 0.3 < heads.taught_loss(seen.flip(1), grid, teacher).item() < 1.7


def test_places_can_be_said_in_the_embeddings_of_numbers() -> None:
    """Tokens that carry their place, and a query that carries the place of what it looked at."""
    torch.manual_seed(0)
    heads, grid = GroundingHeads(32, []), (2, 3)
    numbers, hidden = torch.randn(100, 32), torch.randn(1, 6, 32)
    optimiser = torch.optim.Adam(heads.parameters(), lr=0.02)
    for _ in range(400):
        spoken = heads.spoken_place([hidden], grid, numbers)
        optimiser.zero_grad()
        spoken.backward()
        optimiser.step()
    assert spoken < GUESSED - 1
    last = torch.zeros(1, *grid)
    last[0, 1, 2] = 1  # the last cell

    def found(looked_at: int, looks: torch.Tensor = last) -> float:
        states = hidden[0, looked_at : looked_at + 1]
        return heads.found_place([states], looks, numbers).item()

    assert found(5) < GUESSED - 1
    assert found(0) > found(5) + 1
    assert found(5, 0 * last) == 0


def test_looks_at_nothing_are_passed_over() -> None:
    torch.manual_seed(0)
    heads, numbers, states = GroundingHeads(16, []), torch.randn(100, 16), torch.randn(2, 16)
    looks = torch.zeros(2, 2, 3)
    looks[0, 0, 0] = 1
    both = heads.found_place([states], looks, numbers)
    assert torch.allclose(both, heads.found_place([states[:1]], looks[:1], numbers))


def test_a_sure_click_in_the_target_loses_nothing() -> None:
    worths = torch.zeros(2, 100)
    worths[0, 40], worths[1, 70] = 1.0, 1.0

    def loss(x: int, y: int) -> float:
        scores = torch.zeros(2, 100)
        scores[0, x], scores[1, y] = 50, 50
        return float(missing_loss(scores, worths))

    assert loss(40, 70) == pytest.approx(0, abs=1e-6)
    assert loss(40, 10) == pytest.approx(0.5)
    assert loss(41, 10) == pytest.approx(1)
    assert float(missing_loss(torch.zeros(2, 100), worths)) == pytest.approx(0.99)


def test_no_clicks_lose_nothing() -> None:
    scores = torch.zeros(0, 100, requires_grad=True)
    loss = missing_loss(scores, torch.zeros(0, 100))
    loss.backward()
    assert loss == 0
