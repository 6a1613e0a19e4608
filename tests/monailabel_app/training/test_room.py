from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from ibisagent_app.training import room
from ibisagent_app.training.final_labels import Study
from ibisagent_app.training.refusals import DeviceBusy, NotEnoughDisk
from ibisagent_app.training.room import GIB, check_device, check_disk, weights_size

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def checkpoint(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    return tmp_path


def test_size_of_the_weights(checkpoint):
    assert weights_size(checkpoint) == 1000
    assert weights_size(None) == 0


def test_a_full_disk_is_refused(checkpoint, monkeypatch):
    label = checkpoint / "label"
    label.write_bytes(b"y" * 50)
    study = Study("a", "a", label, label, {}, frozenset())
    check_disk(checkpoint / "not" / "yet", checkpoint, [study])

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, 10_000))
    with pytest.raises(NotEnoughDisk, match=r"0\.0 GiB are free"):
        check_disk(checkpoint / "not" / "yet", checkpoint, [study])


def test_a_cpu_has_always_room():
    check_device("cpu", Path(), adapters=False)


def test_a_full_gpu_is_refused(checkpoint, monkeypatch):
    monkeypatch.setattr(room, "resolve_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * GIB, 8 * GIB))
    check_device("auto", checkpoint, adapters=False)

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 * GIB, 8 * GIB))
    with pytest.raises(DeviceBusy, match=r"1\.0 GiB are free"):
        check_device("auto", checkpoint, adapters=False)
