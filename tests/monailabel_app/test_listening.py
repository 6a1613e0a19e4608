from __future__ import annotations

import logging

import pytest

from ibisagent_app.listening import is_loopback, stated_host, tell_who_may_ask


@pytest.mark.parametrize(
    ("line", "host"),
    [
        ("start_server --app a --studies s", None),
        ("start_server --app a --studies s --host 127.0.0.1 --port 80", "127.0.0.1"),
        ("start_server --host=0.0.0.0 --conf policy x", "0.0.0.0"),
        ("start_server -i ::1 --app a", "::1"),
        ("start_server -i127.0.0.1", "127.0.0.1"),
        ("monailabel.app:app --port 80 --host 192.0.2.1", "192.0.2.1"),
        ("start_server --host", None),
        ("", None),
    ],
)
def test_where_the_command_line_says_to_listen(line: str, host: str | None) -> None:
    assert stated_host(line.split()) == host


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("localhost.evil.org", False),
        ("evil.org", False),
        ("", False),
    ],
)
def test_loopback(host: str, here: bool) -> None:
    assert is_loopback(host) is here


@pytest.mark.parametrize(
    ("host", "authenticated", "words"),
    [
        (None, False, "only this machine is served"),
        ("0.0.0.0", False, "EVERYONE WHO REACHES 0.0.0.0"),
        ("0.0.0.0", True, "Tokens travel in plain text"),
        ("127.0.0.1", False, ""),
        ("localhost", True, ""),
    ],
)
def test_who_may_ask_is_told_where_others_may(
    caplog: pytest.LogCaptureFixture, host: str | None, authenticated: bool, words: str
) -> None:
    with caplog.at_level(logging.WARNING):
        tell_who_may_ask(host, authenticated)
    assert bool(caplog.records) == bool(words)
    assert words in caplog.text
    assert not words or "docs/security.md" in caplog.text
