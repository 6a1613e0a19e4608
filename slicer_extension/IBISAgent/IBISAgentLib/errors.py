"""Everything that can go wrong between Slicer and the server, as types with a fix in words.

The panel shows `message` and `fix`; the log gets the rest. What the server itself refuses
arrives as `ServerRefused` with the server's own three words.
"""

from __future__ import annotations


class ClientError(Exception):
    """A failure with a sentence that says what happened and one that says what to do.

    Attributes:
        code: Stable name of the failure.
        message: What happened, one sentence.
        fix: What the user can do about it, one sentence.
    """

    code = "client_error"

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message, fix)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}"


class InvalidAddress(ClientError):
    """The server's address is none."""

    code = "invalid_address"


class ServerUnreachable(ClientError):
    """No connection: nobody listens there, or it broke off."""

    code = "server_unreachable"


class ConnectionRefused(ServerUnreachable):
    """The machine is there, and no server listens at the port."""

    code = "connection_refused"


class UnknownHost(ServerUnreachable):
    """The name of the machine leads nowhere."""

    code = "unknown_host"


class ServerTimedOut(ServerUnreachable):
    """The server did not answer in time."""

    code = "timed_out"


class UntrustedServer(ClientError):
    """TLS failed: the certificate is not valid, or the server does not speak TLS."""

    code = "tls_failed"


class ServerRefused(ClientError):
    """The server answered with an error.

    Attributes:
        code: The server's own, such as ``unknown_prompt``; ``http_500`` where it gave none.
        status: HTTP status.
    """

    def __init__(self, code: str, message: str, fix: str, status: int) -> None:
        super().__init__(message, fix)
        self.code = code
        self.status = status


class NotAuthorised(ServerRefused):
    """The server wants a token, or another one."""


class NoIBISAgent(ClientError):
    """A server answers, but it is none of ours."""

    code = "no_ibisagent"


class Redirected(ClientError):
    """The server points elsewhere; nothing is sent there without the user's word."""

    code = "redirected"


class UnreadableAnswer(ClientError):
    """The answer is not what the protocol says: no JSON, fields missing, too long."""

    code = "unreadable_answer"


class WrongVersion(ClientError):
    """The server speaks another version of the protocol."""

    code = "wrong_version"


class EventsLost(ClientError):
    """The server left out events, and asking again did not bring them."""

    code = "events_lost"


class Cancelled(ClientError):
    """The user stopped it."""

    code = "cancelled"

    def __init__(self) -> None:
        super().__init__("Stopped.", "Start it again when you like.")


class UnsupportedVolume(ClientError):
    """The volume cannot be sent: colours, time, labels, or nothing in it."""

    code = "unsupported_volume"


class UnsupportedTransform(ClientError):
    """The volume's transform bends or shears it, which no image file can say."""

    code = "unsupported_transform"


class InvalidMask(ClientError):
    """A mask from the server does not fit its slice or its volume."""

    code = "invalid_mask"


class OutsideVolume(ClientError):
    """A click lies outside the volume, or off the slice."""

    code = "outside_volume"


class Unexpected(ClientError):
    """A mistake of this module; the log has the details."""

    code = "unexpected"


class NothingToDo(ClientError):
    """What was asked for makes no sense now."""

    code = "nothing_to_do"
