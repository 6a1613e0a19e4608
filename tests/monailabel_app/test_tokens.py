from __future__ import annotations

from collections.abc import Iterator

import jwt
import pytest
from harness.realm import Realm, realm
from monailabel.config import settings
from monailabel.endpoints.user import auth

from ibisagent_app.errors import AuthenticationUnavailable
from ibisagent_app.tokens import mend_token_check, user_of


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Realm]:
    with realm() as one:
        monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_ENABLE", True)
        monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_REALM_URI", one.url)
        yield one


def test_user_and_roles(opened: Realm) -> None:
    user = user_of(opened.token("annotator"))
    assert (user.username, user.email) == ("annotator", "annotator@example.org")
    assert user.roles == ["monailabel-user", "monailabel-annotator"]


@pytest.mark.parametrize("claims", [{"realm_access": None}, {"realm_access": {"roles": "admin"}}])
def test_token_without_roles(opened: Realm, claims: dict) -> None:
    assert user_of(opened.token("admin", **claims)).roles == []


@pytest.mark.parametrize(
    ("path", "claims"),
    [("groups", {"groups": ["a"]}), ("a#b#c", {"a": {"b": {"c": ["a"]}}})],
)
def test_roles_may_be_elsewhere(
    opened: Realm, monkeypatch: pytest.MonkeyPatch, path: str, claims: dict
) -> None:
    monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_TOKEN_ROLES", path)
    assert user_of(opened.token("user", **claims)).roles == ["a"]


@pytest.mark.parametrize("claims", [{"preferred_username": None}, {"preferred_username": 3}])
def test_token_that_names_nobody(opened: Realm, claims: dict) -> None:
    with pytest.raises(jwt.InvalidTokenError):
        user_of(opened.token("admin", **claims))


def test_expired_token(opened: Realm) -> None:
    with pytest.raises(jwt.ExpiredSignatureError):
        user_of(opened.token("admin", seconds=-5))


def test_login_service_that_is_away_is_asked_again(opened: Realm) -> None:
    opened.away = True
    with pytest.raises(AuthenticationUnavailable):
        user_of(opened.token("admin"))
    opened.away = False
    assert user_of(opened.token("admin")).username == "admin"


def test_without_authentication_everybody_is_the_default_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_ENABLE", False)
    assert user_of("") == auth.DEFAULT_USER


def test_stock_routes_use_it(monkeypatch: pytest.MonkeyPatch, opened: Realm) -> None:
    monkeypatch.setattr(auth, "from_token", auth.from_token)  # put back after the test
    with pytest.raises(jwt.InvalidTokenError):
        auth.from_token(opened.token("admin"))  # the fault that is mended; else drop tokens.py
    mend_token_check()
    assert auth.from_token(opened.token("admin")).username == "admin"
