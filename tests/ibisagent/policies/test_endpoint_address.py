"""Addresses of servers: their form, and where pictures may go."""

from __future__ import annotations

import logging

import pytest

from ibisagent.errors import InvalidRequest
from ibisagent.policies.endpoint_address import ALLOW_HTTP, EndpointAddress


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:1", "[::1]:8000", "127.9.9.9", "localhost"]
)
def test_this_machine_needs_no_encryption(host: str, caplog: pytest.LogCaptureFixture) -> None:
    address = EndpointAddress.parse(f"http://{host}/v1/#ibis")
    assert (address.url, address.model, address.loopback) == (f"http://{host}/v1", "ibis", True)
    assert not caplog.records


@pytest.mark.parametrize("host", ["gpu-box:8000", "10.0.0.5", "localhost.example.org", "[fe80::1]"])
def test_other_machines_do(
    host: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(ALLOW_HTTP, raising=False)
    with pytest.raises(InvalidRequest, match="without encryption") as caught:
        EndpointAddress.parse(f"http://{host}/v1#ibis")
    assert ALLOW_HTTP in caught.value.fix
    monkeypatch.setenv(ALLOW_HTTP, "1")
    with caplog.at_level(logging.WARNING):
        assert not EndpointAddress.parse(f"http://{host}/v1#ibis").loopback
    assert "pictures leave this machine" in caplog.text


def test_encrypted_is_allowed_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        EndpointAddress.parse("https://models.example.org/v1#ibis")
    assert "models.example.org" in caplog.text


@pytest.mark.parametrize(
    "text",
    ["", "#", "ibis", "http://127.0.0.1/v1", "http://#ibis", "ftp://127.0.0.1#x", "127.0.0.1:80#x"],
)
def test_malformed(text: str) -> None:
    with pytest.raises(InvalidRequest, match="names no address or no model") as caught:
        EndpointAddress.parse(text)
    assert "for example" in caught.value.fix


@pytest.mark.parametrize("text", ["http://[::1/v1#x", "http://127.0.0.1:99999/v1#x"])
def test_no_address_at_all(text: str) -> None:
    with pytest.raises(InvalidRequest, match="malformed"):
        EndpointAddress.parse(text)


@pytest.mark.parametrize("url", ["https://me:pw@host.example/v1", "https://host.example/v1?key=pw"])
def test_secrets_do_not_belong_into_an_address(url: str) -> None:
    with pytest.raises(InvalidRequest, match="holds a user") as caught:
        EndpointAddress.parse(f"{url}#ibis")
    assert "pw" not in str(caught.value)
