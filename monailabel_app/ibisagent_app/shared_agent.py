"""One agent for all requests: loaded once, used by one at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from ibisagent.agent import Agent, load_agent
from ibisagent_app.configuration import Configuration

logger = logging.getLogger(__name__)


class SharedAgent:
    """Loads the agent at its first use, since weights may be large and trainers need none.

    Args:
        configuration: What to load.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._lock = Lock()
        self._agent: Agent | None = None

    @contextmanager
    def use(self) -> Iterator[Agent]:
        """The agent, and with it the device, for this thread alone; others wait their turn.

        Raises:
            ModelNotFound: The weights are gone or do not fit.
            DeviceUnavailable: The device is gone.
        """
        with self._lock:
            if self._agent is None:
                self._agent = self._load()
            yield self._agent

    def _load(self) -> Agent:
        began = time.perf_counter()
        wanted = self._configuration
        agent = load_agent(wanted.policy, wanted.tool, wanted.device, wanted.prompts)
        seconds = time.perf_counter() - began
        logger.info("loaded %s and %s in %.1f s", agent.policy.name, agent.tool.name, seconds)
        return agent
