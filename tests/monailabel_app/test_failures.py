from __future__ import annotations

import errno

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

from ibisagent.errors import SliceOutOfRange
from ibisagent_app.failures import name_failures


@pytest.fixture
def app() -> FastAPI:
    """An app that has answered in its own way before."""
    made = FastAPI()
    made.get("/number/{n}")(lambda n: n)
    client = TestClient(made)
    assert client.get("/nowhere").json() == {"detail": "Not Found"}
    name_failures(made)
    return made


def detail(app: FastAPI, status: int, method: str = "GET", path: str = "/raise") -> dict[str, str]:
    client = TestClient(app, raise_server_exceptions=False)
    answer = client.request(method, path)
    assert answer.status_code == status
    told = answer.json()["detail"]
    assert set(told) == {"code", "message", "fix"}
    assert told["message"].endswith(".")
    assert told["fix"]
    return told


def raising(app: FastAPI, error: Exception) -> None:
    def fail() -> None:
        raise error

    app.get("/raise")(fail)


def test_unknown_address(app: FastAPI) -> None:
    assert detail(app, 404, path="/nowhere")["code"] == "not_found"


def test_wrong_method(app: FastAPI) -> None:
    assert detail(app, 405, "DELETE", "/number/3")["code"] == "method_not_allowed"


def test_field_that_does_not_fit(app: FastAPI) -> None:
    def take(n: int) -> int:
        return n

    app.get("/take")(take)
    told = detail(app, 422, path="/take?n=x")
    assert told["code"] == "invalid_request"
    assert "'n'" in told["message"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (SliceOutOfRange("No such slice.", "Take another."), 422, "slice_out_of_range"),
        (ImageNotFoundException("x"), 404, "unknown_image"),
        (LabelNotFoundException("x"), 404, "unknown_label"),
        (MONAILabelException(MONAILabelError.INVALID_INPUT, "Wrong"), 422, "invalid_request"),
        (MONAILabelException(MONAILabelError.SERVER_ERROR, "Broken"), 500, "internal_error"),
        (OSError(errno.ENOSPC, "No space left on device"), 507, "output_not_writable"),
        (RuntimeError("/secret/path"), 500, "internal_error"),
        (HTTPException(401, "Could not validate credentials"), 401, "unauthorized"),
        (HTTPException(403, 'Role "x" is required'), 403, "forbidden"),
        (HTTPException(429, "Already Running"), 429, "busy"),
        (HTTPException(418, "Teapot"), 418, "monailabel_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_failure_of_any_route(app: FastAPI, error: Exception, status: int, code: str) -> None:
    raising(app, error)
    told = detail(app, status)
    assert told["code"] == code
    assert "secret" not in str(told)


def test_headers_of_an_answer_are_kept(app: FastAPI) -> None:
    raising(app, HTTPException(401, "No.", {"WWW-Authenticate": "Bearer"}))
    answer = TestClient(app).get("/raise")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_our_own_mistakes_are_logged(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    raising(app, RuntimeError("the reason"))
    detail(app, 500)
    assert "the reason" in caplog.text
