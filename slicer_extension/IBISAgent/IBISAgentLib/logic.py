"""The module without its panel: what its buttons do, and what the server's words lead to.

Nothing here waits. A timer of the panel calls `Logic.poll`, which takes the worker's messages,
goes on with the run, and draws. `Logic` tells by `on_change` what the panel should look at again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import slicer

from . import acceptance, label_upload
from .client import Client
from .connection import Connection
from .errors import Cancelled, ClientError, NothingToDo
from .parameter import Parameters
from .protocol import Failed
from .request import Place, run_request
from .run import Run, restored
from .run_fields import Click
from .upload import Snapshot, Volumes
from .worker import STEADY, Answered, Happened, Message, Refused, Rested, Sent, Worker

CONNECTION, RUN, MOMENTS, STATUS = "connection", "run", "moments", "status"
"""What may change: the server, the state of the run, its moments, only the status line."""

_SEND_START = "send_start"

POLL_SECONDS = 0.06
"""So long may one poll draw; what is left waits for the next, and the window stays alive."""


class Logic:
    """What the panel's buttons do.

    Args:
        parameters: Of the module.
        on_change: Told what has changed.
        make_client: From address and token.
        clock: In seconds.

    Attributes:
        connection: To the server.
        volumes: Snapshots of volumes that were sent.
        run: The run that is shown, if any.
        trouble: What last went wrong; None after the next success.
        watchers: Functions that get the answers to commands of their name, such as training's.
    """

    def __init__(
        self,
        parameters: Parameters,
        on_change: Callable[[str], None] = lambda what: None,
        make_client: Callable[[str, str], Client] = Client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.parameters = parameters
        self.on_change = on_change
        self.connection = Connection(make_client)
        self.volumes = Volumes()
        self.run: Run | None = None
        self.trouble: ClientError | None = None
        self.watchers: dict[str, Callable[[Answered | Refused], None]] = {}
        self._clock = clock
        self._past: set[str] = set()  # runs whose late events are of no interest
        self._waiting: deque[Message] = deque()

    # What the user does

    def connect(self, url: str, token: str = "") -> None:
        """Ask a server who it is; `on_change` tells when it has answered."""
        try:
            self.connection.connect(url, token)
        except ClientError as error:
            self.connection.failed(error)
        self.on_change(CONNECTION)

    def start(self, click: tuple[Place, bool] | None = None) -> None:
        """Start a run as the parameters say.

        Args:
            click: A place (RAS) and whether it is positive, where a person begins.

        Raises:
            ClientError: It cannot be started; says why.
        """
        worker, parameters = self.connection.ready(), self.parameters
        if not parameters.prompt.strip():
            raise NothingToDo("There is no prompt.", "Say in words what to look for.")
        if self.busy:
            raise NothingToDo("A run is going on.", "Wait for it, or press Cancel.")
        snapshot = self.volumes.take(parameters.inputVolume, self.connection.url)
        request = run_request(parameters, snapshot.grid, click)
        if parameters.startFromSegment and parameters.segmentId:
            self._send_start(worker, snapshot)
            request = replace(request, start_label=label_upload.START)
        self.forget_run()
        plane = parameters.plane.value
        run = Run(parameters.inputVolume, snapshot.grid, plane, clock=self._clock)
        run.ticket = worker.start(request, snapshot)
        run.works()
        self.run, self.trouble, parameters.server = run, None, self.connection.url
        self.on_change(RUN)

    def click(self, place: Place, positive: bool) -> None:
        """A person's click; begins a run where there is none.

        Args:
            place: RAS in mm.
            positive: "This belongs to it".

        Raises:
            ClientError: It cannot be sent; says why.
        """
        if self.run is None:
            self.start((place, positive))
            return
        run, worker = self._run_on_server()
        voxel = run.pictures.grid.voxel_at(place)
        then = "agent" if self.parameters.agentGoesOn else "wait"
        worker.click(run.id, Click(positive, ijk=voxel), then)
        self._goes_on(run)

    def undo(self) -> None:
        """Take back the last step that stands, the agent's or a person's.

        Raises:
            ClientError: There is none, or no server.
        """
        run, worker = self._run_on_server()
        step = run.last_step()
        if step is None:
            raise NothingToDo("No step is left to take back.", "Click, or start a run.")
        worker.undo(run.id, step.index)
        self._goes_on(run)

    def go_on(self) -> None:
        """Let the agent go on, on the slice that was last worked on.

        Raises:
            ClientError: There is none, or no server.
        """
        run, worker = self._run_on_server()
        if run.story.index is None:
            raise NothingToDo("The run has not begun.", "Press Run.")
        worker.go_on(run.id, run.story.index)
        self._goes_on(run)

    def cancel(self) -> None:
        """Stop the run; what stands is kept."""
        run, worker = self.run, self.connection.worker
        if run is None or worker is None or not run.busy:
            return
        if run.id:
            worker.cancel(run.id)
        else:
            worker.abort(run.ticket)

    def accept(self) -> tuple[slicer.vtkMRMLSegmentationNode, str]:
        """Write the mask as it stands into the user's segment.

        Returns:
            Segmentation and segment.

        Raises:
            NothingToDo: The mask is empty; no segment is made.
            UnsupportedTransform: The segmentation lies under a transform that bends space.
        """
        run, parameters = self.run, self.parameters
        if run is None or not run.found:
            raise NothingToDo("There is no mask to accept.", "Run the agent, or click yourself.")
        node = parameters.segmentation or acceptance.segmentation_for(run.volume)
        segment = parameters.segmentId
        if not segment and run.accepted is not None and run.accepted[0] == node.GetID():
            segment = run.accepted[1]  # accepted again after a correction
        if not segment or node.GetSegmentation().GetSegment(segment) is None:
            segment = acceptance.segment_for(node, self.prompt)
        acceptance.put(run.story.masks_at(), run.pictures, run.volume, node, segment)
        run.accepted = (node.GetID(), segment)
        parameters.segmentation = node
        run.display.set_visible(False)
        self.on_change(RUN)
        return node, segment

    def show(self, number: int) -> None:
        """Go to a moment and its slice."""
        if self.run is not None:
            self.run.display.set_visible(True)
            self.run.show(number)

    def forget_run(self) -> None:
        """Take the run out of the scene; on the server it stays."""
        if self.run is not None:
            self.cancel()
            run, self.run = self.run, None
            self._past.add(run.id)
            run.remove(self.parameters)
            self.on_change(RUN)

    # What the panel asks

    @property
    def busy(self) -> bool:
        """Whether a run is going on."""
        return self.run is not None and self.run.busy

    @property
    def prompt(self) -> str:
        """What the run looks for; without a run, what is typed."""
        started = self.run.story.started if self.run is not None else None
        return started.prompt if started is not None else self.parameters.prompt

    # What time and the server bring

    def poll(self) -> None:
        """Take what the server said since the last time; never waits."""
        worker = self.connection.worker
        if worker is not None:
            self._waiting.extend(worker.poll())
        until = time.monotonic() + POLL_SECONDS
        while self._waiting and time.monotonic() < until:
            self._take(self._waiting.popleft())
        if self.busy:
            self.on_change(STATUS)

    def restore(self) -> bool:
        """Take up the run that a loaded scene holds; whether there was one."""
        self.run = restored(self.parameters)
        self.on_change(RUN)
        return self.run is not None

    def scene_closed(self) -> None:
        """Let go of the run; its nodes are gone."""
        self.cancel()
        if self.run is not None:
            self._past.add(self.run.id)
        self.run, self.trouble = None, None
        self.on_change(RUN)

    def close(self) -> None:
        """Stop the threads; called when the module is unloaded."""
        self.cancel()
        self.connection.close()
        self._waiting.clear()

    def _take(self, message: Message) -> None:
        run = self.run
        if isinstance(message, (Answered, Refused)):
            self._answered(message)
        elif run is None:
            return
        elif isinstance(message, Sent):
            if message.ticket == run.ticket:
                run.sent = (message.sent, message.total)
        elif message.run == run.id or not (run.id or message.run in self._past):
            self._goes(run, message)  # events may come before the answer that names the run

    def _goes(self, run: Run, message: Happened | Rested) -> None:
        if isinstance(message, Rested):
            self.trouble = message.error or self.trouble
            run.rests()
            run.keep(self.parameters)
            self.on_change(RUN)
            return
        try:
            moment = run.take(message.event, self.parameters.followAgent)
        except ClientError as error:
            self.trouble, moment = error, None
        if isinstance(message.event, Failed):
            self.trouble = ClientError(message.event.message, message.event.fix)
        self.on_change(STATUS if moment is None else MOMENTS)

    def _answered(self, message: Answered | Refused) -> None:
        if message.command in self.watchers:
            self.watchers[message.command](message)
        elif message.command == "check":
            if isinstance(message, Answered):
                self.connection.heard(message.value)
            else:
                self.connection.failed(message.error)
            self.on_change(CONNECTION)
        elif isinstance(message, Refused):
            self._refused(message)
        elif self.run is not None and (message.command, message.ticket) == (
            "start",
            self.run.ticket,
        ):
            self.run.id = self.parameters.run = message.value.run
            self.on_change(RUN)

    def _refused(self, message: Refused) -> None:
        """A run that could not begin, or a command that the server did not take, rests."""
        run, command = self.run, message.command
        of_run = command in ("click", "undo", "go_on")
        if run is not None and (of_run or (command == "start" and message.ticket == run.ticket)):
            run.rests()
        if command == _SEND_START and run is not None:
            self.connection.worker.abort(run.ticket)
        if not (isinstance(message.error, Cancelled) and self.trouble is not None):
            self.trouble = message.error
        self.on_change(RUN)

    def _send_start(self, worker: Worker, image: Snapshot) -> None:
        """Send the chosen segment as the mask to start from, before the run itself."""
        parameters = self.parameters
        label, name = label_upload.snapshot(
            parameters.inputVolume, parameters.segmentation, parameters.segmentId
        )
        tag = label_upload.START
        send = partial(label_upload.send, image=image, label=label, tag=tag, name=name)
        worker.call(_SEND_START, send, STEADY)

    def _goes_on(self, run: Run) -> None:
        self.trouble = None
        run.display.set_visible(True)
        run.works()
        self.on_change(RUN)

    def _run_on_server(self) -> tuple[Run, Worker]:
        if self.run is None or not self.run.id:
            raise NothingToDo("There is no run yet.", "Press Run.")
        return self.run, self.connection.ready()
