from __future__ import annotations

from dataclasses import replace

import pytest
from harness.tiny_checkpoint import write_checkpoint
from training_studies import accepted

from ibisagent.prompts import load_profile
from ibisagent_app.configuration import Configuration
from ibisagent_app.training.desk import TrainingDesk
from ibisagent_app.training.run_folder import open_folder, taught


@pytest.fixture
def desk(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    return TrainingDesk(tmp_path / "app", Configuration(policy=str(checkpoint), device="cpu"))


@pytest.fixture
def plan(desk, tmp_path):
    return desk.plan("ibisagent_sft", {}, accepted(tmp_path / "studies", tmp_path, count=4))


def opened(desk, plan):
    return open_folder(plan, desk.workplace, desk.configuration)


def test_a_training_begins_with_its_own_copy_of_the_labels(desk, plan):
    folder = opened(desk, plan)

    assert not folder.resumed
    assert len(folder.manifest.items) == 4
    assert desk.workplace.set_name == plan.sides.set_name
    assert load_profile(folder.prompts).targets == ()


def test_the_same_training_goes_on(desk, plan):
    opened(desk, plan)
    (desk.workplace.run / "sft").mkdir()

    folder = opened(desk, replace(plan, studies=plan.studies[:3]))

    assert folder.resumed
    assert len(folder.manifest.items) == 4
    assert (desk.workplace.run / "sft").is_dir()


@pytest.mark.parametrize("change", ["task", "options", "start"])
def test_another_training_begins_anew(desk, plan, change):
    opened(desk, plan)
    (desk.workplace.run / "sft").mkdir()
    other = {
        "task": {"task": "ibisagent_rl"},
        "options": {"options": plan.options.model_copy(update={"seed": 1})},
        "start": {"start": "0002"},
    }[change]

    assert not opened(desk, replace(plan, **other)).resumed
    assert not (desk.workplace.run / "sft").exists()


def test_where_an_image_is_gone_training_begins_anew(desk, plan):
    opened(desk, plan)
    plan.studies[0].image.unlink()

    folder = opened(desk, replace(plan, studies=plan.studies[1:]))

    assert not folder.resumed
    assert len(folder.manifest.items) == 3


def test_a_folder_that_was_broken_off_while_it_was_made_begins_anew(desk, plan):
    opened(desk, plan)
    (desk.workplace.run / "plan.json").write_text('{"task"')

    assert not opened(desk, plan).resumed


def test_a_model_with_a_vocabulary_learns_new_names():
    known = load_profile().model_copy(update={"targets": ("left kidney", "liver")})

    assert taught(known, ["disc", "liver"]).targets == ("left kidney", "liver", "disc")
    assert taught(known, ["kidney left"]) == known


def test_a_model_that_takes_any_text_keeps_doing_so():
    assert taught(load_profile(), ["disc"]).targets == ()
