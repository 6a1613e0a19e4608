from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest
import requests

from demo.server import Server, ServerFailed


def start(tmp_path: Path, **options) -> Server:
    studies = tmp_path / "studies"
    studies.mkdir(exist_ok=True)
    return Server(studies, tmp_path / "log.txt", **options)


def test_it_answers_inside_the_block_and_is_gone_after_it(tmp_path: Path, stand_in) -> None:
    stand_in()
    waits: list[float] = []
    with start(tmp_path, on_wait=waits.append) as server:
        assert requests.get(f"{server.url}/info/", timeout=5).ok
        assert server.url.startswith("http://127.0.0.1:")
        assert server.start_seconds > 0
        process = psutil.Process(server.pid)
    assert not process.is_running()
    assert waits == sorted(waits) != []


def test_arguments(tmp_path: Path, stand_in) -> None:
    stand_in("print(sys.argv[1:], flush=True)")
    app = tmp_path / "app"
    with start(tmp_path, app=app, conf={"device": "cpu"}) as server:
        line = server.log_tail(1)
    assert str(app) in line
    assert str(tmp_path / "studies") in line
    assert "'--host', '127.0.0.1'" in line
    assert "'--conf', 'device', 'cpu'" in line


def test_environment(tmp_path: Path, stand_in) -> None:
    stand_in("print(*[os.environ[k] for k in sorted(os.environ) if 'MONAI' in k], flush=True)")
    with start(tmp_path) as server:
        assert server.log_tail(1).split() == ["false", str(tmp_path / "sessions"), "false"]


def test_it_is_stopped_when_the_block_fails(tmp_path: Path, stand_in) -> None:
    stand_in()
    server = start(tmp_path)
    with pytest.raises(KeyboardInterrupt), server:
        raise KeyboardInterrupt
    assert not psutil.pid_exists(server.pid)


def test_end_during_the_start(tmp_path: Path, stand_in) -> None:
    stand_in("sys.exit('no such device')")
    with pytest.raises(ServerFailed, match="code 1") as caught, start(tmp_path):
        pass
    assert caught.value.log_tail == "no such device"


def test_no_answer_in_time(tmp_path: Path, stand_in) -> None:
    stand_in("time.sleep(60)")
    with pytest.raises(ServerFailed, match="within 1 s"), start(tmp_path, timeout=1):
        pass
    assert not [p for p in psutil.process_iter(["cmdline"]) if _is_stand_in(p, tmp_path)]


def test_ctrl_c_during_the_start(tmp_path: Path, stand_in) -> None:
    stand_in("time.sleep(60)")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), start(tmp_path, on_wait=interrupt):
        pass
    assert not [p for p in psutil.process_iter(["cmdline"]) if _is_stand_in(p, tmp_path)]


def _is_stand_in(process: psutil.Process, tmp_path: Path) -> bool:
    return any(str(tmp_path) in part for part in process.info["cmdline"] or [])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups of this kind")
def test_its_children_end_with_it(tmp_path: Path, stand_in) -> None:
    stand_in("print(subprocess.Popen(['sleep', '60']).pid, flush=True)")
    with start(tmp_path) as server:
        child = int(server.log_tail(1))
        assert psutil.pid_exists(child)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _alive(child):
        time.sleep(0.05)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to ignore")
def test_one_that_will_not_stop_is_killed(tmp_path: Path, stand_in, monkeypatch) -> None:
    monkeypatch.setattr("demo.server._STOP_SECONDS", 0.5)
    stand_in("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    with start(tmp_path) as server:
        pid = server.pid
    assert not psutil.pid_exists(pid)
