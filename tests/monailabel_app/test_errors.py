from __future__ import annotations

from http import HTTPStatus

import pytest
from fastapi import HTTPException

from ibisagent import errors
from ibisagent.errors import IBISAgentError
from ibisagent_app import errors as app_errors
from ibisagent_app.errors import STATUS, named_http_errors, to_http


def all_kinds(kind: type[IBISAgentError] = IBISAgentError) -> set[type[IBISAgentError]]:
    below = kind.__subclasses__()
    return set(below).union(*(all_kinds(one) for one in below))


def test_every_error_has_a_status() -> None:
    ours = {
        kind for kind in all_kinds() if kind.__module__ in (errors.__name__, app_errors.__name__)
    }
    missing = {kind.__name__ for kind in ours} - {kind.__name__ for kind in STATUS}
    assert not missing, f"add to the table in ibisagent_app/errors.py: {missing}"


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in STATUS]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
def test_answer_has_code_message_and_fix(kind: type[IBISAgentError]) -> None:
    with pytest.raises(HTTPException) as caught, named_http_errors():
        raise kind("It broke.", "Mend it.")
    assert caught.value.status_code == STATUS[kind]
    assert caught.value.status_code >= 400
    assert caught.value.detail == {"code": kind.code, "message": "It broke.", "fix": "Mend it."}


def test_our_own_mistakes_are_logged_and_told_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(HTTPException) as caught, named_http_errors():
        {}["secret"]
    assert caught.value.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert caught.value.detail["code"] == "internal_error"
    assert "secret" not in str(caught.value.detail)
    assert "secret" in caplog.text


def test_bare_answers_of_monailabel_get_the_same_form() -> None:
    with pytest.raises(HTTPException) as caught, named_http_errors():
        raise HTTPException(406, "Session Feature is Not Enabled", {"x-why": "because"})
    assert caught.value.status_code == 406
    assert caught.value.detail["message"] == "Session Feature is Not Enabled."
    assert caught.value.headers == {"x-why": "because"}


def test_named_answers_pass_unchanged() -> None:
    answer = to_http(errors.InvalidRequest("No.", "Yes."))
    with pytest.raises(HTTPException) as caught, named_http_errors():
        raise answer
    assert caught.value is answer
