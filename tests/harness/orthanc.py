"""A DICOMweb server as hospitals have them: Orthanc with its DICOMweb plugin."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

SWITCH = "IBISAGENT_ORTHANC"
"""Environment variable: 1 for Debian's packages ``orthanc`` and ``orthanc-dicomweb``, or the path
of a program ``Orthanc`` elsewhere, with ``share/orthanc/plugins`` beside its folder."""

_PLUGIN = "share/orthanc/plugins/libOrthancDicomWeb.so"
_PATIENCE = 60.0


@dataclass
class Orthanc:
    """One that runs.

    Attributes:
        url: Of its own interface.
    """

    url: str

    @property
    def dicomweb(self) -> str:
        """Address that DICOMweb clients are given."""
        return f"{self.url}/dicom-web"

    def add(self, file: Path) -> None:
        """Store a DICOM file."""
        requests.post(
            f"{self.url}/instances", data=file.read_bytes(), timeout=30
        ).raise_for_status()

    def instances(self, modality: str) -> list[bytes]:
        """DICOM files of a modality."""
        query = {"Level": "Instance", "Query": {"Modality": modality}}
        found = requests.post(f"{self.url}/tools/find", json=query, timeout=30).json()
        return [requests.get(f"{self.url}/instances/{i}/file", timeout=30).content for i in found]


def orthanc_program() -> Path:
    """The program, or a skipped test that says what to do."""
    chosen = os.environ.get(SWITCH, "")
    if not chosen:
        pytest.skip(f"{SWITCH}=1 runs this on Orthanc (apt-get install orthanc orthanc-dicomweb)")
    installed = "/usr/sbin/Orthanc" if chosen == "1" else chosen
    program = shutil.which(installed) or ""
    if not program or not _plugin(Path(program)).is_file():
        pytest.skip(f"{installed} is no Orthanc with a DICOMweb plugin")
    return Path(program)


@contextmanager
def orthanc(program: Path, folder: Path, files: Sequence[Path]) -> Iterator[Orthanc]:
    """Orthanc with some DICOM files, ended with the block.

    Args:
        program: See `orthanc_program`.
        folder: For its configuration, what it stores and its log.
        files: Stored at the start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(_plugin(program))],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(settings))
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen([program, configuration], stdout=log, stderr=log)
    try:
        server = Orthanc(f"http://127.0.0.1:{port}")
        _wait(server, process, folder / "log.txt")
        for file in files:
            server.add(file)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _plugin(program: Path) -> Path:
    return program.parent.parent / _PLUGIN


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{server.dicomweb}/studies", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.2)
    raise AssertionError(f"Orthanc does not answer: {log.read_text(errors='replace')[-2000:]}")
