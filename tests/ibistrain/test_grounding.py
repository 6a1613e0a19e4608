from __future__ import annotations

import pytest
import torch
from transformers import AutoProcessor

from ibistrain.grounding import CoordinateLoss, GroundingHeads, looking_loss, missing_loss
from ibistrain.tokenizer import number_ids


@pytest.fixture(scope="module")
def tokenizer(start):
    return AutoProcessor.from_pretrained(start).tokenizer


def loss_of(tokenizer, wanted: str, written: str) -> float:
    """Loss when a model is sure of `written` where `wanted` was right."""
    ids = torch.tensor(tokenizer(wanted).input_ids)
    said = torch.tensor(tokenizer(written).input_ids)
    logits = torch.full((len(ids) - 1, len(tokenizer)), -4.0)
    logits[torch.arange(len(ids) - 1), said[1:]] = 4.0
    return float(CoordinateLoss(tokenizer)(logits, ids[1:], ids[:-1]))


def test_a_near_miss_costs_less_than_a_far_one(tokenizer):
    right, near, far = (
        loss_of(tokenizer, "(0.5000, 0.5000)", f"({x}, 0.5000)")
        for x in ("0.5000", "0.5200", "0.9000")
    )
    assert right < near < far


def test_the_first_two_digits_weigh_most(tokenizer):
    wanted = "(0.5050, 0.5050)"
    fine = loss_of(tokenizer, wanted, "(0.5090, 0.5050)")
    coarse = loss_of(tokenizer, wanted, "(0.9050, 0.5050)")
    assert fine < coarse


def test_coarse_positions_follow_the_leads(tokenizer):
    ids = torch.tensor(tokenizer("<action>Positive Point (0.4312, 0.5520)</action>").input_ids)
    coarse = CoordinateLoss(tokenizer).coarse(ids[1:], ids[:-1])
    assert tokenizer.convert_ids_to_tokens(ids[1:][coarse]) == ["43", "55"]


def test_numbers_start_as_neighbours(start):
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(start)
    tokenizer = AutoProcessor.from_pretrained(start).tokenizer
    rows = model.get_input_embeddings().weight[number_ids(tokenizer)].detach()
    similar = torch.nn.functional.cosine_similarity(rows[50:51], rows)
    assert similar[50] > similar[51] > similar[60]


def test_looking_at_the_target_costs_nothing_and_away_much():
    for_x, for_y = torch.eye(4)[[0, 2]]
    region = torch.stack([for_x, for_y]).view(2, 2, 2)
    is_image = torch.tensor([[True] * 4 + [False] * 2])
    queries = torch.tensor([[False] * 4 + [True] * 2])
    blocks = torch.tensor([[0] * 4 + [1] * 2])

    def loss(at_x: int, at_y: int) -> float:
        attention = torch.zeros(1, 1, 6, 6)
        attention[0, 0, 4:] = torch.eye(6)[[at_x, at_y]]
        return float(looking_loss([attention], queries, blocks, is_image, [[region]]))

    assert loss(0, 2) == pytest.approx(0.0, abs=1e-4)
    assert min(loss(0, 0), loss(2, 2)) > 5


def test_looking_at_what_is_not_there_costs_much():
    is_image, queries = torch.tensor([[True, True, False]]), torch.tensor([[False, False, True]])
    blocks, nowhere = torch.tensor([[0, 0, 1]]), torch.zeros(2, 1, 2)

    def loss(at: int) -> float:
        attention = torch.zeros(1, 1, 3, 3)
        attention[0, 0, 2, at] = 1.0
        return float(looking_loss([attention], queries, blocks, is_image, [[nowhere]]))

    assert loss(2) == pytest.approx(0.0, abs=1e-2)
    assert loss(0) > 5


def test_heads_can_learn_place_and_cover():
    torch.manual_seed(0)
    heads = GroundingHeads(16, ["disc"])
    tokens, grid = torch.randn(6, 16), (2, 3)
    cover = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).kron(torch.eye(2))
    optimiser = torch.optim.Adam(heads.parameters(), lr=0.05)
    for _ in range(300):
        losses = heads([tokens], [grid], [cover * 0], [{"disc": cover}])
        optimiser.zero_grad()
        (losses["place"] + losses["cover"]).backward()
        optimiser.step()
    assert losses["place"] < 1e-3
    assert losses["cover"] < 0.05
    assert losses["hit"] == 1
    logits = heads.covered(tokens, grid)[..., 1]
    assert torch.equal(logits > 0, cover > 0.5)  # quarters lie where they lie in the picture


def test_hits_count_targets_that_are_there_only():
    heads = GroundingHeads(4, ["disc"])
    nothing = torch.zeros(4, 4)
    assert "hit" not in heads([torch.randn(4, 4)], [(2, 2)], [nothing], [{"disc": nothing}])


def test_places_can_be_said_in_the_embeddings_of_numbers():
    """Tokens that carry their place, and a query that carries the place of what it looked at."""
    torch.manual_seed(0)
    heads, grid = GroundingHeads(32, []), (2, 3)
    numbers = torch.randn(100, 32)
    hidden = torch.randn(1, 7, 32)
    is_image = torch.tensor([[True] * 6 + [False]])
    queries, blocks = ~is_image, torch.tensor([[0] * 6 + [1]])
    region = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).expand(2, 2, 3)  # the last cell
    hidden[0, 6] = hidden[0, 5]
    optimiser = torch.optim.Adam(heads.parameters(), lr=0.02)
    for _ in range(400):
        spoken = heads.spoken_place([hidden], is_image, [grid], numbers)
        optimiser.zero_grad()
        spoken.backward()
        optimiser.step()
    guessed = torch.tensor(100.0).log()
    assert spoken < guessed - 1

    def found(looked_at: int) -> torch.Tensor:
        states = hidden.clone()
        states[0, 6] = hidden[0, looked_at]
        return heads.found_place([states], queries, blocks, [[region]], numbers)

    assert found(5) < guessed - 1
    assert found(0) > found(5) + 1
    assert heads.found_place([hidden], queries, blocks, [[0 * region]], numbers) == 0


def test_a_sure_click_in_the_target_loses_nothing():
    values = torch.zeros(2, 100)
    values[0, 40], values[1, 70] = 1.0, 1.0
    coarse = torch.tensor([[False, True, False, True]])
    blocks = torch.tensor([[0, 1, 1, 1]])

    def loss(x: int, y: int) -> float:
        scores = torch.zeros(1, 4, 100)
        scores[0, 1, x], scores[0, 3, y] = 50, 50
        return float(missing_loss(scores, coarse, blocks, [[values]]))

    assert loss(40, 70) == pytest.approx(0, abs=1e-6)
    assert loss(40, 10) == pytest.approx(0.5)
    assert loss(41, 10) == pytest.approx(1)
    assert float(missing_loss(torch.zeros(1, 4, 100), coarse, blocks, [[None]])) == 0
