"""A login service that fits into a test: one realm of Keycloak's form, and tokens of its users."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ROLES = {
    "user": ["monailabel-user"],
    "annotator": ["monailabel-user", "monailabel-annotator"],
    "admin": ["monailabel-user", "monailabel-annotator", "monailabel-admin"],
    "stranger": [],
}
"""Roles of the realm's users, by name; those of MONAI Label's defaults."""


class Realm:
    """A key pair, the address that tells the public half, and tokens signed with the other.

    Attributes:
        url: Of the realm, as for ``MONAI_LABEL_AUTH_REALM_URI``.
        away: Whether it answers with an error, as a login service that is being restarted.
    """

    def __init__(self) -> None:
        self.url = ""
        self.away = False
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def public_key(self) -> str:
        """As Keycloak tells it: base64 of the DER form, in one line."""
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode()

    def public_pem(self) -> str:
        """What everybody may make of it, and an attacker may use as a shared secret."""
        return f"-----BEGIN PUBLIC KEY-----\n{self.public_key()}\n-----END PUBLIC KEY-----"

    def token(self, user: str, seconds: float = 600, key: Any = None, **claims: Any) -> str:
        """A token of one of the users of `ROLES`, valid for some seconds."""
        content = {
            "preferred_username": user,
            "email": f"{user}@example.org",
            "name": user.title(),
            "exp": int(time.time() + seconds),
            "realm_access": {"roles": ROLES[user]},
            **claims,
        }
        return jwt.encode(content, key or self._key, algorithm="RS256")


@contextmanager
def realm() -> Iterator[Realm]:
    """A realm that answers on a loopback port for the length of the block."""
    opened = Realm()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"realm": "test", "public_key": opened.public_key()}).encode()
            self.send_response(503 if opened.away else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: tests read their own output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    opened.url = f"http://127.0.0.1:{server.server_port}/realms/test"
    try:
        yield opened
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
