"""Tokens of users, where MONAI Label's authentication is switched on.

MONAI Label 0.8.5 does not say which signatures it takes, which PyJWT since 2.0 refuses to guess:
with the authentication on, every token is turned down. It also fails on users without roles, and
while the service that vouches for users cannot be reached.
"""

from __future__ import annotations

from typing import Any

import jwt
import requests
from monailabel.config import settings
from monailabel.endpoints.user import auth

from ibisagent_app.errors import AuthenticationUnavailable

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures with a public key. Those with a shared secret must not be among them: the public
key, which everybody knows, would do as the secret."""


def mend_token_check() -> None:
    """Let MONAI Label's routes, and ours, read tokens by the function below."""
    auth.from_token = user_of


def user_of(token: str) -> auth.User:
    """Who sent a token.

    Raises:
        jwt.InvalidTokenError: It is forged, expired, or none; answered with 401.
        AuthenticationUnavailable: The key to check it with could not be fetched.
    """
    if not settings.MONAI_LABEL_AUTH_ENABLE:
        return auth.DEFAULT_USER
    claims = jwt.decode(
        token, _public_key(), algorithms=list(ALGORITHMS), options={"verify_aud": False}
    )
    name = claims.get(settings.MONAI_LABEL_AUTH_TOKEN_USERNAME)
    if not isinstance(name, str):
        raise jwt.InvalidTokenError("the token names no user")
    return auth.User(
        username=name,
        email=claims.get(settings.MONAI_LABEL_AUTH_TOKEN_EMAIL),
        name=claims.get(settings.MONAI_LABEL_AUTH_TOKEN_NAME),
        roles=_roles(claims),
    )


def _public_key() -> str:
    try:
        key: str = auth.get_public_key(settings.MONAI_LABEL_AUTH_REALM_URI)
    except (requests.RequestException, KeyError, ValueError) as error:
        raise AuthenticationUnavailable(
            "The service that vouches for users cannot be asked.",
            "Whoever runs this server should look at MONAI_LABEL_AUTH_REALM_URI.",
        ) from error
    return key


def _roles(claims: dict[str, Any]) -> list[str]:
    """The roles in a token, under a path such as ``realm_access#roles``."""
    found: Any = claims
    for name in settings.MONAI_LABEL_AUTH_TOKEN_ROLES.split("#"):
        found = found.get(name) if isinstance(found, dict) else None
    return [str(role) for role in found] if isinstance(found, list) else []
