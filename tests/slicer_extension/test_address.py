"""Which addresses are taken, and which of them are this computer's own."""

from __future__ import annotations

import pytest

from IBISAgentLib.address import is_local, normalise
from IBISAgentLib.errors import InvalidAddress


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        (" http://localhost:8000/ ", "http://localhost:8000"),
        ("HTTPS://Labels.Example.org", "https://labels.example.org"),
        ("https://example.org/monai/label/", "https://example.org/monai/label"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("gpu_box:8000", "http://gpu_box:8000"),
    ],
)
def test_an_address_is_made_whole(typed, meant):
    assert normalise(typed) == meant
    assert normalise(meant) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "http://",
        "ftp://example.org",
        "file:///etc/passwd",
        "http://a b",
        "http://example.org:port",
        "http://example.org:99999",
        "http://127.0.0.1\\@example.org",
        "http://user:secret@example.org",
        "http://127.0.0.1@example.org",
        "http://example.org/?x=1",
        "http://example.org/#top",
        "http://[::1",
        "http://exämple.org",
        "http://example.org\n.evil.org",
    ],
)
def test_what_is_no_address_is_refused(typed):
    with pytest.raises(InvalidAddress) as refused:
        normalise(typed)
    assert refused.value.fix
    assert "secret" not in str(refused.value)
    assert not is_local(typed)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "localhost:8000", "http://127.9.9.9", "http://[::1]:8000/x"]
)
def test_loopback_is_local(url):
    assert is_local(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.0.4:8000",
        "http://10.0.0.1",
        "http://0.0.0.0:8000",
        "http://localhost.example.org",
        "http://127.0.0.1.example.org",
        "http://127.0.0.1@example.org",
        "http://workstation:8000",
        "http://[fe80::1]",
        "https://example.org/127.0.0.1",
    ],
)
def test_everything_else_is_not(url):
    assert not is_local(url)
