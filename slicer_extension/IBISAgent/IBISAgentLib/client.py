"""The server's addresses as functions.

Every function may raise a `ClientError`, which says what happened and what to do. None of them
belongs on Slicer's GUI thread: `worker.Worker` calls them.
"""

from __future__ import annotations

import typing
from pathlib import Path
from urllib.parse import quote

from .errors import NoIBISAgent, ServerRefused, UnreadableAnswer
from .protocol import check_format
from .reading import read
from .run_fields import Click, RunDescription, RunRequest, ServerInfo
from .transfer import CountedFile, OnSent, file_name, keep, suffix_of
from .transport import Timeouts, Transport

if typing.TYPE_CHECKING:
    import requests

Json = dict[str, typing.Any]

_ONCE = 1  # attempts, where a person waits to hear the reason


class Client:
    """Talks to one server.

    Args:
        url: Its address; ``http://`` may be left out.
        token: Bearer token, where the server wants one.
        ca_file: File of certificates to trust, for servers with a certificate of their own.
        timeouts: How long to wait.

    Attributes:
        url: The address made whole.

    Raises:
        InvalidAddress: `url` is none.
    """

    def __init__(
        self, url: str, token: str = "", ca_file: str = "", timeouts: Timeouts | None = None
    ) -> None:
        self._http = Transport(url, token, ca_file, timeouts)
        self.url = self._http.url

    def close(self) -> None:
        """Let go of connections; calls that wait for another attempt end with `Cancelled`."""
        self._http.close()

    # The server

    def check(self) -> ServerInfo:
        """Test the connection: one attempt, and the reason where it fails.

        Raises:
            ConnectionRefused: Nobody listens there.
            UnknownHost: The name leads nowhere.
            UntrustedServer: TLS failed.
            ServerTimedOut: No answer.
            NotAuthorised: A token is wanted, or another one.
            NoIBISAgent: A MONAI Label server without IBISAgent, or something else altogether.
            UnreadableAnswer: Not JSON, or fields missing.
            WrongVersion: Another version of the protocol.
        """
        return self.info(_ONCE)

    def info(self, attempts: int = 0) -> ServerInfo:
        """What the server is and knows; raises as `check` does."""
        try:
            data = self._http.json("GET", "/ibisagent/info", attempts=attempts)
        except ServerRefused as error:
            if error.status != 404:
                raise
            raise self._without_ibisagent() from error
        if isinstance(data, dict) and "format" in data:
            check_format(data["format"])
        return read(ServerInfo, data)

    def _without_ibisagent(self) -> NoIBISAgent:
        try:
            data = self._http.json("GET", "/info/", attempts=_ONCE)
        except (ServerRefused, UnreadableAnswer):
            data = None
        if isinstance(data, dict) and "models" in data:
            return NoIBISAgent(
                f"{self.url} is a MONAI Label server without IBISAgent.",
                "Start it with IBISAgent's app, or enter the address of one that has it.",
            )
        return NoIBISAgent(
            f"{self.url} answers, but is no MONAI Label server.",
            "Correct the address; a server behind a prefix needs the prefix in it.",
        )

    # Images and labels

    def has_image(self, image: str) -> bool:
        """Whether the server has the image."""
        return self._exists("/ibisagent/images/" + _part(image))

    def put_image(self, image: str, path: Path, on_sent: OnSent | None = None) -> None:
        """Put an image file into the studies, unless it is there.

        Args:
            image: Its identifier there.
            path: The file, of any format that SimpleITK reads; its suffix is told.
            on_sent: Told how much was sent.
        """
        with path.open("rb") as file:
            self._http.json(
                "PUT",
                "/ibisagent/images/" + _part(image),
                query={"suffix": suffix_of(path)},
                read=self._http.timeouts.work,
                data=CountedFile(file, path.stat().st_size, on_sent),
                headers={"Content-Type": "application/octet-stream"},
            )

    def images(self) -> dict[str, Json]:
        """All images of the studies by identifier, as MONAI Label describes them."""
        data = self._http.json("GET", "/datastore/", query={"output": "all"})
        objects = data.get("objects") if isinstance(data, dict) else None
        if not isinstance(objects, dict):
            raise UnreadableAnswer("The server's list of images is none.", "See the server's log.")
        return objects

    def get_image(self, image: str, folder: Path) -> Path:
        """Fetch an image of the studies; the file's name is the server's.

        Args:
            image: Identifier.
            folder: Where the file is put.
        """
        return self._download("/datastore/image", {"image": image}, folder, image)

    def put_label(self, image: str, path: Path, tag: str = "final", label: str = "") -> None:
        """Submit a segmentation of an image as a label.

        Args:
            image: Identifier.
            path: A mask file in the geometry of the image.
            tag: ``final`` counts for training.
            label: Name of the structure that voxels of value 1 belong to.
        """
        import json

        params = {"label_info": [{"name": label, "idx": 1}]} if label else {}
        with path.open("rb") as file:
            self._http.json(
                "PUT",
                "/datastore/label",
                query={"image": image, "tag": tag},
                attempts=_ONCE,
                read=self._http.timeouts.work,
                data={"params": json.dumps(params)},
                files={"label": (path.name, file)},
            )

    # Runs

    def start(self, request: RunRequest) -> RunDescription:
        """Start a run."""
        return self._run("POST", "/ibisagent/runs", request.fields())

    def runs(self) -> list[RunDescription]:
        """Runs that the server keeps, newest first."""
        data = self._http.json("GET", "/ibisagent/runs")
        entries = data.get("runs") if isinstance(data, dict) else data
        if not isinstance(entries, list):
            raise UnreadableAnswer("The server's list of runs is none.", "See the server's log.")
        return [read(RunDescription, entry, "run") for entry in entries]

    def run(self, run: str) -> RunDescription:
        """Describe a run."""
        return self._run("GET", _of(run))

    def click(self, run: str, click: Click, then: str = "wait") -> RunDescription:
        """A person's click; what it does is told by the events.

        Args:
            run: Identifier.
            click: Where, and whether positive.
            then: ``wait``, or ``agent`` to let the agent go on.
        """
        return self._run("POST", _of(run, "click"), {**click.fields(), "then": then})

    def undo(self, run: str, index: int) -> RunDescription:
        """Take back the last step of a slice."""
        return self._run("POST", _of(run, "undo"), {"index": index})

    def go_on(self, run: str, index: int) -> RunDescription:
        """Let the agent go on, on a slice."""
        return self._run("POST", _of(run, "continue"), {"index": index})

    def cancel(self, run: str) -> RunDescription:
        """Stop; what stands is kept. Tried again where the connection fails."""
        return self._run("POST", _of(run, "cancel"), {}, attempts=3)

    def accept(self, run: str, tag: str = "final", label: str = "") -> str:
        """Keep the mask as a label of the image.

        Args:
            run: Identifier.
            tag: Of the label; ``final`` counts for training.
            label: Name of the structure.

        Returns:
            The label's identifier.
        """
        data = self._http.json(
            "POST",
            _of(run, "accept"),
            {"tag": tag, "label": label},
            read=self._http.timeouts.work,
        )
        return str(data.get("label", "")) if isinstance(data, dict) else ""

    def mask(self, run: str, path: Path) -> Path:
        """Fetch the mask as it stands, in the geometry of the image.

        Args:
            run: Identifier.
            path: Where to write it; the suffix chooses the format.
        """
        query, read = {"suffix": suffix_of(path)}, self._http.timeouts.work
        with self._http.open("GET", _of(run, "mask"), query, read=read) as answer:
            return keep(answer, path, self._http.timeouts.work)

    def trajectory(self, run: str) -> Json:
        """All that happened, as ``docs/runs.md`` says."""
        return self._object("GET", _of(run, "trajectory"))

    def delete(self, run: str) -> None:
        """Cancel and forget a run; one that is gone already is no failure."""
        try:
            self._http.json("DELETE", _of(run))
        except ServerRefused as error:
            if error.status != 404:
                raise

    def events(
        self, run: str, since: int, follow: bool, heartbeat: float | None = None
    ) -> requests.Response:
        """The open answer of the events after a number; `stream.EventStream` reads it.

        Args:
            run: Identifier.
            since: Number of the last event that is known.
            follow: Whether the answer stays open until the run rests.
            heartbeat: Seconds without a sign of life after which reading fails.
        """
        return self._http.open(
            "GET",
            _of(run, "events"),
            {"since": str(since), "follow": "true" if follow else "false"},
            attempts=_ONCE,
            read=heartbeat,
            headers={"Accept-Encoding": "identity"},  # a packed stream would be held back
        )

    # Learning

    def training(self) -> Json:
        """What training does and did, as the server tells it."""
        return self._object("GET", "/ibisagent/training")

    def start_training(self, model: str, params: Json | None = None) -> Json:
        """Start a trainer.

        Args:
            model: Such as ``ibisagent_sft``.
            params: Its settings.
        """
        return self._object("POST", "/train/" + _part(model), params or {})

    def stop_training(self) -> Json:
        """Ask the trainer to end after its present step; answers as `training` does."""
        return self._object("POST", "/ibisagent/training/stop", {})

    def kill_training(self) -> None:
        """End the trainer at once; what it did since its last checkpoint is lost."""
        self._http.json("DELETE", "/train/", attempts=_ONCE, read=self._http.timeouts.work)

    def roll_back(self) -> Json:
        """Take the model into use that was before the present one; answers as `training` does."""
        return self._object("POST", "/ibisagent/training/rollback", {})

    def next_study(self, strategy: str, params: Json | None = None) -> str:
        """Identifier of the image that the server would have labelled next; empty: none left.

        Args:
            strategy: Such as ``ibisagent_uncertainty`` or ``random``.
            params: Its settings.
        """
        data = self._http.json("POST", "/activelearning/" + _part(strategy), params or {})
        return str(data.get("id", "")) if isinstance(data, dict) else ""

    def _run(
        self, method: str, path: str, body: object = None, attempts: int = 0
    ) -> RunDescription:
        return read(RunDescription, self._http.json(method, path, body, attempts=attempts), "run")

    def _object(self, method: str, path: str, body: object = None) -> Json:
        data = self._http.json(method, path, body)
        if not isinstance(data, dict):
            raise UnreadableAnswer("The server's answer is no object.", "See the server's log.")
        return data

    def _exists(self, path: str) -> bool:
        try:
            self._http.open("HEAD", path).close()
        except ServerRefused as error:
            if error.status != 404:
                raise
            return False
        return True

    def _download(self, path: str, query: dict[str, str], folder: Path, name: str) -> Path:
        with self._http.open("GET", path, query, read=self._http.timeouts.work) as answer:
            return keep(answer, folder / file_name(answer, name), self._http.timeouts.work)


def _of(run: str, what: str = "") -> str:
    path = "/ibisagent/runs/" + _part(run)
    return f"{path}/{what}" if what else path


def _part(name: str) -> str:
    """A name as one part of an address, whatever it holds."""
    return quote(name, safe="")
