"""A DICOMweb server that fits into a test: searches, sends and stores instances in memory."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pydicom
from pydicom.dataset import Dataset

OF_SERIES = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "PatientID",
    "StudyDate",
    "StudyTime",
)
"""Attributes that a search for series tells."""


class DicomWeb:
    """Instances by study and series.

    Attributes:
        url: Its address.
        instances: What it holds, in the order in which it came.
        away: Whether it answers searches and requests for images with an error.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.url = ""
        self.away = False
        self.instances: list[Dataset] = [pydicom.dcmread(file) for file in files]

    def series(self, wanted: dict[str, str]) -> list[dict[str, Any]]:
        """Series whose attributes are as wanted, in DICOM's JSON form."""
        found: dict[str, Dataset] = {}
        for instance in self.instances:
            if all(str(instance.get(key, "")) == value for key, value in wanted.items()):
                told = Dataset()
                for keyword in OF_SERIES:
                    if keyword in instance:
                        told[keyword] = instance[keyword]
                found[instance.SeriesInstanceUID] = told
        return [each.to_json_dict() for each in found.values()]

    def of(self, study: str, series: str) -> list[Dataset]:
        """Instances of a series."""
        return [
            each
            for each in self.instances
            if (each.StudyInstanceUID, each.SeriesInstanceUID) == (study, series)
        ]

    def store(self, content_type: str, body: bytes) -> dict[str, Any]:
        """Take the instances of a multipart body."""
        message = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
        stored = Dataset()
        references = []
        for part in message.get_payload():
            instance = pydicom.dcmread(io.BytesIO(part.get_payload(decode=True)))
            self.instances.append(instance)
            reference = Dataset()
            reference.ReferencedSOPClassUID = instance.SOPClassUID
            reference.ReferencedSOPInstanceUID = instance.SOPInstanceUID
            place = f"{self.url}/studies/{instance.StudyInstanceUID}"
            reference.RetrieveURL = (
                f"{place}/series/{instance.SeriesInstanceUID}/instances/{instance.SOPInstanceUID}"
            )
            references.append(reference)
        stored.ReferencedSOPSequence = references
        return stored.to_json_dict()


class _Handler(BaseHTTPRequestHandler):
    archive: DicomWeb

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        parts = address.path.strip("/").split("/")
        wanted = {k: v for k, v in parse_qsl(address.query) if k in OF_SERIES}
        if self.archive.away:
            self._answer(503, "text/plain", b"closed for repairs")
        elif parts == ["series"]:
            self._json(self.archive.series(wanted))
        elif len(parts) == 4 and parts[::2] == ["studies", "series"]:
            self._multipart(self.archive.of(parts[1], parts[3]))
        elif len(parts) == 5 and parts[4] == "metadata":
            self._json([_without_pixels(each) for each in self.archive.of(parts[1], parts[3])])
        else:
            self._answer(404, "text/plain", b"no such thing")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._json(self.archive.store(self.headers["Content-Type"], body))

    def _json(self, content: Any) -> None:
        body = json.dumps(content).encode() if content else b""
        self._answer(200 if content else 204, "application/dicom+json", body)

    def _multipart(self, instances: list[Dataset]) -> None:
        boundary = uuid.uuid4().hex
        body = b""
        for instance in instances:
            buffer = io.BytesIO()
            instance.save_as(buffer, write_like_original=False)
            head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            body += head + buffer.getvalue() + b"\r\n"
        body += f"--{boundary}--".encode()
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        self._answer(200, kind, body)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: tests read their own output."""


@contextmanager
def dicomweb(files: Sequence[Path]) -> Iterator[DicomWeb]:
    """A server on a loopback port that holds some files, for the length of the block."""
    archive = DicomWeb(files)
    handler = type("Handler", (_Handler,), {"archive": archive})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    archive.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _without_pixels(instance: Dataset) -> dict[str, Any]:
    told = {k: v for k, v in instance.to_json_dict().items() if k != "7FE00010"}
    return dict(told)
