"""Requests as the contract has them, and failures with their reason."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import time
from pathlib import Path

import pytest
from harness.misbehaving_server import (
    MisbehavingServer,
    drip,
    drop,
    drop_midway,
    misbehaving_server,
    redirect,
    refuse,
    send,
    send_json,
    stall,
)

from IBISAgentLib import transport
from IBISAgentLib.client import Client
from IBISAgentLib.errors import (
    Cancelled,
    ClientError,
    ConnectionRefused,
    NoIBISAgent,
    NotAuthorised,
    Redirected,
    ServerRefused,
    ServerTimedOut,
    ServerUnreachable,
    UnknownHost,
    UnreadableAnswer,
    UntrustedServer,
    WrongVersion,
)
from IBISAgentLib.run_fields import Click, RunRequest
from IBISAgentLib.transport import Timeouts

INFO = {"version": "1.0", "format": "ibisagent-events/1", "policy": "p", "examples": ["liver"]}
RUN = {"run": "r1", "state": "running", "image": "a", "prompt": "liver", "mood": "good"}
SHORT = Timeouts(connect=0.5, read=0.3, work=0.5)


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(transport, "BACKOFF", (0.01, 0.01, 0.01))


@pytest.fixture
def server():
    with misbehaving_server() as server:
        yield server


@pytest.fixture
def client(server: MisbehavingServer):
    client = Client(server.url, timeouts=SHORT)
    yield client
    client.close()


# Test connection: the reason


def test_a_good_server_tells_what_it_is(server, client):
    server.on("GET", "/ibisagent/info", send_json({**INFO, "new_field": [1]}))
    info = client.check()
    assert (info.version, info.policy, info.examples) == ("1.0", "p", ("liver",))


def reason(client: Client, kind: type[ClientError], *words: str) -> None:
    with pytest.raises(kind) as failed:
        client.check()
    error = failed.value
    assert type(error) is kind
    assert error.message
    assert error.fix
    for word in words:
        assert word in str(error)


def test_refused():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{probe.getsockname()[1]}"
        reason(Client(url), ConnectionRefused, "No server is listening", url)


def test_unknown_name():
    reason(Client("http://no-such-machine.invalid:8000"), UnknownHost, "no-such-machine.invalid")


def test_not_tls(server):
    client = Client(server.url.replace("http:", "https:"), timeouts=SHORT)
    reason(client, UntrustedServer, "http://")


@pytest.fixture
def certificate(tmp_path) -> Path:
    """For this computer's own address, signed by itself; key and certificate in one file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    unlocked = serialization.NoEncryption()
    kind = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    path.write_bytes(signed.public_bytes(pem) + key.private_bytes(pem, kind, unlocked))
    return path


def test_a_certificate_must_be_trusted(certificate):
    with misbehaving_server(certificate) as server:
        server.on("GET", "/ibisagent/info", send_json(INFO))
        assert server.url.startswith("https:")
        reason(Client(server.url), UntrustedServer, "not trusted")
        assert Client(server.url, ca_file=str(certificate)).check().version == "1.0"
        elsewhere = server.url.replace("127.0.0.1", "localhost")
        reason(Client(elsewhere, ca_file=str(certificate)), UntrustedServer, "not trusted")


def test_a_missing_file_of_certificates_is_told(server, tmp_path):
    client = Client(server.url.replace("http:", "https:"), ca_file=str(tmp_path / "absent.pem"))
    reason(client, UntrustedServer, "absent.pem")


def test_no_answer(server, client):
    server.on("GET", "/ibisagent/info", stall)
    reason(client, ServerTimedOut, "in time")


def test_an_answer_without_end(server, client):
    server.on("GET", "/ibisagent/info", drip)
    began = time.monotonic()
    reason(client, ServerTimedOut)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("behaviour", [drop, drop_midway])
