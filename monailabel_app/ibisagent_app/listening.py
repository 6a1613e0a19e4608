"""Where the server listens: on this machine only, unless the command line says otherwise.

`ibisagent serve` always says where. MONAI Label's own command listens on every network address
if nobody says anything; requests of other machines are then turned away, so that nobody opens a
server to the network without meaning to.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
from collections.abc import Sequence

logger = logging.getLogger(__name__)

LOCAL_NAME = "localhost"


def stated_host(arguments: Sequence[str]) -> str | None:
    """The address that a command line tells the server to listen on; None if it tells none.

    Args:
        arguments: Of MONAI Label's command, or of uvicorn's, without the program.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("-i", "--host")
    try:
        host = parser.parse_known_args(list(arguments))[0].host
    except (argparse.ArgumentError, SystemExit):
        return None
    return str(host) if host else None


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine itself."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return host.lower().rstrip(".") == LOCAL_NAME
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def tell_who_may_ask(host: str | None, authenticated: bool) -> None:
    """Log a warning where others than this machine's users may reach the server.

    Args:
        host: See `stated_host`.
        authenticated: Whether MONAI Label asks for tokens.
    """
    if host is None:
        logger.warning(
            "No --host was given, so only this machine is served. Start with --host 127.0.0.1 to "
            "listen on this machine only, or with --host 0.0.0.0 to serve the network, which "
            "docs/security.md explains."
        )
    elif not is_loopback(host) and authenticated:
        logger.warning(
            "The server listens on %s, for others too. Tokens travel in plain text unless "
            "TLS is used; see docs/security.md.",
            host,
        )
    elif not is_loopback(host):
        logger.warning(
            "EVERYONE WHO REACHES %s CAN READ, CHANGE AND DELETE THE STUDIES: no password is "
            "asked. Use --host 127.0.0.1, or see docs/security.md for how to serve a network.",
            host,
        )
