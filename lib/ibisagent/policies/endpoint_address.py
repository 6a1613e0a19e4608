"""The address of a policy's server, and whether pictures may be sent there."""

from __future__ import annotations

import ipaddress
import logging
import os
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from ibisagent.errors import InvalidRequest

logger = logging.getLogger(__name__)

ALLOW_HTTP = "IBISAGENT_ALLOW_HTTP"
"""Environment variable: 1 lets pictures go to other machines without encryption."""

_FORM = "Give endpoint:ADDRESS#MODEL, for example endpoint:http://127.0.0.1:8001/v1#ibis."


@dataclass(frozen=True)
class EndpointAddress:
    """Where a server is and what it calls the model.

    Attributes:
        url: Base of its OpenAI-compatible API, usually ending in ``/v1``; no final slash.
        model: Name under which the server knows the model.
        loopback: Whether the address is this machine's own. A tunnel may lead on from there.
    """

    url: str
    model: str
    loopback: bool

    @classmethod
    def parse(cls, text: str) -> EndpointAddress:
        """Read ``ADDRESS#MODEL``.

        Raises:
            InvalidRequest: It is malformed, holds a password, or would send pictures to another
                machine without encryption.
        """
        url, _, model = text.partition("#")
        parts = _split(url)
        if not (model and parts.hostname and parts.scheme in ("http", "https")):
            raise InvalidRequest("The endpoint names no address or no model.", _FORM)
        if parts.username or parts.password or parts.query:
            raise InvalidRequest(
                f"The endpoint's address at {parts.hostname} holds a user, a password or a query.",
                "Give the token in the environment variable IBISAGENT_API_KEY.",
            )
        address = cls(url.rstrip("/"), model, _is_loopback(parts.hostname))
        if not address.loopback:
            _check_remote(parts.scheme, parts.hostname)
        return address


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # only reading it checks it
    except ValueError as error:
        raise InvalidRequest(f"The endpoint's address is malformed: {error}.", _FORM) from error
    return parts


def _check_remote(scheme: str, host: str) -> None:
    if scheme == "http" and os.environ.get(ALLOW_HTTP) != "1":
        raise InvalidRequest(
            f"Pictures would travel to {host} without encryption.",
            "Use an https address, or a tunnel (ssh -L 8001:127.0.0.1:8001 HOST) and 127.0.0.1; "
            f"in a network you trust, set {ALLOW_HTTP}=1.",
        )
    logger.warning("pictures leave this machine: the policy is asked at %s", host)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, and a name may lead anywhere
        return False
