"""The agent: a policy, a tool, and the prompt profile they speak."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ibisagent.errors import InvalidRequest
from ibisagent.policies import EMBEDDED, load_policy
from ibisagent.policies.base import Policy
from ibisagent.policies.sampling import TEMPERATURE, SamplingPolicy
from ibisagent.prompts import PromptProfile, load_profile
from ibisagent.tools import load_tool
from ibisagent.tools.base import SegmentationTool
from ibisagent.tools.weights import tool_source
from ibisagent.torch_device import resolve_device


@dataclass(frozen=True)
class Agent:
    """Everything needed to play an episode, apart from the image and the request."""

    policy: Policy
    tool: SegmentationTool
    profile: PromptProfile

    def with_seed(self, seed: int) -> Agent:
        """The agent as it makes another attempt.

        Args:
            seed: 0 for the agent itself, which chooses its likeliest words; any other number
                for words drawn at random, the same ones for the same number.

        Raises:
            InvalidRequest: The policy cannot draw its words.
        """
        if seed == 0:
            return self
        if not isinstance(self.policy, SamplingPolicy):
            raise InvalidRequest(
                f"The policy {self.policy.name} does not choose its words at random.",
                "Leave seed out, or give 0.",
            )
        return replace(self, policy=self.policy.sampling(TEMPERATURE, seed))


def load_agent(
    policy: str = EMBEDDED, tool: str = EMBEDDED, device: str = "auto", prompts: str = ""
) -> Agent:
    """Load an agent by configuration strings.

    What is wrong with the tool, the device or the prompt profile is found before the policy is
    loaded, which may be a matter of minutes and of gigabytes to fetch.

    Args:
        policy: See `ibisagent.policies.load_policy`.
        tool: See `ibisagent.tools.load_tool`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``, for both.
        prompts: Prompt profile by name or file; empty for the profile that the checkpoint
            brings, or the default one where it brings none.

    Raises:
        IBISAgentError: Whatever `load_policy`, `load_tool` and `load_profile` raise.
    """
    tool_source(tool)
    resolve_device(device)
    chosen = load_profile(prompts) if prompts else None
    loaded = load_policy(policy, device)
    profile = chosen or loaded.profile or load_profile()
    return Agent(loaded, load_tool(tool, device), profile)
