from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import APIRouter, FastAPI, File, Form, UploadFile
from fastapi.testclient import TestClient

from ibisagent.errors import SliceOutOfRange
from ibisagent_app.checked_route import MAX_PARAMS, FormRoute, NamedErrorsRoute


@pytest.fixture
def client() -> TestClient:
    forms = APIRouter(route_class=FormRoute)

    def take(
        params: Annotated[str, Form()] = "{}", file: Annotated[UploadFile | None, File()] = None
    ) -> dict[str, object]:
        return {"params": params, "bytes": len(file.file.read()) if file else 0}

    forms.post("/take")(take)
    plain = APIRouter(route_class=NamedErrorsRoute)

    def fail(n: int) -> None:
        raise SliceOutOfRange("No such slice.", "Take another.")

    plain.get("/fail")(fail)
    app = FastAPI()
    app.router.routes += [*forms.routes, *plain.routes]
    return TestClient(app)


def refused(answer, status: int) -> str:
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert set(detail) == {"code", "message", "fix"}
    return f"{detail['code']}: {detail['message']} {detail['fix']}"


def test_form_arrives_whole(client: TestClient) -> None:
    answer = client.post("/take", data={"params": "{1}"}, files={"file": ("x", b"12345")})
    assert answer.json() == {"params": "{1}", "bytes": 5}
    assert client.post("/take").json() == {"params": "{}", "bytes": 0}


def test_unknown_field_is_named_with_the_known_ones(client: TestClient) -> None:
    text = refused(client.post("/take", data={"prompt": "x"}), 422)
    assert "'prompt'" in text
    assert "file, params" in text


def test_other_bodies_are_refused(client: TestClient) -> None:
    assert "application/json" in refused(client.post("/take", json={"params": "x"}), 422)
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert "form" in refused(client.post("/take", content=b"no form", headers=broken), 422)


def test_text_over_the_limit(client: TestClient) -> None:
    long = {"params": (None, "x" * (MAX_PARAMS + 1))}
    assert "request_too_large" in refused(client.post("/take", files=long), 413)


def test_errors_of_the_route_have_their_names(client: TestClient) -> None:
    assert "slice_out_of_range" in refused(client.get("/fail?n=1"), 422)
    assert "'n'" in refused(client.get("/fail?n=x"), 422)
