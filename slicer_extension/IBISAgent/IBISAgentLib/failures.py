"""From what `requests` raises and what the server refuses to our named errors."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import (
    ClientError,
    ConnectionRefused,
    InvalidAddress,
    NotAuthorised,
    ServerRefused,
    ServerTimedOut,
    ServerUnreachable,
    UnknownHost,
    UntrustedServer,
)

logger = logging.getLogger(__name__)


@contextmanager
def named_failures(url: str) -> Iterator[None]:
    """Turn what `requests` raises in the block into a `ClientError`.

    Raises:
        ClientError: With the reason: refused, unknown name, TLS, too late, broken off.
    """
    import requests
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError:
        raise
    except (requests.RequestException, HTTPError) as error:
        logger.debug("a request to %s failed", url, exc_info=True)
        raise _named(error, url) from error
    except OSError as error:
        if str(error).startswith("Could not find"):  # as requests says of a file of certificates
            raise _no_certificates(error) from error
        logger.debug("a connection to %s broke", url, exc_info=True)
        raise _broken(url) from error


def refusal(status: int, body: object) -> ServerRefused:
    """The server's answer to a request that it did not fulfil.

    Args:
        status: HTTP status, 400 or more.
        body: What it sent as JSON; ours is ``{"detail": {"code", "message", "fix"}}``.
    """
    detail = body.get("detail") if isinstance(body, dict) else None
    kind = NotAuthorised if status in (401, 403) else ServerRefused
    if isinstance(detail, dict) and isinstance(detail.get("message"), str):
        code = str(detail.get("code", f"http_{status}"))
        return kind(code, detail["message"], str(detail.get("fix", "")), status)
    said = f": {detail[:200]}" if isinstance(detail, str) else ""
    fix = _FIXES.get(status, "See the server's log for details.")
    return kind(f"http_{status}", f"The server answers with status {status}{said}.", fix, status)


_FIXES = {
    401: "Enter a valid token; the server's administrator gives it.",
    403: "Your token does not permit this; ask the server's administrator.",
    404: "Look whether the address is right and the server holds what you ask for.",
    413: "The volume is larger than the server takes; crop it.",
    429: "The server is busy; try again in a moment.",
    502: "Something before the server cannot reach it; see whether it runs.",
    503: "The server is not ready; try again in a moment.",
    504: "Something before the server gave up waiting; try again.",
}


def _named(error: Exception, url: str) -> ClientError:
    import requests

    if isinstance(error, requests.exceptions.ProxyError):
        return ServerUnreachable(
            f"The proxy before {url} does not let us through.",
            "Check the proxy settings, or name the server in NO_PROXY.",
        )
    if isinstance(error, requests.exceptions.SSLError) or _holds(error, ssl.SSLError):
        return _untrusted(error, url)
    if isinstance(error, requests.Timeout) or _holds(error, TimeoutError):
        return ServerTimedOut(
            f"{url} does not answer in time.",
            "See whether the server is running and not overloaded, and whether a firewall lies "
            "between.",
        )
    if _holds(error, ConnectionRefusedError):
        return ConnectionRefused(
            f"No server is listening at {url}.", "Start the server, or correct the port."
        )
    if _holds(error, socket.gaierror):
        return UnknownHost(
            f"There is no computer by the name in {url}.", "Correct the address's spelling."
        )
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return InvalidAddress(f"{url} is no address of a server.", "Correct the address.")
    return _broken(url)


def _untrusted(error: Exception, url: str) -> UntrustedServer:
    if "WRONG_VERSION_NUMBER" in str(error) or "record layer" in str(error):
        return UntrustedServer(
            f"The server at {url} does not speak TLS.", "Begin the address with http:// instead."
        )
    return UntrustedServer(
        f"The certificate of {url} is not trusted.",
        "Correct the address, or give the file of your institution's certificates.",
    )


def _no_certificates(error: OSError) -> UntrustedServer:
    return UntrustedServer(
        f"The file of certificates cannot be used ({error}).", "Give another file, or none."
    )


def _broken(url: str) -> ServerUnreachable:
    return ServerUnreachable(
        f"The connection to {url} broke off.",
        "See whether the server is still running, and try again.",
    )


def _holds(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an exception of this kind is behind another one, however it was wrapped."""
    seen: list[object] = []
    waiting: list[object] = [error]
    while waiting:
        here = waiting.pop()
        if not isinstance(here, BaseException) or any(here is one for one in seen):
            continue
        if isinstance(here, kind):
            return True
        seen.append(here)
        waiting += [here.__cause__, here.__context__, getattr(here, "reason", None), *here.args]
    return False
