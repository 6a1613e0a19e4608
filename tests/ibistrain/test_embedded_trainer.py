"""What a batch teaches, and how well it is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from harness.following_tools import FollowingDiscs
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.overlay import overlay
from ibisagent.prompts import load_profile
from ibistrain import embedded, embedded_trainer
from ibistrain.batches import questions as asking
from ibistrain.batches.answers import Answers
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.marks import Marked
from ibistrain.batches.numbers import Numbers, number_of
from ibistrain.batches.scripts import IGNORE, Scripts
from ibistrain.catalogue import Catalogue
from ibistrain.embedded_config import EmbeddedConfig
from ibistrain.embedded_trainer import (
    WEIGHTS,
    EmbeddedTrainer,
    _clicks_of,
    _worth_of,
)
from ibistrain.grounding import LOOKING_LAYERS, CoordinateLoss, GroundingHeads
from ibistrain.labelled_picture import LabelledPicture
from ibistrain.reading import Watch, prepare, read

Make = Callable[..., EmbeddedTrainer]
TAUGHT_AGAIN = {"place", "cover", "reply", "looking", "spoken", "found", "missing"}


@pytest.fixture
def make(
    start: Path, pictures: list[LabelledPicture], catalogue: Catalogue, tmp_path: Path
) -> Make:
    def trainer(tool: FollowingDiscs | None = None, **settings: object) -> EmbeddedTrainer:
        config = EmbeddedConfig(**{"steps": 10, "batch": 3, "refinement": 0, **settings})
        processor = AutoProcessor.from_pretrained(start)
        model = AutoModelForImageTextToText.from_pretrained(start, dtype=torch.float32)
        prepare(model)
        gallery = Gallery.of(pictures, {"blobs": 1.0})
        torch.manual_seed(0)
        model.grounding = GroundingHeads(model.config.text_config.hidden_size, gallery.names)
        lesson = embedded._lesson(
            gallery, processor, load_profile(start), pictures, catalogue.synonyms, config, tool, ()
        )
        return EmbeddedTrainer(
            heads=model.grounding,
            lesson=lesson,
            tokenizer=processor.tokenizer,
            model=model,
            args=embedded._arguments(tmp_path, config),
            data_collator=number_of,
            train_dataset=Numbers(config.steps * config.batches),
        )

    return trainer


def loss_of(trainer: EmbeddedTrainer, number: int = 0) -> torch.Tensor:
    return trainer.compute_loss(trainer.model, {"number": torch.tensor(number)})


def parts_of(trainer: EmbeddedTrainer, number: int = 0) -> dict[str, torch.Tensor]:
    return trainer._taught(trainer.model, trainer._lesson.views.draw(number))


def test_the_same_number_gives_the_same_loss(make: Make) -> None:
    trainer = make(FollowingDiscs(), refinement=1.0)
    one, other, again = (loss_of(trainer, number).item() for number in (3, 4, 3))
    assert one == again != other
    another, seeded = (make(FollowingDiscs(), refinement=1.0, seed=seed) for seed in (0, 1))
    assert loss_of(another, 3).item() == pytest.approx(one)
    assert loss_of(seeded, 3).item() != one


def test_the_loss_is_the_weighted_sum_of_its_parts(make: Make) -> None:
    trainer = make(FollowingDiscs(), refinement=1.0)
    parts = parts_of(trainer)
    assert {f"again_{name}" for name in TAUGHT_AGAIN} | TAUGHT_AGAIN | {"taught"} < parts.keys()
    expected = sum(WEIGHTS.get(n.removeprefix("again_"), 0) * v.item() for n, v in parts.items())
    loss, outputs = trainer.compute_loss(trainer.model, {"number": torch.tensor(0)}, True)
    assert loss.item() == pytest.approx(expected)
    assert outputs is None
    assert {"hit", "clicked"} == parts.keys() & {"hit", "clicked"} - WEIGHTS.keys()


def test_all_of_the_model_learns(make: Make) -> None:
    trainer = make(FollowingDiscs(), refinement=1.0)
    loss_of(trainer).backward()
    named = dict(trainer.model.named_parameters())
    assert [name for name, one in named.items() if one.grad is None] == []
    assert all(bool(one.grad.isfinite().all()) for one in named.values())


def test_without_questions_only_seeing_is_taught(make: Make) -> None:
    trainer = make(questions=0, refinement=1.0)
    assert parts_of(trainer).keys() == {"place", "cover", "hit"}
    loss_of(trainer).backward()
    learning = {n for n, one in trainer.model.named_parameters() if one.grad is not None}
    assert learning
    assert all("visual." in name or "grounding." in name for name in learning)


def test_a_batch_may_have_nothing_to_ask_for(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where all was moved out of the pictures."""
    monkeypatch.setattr(asking, "MIN_SHARE", 2.0)
    trainer = make(FollowingDiscs(), refinement=1.0, absent=0.0, taught=0.0)
    assert parts_of(trainer).keys() == {"place", "cover", "hit"}
    loss_of(trainer).backward()
    assert trainer.model.model.visual.patch_embed.proj.weight.grad.isfinite().all()


