"""One HTTP call: with timeouts, retried only where safe, its failures as named errors.

No redirect is followed and no certificate goes unchecked, since volumes of patients travel here.
`requests` is imported in functions, as Slicer asks, so that the module opens at once.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import typing
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from .address import is_local, normalise
from .errors import (
    Cancelled,
    ClientError,
    Redirected,
    ServerRefused,
    ServerTimedOut,
    ServerUnreachable,
    UnreadableAnswer,
)
from .failures import named_failures, refusal

if typing.TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

T = typing.TypeVar("T")

BACKOFF = (0.3, 1.0, 2.5)
"""Seconds before the second, third and fourth attempt of a call that may be repeated."""

MAX_JSON_BYTES = 256 * 2**20
"""A longer answer is no answer of ours."""

_SAFE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_OVERLOADED = (502, 503, 504)


@dataclass(frozen=True)
class Timeouts:
    """Seconds that a server may take.

    Attributes:
        connect: To accept a connection.
        read: To answer, as a rule.
        work: To answer where it has to read, check or write a whole volume.
    """

    connect: float = 5.0
    read: float = 20.0
    work: float = 300.0


class Transport:
    """Sends requests to one server; may be used by several threads.

    Args:
        url: Address of the server.
        token: Bearer token, or empty.
        ca_file: Certificates to trust instead of those of the system, or empty.
        timeouts: How long to wait.

    Raises:
        InvalidAddress: `url` is none.
    """

    def __init__(
        self, url: str, token: str = "", ca_file: str = "", timeouts: Timeouts | None = None
    ) -> None:
        self.url = normalise(url)
        self.timeouts = timeouts or Timeouts()
        self._token = token
        self._verify: bool | str = ca_file or True
        self._own = threading.local()
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()
        self._closed = threading.Event()

    def close(self) -> None:
        """End waiting for further attempts, and all connections that rest."""
        self._closed.set()
        for session in list(self._sessions):
            session.close()

    def json(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        attempts: int = 0,
        read: float | None = None,
        **more: typing.Any,
    ) -> typing.Any:
        """Send, and read the answer as JSON.

        Args:
            method: GET, POST, ...
            path: Below the server's address.
            body: Sent as JSON; None sends none.
            query: Of the address.
            attempts: How often to try; 0 chooses by the method.
            read: Seconds to wait for the answer, and again for all of it.
            more: For `requests`: data, files.

        Raises:
            ClientError: As `open` and `read_json` do.
        """
        if body is not None:
            more["json"] = body
        attempts = attempts or _attempts(method)

        def ask() -> typing.Any:
            with self._once(method, path, query, attempts, read, more) as answer:
                return read_json(answer, read or self.timeouts.read)

        return self._repeated(f"{method} {path}", attempts, ask)

    def open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        attempts: int = 0,
        read: float | None = None,
        **more: typing.Any,
    ) -> requests.Response:
        """Send; the body of the answer is still to be read, and the answer to be closed.

        Raises:
            ServerUnreachable: Nobody there, or too late, also at the last attempt.
            UntrustedServer: TLS failed.
            Redirected: The server points elsewhere.
            ServerRefused: The server answers with an error.
            Cancelled: This transport was closed.
        """
        attempts = attempts or _attempts(method)
        return self._repeated(
            f"{method} {path}",
            attempts,
            lambda: self._once(method, path, query, attempts, read, more),
        )

    def _repeated(self, what: str, attempts: int, ask: Callable[[], T]) -> T:
        """Ask again, a moment later each time, where that may help."""
        for delay in BACKOFF[: attempts - 1]:
            try:
                return self._unless_closed(ask)
            except (ServerUnreachable, ServerRefused) as error:
                if not _worth_another(error):
                    raise
                logger.info("%s: %s; again in %.1f s", what, error, delay)
                self._closed.wait(delay)
        return self._unless_closed(ask)

    def _unless_closed(self, ask: Callable[[], T]) -> T:
        if self._closed.is_set():
            raise Cancelled
        return ask()

    def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        attempts: int,
        read: float | None,
        more: Mapping[str, typing.Any],
    ) -> requests.Response:
        body = more.get("data")
        if body is not None and hasattr(body, "seek"):
            body.seek(0)
        # What is asked but once must not meet a connection that the server is about to close.
        session = self._session() if attempts > 1 else self._new_session()
        with named_failures(self.url):
            answer = session.request(
                method,
                self.url + path,
                params=query,
                timeout=(self.timeouts.connect, read or self.timeouts.read),
                verify=self._verify,  # at the session, the environment would overrule it
                allow_redirects=False,
                stream=True,
                **more,
            )
        if answer.status_code < 300:
            return answer
        with answer:
            raise self._refusal(answer)

    def _refusal(self, answer: requests.Response) -> Exception:
        if 300 <= answer.status_code < 400:
            target = answer.headers.get("Location", "elsewhere")
            return Redirected(
                f"The server points to {target[:200]}.",
                "If you trust that address, enter it as the server's.",
            )
        try:
            body = read_json(answer, self.timeouts.read)
        except ClientError:
            body = None
        return refusal(answer.status_code, body)

    def _session(self) -> requests.Session:
        """A session for each thread; requests does not promise to share one."""
        session = getattr(self._own, "session", None)
        if session is None:
            session = self._new_session()
            self._own.session = session
            self._sessions.add(session)
        return session

    def _new_session(self) -> requests.Session:
        import requests

        session = requests.Session()
        if is_local(self.url):
            session.trust_env = False  # a proxy would carry the data off this computer
        if self._token:
            session.auth = self._authorise  # a header alone would lose to the user's .netrc
        return session

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _attempts(method: str) -> int:
    """How often to try: more than once only where twice does no more than once."""
    return len(BACKOFF) + 1 if method in _SAFE else 1


def pieces(answer: requests.Response) -> Iterator[bytes]:
    """The body piece by piece, each as soon as it comes.

    Raises:
        ServerUnreachable: It broke off, or nothing came for too long.
    """
    read = getattr(answer.raw, "read1", None)
    with named_failures(answer.url):
        if read is None:  # an urllib3 of long ago: only single bytes are sure not to wait
            yield from answer.iter_content(1)
            return
        while piece := read(2**16, decode_content=True):
            yield piece


def pieces_within(answer: requests.Response, seconds: float) -> Iterator[bytes]:
    """As `pieces`, within a time for the whole: a server may drip.

    Raises:
        ServerUnreachable: It broke off, or took too long.
    """
    deadline = time.monotonic() + seconds
    for piece in pieces(answer):
        yield piece
        if time.monotonic() > deadline:
            raise ServerTimedOut(
                f"The server's answer was not complete after {seconds:.0f} s.",
                "Look whether the server or the network is overloaded, and try again.",
            )


def read_json(answer: requests.Response, seconds: float) -> typing.Any:
    """The body as JSON, within a time.

    Raises:
        UnreadableAnswer: No JSON, or too long.
        ServerUnreachable: It broke off, or took too long.
    """
    body = bytearray()
    for piece in pieces_within(answer, seconds):
        body += piece
        if len(body) > MAX_JSON_BYTES:
            break
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError) as error:
        raise UnreadableAnswer(
            "The server's answer is no JSON.",
            "Look whether the address is that of the server and not of something before it.",
        ) from error


def _worth_another(error: ServerUnreachable | ServerRefused) -> bool:
    """Whether the same call may succeed a moment later."""
    if isinstance(error, ServerRefused):
        return error.status in _OVERLOADED and error.code == f"http_{error.status}"
    return True