def test_broken_off(server, client, behaviour):
    server.on("GET", "/ibisagent/info", behaviour)
    reason(client, ServerUnreachable, "broke off")
    assert len(server.asked("GET", "/ibisagent/info")) == 1  # a person waits for the reason


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_is_wanted(server, client, status):
    server.on("GET", "/ibisagent/info", send_json({"detail": "Not authenticated"}, status))
    reason(client, NotAuthorised, "Not authenticated", "token")


def test_a_monai_label_server_without_ibisagent(server, client):
    server.on("GET", "/info/", send_json({"name": "Radiology", "models": {}}))
    reason(client, NoIBISAgent, "MONAI Label server without IBISAgent")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"hello": 1}'])
def test_another_server(server, client, body):
    server.on("GET", "/info/", send(200, body))
    reason(client, NoIBISAgent, "no MONAI Label server")


def test_another_server_that_fails_too(server, client):
    reason(client, NoIBISAgent)


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"\xff\xfe", b"[" * 100_000])
def test_no_json(server, client, body):
    server.on("GET", "/ibisagent/info", send(200, body, "text/html"))
    reason(client, UnreadableAnswer)


def test_fields_missing(server, client):
    server.on("GET", "/ibisagent/info", send_json({"format": "ibisagent-events/1"}))
    reason(client, UnreadableAnswer, "version")


def test_another_version(server, client):
    server.on("GET", "/ibisagent/info", send_json({"format": "ibisagent-events/2"}))
    reason(client, WrongVersion, "ibisagent-events/2", "Update")


def test_a_redirect_is_not_followed(server, client):
    server.on("GET", "/ibisagent/info", redirect(server.url + "/trap"))
    server.on("GET", "/trap", send_json(INFO))
    reason(client, Redirected, "/trap")
    assert not server.asked("GET", "/trap")


def test_the_servers_own_words(server, client):
    server.on("GET", "/ibisagent/info", refuse(507, "output_not_writable"))
    with pytest.raises(ServerRefused) as refused:
        client.check()
    error = refused.value
    assert (error.code, error.message, error.fix, error.status) == (
        "output_not_writable",
        "It failed.",
        "Mend it.",
        507,
    )


@pytest.mark.parametrize(
    "body", [b"Internal Server Error", b"", b'{"detail": [{"msg": "x"}]}', b"null", b'"x"']
)
def test_a_bare_failure_still_has_words(server, client, body):
    server.on("GET", "/ibisagent/info", send(500, body, "text/plain"))
    with pytest.raises(ServerRefused, match="status 500") as refused:
        client.check()
    assert refused.value.code == "http_500"
    assert refused.value.fix


# Retries


@pytest.mark.parametrize("bad", [drop, drop_midway, stall, send(503, b"busy", "text/plain")])
def test_questions_are_repeated(server, client, bad):
    server.on("GET", "/ibisagent/runs/r1", bad, send_json(RUN))
    assert client.run("r1").state == "running"


def test_questions_are_given_up(server, client):
    server.on("GET", "/ibisagent/runs/r1", drop)
    with pytest.raises(ServerUnreachable):
        client.run("r1")
    assert len(server.asked("GET", "/ibisagent/runs/r1")) == 4


def test_what_the_server_says_in_words_is_not_asked_twice(server, client):
    server.on("GET", "/ibisagent/runs/r1", refuse(503, "model_not_found"))
    with pytest.raises(ServerRefused):
        client.run("r1")
    assert len(server.asked("GET", "/ibisagent/runs/r1")) == 1


@pytest.mark.parametrize("bad", [drop, stall, send(503, b"busy", "text/plain")])
@pytest.mark.parametrize("command", ["click", "undo", "go_on", "start"])
def test_what_acts_is_never_repeated(server, client, bad, command):
    """Two clicks for one would be worse than an error."""
    calls = {
        "click": ("/ibisagent/runs/r1/click", lambda: client.click("r1", Click(index=1, x=0, y=0))),
        "undo": ("/ibisagent/runs/r1/undo", lambda: client.undo("r1", 1)),
        "go_on": ("/ibisagent/runs/r1/continue", lambda: client.go_on("r1", 1)),
        "start": ("/ibisagent/runs", lambda: client.start(RunRequest("a", "liver"))),
    }
    path, call = calls[command]
    server.on("POST", path, bad)
    with pytest.raises(ClientError):
        call()
    assert len(server.asked("POST", path)) == 1


