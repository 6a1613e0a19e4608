"""A policy that a server runs: vLLM, SGLang, transformers serve, or any with OpenAI's chat API."""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any

from ibisagent.errors import InvalidRequest
from ibisagent.policies.base import Cancelled, Observation, never
from ibisagent.policies.chat_wire import wire_messages
from ibisagent.policies.endpoint_address import EndpointAddress
from ibisagent.policies.endpoint_client import EndpointClient

API_KEY = "IBISAGENT_API_KEY"
"""Environment variable with the server's token, if it wants one."""
DEFAULT_MAX_PIXELS = 1024 * 1024
MAX_NEW_TOKENS = 512
"""Length limit of a reply; the published evaluation's (arXiv 2601.03054)."""

_LOOK_SECONDS = 0.1
"""How often `cancelled` is read."""


class EndpointPolicy:
    """Replies by a server. Safe to share between threads.

    Args:
        address: ``ADDRESS#MODEL``, for example ``http://127.0.0.1:8001/v1#ibis``.
        max_new_tokens: Length limit of a reply.
        temperature: 0 for greedy; above 0 to sample.
        seed: Of the samples; how well it is kept is up to the server.
        max_pixels: Larger pictures are scaled down to this before they are sent.
        seconds: Longest time for one reply.
        concurrency: Most requests under way at once; the server batches them.

    Raises:
        InvalidRequest: The address is malformed or not safe to use, or the token in the
            environment is none.
    """

    profile = None
    """A server does not say which words its model has learnt."""

    def __init__(
        self,
        address: str,
        max_new_tokens: int = MAX_NEW_TOKENS,
        temperature: float = 0.0,
        seed: int = 0,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        seconds: float = 300.0,
        concurrency: int = 8,
    ) -> None:
        self._address = EndpointAddress.parse(address)
        self._token = _token()
        self._max_new_tokens = max_new_tokens
        self._temperature = temperature
        self._seed = seed
        self._max_pixels = max_pixels
        self._seconds = seconds
        self._concurrency = concurrency
        self.name = f"endpoint:{_public_name(self._address.model)}"

    def sampling(self, temperature: float, seed: int) -> EndpointPolicy:
        """The same server, with another way of choosing words."""
        other = copy.copy(self)
        other._temperature, other._seed = temperature, seed
        return other

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        """One reply an observation, asked side by side; cancelling breaks off the requests.

        Raises:
            PolicyUnavailable: The server cannot be reached, is overloaded, or answers wrongly.
            PolicyFailed: The server refuses the request.
            ModelNotFound: The server has no such model.
        """
        if not observations:
            return []
        # In a thread of its own: the caller's may have an event loop already, as a server's has.
        with ThreadPoolExecutor(1, "endpoint") as thread:
            return thread.submit(asyncio.run, self._ask_all(observations, cancelled)).result()

    async def _ask_all(
        self, observations: Sequence[Observation], cancelled: Cancelled
    ) -> list[str]:
        gate = asyncio.Semaphore(self._concurrency)
        async with EndpointClient(self._address, self._token, self._seconds) as client:
            asked = [asyncio.create_task(self._ask(client, gate, seen)) for seen in observations]
            waiting = set(asked)
            try:
                while waiting and not cancelled():
                    done, waiting = await asyncio.wait(waiting, timeout=_LOOK_SECONDS)
                    for task in done:
                        task.result()  # the first failure ends it for all
            finally:
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
        return ["" if task.cancelled() else task.result() for task in asked]

    async def _ask(self, client: EndpointClient, gate: asyncio.Semaphore, seen: Observation) -> str:
        async with gate:
            return await client.complete(self._body(seen))

    def _body(self, seen: Observation) -> dict[str, Any]:
        sampling = {"seed": self._seed, "top_p": 1.0} if self._temperature > 0 else {}
        return {
            "model": self._address.model,
            "messages": wire_messages(seen, self._max_pixels),
            "max_tokens": self._max_new_tokens,
            "temperature": self._temperature,
            **sampling,
        }


def _token() -> str:
    token = os.environ.get(API_KEY, "").strip()
    if not all("!" <= letter <= "~" for letter in token):
        # It is not repeated here, as HTTP's own complaint would do.
        raise InvalidRequest(
            f"The environment variable {API_KEY} holds no token: there is a space, a line break "
            "or a special character within it.",
            "Set it to the token alone.",
        )
    return token


def _public_name(model: str) -> str:
    """Servers call a model by its folder if nobody names it; folders stay with the machine."""
    return PurePosixPath(model).name if model.startswith(("/", "~", ".")) else model