def test_a_batch_may_have_nothing_to_click_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MIN_SHARE", 2.0)
    trainer = make(absent=1.0)
    loss = loss_of(trainer)
    loss.backward()
    assert loss.isfinite()
    assert all(
        one.grad.isfinite().all() for one in trainer.model.parameters() if one.grad is not None
    )


def test_logs_pass_over_batches_that_say_nothing(make: Make) -> None:
    trainer = make()
    for value in (1.0, float("nan"), 0.0):
        trainer._note({"clicked": torch.tensor(value), "reply": torch.tensor(2 * value)})
    trainer.log({"loss": 5.0})
    assert trainer.state.log_history[-1]["clicked"] == 0.5
    assert trainer.state.log_history[-1]["reply"] == 1.0
    trainer.log({"loss": 4.0})
    assert "clicked" not in trainer.state.log_history[-1]


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.5, 12), (1.0, 24)])
def test_a_share_of_batches_is_asked_again(
    make: Make, monkeypatch: pytest.MonkeyPatch, share: float, count: int
) -> None:
    trainer, asked = make(refinement=share, batch=1), []

    def refining(self: EmbeddedTrainer, model: object, view: object, marked: Marked) -> dict:
        asked.append(marked)
        return {}

    monkeypatch.setattr(EmbeddedTrainer, "_refining", refining)
    monkeypatch.setattr(EmbeddedTrainer, "_speaking", lambda *_: ({}, torch.zeros(9, 2)))
    monkeypatch.setattr(EmbeddedTrainer, "_seeing", lambda *_: (torch.zeros(1, 1, 64), {}))
    for number in range(24):
        parts_of(trainer, number)
    assert abs(len(asked) - count) <= (6 if 0 < share < 1 else 4 * share)
    assert all(len(marked.rows) == 1 for marked in asked)


@pytest.mark.parametrize(("share", "expected"), [(0.0, False), (1.0, True)])
def test_the_tools_encoder_explains_a_share_of_the_rest(
    make: Make, share: float, expected: bool
) -> None:
    trainer = make(FollowingDiscs(), taught=share)
    assert ("taught" in parts_of(trainer)) == expected
    assert "taught" in parts_of(make(FollowingDiscs(), taught=share, refinement=1.0))
    assert "taught" not in parts_of(make(taught=1.0))


