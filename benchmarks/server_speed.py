"""How fast the server starts and answers, and the memory it takes."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests
import SimpleITK as sitk

from benchmarks.pictures import volume
from benchmarks.timing import Times
from demo.server import APP, Server

_MIB = 2**20
_SAMPLE_SECONDS = 0.05


def measure(
    prompt: str, repeats: int, starts: int, conf: Mapping[str, str], app: Path = APP
) -> dict[str, Any]:
    """Seconds from launch to the first answer, seconds of requests, and the peak of memory.

    Args:
        prompt: Known to the model.
        repeats: Images to ask for, each of them new to the server.
        starts: How often to start the server.
        conf: Its settings.
        app: Folder of the app.
    """
    start, first, later = Times(), Times(), Times()
    with tempfile.TemporaryDirectory(prefix="ibisagent-bench-") as name:
        folder = Path(name)
        studies = folder / "studies"
        studies.mkdir()
        for number in range(repeats + 1):
            image = sitk.GetImageFromArray(volume(1000 + number))
            sitk.WriteImage(image, str(studies / f"ct_{number}.nrrd"))
        for _ in range(starts):
            with Server(studies, folder / "server.log", app, conf) as server:
                start.seconds.append(server.start_seconds)
                with _peak_memory(server.pid) as idle:
                    requests.get(f"{server.url}/info/", timeout=60)
                with _peak_memory(server.pid) as busy:
                    first.seconds.append(_ask(server.url, "ct_0", prompt))
                    for number in range(1, repeats + 1):
                        later.seconds.append(_ask(server.url, f"ct_{number}", prompt))
    return {
        "start_to_ready": start.as_json(),
        "first_request_with_loading": first.as_json(),
        "request_on_new_image": later.as_json(),
        "memory_idle_mib": idle[0],
        "memory_peak_mib": busy[0],
    }


def _ask(url: str, image: str, prompt: str) -> float:
    """Seconds from a request to its answer."""
    form = {"params": (None, json.dumps({"prompt": prompt}))}
    address = f"{url}/infer/ibisagent?image={image}&output=json"
    began = time.perf_counter()
    requests.post(address, files=form, timeout=600).raise_for_status()
    return time.perf_counter() - began


@contextmanager
def _peak_memory(pid: int) -> Iterator[list[int]]:
    """Largest resident memory of a process and its children during the block, in MiB."""
    peak, done = [0], threading.Event()

    def watch() -> None:
        while True:
            peak[0] = max(peak[0], _memory(pid))
            if done.wait(_SAMPLE_SECONDS):
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        time.sleep(_SAMPLE_SECONDS)
        done.set()
        watcher.join()


def _memory(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(int(one.memory_info().rss) for one in family) // _MIB
    except psutil.NoSuchProcess:
        return 0
