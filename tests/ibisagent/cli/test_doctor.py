"""``ibisagent doctor``: table, JSON, exit code."""

from __future__ import annotations

import json

import pytest

from ibisagent import doctor, doctor_facts
from ibisagent.doctor_facts import Facts
from ibisagent.finding import Finding, Level
from ibisagent.machine_profile import load_machine_profile

FINE = Finding("disk", Level.OK, "100 GB free")
SO_SO = Finding("weights", Level.WARN, "not here yet", "Run `hf download a/b`.")
BAD = Finding("GPU", Level.FAIL, "none [bold]", "Install a driver.")


@pytest.fixture
def plans(monkeypatch):
    """Put findings in place of the machine's; keeps what was to be examined."""
    seen = []

    def use(*findings):
        monkeypatch.setattr(doctor_facts, "gather", Facts)
        monkeypatch.setattr(
            doctor, "examine", lambda plan, facts: (seen.append(plan), list(findings))[1]
        )
        return seen

    return use


@pytest.mark.parametrize(("findings", "code"), [((FINE, SO_SO), 0), ((FINE, BAD), 1)])
def test_exit_code_is_1_if_anything_fails(ibisagent, plans, findings, code):
    plans(*findings)

    assert ibisagent("doctor").code == code


def test_table_has_every_finding_and_the_fix_below(ibisagent, plans):
    plans(FINE, SO_SO, BAD)

    out = ibisagent("doctor").out

    assert "none [bold]" in out
    assert out.splitlines()[-2:] == [
        "warn: weights: Run `hf download a/b`.",
        "fail: GPU: Install a driver.",
    ]


def test_json(ibisagent, plans):
    plans(FINE, BAD)

    answer = json.loads(ibisagent("doctor", "--json").out)

    assert answer["ok"] is False
    assert answer["findings"][0] == {
        "name": "disk",
        "level": "ok",
        "detail": "100 GB free",
        "fix": "",
    }


def test_a_profile_brings_its_needs(ibisagent, plans):
    seen = plans(FINE)
    workstation = load_machine_profile("workstation")

    ibisagent("doctor", "--profile", "workstation", "--server", "http://127.0.0.1:8000")
    ibisagent("doctor", "--profile", "workstation", "--policy", "embedded")

    assert (seen[0].policy, seen[0].tool) == (workstation.policy, workstation.tool)
    assert seen[0].needs == workstation.needs
    assert seen[0].server == "http://127.0.0.1:8000"
    assert seen[1].needs.gpu_gb == 0
