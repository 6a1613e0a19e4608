"""Loading the agent, which takes seconds, without the chatter of the libraries below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibisagent.cli.console import notes

if TYPE_CHECKING:  # this loads slowly, and `--help` must not
    from ibisagent.agent import Agent


def load(policy: str, tool: str, device: str, prompts: str, profile: str = "") -> Agent:
    """Load the agent that the options describe; see `ibisagent.agent.load_agent`.

    Args:
        policy: See `load_agent`.
        tool: See `load_agent`.
        device: See `load_agent`.
        prompts: See `load_agent`.
        profile: Machine profile whose needs are checked first; empty for none.

    Raises:
        IBISAgentError: Whatever `load_agent` raises.
    """
    with notes.status("Loading the agent"):
        from transformers.utils.logging import disable_progress_bar

        from ibisagent.agent import load_agent

        disable_progress_bar()
        if profile:
            from ibisagent.machine_profile import load_machine_profile

            load_machine_profile(profile).require_machine(policy, tool, device)
        return load_agent(policy, tool, device, prompts)
