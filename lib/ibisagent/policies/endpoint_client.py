"""HTTP to an OpenAI-compatible server: what to send, when to try again, what went wrong.

Written on httpx2, the continued httpx, which transformers brings along anyway. OpenAI's client
would be one more dependency, and it repeats requests that timed out, which we do not want.
"""

from __future__ import annotations

import asyncio
import logging
import random
from http import HTTPStatus
from typing import Any

import httpx2

from ibisagent.errors import IBISAgentError, ModelNotFound, PolicyFailed, PolicyUnavailable
from ibisagent.policies.chat_wire import read_reply
from ibisagent.policies.endpoint_address import EndpointAddress

logger = logging.getLogger(__name__)

ATTEMPTS = 4
BACK_OFF = 0.5
"""Seconds before the second attempt; doubled for each further one."""
MAX_WAIT = 20.0
"""Longest wait, in seconds, that a server may ask for between two attempts."""
CONNECT_SECONDS = 10.0

_BUSY = {429, 502, 503, 504}
_REFUSED = {400, 413, 415, 422}


class _TryAgain(Exception):
    """The server took nothing on, so that the same request may be sent again.

    Attributes:
        failure: What to raise once there are no more attempts.
        wait: Seconds that the server asks for; 0 where it does not say.
    """

    def __init__(self, failure: PolicyUnavailable, wait: float = 0.0) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.wait = wait


class EndpointClient:
    """Asks one server. To be used as an asynchronous context.

    Args:
        address: Of the server.
        token: Sent as bearer token; empty for none. It appears in no log and no message.
        seconds: Longest time that one attempt may take.
    """

    def __init__(self, address: EndpointAddress, token: str, seconds: float) -> None:
        self._address = address
        self._token = token
        self._seconds = seconds
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
            limits=httpx2.Limits(max_connections=None),
            trust_env=not address.loopback,  # a proxy has no business between us and ourselves
        )

    async def __aenter__(self) -> EndpointClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def complete(self, body: dict[str, Any]) -> str:
        """The reply to a chat, after as many attempts as make sense.

        Asking twice does no harm, as a completion changes nothing. Still, only what failed early
        is sent again: a request that timed out may keep a busy server busy for a second time.

        Raises:
            PolicyUnavailable: No connection, no time left, overload, or a broken answer.
            PolicyFailed: The server refuses the request.
            ModelNotFound: The server has no such model.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await asyncio.wait_for(self._attempt(body), self._seconds)
            except _TryAgain as again:
                if attempt == ATTEMPTS or again.wait > MAX_WAIT:
                    raise again.failure from again
                wait = again.wait or BACK_OFF * 2 ** (attempt - 1) * random.uniform(1.0, 1.5)
                logger.info("attempt %d: %s Again in %.1f s.", attempt, again.failure.message, wait)
                await asyncio.sleep(wait)
            except (httpx2.TimeoutException, TimeoutError, asyncio.TimeoutError) as error:
                raise self._unavailable(
                    f"did not answer within {self._seconds:g} s",
                    "Look at its load, allow a longer time, or ask fewer slices at once.",
                ) from error
            except httpx2.RequestError as error:
                kind = type(error).__name__
                raise self._unavailable(
                    f"cannot be asked ({kind})", "Check its address."
                ) from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _attempt(self, body: dict[str, Any]) -> str:
        try:
            response = await self._http.post(f"{self._address.url}/chat/completions", json=body)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            failure = self._unavailable(
                f"cannot be reached ({str(error) or type(error).__name__})",
                "Start it, or correct the address of the policy.",
            )
            raise _TryAgain(failure) from error
        except (httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
            failure = self._unavailable("broke off the connection", "Its log should say why.")
            raise _TryAgain(failure) from error
        if response.status_code != HTTPStatus.OK:
            raise await self._failure(response)
        try:
            return read_reply(response.json())
        except ValueError as error:  # no JSON, or JSON of another kind
            raise self._unavailable(
                "answered with something that is no chat completion",
                "Check that the address is that of an OpenAI-compatible API; it mostly ends in "
                "/v1.",
            ) from error

    async def _failure(self, response: httpx2.Response) -> IBISAgentError | _TryAgain:
        status, words = response.status_code, self._words(response)
        if status in _BUSY:
            failure = self._unavailable(
                f"is busy or not ready (status {status})", "Wait a little and ask again."
            )
            return _TryAgain(failure, _retry_after(response))
        if status in _REFUSED:
            return PolicyFailed(
                f"The policy's server refused the request (status {status}): {words}",
                "If it speaks of length or size, lower max_pixels or serve with a longer context.",
            )
        if status in (401, 403):
            return self._unavailable(
                f"refuses us (status {status})",
                "Set the environment variable IBISAGENT_API_KEY to a token that it accepts.",
            )
        if status == 404:
            return await self._not_found()
        return self._unavailable(f"failed (status {status}): {words}", "Its log should say why.")

    async def _not_found(self) -> IBISAgentError:
        try:
            response = await self._http.get(f"{self._address.url}/models")
            served = [str(entry["id"]) for entry in response.json()["data"]]
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            return self._unavailable(
                "has no chat completions at this address",
                "Correct the address; that of an OpenAI-compatible API mostly ends in /v1.",
            )
        return ModelNotFound(
            f"The policy's server has no model {self._address.model!r}.",
            f"Name one that it has behind '#': {', '.join(served[:10]) or 'it lists none'}.",
        )

    def _unavailable(self, what: str, fix: str) -> PolicyUnavailable:
        return PolicyUnavailable(f"The policy's server at {self._address.url} {what}.", fix)

    def _words(self, response: httpx2.Response) -> str:
        """The server's own explanation, on one line; some repeat the token in it."""
        try:
            answer = response.json()
            found = [answer[name] for name in ("error", "message", "detail") if name in answer]
            text = str(found[0]["message"] if isinstance(found[0], dict) else found[0])
        except (ValueError, KeyError, IndexError, TypeError):
            text = response.text
        if self._token:
            text = text.replace(self._token, "***")
        return " ".join(text.split())[:200]


def _retry_after(response: httpx2.Response) -> float:
    """Seconds that the server asks for; 0 where it gives none, or a date."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", 0)))
    except ValueError:
        return 0.0
