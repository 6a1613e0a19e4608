from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness.disc_episodes import STOP, WRONG, disc_episode, hit
from harness.tiny_checkpoint import write_checkpoint
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.errors import InvalidRequest
from ibisagent.policies.base import Observation
from ibisagent.policies.local import LocalPolicy
from ibisagent.prompts import load_profile
from ibistrain.dialogue import Dialogue, dialogue
from ibistrain.dialogue_collator import IGNORE, DialogueCollator
from ibistrain.picture_store import PictureStore

PROFILE = load_profile()
HISTORY = PROFILE.model_copy(update={"history": True})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def processor(folder: Path) -> Any:
    return AutoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dialogue, Dialogue]:
    """A whole episode with a wrong first click, and its second turn alone."""
    root = tmp_path_factory.mktemp("images")
    record = disc_episode(root, 0)
    rgb = PictureStore(root).rgb(record)
    return dialogue(record, rgb, HISTORY, 2), dialogue(record, rgb, PROFILE, 1)


def learnt_text(processor: Any, labels: torch.Tensor) -> str:
    return str(processor.tokenizer.decode(labels[labels != IGNORE]))


def test_loss_falls_on_replies_that_are_learnt_and_their_ends(processor, parts):
    whole, single = parts
    batch = DialogueCollator(processor)([whole, single])
    end = processor.tokenizer.eos_token

    assert learnt_text(processor, batch["labels"][0]) == hit(14, 14) + end + STOP + end
    assert learnt_text(processor, batch["labels"][1]) == hit(14, 14) + end
    assert WRONG in processor.tokenizer.decode(batch["input_ids"][0])


def test_masked_replies_have_no_gradient_at_all(processor, model, parts):
    whole, _ = parts
    batch = DialogueCollator(processor)([whole])
    labels = batch.pop("labels")
    logits = model(**batch).logits
    logits.retain_grad()
    loss = torch.nn.functional.cross_entropy(
        logits[0, :-1], labels[0, 1:], ignore_index=IGNORE, reduction="sum"
    )
    loss.backward()
    gradient = logits.grad[0].abs().sum(-1)
    learnt = torch.cat([labels[0, 1:] != IGNORE, torch.tensor([False])])

    assert (gradient[learnt] > 0).all()
    assert (gradient[~learnt] == 0).all()
    ids = batch["input_ids"][0].tolist()
    wrong = processor.tokenizer(WRONG, add_special_tokens=False)["input_ids"]
    at = next(n for n in range(len(ids)) if ids[n : n + len(wrong)] == wrong)
    assert not learnt[at - 1 : at + len(wrong)].any()


def test_tokens_are_those_that_inference_reads(processor, folder, parts):
    whole, single = parts
    policy = LocalPolicy(folder, "cpu")
    for part in (whole, single):
        batch = DialogueCollator(processor)([part])
        blank = np.zeros(part.pictures[0].shape[:2], bool)
        seen = Observation(part.messages[:-1], part.pictures, blank)
        inputs = policy._inputs([seen])
        asked = inputs["input_ids"].shape[1]

        assert torch.equal(batch["input_ids"][:, :asked], inputs["input_ids"])
        assert torch.equal(batch["pixel_values"], inputs["pixel_values"])
        assert torch.equal(batch["image_grid_thw"], inputs["image_grid_thw"])
        assert torch.equal(batch["mm_token_type_ids"][:, :asked], inputs["mm_token_type_ids"])


def test_padding_changes_nothing(processor, model, parts):
    whole, single = parts
    collate = DialogueCollator(processor)
    with torch.inference_mode():
        alone = model(**{k: v for k, v in collate([single]).items() if k != "labels"}).logits[0]
        both = model(**{k: v for k, v in collate([whole, single]).items() if k != "labels"}).logits
    assert torch.allclose(both[1, : len(alone)], alone, atol=1e-4)


def test_pictures_are_scaled_down_to_the_limit(processor, parts):
    _, single = parts
    large = DialogueCollator(processor)([single])["pixel_values"].shape[0]
    small = DialogueCollator(processor, max_pixels=48 * 48)([single])["pixel_values"].shape[0]

    assert small < large


def test_a_template_that_rewrites_replies_is_refused(folder, parts):
    whole, _ = parts
    processor = AutoProcessor.from_pretrained(folder)
    processor.chat_template = processor.chat_template.replace(
        "{{ part['text'] }}", "{{ part['text'] | replace('<think>', '') }}"
    )

    with pytest.raises(InvalidRequest, match="rewrites"):
        DialogueCollator(processor)([whole])
