"""The server's address: made whole, and judged for whether data would leave this computer."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from .errors import InvalidAddress

_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_FIX = "Give an address such as http://127.0.0.1:8000 or https://labels.example.org."


def normalise(url: str) -> str:
    """The address as requests use it: with scheme, without slash at the end.

    Args:
        url: As a person types it; without a scheme, ``http`` is meant.

    Raises:
        InvalidAddress: No HTTP address, or one with a user name, query or fragment.
    """
    text = url.strip()
    parts = _split(text if "://" in text else f"http://{text}")
    if parts.scheme not in ("http", "https"):
        raise InvalidAddress(f"{parts.scheme!r} is no way to reach a server.", _FIX)
    if "@" in parts.netloc:
        raise InvalidAddress("The address holds a user name.", "Give the token in its own field.")
    if not _HOST.fullmatch(_host_text(parts.netloc)) or re.search(r"[\s\\]", text):
        raise InvalidAddress(f"{text[:80]!r} is no address of a server.", _FIX)
    if parts.query or parts.fragment:
        raise InvalidAddress("The address holds more than the server's place.", _FIX)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def is_local(url: str) -> bool:
    """Whether the server is on this computer for certain: nothing sent to it leaves the machine.

    Only loopback counts: a name other than ``localhost`` may lead anywhere, and a neighbour in
    the same network is not this computer.
    """
    try:
        host = urlsplit(normalise(url)).hostname or ""
    except InvalidAddress:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read for its check
    except ValueError as error:
        raise InvalidAddress(f"{url[:80]!r} is no address of a server.", _FIX) from error
    return parts


def _host_text(netloc: str) -> str:
    """The host, with brackets where it has some, without the port."""
    return re.sub(r":\d*$", "", netloc)