def test_the_tool_follows_where_the_policy_would_click(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One place a question; none where the policy is to say that nothing is there."""
    trainer, given = make(refinement=1.0, absent=1.0), []
    mark = trainer._lesson.marker.mark

    def marking(view: object, questions: object, own: torch.Tensor) -> Marked:
        given.append((view, questions, own))
        return mark(view, questions, own)

    marker = type("Marker", (), {"mark": staticmethod(marking)})()
    trainer._lesson = dataclasses.replace(trainer._lesson, marker=marker)
    parts_of(trainer)
    ((view, questions, own),) = given
    assert own.shape == (len(questions), 2)
    areas = trainer._lesson.views.gallery.areas(view.drawn, view.labels)
    there = areas[questions.rows, questions.targets] > 0
    assert not there.all()
    assert torch.equal(own.isnan().any(1), ~there)
    assert own[there].min() >= 0
    assert own[there].max() < 1


def test_marked_pictures_are_asked_about_with_their_masks(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, asked, seen = make(refinement=1.0), [], []
    write, see = trainer._lesson.writer.write, embedded_trainer.see

    def writing(*args: object) -> Scripts:
        asked.append((args, write(*args)))
        return asked[-1][1]

    def seeing(model: object, pictures: torch.Tensor) -> torch.Tensor:
        seen.append(pictures)
        return see(model, pictures)

    monkeypatch.setattr(trainer._lesson.writer, "write", writing)
    monkeypatch.setattr(embedded_trainer, "see", seeing)
    parts_of(trainer)
    (first, _), (again, scripts) = asked
    assert (first[3], again[3]) == (True, False)
    assert again[1] == len(scripts.ids) == len(seen[1]) <= len(seen[0])
    assert scripts.thinks[:, 0].tolist() == list(range(len(scripts.ids)))
    greener = seen[1][:, 1] - seen[1][:, 0] > 10
    assert greener.flatten(1).any(1).all()
    assert not (seen[0][:, 1] - seen[0][:, 0] > 10).any()


def test_masks_are_drawn_as_in_use(make: Make, pictures: list[LabelledPicture]) -> None:
    trainer = make()
    profile = trainer._lesson.profile
    images = torch.stack([torch.from_numpy(one.rgb.copy()) for one in pictures[:3]])
    masks = torch.stack([torch.from_numpy(one.truth("thing")) for one in pictures[:3]])
    found = trainer._overlaid(images.permute(0, 3, 1, 2).float(), masks).permute(0, 2, 3, 1)
    for number, picture in enumerate(pictures[:3]):
        expected = overlay(
            picture.rgb, masks[number].numpy(), profile.overlay_colour, profile.overlay_alpha
        )
        assert np.abs(found[number].numpy() - expected).max() <= 1
        assert (expected != picture.rgb).any()


@dataclasses.dataclass
class Judged:
    """One batch of first replies, and what the losses were given."""

    answers: Answers
    scripts: Scripts
    scores: torch.Tensor
    given: dict[str, tuple]


@pytest.fixture
def judged(make: Make, monkeypatch: pytest.MonkeyPatch) -> Judged:
    trainer, given = make(absent=1.0), {}

    def keep(owner: object, name: str) -> None:
        monkeypatch.setattr(owner, name, lambda *args: given.__setitem__(name, args[-3:]))

    keep(CoordinateLoss, "__call__")
    keep(GroundingHeads, "found_place")
    keep(GroundingHeads, "spoken_place")
    keep(embedded_trainer, "looking_loss")
    keep(embedded_trainer, "missing_loss")
    view = trainer._lesson.views.draw(0)
    _, answers, told = trainer._asked(view)
    device = torch.device("cpu")
    scripts = trainer._lesson.writer.write(told, 3, view.grid, True, view.words, device)
    seen, _ = trainer._seeing(trainer.model, view, view.pictures, None)
    _, scores = trainer._replies(trainer.model, scripts, seen, answers, view.grid)
    assert 0 < len(scripts.clicking) < len(scripts.thinks)
    hidden, states = read(trainer.model, scripts, seen, Watch((), scripts.thinks, scripts.image))
    given["logits"], given["states"] = trainer.model.lm_head(hidden), states
    given["number_ids"] = ids = trainer._coordinates.numbers
    given["numbers"] = trainer.model.get_input_embeddings().weight[ids]
    return Judged(answers, scripts, scores, given)


def test_replies_are_judged_where_they_are_written(judged: Judged) -> None:
    """By the tokens after those that stand there."""
    logits, labels, ids = judged.given["__call__"]
    scripts = judged.scripts
    assert labels.tolist() == scripts.labels[scripts.labels != IGNORE].tolist()
    rows, columns = (scripts.labels != IGNORE).nonzero().unbind(1)
    assert torch.equal(ids, scripts.ids[rows, columns - 1])
    assert torch.allclose(logits, judged.given["logits"][rows, columns - 1], atol=1e-4)


def test_clicks_are_judged_by_the_logits_of_numbers(judged: Judged) -> None:
    scores, worths = judged.given["missing_loss"]
    scripts = judged.scripts
    assert torch.equal(scores, judged.scores.flatten(0, 1))
    assert torch.equal(worths, judged.answers.worths[scripts.clicking].flatten(0, 1))
    for axis, places in enumerate((scripts.xs, scripts.ys)):
        logits = judged.given["logits"][places[:, 0], places[:, 1]]
        own = logits[:, judged.given["number_ids"]]
        assert torch.allclose(judged.scores[:, axis], own, atol=1e-4)


def test_looks_are_judged_before_thought_x_and_y(judged: Judged) -> None:
    scripts, looks = judged.scripts, judged.answers.looks
    wanted = torch.cat([looks[:, 0], looks[scripts.clicking, 0], looks[scripts.clicking, 1]])
    seen, given = judged.given["looking_loss"]
    assert torch.equal(given, wanted.flatten(1))
    assert [one.shape for one in seen] == [given.shape] * len(LOOKING_LAYERS)
    states, given, numbers = judged.given["found_place"]
    assert torch.equal(given, wanted)
    assert torch.equal(numbers, judged.given["numbers"])
    rows, columns = torch.cat([scripts.thinks, scripts.xs, scripts.ys]).unbind(1)
    for layer, one in zip(LOOKING_LAYERS, states, strict=True):
        assert torch.allclose(one, judged.given["states"][layer + 1][rows, columns], atol=1e-5)


def test_the_pictures_tokens_are_asked_for_their_place(judged: Judged) -> None:
    states, _, numbers = judged.given["spoken_place"]
    first, last = judged.scripts.image
    assert torch.equal(numbers, judged.given["numbers"])
    for layer, one in zip(LOOKING_LAYERS, states, strict=True):
        assert torch.allclose(one, judged.given["states"][layer][:, first:last], atol=1e-5)


def test_clicks_lie_in_the_picture(generator: torch.Generator) -> None:
    scores = torch.randn(500, 2, 100, generator=generator)
    clicks = _clicks_of(scores, generator)
    assert clicks.shape == (500, 2)
    assert clicks.min() >= 0
    assert clicks.max() < 1
    sure = (scores.argmax(-1).flip(1) + 0.5) / 100
    share = (clicks == sure).all(1).float().mean()
    assert 0.4 < share < 0.6  # half surely, half by chance


def test_chance_follows_what_the_policy_believes(generator: torch.Generator) -> None:
    scores = torch.full((800, 2, 100), -30.0)
    scores[:, 0, [10, 20]] = torch.tensor([2.0, 1.0])
    scores[:, 1, 70] = 3.0
    down, across = _clicks_of(scores, generator).unbind(1)
    assert (down == 0.705).all()
    assert sorted(set(across.tolist())) == pytest.approx([0.105, 0.205])
    expected = 0.5 / (1 + np.e)  # of those by chance
    assert float((across > 0.15).float().mean()) == pytest.approx(expected, abs=0.04)


def test_a_click_counts_if_both_coordinates_lie_in_the_target() -> None:
    worths = torch.zeros(4, 2, 100)
    worths[:, 0, 40:50], worths[:, 1, 60:70] = 0.5, 0.5
    scores = torch.zeros(4, 2, 100)
    for number, (x, y) in enumerate([(45, 65), (45, 10), (10, 65), (49, 60)]):
        scores[number, 0, x], scores[number, 1, y] = 1, 1
    assert _worth_of(scores, worths) == 0.5


def test_the_rate_is_that_of_the_pace(make: Make) -> None:
    trainer = make(steps=40, warmup=10, learning_rate=0.01)
    trainer.create_optimizer_and_scheduler(40)
    rates = []
    for _ in range(41):
        rates.append(trainer.optimizer.param_groups[0]["lr"])
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
    assert rates.index(max(rates)) == 4  # the warm-up is a tenth of the run at most
    assert max(rates) == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(0)
