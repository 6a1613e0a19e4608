"""The shipped launch files, read by accelerate itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.utils import DistributedType

FOLDER = Path(__file__).resolve().parents[2] / "training" / "accelerate"


@pytest.mark.parametrize(
    ("name", "kind", "precision", "cpu"),
    [
        ("cpu", DistributedType.NO, "no", True),
        ("one_gpu", DistributedType.NO, "bf16", False),
        ("fsdp", DistributedType.FSDP, "bf16", False),
        ("deepspeed", DistributedType.DEEPSPEED, "bf16", False),
    ],
)
def test_launch_files_say_what_their_names_say(name, kind, precision, cpu):
    config = load_config_from_file(str(FOLDER / f"{name}.yaml"))

    assert isinstance(config, ClusterConfig)
    assert config.distributed_type == kind
    assert config.mixed_precision == precision
    assert config.use_cpu is cpu
    assert config.num_machines == 1


def test_every_launch_file_is_tested():
    assert {file.stem for file in FOLDER.iterdir()} == {"cpu", "one_gpu", "fsdp", "deepspeed"}


def test_weights_are_spread_as_the_files_say():
    fsdp = load_config_from_file(str(FOLDER / "fsdp.yaml")).fsdp_config
    deepspeed = load_config_from_file(str(FOLDER / "deepspeed.yaml")).deepspeed_config

    assert fsdp["fsdp_version"] == 2
    assert fsdp["fsdp_state_dict_type"] == "FULL_STATE_DICT"
    assert deepspeed["zero_stage"] == 2
