"""Which server is spoken to, whether it answers, and whether it may be sent a patient's image."""

from __future__ import annotations

from collections.abc import Callable

from .address import is_local, normalise
from .client import Client
from .errors import ClientError
from .run_fields import ServerInfo
from .worker import Worker


class NotConnected(ClientError):
    """No server has answered yet."""

    code = "not_connected"


class ConsentMissing(ClientError):
    """The server is not on this computer, and nobody has agreed to send it images."""

    code = "consent_missing"


class Connection:
    """One server at a time, with the worker that speaks to it.

    Args:
        make_client: From address and token.

    Attributes:
        worker: Speaks to the server; None before the first `connect`.
        info: What the server said of itself; None while it has not answered.
        trouble: Why it did not.
        waiting: Whether an answer is awaited.
    """

    def __init__(self, make_client: Callable[[str, str], Client] = Client) -> None:
        self._make_client = make_client
        self._consents: set[str] = set()
        self._token = ""
        self.worker: Worker | None = None
        self.info: ServerInfo | None = None
        self.trouble: ClientError | None = None
        self.waiting = False

    @property
    def url(self) -> str:
        """Address of the server; empty before the first `connect`."""
        return self.worker.client.url if self.worker else ""

    def connect(self, url: str, token: str = "") -> None:
        """Ask a server who it is; `heard` and `failed` get the answer.

        Raises:
            InvalidAddress: `url` is none.
        """
        if self.worker is None or (normalise(url), token) != (self.url, self._token):
            client = self._make_client(url, token)
            self.close()
            self.worker, self._token = Worker(client), token
        self.info, self.trouble, self.waiting = None, None, True
        self.worker.check()

    def heard(self, info: ServerInfo) -> None:
        """The server has answered."""
        self.info, self.trouble, self.waiting = info, None, False

    def failed(self, error: ClientError) -> None:
        """It has not."""
        self.info, self.trouble, self.waiting = None, error, False

    def consent_needed(self) -> bool:
        """Whether the user has to agree before an image is sent."""
        return bool(self.url) and not is_local(self.url) and self.url not in self._consents

    def agree(self) -> None:
        """The user agrees to send images to this server, until Slicer is closed."""
        self._consents.add(self.url)

    def connected(self) -> Worker:
        """The worker, for what sends no images.

        Raises:
            NotConnected: No server has answered.
        """
        if self.worker is None or self.info is None:
            raise NotConnected(
                "No server is connected.", "Enter its address and press Test connection."
            )
        return self.worker

    def ready(self) -> Worker:
        """The worker, if images may be sent to its server.

        Raises:
            NotConnected: No server has answered.
            ConsentMissing: The user has to agree first.
        """
        worker = self.connected()
        if self.consent_needed():
            raise ConsentMissing(
                f"{self.url} is not on this computer, and images are sent to it only with your "
                "consent.",
                "Press the button again and agree, or connect to a server on this computer.",
            )
        return worker

    def close(self) -> None:
        """End the worker's threads; the server's runs go on unless they were cancelled."""
        if self.worker is not None:
            self.worker.stop()
        self.worker, self.info, self.trouble, self.waiting = None, None, None, False
