from __future__ import annotations

import pytest

from ibisagent.errors import InvalidRequest
from ibisagent_app.training.options import (
    BOTH,
    RL,
    SFT,
    STAGES,
    TrainingOptions,
    client_options,
    parse_options,
)


@pytest.mark.parametrize("task", STAGES)
def test_what_the_stock_client_shows_can_be_sent_back(task):
    shown = client_options(task)

    assert parse_options(task, shown) == TrainingOptions()
    as_text = {name: str(value) for name, value in shown.items()}
    assert parse_options(task, {**as_text, "client_id": "me", "model": task}) == TrainingOptions()


def test_an_empty_text_counts_as_not_given():
    assert parse_options(SFT, {"seed": ""}) == TrainingOptions()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_steps", 0), ("max_steps", "many"), ("learning_rate", -1), ("learning_rate", "nan"),
        ("lora_rank", 1000), ("seed", 1.5), ("batch_size", None.__class__), ("episodes", [1]),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_named(field, value):
    with pytest.raises(InvalidRequest, match=field):
        parse_options(BOTH, {field: value})


@pytest.mark.parametrize(
    ("task", "field"),
    [(BOTH, "max_epochs"), (RL, "max_steps"), (SFT, "rl_steps"), (SFT, "bundle_path")],
)
def test_an_option_the_trainer_does_not_heed_is_named(task, field):
    with pytest.raises(InvalidRequest, match=field) as caught:
        parse_options(task, {field: 1})
    assert "seed" in caught.value.fix
