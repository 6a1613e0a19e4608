from __future__ import annotations

import subprocess
import sys
import time
from threading import Event, Thread

import pytest
import torch

from ibisagent_app.training import device_turns
from ibisagent_app.training.device_turns import DeviceTurns


@pytest.fixture
def turns(tmp_path, monkeypatch):
    """As on a GPU."""
    monkeypatch.setattr(device_turns, "resolve_device", lambda name: torch.device("meta"))
    return DeviceTurns(tmp_path / "model", "cuda")


def test_on_a_cpu_nothing_is_locked(tmp_path):
    turns = DeviceTurns(tmp_path / "model", "cpu")

    with turns.training(), turns.inference():
        turns.give_way()

    assert not (tmp_path / "model").exists()


def test_inference_comes_in_between_two_steps_of_training(turns):
    happened, waiting = [], Event()

    def ask():
        waiting.set()
        with turns.inference():
            happened.append("inference")

    with turns.training():
        happened.append("step 1")
        asks = Thread(target=ask)
        asks.start()
        waiting.wait(5)
        while not (turns._waiting).exists():
            time.sleep(0.01)
        turns.give_way()
        happened.append("step 2")
    asks.join(5)

    assert happened == ["step 1", "inference", "step 2"]


def test_where_nobody_waits_training_goes_on_at_once(turns):
    with turns.training():
        began = time.monotonic()
        for _ in range(100):
            turns.give_way()
    assert time.monotonic() - began < 1.0


def test_somebody_who_died_waiting_does_not_hold_up_training(turns, monkeypatch):
    monkeypatch.setattr(device_turns, "_MOST_PATIENCE", 0.2)

    with turns.training():
        turns._waiting.touch()
        turns.give_way()
        assert not turns._waiting.exists()


def test_the_lock_holds_between_processes(turns):
    code = (
        "import sys, time; from filelock import FileLock\n"
        "with FileLock(sys.argv[1]):\n"
        "    print('held', flush=True); time.sleep(0.6)\n"
    )
    turns._folder.mkdir(parents=True)
    lock = str(turns._folder / "device.lock")
    with subprocess.Popen([sys.executable, "-c", code, lock], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        began = time.monotonic()
        with turns.inference():
            assert time.monotonic() - began > 0.2
