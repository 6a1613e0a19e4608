from __future__ import annotations

from pathlib import Path

import pytest

from ibisagent.errors import InvalidRequest
from ibistrain.rl_config import RlConfig
from ibistrain.run_config import read_changes, read_config
from ibistrain.sft_config import SftConfig

CONFIGS = Path(__file__).resolve().parents[2] / "training" / "ibistrain" / "configs"
GIVEN = {"model": "m", "out": "o", "data": "d", "episodes": "e"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sft", SftConfig), ("sft_7b", SftConfig), ("rl", RlConfig), ("rl_7b", RlConfig)],
)
def test_shipped_settings_are_valid(name, kind):
    config = read_config(kind, CONFIGS / f"{name}.yaml", {"out": "elsewhere"})

    assert config.out == Path("elsewhere")


def test_the_command_line_goes_before_the_file(tmp_path: Path):
    file = tmp_path / "rl.yaml"
    file.write_text("model: a\nout: b\ndata: c\nsteps: 7\n")
    config = read_config(RlConfig, file, read_changes(["steps=9", "rewards={length: 0.1}"]))

    assert config.steps == 9
    assert config.rewards.length == 0.1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: a\nout: b\n", "data: Field required"),
        ("model: a\nout: b\ndata: c\nspeed: 9\n", "speed"),
        ("model: a\nout: b\ndata: c\ngroup: 1\n", "group"),
        ("model: a\nout: b\ndata: c\ngroup: 4\nstates: 2\nat_once: 3\n", "at_once"),
        ("- a\n", "not readable"),
        ("a: [", "not readable"),
    ],
)
def test_settings_that_do_not_fit_are_named(tmp_path: Path, text: str, said: str):
    file = tmp_path / "rl.yaml"
    file.write_text(text)

    with pytest.raises(InvalidRequest, match=said):
        read_config(RlConfig, file, {})


def test_batches_must_divide():
    with pytest.raises(ValueError, match="at_once"):
        SftConfig(**GIVEN, batch=8, at_once=3)


@pytest.mark.parametrize("text", ["steps", "steps: 9", "steps=["])
def test_changes_are_written_as_name_and_value(text: str):
    with pytest.raises(InvalidRequest, match="not a setting"):
        read_changes([text])