def test_cancel_is_repeated(server, client):
    server.on("POST", "/ibisagent/runs/r1/cancel", drop, drop, send_json(RUN))
    assert client.cancel("r1").run == "r1"


def test_a_closed_client_asks_no_more(server, client):
    client.close()
    with pytest.raises(Cancelled):
        client.run("r1")
    assert not server.requests


# Requests as the contract has them


def test_start_sends_what_is_given_and_no_more(server, client):
    server.on("POST", "/ibisagent/runs", send_json(RUN, 201))
    request = RunRequest(
        "a", "liver", plane="coronal", slice=0, clicks=(Click(False, 0, 0.5, 0.25),), seed=3
    )
    assert client.start(request).run == "r1"
    (sent,) = server.asked("POST", "/ibisagent/runs")
    assert sent.json == {
        "image": "a",
        "prompt": "liver",
        "plane": "coronal",
        "slice": 0,
        "seed": 3,
        "clicks": [{"positive": False, "index": 0, "x": 0.5, "y": 0.25}],
    }


def test_clicks_undo_and_go_on(server, client):
    for what in ("click", "undo", "continue"):
        server.on("POST", f"/ibisagent/runs/r1/{what}", send_json(RUN))
    client.click("r1", Click(ijk=(1, 2, 3), positive=False), then="agent")
    client.undo("r1", 0)
    client.go_on("r1", 4)
    assert [request.json for request in server.requests] == [
        {"ijk": [1, 2, 3], "positive": False, "then": "agent"},
        {"index": 0},
        {"index": 4},
    ]


def test_names_cannot_leave_their_place_in_the_address(server, client):
    with pytest.raises(ServerRefused):
        client.run("../../info?x=1#y")
    assert server.requests[0].path == "/ibisagent/runs/..%2F..%2Finfo%3Fx%3D1%23y"


def test_the_token_goes_along(server):
    server.on("GET", "/ibisagent/info", send_json(INFO))
    Client(server.url, token="abc").check()
    assert server.requests[0].headers["authorization"] == "Bearer abc"


def test_no_proxy_comes_between_us_and_a_local_server(server, client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    server.on("GET", "/ibisagent/info", send_json(INFO))
    assert client.check().version == "1.0"


def test_a_proxy_that_does_not_let_us_through_is_named(monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("http_proxy", closed)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    reason(Client("http://labels.invalid:8000", timeouts=SHORT), ServerUnreachable, "proxy")


def test_an_image_is_sent_whole_and_counted(server, client, tmp_path):
    path = tmp_path / "volume.nrrd"
    path.write_bytes(bytes(range(256)) * 4000)
    server.on("PUT", "/ibisagent/images/slicer-1", drop, send_json({"image": "slicer-1"}))
    told: list[tuple[int, int]] = []
    client.put_image("slicer-1", path, lambda sent, total: told.append((sent, total)))
    request = server.asked("PUT", "/ibisagent/images/slicer-1")[-1]
    assert request.body == path.read_bytes()
    assert request.query == {"suffix": ".nrrd"}
    assert request.headers["content-type"] == "application/octet-stream"
    assert told[-1] == (1_024_000, 1_024_000)


def test_an_upload_can_be_stopped(server, client, tmp_path):
    path = tmp_path / "volume.nii.gz"
    path.write_bytes(bytes(10**7))

    def on_sent(sent: int, total: int) -> None:
        if sent > total // 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        client.put_image("slicer-1", path, on_sent)


def test_whether_an_image_is_there(server, client):
    server.on("HEAD", "/ibisagent/images/a", send(200, b""))
    assert client.has_image("a")
    assert not client.has_image("b")
    server.on("HEAD", "/ibisagent/images/a", send(500, b""))
    with pytest.raises(ServerRefused):
        client.has_image("a")


def test_a_mask_is_written_whole_or_not_at_all(server, client, tmp_path):
    path = tmp_path / "mask.nii.gz"
    server.on("GET", "/ibisagent/runs/r1/mask", drop_midway, send(200, b"mask", "x/y"))
    with pytest.raises(ServerUnreachable):
        client.mask("r1", path)
    assert list(tmp_path.iterdir()) == []
    assert client.mask("r1", path).read_bytes() == b"mask"
    assert server.requests[-1].query == {"suffix": ".nii.gz"}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="study1.nii.gz"', "study1.nii.gz"),
        ('attachment; filename="../../x.nrrd"', "x.nrrd"),
        ('attachment; filename="C:\\\\x.nrrd"', "x.nrrd"),
        ('attachment; filename=".."', "image"),
        ("attachment", "study1"),
    ],
)
def test_a_fetched_image_stays_in_its_folder(server, client, tmp_path, header, name):
    server.on("GET", "/datastore/image", send(200, b"image", Content_Disposition=header))
    assert client.get_image("study1", tmp_path) == tmp_path / name
    assert (tmp_path / name).read_bytes() == b"image"


