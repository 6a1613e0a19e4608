from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.routing import Match

from ibisagent.errors import InvalidRequest
from ibisagent_app.doorkeeper import IDENTIFIERS, MAX_BODY, Doorkeeper, check
from ibisagent_app.errors import InvalidIdentifier, LengthRequired, RequestTooLarge


def scope(path: str = "/", query: str = "", method: str = "GET", **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "path": path,
        "query_string": query.encode(),
        "method": method,
        "headers": pairs,
    }


@pytest.mark.parametrize("name", IDENTIFIERS)
@pytest.mark.parametrize("value", ["../x", "%2e%2e%2fx", "..", "%2Fx", "a%5Cb", "a%00", "ok&{}=.."])
def test_identifier_in_the_query(name: str, value: str) -> None:
    with pytest.raises(InvalidIdentifier):
        check(scope(query=f"{name}={value.format(name)}"))


@pytest.mark.parametrize(
    "query", ["image=ct_1&tag=final", "tag=", "strategy=..", "image=1.2.840", "image=a%20b"]
)
def test_ordinary_query(query: str) -> None:
    check(scope(query=query))


@pytest.mark.parametrize("path", ["/ohif/../x", "/a/..", "/..\\x", "/a\x00"])
def test_path_that_climbs(path: str) -> None:
    with pytest.raises(InvalidIdentifier):
        check(scope(path))


def test_dots_within_a_name_are_no_climbing() -> None:
    check(scope("/static/a..b/v1..2"))


@pytest.mark.parametrize("length", [str(MAX_BODY + 1), "9" * 30, "-1", "many"])
def test_length(length: str) -> None:
    with pytest.raises(RequestTooLarge, match="1024 MiB"):
        check(scope(method="PUT", content_length=length))
    check(scope(method="PUT", content_length=str(MAX_BODY)))


def test_body_of_unknown_length() -> None:
    with pytest.raises(LengthRequired):
        check(scope(method="POST", transfer_encoding="chunked"))


def test_other_protocols_are_let_through() -> None:
    assert Doorkeeper().matches({"type": "websocket"}) == (Match.NONE, {})


def test_it_lets_requests_pass_to_the_routes_behind_it() -> None:
    app = FastAPI()
    app.router.routes.insert(0, Doorkeeper())
    app.get("/datastore/image")(lambda image: {"image": image})
    client = TestClient(app)
    assert client.get("/datastore/image?image=ct_1").json() == {"image": "ct_1"}
    refused = client.get("/datastore/image?image=../x")
    assert refused.status_code == 400
    assert refused.json()["detail"]["code"] == "invalid_identifier"
    assert client.get("/nowhere").status_code == 404


class _Open(APIRoute):
    any_query = True


@pytest.fixture
def asked() -> TestClient:
    app = FastAPI()

    def take(n: int = 0, user: str = "") -> int:
        return n

    routes = [
        APIRoute("/take", take),
        _Open("/open", take),
        APIRoute("/proxy/{path:path}", lambda path: path),
    ]
    app.router.routes[:0] = [Doorkeeper(routes), *routes]
    return TestClient(app)


def test_unknown_field_of_the_query_is_named(asked: TestClient) -> None:
    assert asked.get("/take?n=3&client_id=slicer").json() == 3
    detail = asked.get("/take?m=3").json()["detail"]
    assert "'m'" in detail["message"]
    assert "n, user" in detail["fix"]


def test_query_that_is_for_somebody_else(asked: TestClient) -> None:
    assert asked.get("/open?m=3").status_code == 200
    assert asked.get("/proxy/studies?limit=3").status_code == 200


@pytest.mark.parametrize("value", ["", "CRC:00", "SHA256:../x", "x" * 64])
def test_check_sum(value: str) -> None:
    with pytest.raises(InvalidRequest, match="check_sum"):
        check(scope(query=f"check_sum={value}"))
    check(scope(query="check_sum=SHA256:" + "0a" * 32))


def test_long_names_in_the_address() -> None:
    check(scope("/session/" + "x" * 200))
    with pytest.raises(InvalidIdentifier, match="too long"):
        check(scope("/session/" + "x" * 201))
