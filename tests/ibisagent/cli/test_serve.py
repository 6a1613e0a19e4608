"""``ibisagent serve``: the command it becomes, and what it refuses."""

from __future__ import annotations

import socket
import sys

import pytest

from ibisagent.cli import serve as module


@pytest.fixture
def started(monkeypatch):
    """Commands and environments that would have taken the place of this process."""
    calls = []
    monkeypatch.setattr(module, "_become", lambda *call: calls.append(call))
    return calls


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "main.py").write_text("")
    return folder


@pytest.fixture
def port():
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_server_listens_on_this_machine_only_by_default(
    ibisagent, started, app, port, tmp_path, monkeypatch
):
    monkeypatch.delenv("MONAI_LABEL_TRACKING_ENABLED", raising=False)

    done = ibisagent("serve", "--studies", tmp_path, "--app", app, "--port", port)

    assert done.code == 0
    assert "warning" not in done.err
    ((command, environment),) = started
    assert command[:4] == [sys.executable, "-m", "monailabel.main", "start_server"]
    assert command[4:8] == ["--app", str(app), "--studies", str(tmp_path)]
    assert command[8:] == ["--host", "127.0.0.1", "--port", str(port)]
    assert environment["MONAI_LABEL_TRACKING_ENABLED"] == "false"


def test_app_is_found_in_this_folder(ibisagent, started, app, port, monkeypatch):
    monkeypatch.chdir(app.parent)
    app.rename("monailabel_app")

    assert ibisagent("serve", "--studies", ".", "--port", port).code == 0
    assert started[0][0][5] == str(app.parent / "monailabel_app")


def test_settings_are_handed_on(ibisagent, started, app, port, tmp_path):
    ibisagent(
        *("serve", "--studies", tmp_path, "--app", app, "--port", port),
        *("--conf", "device", "cuda", "--conf", "max_steps", "5"),
    )

    assert started[0][0][12:] == ["--conf", "device", "cuda", "--conf", "max_steps", "5"]


def test_pages_that_may_ask_are_handed_on(ibisagent, started, app, port, tmp_path):
    ibisagent(
        *("serve", "--studies", tmp_path, "--app", app, "--port", port),
        *("--cors-origin", "https://a.org", "--cors-origin", "http://b:3000"),
    )

    assert started[0][0][12:] == ["--conf", "cors_origins", "https://a.org,http://b:3000"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
def test_loopback_is_not_warned_about(ibisagent, started, app, port, tmp_path, host):
    done = ibisagent("serve", "--studies", tmp_path, "--app", app, "--port", port, "--host", host)

    assert done.code == 0
    assert "warning" not in done.err


def test_other_addresses_are_warned_about(ibisagent, started, app, port, tmp_path):
    done = ibisagent(
        "serve", "--studies", tmp_path, "--app", app, "--port", port, "--host", "0.0.0.0"
    )

    assert started
    (line,) = done.err.strip().splitlines()
    assert line.startswith("warning: everyone who reaches 0.0.0.0")


def test_other_addresses_with_authentication(ibisagent, started, app, port, tmp_path, monkeypatch):
    monkeypatch.setenv("MONAI_LABEL_AUTH_ENABLE", "true")

    done = ibisagent(
        "serve", "--studies", tmp_path, "--app", app, "--port", port, "--host", "0.0.0.0"
    )

    assert started
    assert "everyone" not in done.err
    assert "TLS" in done.err


def test_missing_package_is_said_with_the_fix(ibisagent, app, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)

    line = ibisagent("serve", "--studies", tmp_path, "--app", app).error()

    assert "ibisagent[server]" in line


def test_missing_app_is_said(ibisagent, started, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert "--app" in ibisagent("serve", "--studies", tmp_path).error()
    assert not started


def test_missing_studies_are_said(ibisagent, started, app, tmp_path):
    assert "no folder" in ibisagent("serve", "--studies", tmp_path / "no", "--app", app).error()


@pytest.mark.parametrize("conf", [["device"], ["device", "cuda", "more"]])
def test_half_a_setting_is_refused(ibisagent, started, app, tmp_path, conf):
    line = ibisagent("serve", "--studies", tmp_path, "--app", app, "--conf", *conf).error()

    assert "--conf device cuda" in line


def test_port_in_use_is_said_before_the_server_starts(ibisagent, started, app, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        line = ibisagent("serve", "--studies", tmp_path, "--app", app, "--port", port).error()

    assert f"127.0.0.1:{port}" in line
    assert not started


def test_address_of_another_machine_is_refused(ibisagent, started, app, tmp_path):
    line = ibisagent("serve", "--studies", tmp_path, "--app", app, "--host", "203.0.113.7").error()

    assert "203.0.113.7" in line
