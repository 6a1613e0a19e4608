"""``ibisagent doctor``: what this machine lacks, and the command that mends it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ibisagent.cli.console import notes, output, say
from ibisagent.cli.options import Device, Policy, Profile, Tool

if TYPE_CHECKING:  # these load slowly, and `--help` must not
    from ibisagent.doctor import Plan
    from ibisagent.finding import Finding

COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    policy: Policy = "embedded",
    tool: Tool = "embedded",
    device: Device = "auto",
    profile: Profile = "",
    server: Annotated[
        str,
        typer.Option(help="Address of a MONAI Label server to look at.", show_default=False),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the findings as JSON instead of a table.")
    ] = False,
) -> None:
    """Check this machine, and say what to do about what it lacks.

    Looks at Python, the packages and their bounds, torch with torchvision, the GPU, the disk, the
    weights, and the servers that are named. Nothing is fetched or changed.

    **Examples**

    ```
    ibisagent doctor
    ibisagent doctor --profile workstation
    ibisagent doctor --policy "endpoint:http://127.0.0.1:8001/v1#ibis"
    ibisagent doctor --server http://127.0.0.1:8000 --json
    ```

    The exit code is 1 if anything fails, else 0.
    """
    with notes.status("Looking"):
        from ibisagent.doctor import examine
        from ibisagent.doctor_facts import gather
        from ibisagent.finding import Level

        findings = examine(_plan(policy, tool, device, profile, server), gather())
    healthy = all(finding.level is not Level.FAIL for finding in findings)
    if as_json:
        say(json.dumps({"ok": healthy, "findings": [asdict(each) for each in findings]}))
    else:
        _show(findings)
    raise typer.Exit(0 if healthy else 1)


def _plan(policy: str, tool: str, device: str, profile: str, server: str) -> Plan:
    """What is to run; the needs of a profile are those of its own policy and tool only."""
    from ibisagent.doctor import Plan
    from ibisagent.machine_profile import Needs, load_machine_profile

    needs = Needs()
    if profile:
        machine = load_machine_profile(profile)
        if (policy, tool) == (machine.policy, machine.tool):
            needs = machine.needs
    return Plan(policy, tool, device, needs, server)


def _show(findings: list[Finding]) -> None:
    """A table of what was found; the commands below it, on lines that can be copied."""
    table = Table("", "what", "found")
    for finding in findings:
        level = Text(finding.level.value, style=COLOURS[finding.level.value])
        table.add_row(level, Text(finding.name), Text(finding.detail))
    output.print(table)
    for finding in findings:
        if finding.fix:
            say(f"{finding.level.value}: {finding.name}: {finding.fix}")
