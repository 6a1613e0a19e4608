"""The command line, with and without doubles in place of the models."""

from __future__ import annotations

import pytest
from harness.command_line import CommandLine
from harness.fake_tool import DiscTool
from harness.list_policy import ListPolicy

from ibisagent import agent as agents
from ibisagent.agent import Agent
from ibisagent.prompts import load_profile


@pytest.fixture
def ibisagent(monkeypatch, capsys) -> CommandLine:
    """Runs ``ibisagent`` with arguments."""
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def scripted(monkeypatch):
    """Put a scripted agent in place of whichever is asked for; call with its replies."""

    def use(*replies: str) -> Agent:
        agent = Agent(ListPolicy(list(replies)), DiscTool(), load_profile())
        monkeypatch.setattr(agents, "load_agent", lambda *names: agent)
        return agent

    return use
