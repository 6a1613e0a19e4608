"""Options that several commands share."""

from __future__ import annotations

import pytest
import typer

from ibisagent import machine_profile
from ibisagent.cli import options
from ibisagent.errors import DeviceUnavailable


def run(*arguments: str) -> tuple[str, int, str]:
    """Policy, steps and device that a command with these options gets."""
    seen: list[tuple[str, int, str]] = []
    app = typer.Typer()

    @app.command()
    def command(
        policy: options.Policy = "embedded",
        max_steps: options.MaxSteps = 10,
        device: options.Device = "auto",
        profile: options.Profile = "",
    ) -> None:
        seen.append((policy, max_steps, device))

    app(list(arguments), standalone_mode=False)
    return seen[0]


def test_without_a_profile_defaults_stand():
    assert run() == ("embedded", 10, "auto")


def test_a_profile_chooses():
    shipped = machine_profile.load_machine_profile("workstation")
    assert run("--profile", "workstation") == (shipped.policy, 20, "cuda")


@pytest.mark.parametrize("at", [0, 2])
def test_explicit_options_win_wherever_they_stand(at):
    arguments = ["--policy", "embedded"]
    arguments[at:at] = ["--profile", "workstation"]
    assert run(*arguments) == ("embedded", 20, "cuda")


def test_an_unknown_profile_is_one_line(ibisagent, tmp_path):
    done = ibisagent("segment", "x.nii", "--prompt", "x", "--out", tmp_path, "--profile", "big")
    assert "no machine profile big" in done.error()


def test_needs_are_checked_before_anything_is_loaded(monkeypatch):
    from ibisagent.cli.loading import load

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    chosen = machine_profile.load_machine_profile("server")
    with pytest.raises(DeviceUnavailable, match="'server' needs a GPU"):
        load(chosen.policy, chosen.tool, chosen.device, "", "server")
