"""Click after click."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibistrain.batches.gallery import Gallery
from ibistrain.clicks import clicking
from ibistrain.clicks.click_model import ClickModel
from ibistrain.clicks.sequences import Sequences, draw_sequences, play
from ibistrain.clicks.sources import Anew


@pytest.fixture(scope="module")
def model(tiny: None) -> ClickModel:
    return ClickModel(LiteMedSAMNet("cpu"))


def sequences(started: bool = False) -> Sequences:
    """Two targets in one picture whose right side is padding; one starts with a wrong mask."""
    targets = torch.zeros(2, SIDE, SIDE, dtype=torch.bool)
    targets[0, 40:90, 40:90] = targets[1, 100:130, 20:60] = True
    starts = targets.roll(15, 2) if started else torch.zeros_like(targets)
    starts[0] = False
    inside = torch.ones_like(targets)
    inside[:, :, 180:] = False
    images = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return Sequences(images, targets, starts, inside, torch.tensor([True, True]))


def test_a_batch_is_drawn_from_the_gallery(gallery: Gallery, generator: torch.Generator) -> None:
    source = Anew(gallery, torch.zeros_like(gallery.labels))
    drawn = draw_sequences(source, 4, 3, generator)
    assert drawn.embeddings is None
    assert drawn.images.shape == (4, 3, SIDE, SIDE)
    assert drawn.targets.shape == drawn.starts.shape == drawn.inside.shape == (12, SIDE, SIDE)
    assert drawn.each == 3
    assert drawn.valid.any()
    assert not (drawn.targets & ~drawn.inside).any()
    assert torch.equal(drawn.inside[0], drawn.inside[2])


def test_every_click_has_a_loss_that_reaches_all_that_is_trained(
    model: ClickModel, generator: torch.Generator
) -> None:
    task = sequences()
    embeddings = model(task.images)
    played = list(play(model, embeddings, task, 2, generator))
    assert len(played) == 2
    model.zero_grad()
    torch.stack([one.loss for one in played]).sum().backward()
    for part in (model.image_encoder, model.prompt_encoder, model.mask_decoder):
        gradients = [weight.grad for weight in part.parameters() if weight.grad is not None]
        assert sum(float(gradient.abs().sum()) for gradient in gradients) > 0


def test_gradients_click_by_click_are_those_of_the_sum(model: ClickModel) -> None:
    def gradients(at_once: bool) -> list[Tensor]:
        model.zero_grad()
        task, generator = sequences(), torch.Generator().manual_seed(3)
        embeddings = model(task.images)
        seen = embeddings if at_once else embeddings.detach().requires_grad_()
        played = play(model, seen, task, 3, generator)
        if at_once:
            torch.stack([one.loss for one in played]).sum().backward()
        else:
            for one in played:
                one.loss.backward()
            embeddings.backward(seen.grad)
        return [weight.grad for weight in model.parameters() if weight.grad is not None]

    for one, other in zip(gradients(True), gradients(False), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_targets_that_do_not_count_carry_no_loss(
    model: ClickModel, generator: torch.Generator
) -> None:
    task = sequences()
    nothing = Sequences(
        task.images, task.targets, task.starts, task.inside, torch.tensor([False, False])
    )
    with torch.no_grad():
        (one,) = play(model, model(task.images), nothing, 1, generator)
    assert one.loss == 0
    assert one.dice == 0
    assert one.dice_fresh.isnan()


def answering(answer: Tensor, fed: list[dict[str, Tensor]]) -> ClickModel:
    """A model that always answers the same, and notes what it is asked."""

    class Answering:
        def decode(
            self, embeddings: Tensor, drawn: Tensor, places: Tensor, signs: Tensor
        ) -> tuple[Tensor, Tensor]:
            fed.append({"drawn": drawn, "places": places, "signs": signs})
            return answer, torch.zeros(len(answer))

    return Answering()  # type: ignore[return-value]


@pytest.fixture
def careful(monkeypatch: pytest.MonkeyPatch) -> None:
    """People who click at the deepest point and make no mistakes."""
    monkeypatch.setattr(clicking, "WRONG", 0.0)
    monkeypatch.setattr(clicking, "ANYWHERE", 0.0)
    monkeypatch.setattr(clicking, "EXACT", 1.0)


@pytest.mark.usefixtures("careful")
def test_what_a_click_may_not_change_is_fed_back_as_it_was(generator: torch.Generator) -> None:
    """The decoder forgets somebody's mask; the click was elsewhere, so it comes back."""
    target, start = torch.zeros(2, 1, SIDE, SIDE, dtype=torch.bool)
    target[0, 40:90, 40:90] = start[0, 60:64, 60:64] = start[0, 200:220, 20:40] = True
    task = Sequences(
        torch.zeros(1, 3, 8, 8), target, start, torch.ones_like(target), torch.tensor([True])
    )
    fed: list[dict[str, Tensor]] = []
    model = answering(torch.where(target, 5.0, -5.0), fed)
    list(play(model, torch.zeros(1, 1), task, 2, generator))
    again = fed[1]["drawn"][0] > 0
    assert again[200:220, 20:40].sum() > 300  # but for the disc of the second click
    assert again[40:90, 40:90].all()
    assert fed[1]["signs"].tolist() == [[True, False]]
    assert start[0][tuple(fed[1]["places"][0, 1].tolist())]


@pytest.mark.usefixtures("careful")
def test_the_padding_is_never_marked(generator: torch.Generator) -> None:
    task, fed = sequences(), []  # type: tuple[Sequences, list[dict[str, Tensor]]]
    played = list(
        play(answering(torch.ones(2, SIDE, SIDE), fed), torch.zeros(1), task, 2, generator)
    )
    assert not (fed[1]["drawn"][~task.inside] > 0).any()
    share = 2 * task.targets.sum((1, 2)) / (task.targets.sum((1, 2)) + task.inside.sum((1, 2)))
    assert float(played[0].dice) == pytest.approx(float(share.mean()))


@pytest.mark.usefixtures("careful")
def test_first_dice_is_that_of_targets_without_a_mask(generator: torch.Generator) -> None:
    task = sequences(started=True)
    answer = torch.where(task.targets, 5.0, -5.0)
    answer[1] = -5.0
    (one,) = play(answering(answer, []), torch.zeros(1), task, 1, generator)
    assert float(one.dice_fresh) == 1
    assert float(one.dice) == 0.5


@pytest.mark.usefixtures("careful")
def test_a_right_mask_is_clicked_at_where_it_was_before(generator: torch.Generator) -> None:
    task = sequences()
    fed: list[dict[str, Tensor]] = []
    list(
        play(
            answering(torch.where(task.targets, 5.0, -5.0), fed), torch.zeros(1), task, 3, generator
        )
    )
    assert fed[2]["places"].shape == (2, 3, 2)
    assert (fed[2]["places"] == fed[2]["places"][:, :1]).all()
    assert fed[2]["signs"].all()
