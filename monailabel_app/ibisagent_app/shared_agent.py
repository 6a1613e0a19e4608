"""One agent for all requests: loaded once, used in turns, freed when nobody needs it."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Lock

import torch

from ibisagent.agent import Agent, load_agent
from ibisagent.errors import IBISAgentError
from ibisagent.policies import ENDPOINT
from ibisagent.policies.base import Cancelled, never
from ibisagent.policies.policy_spec import PolicySpec
from ibisagent.prompts import PROFILE_FILE, PromptProfile, load_profile
from ibisagent.runs.turns import Turns, agent_in_turns
from ibisagent.tools.smaller_retry import SmallerRetry
from ibisagent_app.configuration import Configuration, load_profile_of
from ibisagent_app.released_model import ReleasedModel

logger = logging.getLogger(__name__)


class SharedAgent:
    """Loads the agent at its first use, since weights may be large and trainers need none.

    Where training has released a model, that one is used, from the next use on, with the options
    of the configured policy; whoever is at work with the one before keeps it to the end.

    Args:
        configuration: What to load.
        models: Folder of released models; None for none.
        around: Entered for each call of the device, see `Turns`.
    """

    def __init__(
        self,
        configuration: Configuration,
        models: Path | None = None,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.turns = Turns(around)
        self._configuration = configuration
        self._released = ReleasedModel(models)
        self._loading = Lock()
        self._agent: Agent | None = None
        self._source: Path | None = None
        self._refused: Path | None = None
        self._profile: tuple[Path | None, PromptProfile] | None = None
        self._users = 0
        self._unused_since = time.monotonic()

    @contextmanager
    def use(self, cancelled: Cancelled = never) -> Iterator[Agent]:
        """The agent; each of its calls waits for its turn on the device.

        Args:
            cancelled: Read while waiting for a turn; `Interrupted` is raised then.

        Raises:
            ModelNotFound: The weights are gone or do not fit.
            DeviceUnavailable: The device is gone.
        """
        with self._loading:
            agent = self._current()
            self._users += 1
        remote = self._configuration.policy.startswith(ENDPOINT) and self._source is None
        try:
            yield agent_in_turns(agent, self.turns, cancelled, policy_too=not remote)
        finally:
            with self._loading:
                self._users -= 1
                self._unused_since = time.monotonic()

    @property
    def loaded(self) -> Agent | None:
        """The agent, if it is in memory."""
        return self._agent

    @property
    def release(self) -> str:
        """Version of the released model in use; empty for the configured one."""
        source = self._wanted()
        return source.name if source is not None else ""

    def profile(self) -> PromptProfile:
        """The agent's words as they are now, whether it is loaded or not."""
        source = self._wanted()
        if self._profile is None or self._profile[0] != source:
            self._profile = (source, self._profile_of(source))
        return self._profile[1]

    def free_if_idle(self, minutes: float) -> bool:
        """Give the memory of models and embeddings back, if nobody used them for so long."""
        with self._loading:
            idle = time.monotonic() - self._unused_since
            if self._agent is None or self._users or not minutes or idle < minutes * 60:
                return False
            self._agent = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        logger.info("models freed after %.0f idle minutes", idle / 60)
        return True

    def _profile_of(self, released: Path | None) -> PromptProfile:
        chosen = self._configuration.prompts
        if released is not None and not chosen and (released / PROFILE_FILE).is_file():
            return load_profile(released)
        return load_profile_of(self._configuration)

    def _wanted(self) -> Path | None:
        released = self._released.current()
        return None if released == self._refused else released

    def _current(self) -> Agent:
        wanted = self._wanted()
        if self._agent is None or wanted != self._source:
            try:
                self._agent, self._source = self._load(wanted), wanted
            except IBISAgentError as error:
                if wanted is None:
                    raise
                logger.error("the released model is not taken into use: %s", error)
                self._refused = wanted
                self._agent = self._agent or self._load(None)
        return self._agent

    def _load(self, released: Path | None) -> Agent:
        began = time.perf_counter()
        wanted = self._configuration
        policy = wanted.policy
        if released is not None:  # how large pictures and weights may be is up to the machine
            policy = PolicySpec.parse(policy).at(str(released))
        agent = load_agent(policy, wanted.tool, wanted.device, wanted.prompts)
        seconds = time.perf_counter() - began
        logger.info("loaded %s and %s in %.1f s", agent.policy.name, agent.tool.name, seconds)
        return replace(agent, tool=SmallerRetry(agent.tool))
