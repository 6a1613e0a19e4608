"""MONAI Label's own command with its authentication on, and nothing said about where to listen.

Every address of the server asks for a token, those of MONAI Label and ours alike, and other
machines are turned away.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest
import requests
from app_client import assert_refused
from app_studies import write_studies
from cryptography.hazmat.primitives.asymmetric import rsa
from harness.realm import Realm, realm
from stock_server import StockServer

VIEWER = "https://viewer.hospital.org"
OPEN = {"/auth/", "/auth/token"}
"""How a client finds out that it needs a token, and where it gets one."""

CLOSED = {
    ("PUT", "/model/x"),
    ("DELETE", "/model/x"),
    ("POST", "/infer/wsi_v2/x"),
    ("GET", "/logs/gpu"),  # where there is no GPU
}
"""Refused whoever asks."""


@dataclass(frozen=True)
class Guarded:
    server: StockServer
    realm: Realm
    while_away: requests.Response
    """What a request with a good token got while the login service was away."""

    def ask(self, method: str, path: str, token: str | None = None, **rest) -> requests.Response:
        headers = {**rest.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return requests.request(
            method, f"{self.server.url}{path}", headers=headers, timeout=60, **rest
        )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    studies = folder / "studies"
    studies.mkdir()
    write_studies(studies)
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    conf = {"policy": str(checkpoint), "cors_origins": VIEWER}
    with realm() as opened:
        settings = {
            "MONAI_LABEL_AUTH_ENABLE": "true",
            "MONAI_LABEL_AUTH_REALM_URI": opened.url,
        }
        log = folder / "log.txt"
        with StockServer(studies, log, conf, settings=settings) as server:
            opened.away = True
            header = {"Authorization": f"Bearer {opened.token('admin')}"}
            answer = requests.get(f"{server.url}/info/", headers=header, timeout=30)
            opened.away = False
            yield Guarded(server, opened, answer)


@pytest.fixture(scope="module")
def addresses(guarded: Guarded) -> list[tuple[str, str]]:
    """Every open address of the server with its method; names in it are filled in."""
    schema = guarded.ask("GET", "/openapi.json").json()
    every = {
        (method.upper(), re.sub(r"{.*?}", "x", path))
        for path, methods in schema["paths"].items()
        for method in methods
        if path not in OPEN
    }
    return sorted(every - CLOSED)


def test_login_service_that_is_away(guarded: Guarded) -> None:
    assert_refused(guarded.while_away, 503, "authentication_unavailable")


def test_there_are_stock_addresses_and_ours(addresses: list[tuple[str, str]]) -> None:
    paths = {path for _, path in addresses}
    assert {"/info/", "/infer/x", "/datastore/label", "/session/", "/batch/infer/x"} <= paths
    assert len(addresses) > 25


def test_without_a_token_nothing_is_answered(
    guarded: Guarded, addresses: list[tuple[str, str]]
) -> None:
    for method, path in addresses:
        answer = guarded.ask(method, path)
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.headers["www-authenticate"] == "Bearer"
        if method != "HEAD":
            assert_refused(answer, 401, "unauthorized", "Bearer")


def test_closed_addresses_are_closed_to_all(guarded: Guarded) -> None:
    for method, path in CLOSED - {("GET", "/logs/gpu")}:
        for token in (None, guarded.realm.token("admin")):
            assert_refused(guarded.ask(method, path, token), 404, "not_served")


def test_hidden_addresses_ask_too(guarded: Guarded) -> None:
    for method, path in [
        ("PUT", "/datastore/?image=x"),
        ("PUT", "/datastore/updatelabelinfo?label=x&tag=x"),
        ("POST", "/train/"),
        ("POST", "/scoring/"),
        ("DELETE", "/datastore/?id=x"),
        ("GET", "/ohif/"),
    ]:
        assert_refused(guarded.ask(method, path), 401, "unauthorized")


def test_forged_tokens(guarded: Guarded) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    good = guarded.realm.token("admin")
    head, body, _ = good.split(".")
    content = jwt.decode(good, options={"verify_signature": False})
    forged = {
        "other key": guarded.realm.token("admin", key=other),
        "expired": guarded.realm.token("admin", seconds=-60),
        "unsigned": jwt.encode(content, "", algorithm="none"),
        "cut off": f"{head}.{body}.",
        "shared secret": _with_public_key_as_secret(guarded.realm, content),
        "no user": guarded.realm.token("admin", preferred_username=None),
        "nonsense": "nonsense",
        "empty": "",
    }
    for what, token in forged.items():
        answer = guarded.ask("GET", "/info/", token)
        assert answer.status_code == 401, what
    assert guarded.ask("GET", "/info/", good).status_code == 200


def _with_public_key_as_secret(opened: Realm, content: dict) -> str:
    """What the library refuses to sign, so it is signed by hand."""
    import base64
    import hashlib
    import hmac

    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(content).encode())
    digest = hmac.new(opened.public_pem().encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + part(digest)).decode()


def test_user_without_a_role(guarded: Guarded, addresses: list[tuple[str, str]]) -> None:
    token = guarded.realm.token("stranger")
    odd = guarded.realm.token("stranger", realm_access="admin")
    for method, path in addresses:
        if path != "/auth/token/valid":
            assert guarded.ask(method, path, token).status_code == 403, (method, path)
    assert_refused(guarded.ask("GET", "/info/", odd), 403, "forbidden")


@pytest.mark.parametrize(
    ("user", "method", "path", "allowed"),
    [
        ("user", "GET", "/info/", True),
        ("user", "POST", "/infer/ibisagent?image=head", True),
        ("user", "PUT", "/session/", True),
        ("user", "PUT", "/datastore/label?image=head", False),
        ("user", "POST", "/train/x", False),
        ("user", "POST", "/batch/infer/ibisagent", False),
        ("user", "GET", "/logs/", False),
        ("annotator", "PUT", "/datastore/label?image=head", True),
        ("annotator", "GET", "/datastore/dataset", True),
        ("annotator", "DELETE", "/datastore/image?id=head", False),
        ("annotator", "POST", "/batch/infer/ibisagent", False),
        ("admin", "POST", "/batch/infer/ibisagent", True),
        ("admin", "GET", "/logs/", True),
    ],
)
def test_roles(guarded: Guarded, user: str, method: str, path: str, allowed: bool) -> None:
    answer = guarded.ask(method, path, guarded.realm.token(user))
    assert (answer.status_code not in (401, 403)) is allowed, answer.text


def test_admin_passes_everywhere(guarded: Guarded, addresses: list[tuple[str, str]]) -> None:
    token = guarded.realm.token("admin")
    for method, path in addresses:
        if method in ("GET", "HEAD"):
            assert guarded.ask(method, path, token).status_code not in (401, 403), path


def test_a_whole_request(guarded: Guarded) -> None:
    answer = guarded.ask(
        "POST",
        "/infer/ibisagent?image=head&output=json",
        guarded.realm.token("user"),
        files={"params": (None, json.dumps({"prompt": "click 0.75 0.5"}))},
    )
    assert answer.json()["found"] is True


@pytest.mark.parametrize(("user", "status"), [("user", 403), ("annotator", 200)])
def test_saving_a_label_takes_an_annotator(guarded: Guarded, user: str, status: int) -> None:
    params = {"prompt": "click 0.75 0.5", "save_label": True, "label_tag": f"by-{user}"}
    answer = guarded.ask(
        "POST",
        "/infer/ibisagent?image=head&output=json",
        guarded.realm.token(user),
        files={"params": (None, json.dumps(params))},
    )
    assert answer.status_code == status, answer.text


def test_who_uploaded_is_noted(guarded: Guarded) -> None:
    token = guarded.realm.token("annotator")
    place = "/datastore/image/info?image=head"
    assert guarded.ask("PUT", place, token, data={"info": '{"user": "somebody else"}'}).ok
    assert guarded.ask("GET", place, token).json()["user"] == "annotator"


@pytest.mark.parametrize("origin", [VIEWER, "http://localhost:3000"])
def test_pages_that_were_allowed(guarded: Guarded, origin: str) -> None:
    answer = guarded.ask("GET", "/info/", headers={"origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    assert_refused(answer, 401, "unauthorized")


def test_page_of_another_site(guarded: Guarded) -> None:
    answer = guarded.ask("GET", "/info/", headers={"origin": "https://evil.example"})
    assert_refused(answer, 403, "foreign_origin")


def test_strange_name_for_the_server(guarded: Guarded) -> None:
    answer = guarded.ask("GET", "/info/", headers={"host": "evil.example"})
    assert_refused(answer, 403, "foreign_origin")


def test_other_machines_are_turned_away_and_the_log_says_so(guarded: Guarded) -> None:
    assert "No --host was given" in guarded.server.log_tail(2000)
    address = _address_on_a_network()
    answer = requests.get(f"http://{address}:{guarded.server.port}/info/", timeout=30)
    assert_refused(answer, 403, "not_open_to_network", "--host")


def _address_on_a_network() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; finds the way out
            address = str(probe.getsockname()[0])
        except OSError:
            address = ""
    if not address or address.startswith("127."):
        pytest.skip("this machine is on no network")
    return address


def test_log_holds_no_token(guarded: Guarded) -> None:
    token = guarded.realm.token("user")
    guarded.ask("GET", "/info/", token)
    assert token not in guarded.server.log_tail(100_000)
    assert Path(guarded.server._log).is_file()
