from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.testclient import TestClient

from ibisagent.errors import InvalidRequest
from ibisagent_app.failures import name_failures
from ibisagent_app.visitors import Visitors, limit_visitors, parse_origins

VIEWER = "https://viewer.hospital.org"


def served(host: str | None = "127.0.0.1", peer: str = "127.0.0.1") -> TestClient:
    """An app that had begun to serve everybody before it was limited."""
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    app.get("/")(lambda: "content")
    app.put("/")(lambda: "changed")
    with TestClient(app) as client:
        assert client.get("/").status_code == 200  # the middleware is built now
    name_failures(app)
    limit_visitors(app, Visitors(host, (VIEWER,)), (VIEWER,))
    return TestClient(app, base_url="http://127.0.0.1:8000", client=(peer, 5000))


def refused(answer) -> str:
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    detail = answer.json()["detail"]
    assert detail["fix"]
    return detail["code"]


@pytest.mark.parametrize(
    "origin",
    [
        VIEWER,
        "http://localhost:3000",
        "http://127.0.0.1:8000",
        "https://127.0.0.1",
        "http://[::1]:4200",
    ],
)
def test_pages_that_may_ask(origin: str) -> None:
    answer = served().get("/", headers={"origin": origin})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.org",
        "null",
        "",
        "http://localhost.evil.org",
        "http://viewer.hospital.org",
        f"{VIEWER}.evil.org",
        f"{VIEWER}:8443",
        "http://[",
        "file://",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_pages_that_may_not(origin: str, method: str) -> None:
    headers = {"origin": origin, "access-control-request-method": "PUT"}
    assert refused(served().request(method, "/", headers=headers)) == "foreign_origin"


def test_preflight_of_a_page_that_may_ask() -> None:
    headers = {"origin": VIEWER, "access-control-request-method": "DELETE"}
    answer = served().options("/", headers=headers)
    assert answer.status_code == 200
    assert "DELETE" in answer.headers["access-control-allow-methods"]


def test_programs_send_no_origin() -> None:
    answer = served().put("/")
    assert answer.json() == "changed"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("name", ["evil.org", "evil.org:8000", "127.0.0.1.evil.org"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", None])
def test_a_strange_name_for_this_machine(host: str | None, name: str) -> None:
    answer = served(host).get("/", headers={"host": name})
    assert refused(answer) == "foreign_origin"


@pytest.mark.parametrize(
    "name", ["localhost", "localhost:8000", "[::1]:8000", "viewer.hospital.org"]
)
def test_its_own_names(name: str) -> None:
    assert served().get("/", headers={"host": name}).status_code == 200


def test_on_a_network_any_name_may_be_its_own() -> None:
    client = served("0.0.0.0", peer="192.0.2.7")
    assert client.get("/", headers={"host": "server.hospital.org"}).status_code == 200
    same = {"host": "server.hospital.org:8000", "origin": "http://server.hospital.org:8000"}
    assert client.put("/", headers=same).status_code == 200
    other = {**same, "origin": "https://evil.org"}
    assert refused(client.put("/", headers=other)) == "foreign_origin"


@pytest.mark.parametrize("peer", ["192.0.2.7", "2001:db8::1", "10.0.0.1"])
def test_other_machines_where_nobody_said_to_listen(peer: str) -> None:
    assert refused(served(None, peer).get("/")) == "not_open_to_network"
    assert served(None).get("/").status_code == 200


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        (f"{VIEWER}/", (VIEWER,)),
        (f"{VIEWER}, http://a:3000", (VIEWER, "http://a:3000")),
        (f"{VIEWER} http://[::1]:3000", (VIEWER, "http://[::1]:3000")),
    ],
)
def test_origins_as_users_write_them(text: str, origins: tuple[str, ...]) -> None:
    assert parse_origins(text) == origins


@pytest.mark.parametrize(
    "text",
    ["*", "viewer", "ftp://a", "https://a/path", "https://*.org", "https://u@a", "http://a:x"],
)
def test_what_is_no_origin(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no origin"):
        parse_origins(f"{VIEWER},{text}")