def test_a_label_is_submitted(server, client, tmp_path):
    path = Path(tmp_path / "mask.nrrd")
    path.write_bytes(b"mask")
    server.on("PUT", "/datastore/label", send_json({"label": "a"}))
    client.put_label("a", path, "final", "left kidney")
    (request,) = server.requests
    assert request.query == {"image": "a", "tag": "final"}
    assert b'filename="mask.nrrd"' in request.body
    assert b'"name": "left kidney"' in request.body


def test_lists(server, client):
    server.on("GET", "/ibisagent/runs", send_json([RUN, RUN]))
    server.on("GET", "/datastore/", send_json({"objects": {"a": {"image": {}}}}))
    assert [run.run for run in client.runs()] == ["r1", "r1"]
    assert client.images() == {"a": {"image": {}}}
    server.on("GET", "/ibisagent/runs", send_json(5))
    server.on("GET", "/datastore/", send_json({}))
    for call in (client.runs, client.images):
        with pytest.raises(UnreadableAnswer):
            call()


def test_a_run_that_is_gone_is_deleted(server, client):
    client.delete("r1")
    server.on("DELETE", "/ibisagent/runs/r1", refuse(500))
    with pytest.raises(ServerRefused):
        client.delete("r1")


def test_accept_and_trajectory(server, client):
    server.on("POST", "/ibisagent/runs/r1/accept", send_json({"label": "x", "tag": "final"}))
    server.on("GET", "/ibisagent/runs/r1/trajectory", send_json({"trajectories": []}))
    assert client.accept("r1", label="liver") == "x"
    assert server.requests[0].json == {"tag": "final", "label": "liver"}
    assert client.trajectory("r1") == {"trajectories": []}


def test_learning(server, client):
    server.on("GET", "/ibisagent/training", send_json({"state": "idle"}))
    server.on("POST", "/train/ibisagent_sft", send_json({"status": "SUBMITTED"}))
    server.on("DELETE", "/train/", send_json({}))
    server.on("POST", "/ibisagent/training/stop", send_json({"running": True}))
    server.on("POST", "/ibisagent/training/rollback", send_json({"running": False}))
    server.on("POST", "/activelearning/random", send_json({"id": "b"}), send_json({}))
    assert client.training() == {"state": "idle"}
    assert client.start_training("ibisagent_sft", {"epochs": 1})["status"] == "SUBMITTED"
    assert client.stop_training() == {"running": True}
    assert client.roll_back() == {"running": False}
    client.kill_training()
    assert client.next_study("random") == "b"
    assert client.next_study("random") == ""
