"""One run: its volume, its story, and what the scene shows of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import slicer

from . import run_record, status, views
from .display import Display
from .errors import ClientError
from .geometry import Grid
from .parameter import Parameters
from .pictures import Pictures
from .protocol import Event, SliceStarted
from .story import SETTLED, UNDONE, Moment, Story
from .timeline import Timeline, is_timeline
from .upload import world_grid

logger = logging.getLogger(__name__)


class Run:
    """A run of the agent, from the press of the button on.

    Args:
        volume: What is segmented.
        grid: Its voxels, as they were sent to the server.
        plane: Of the slices.
        timeline: Where its moments go; None makes a new one.
        clock: In seconds.

    Attributes:
        id: On the server; empty until it has answered.
        ticket: Of the command that starts it.
        busy: Whether more is to come.
        volume: As given.
        pictures: Of its slices.
        story: What happened.
        display: What the views show.
        events: As they came.
        sent: Bytes of the volume that were sent, and their number.
        accepted: Segmentation and segment that its mask was accepted into.
    """

    def __init__(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        grid: Grid,
        plane: str,
        timeline: Timeline | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id, self.ticket, self.busy = "", 0, False
        self.volume, self.pictures, self.story = volume, Pictures(grid, plane), Story()
        self.display = Display(volume, self.pictures, timeline or Timeline())
        self.events: list[Event] = []
        self.sent: tuple[int, int] | None = None
        self.accepted: tuple[str, str] | None = None
        self._clock, self._began, self._before, self._told = clock, 0.0, 0.0, 0.0

    @property
    def found(self) -> bool:
        """Whether the mask as it stands holds anything."""
        masks = self.story.masks_at().items()
        return any(self.pictures.box(index, mask) is not None for index, mask in masks)

    @property
    def elapsed(self) -> float:
        """Seconds that it has worked."""
        return self._before + (self._clock() - self._began if self.busy else 0.0)

    @property
    def remaining(self) -> float | None:
        """Seconds that it will work still, by the server's estimate; None: unknown."""
        progress = self.story.progress
        if progress is None or progress.seconds_left is None:
            return None
        return max(0.0, progress.seconds_left - (self._clock() - self._told))

    def status(self) -> str:
        """The status line; empty while it rests."""
        if not self.busy:
            return ""
        if not self.events and self.sent is not None and self.sent[0] < self.sent[1]:
            return status.sending(*self.sent)
        return status.working(self.story, self.elapsed, self.remaining)

    def works(self) -> None:
        """It begins, or goes on."""
        if not self.busy:
            self.busy, self._began = True, self._clock()

    def rests(self) -> None:
        """No more is to come for now."""
        self._before, self.busy = self.elapsed, False

    def take(self, event: Event, follow: bool) -> Moment | None:
        """Go on by one event, and draw it.

        Args:
            event: The next one.
            follow: Show the newest moment, and move the view to its slice.

        Returns:
            The moment it brought, if it brought one.

        Raises:
            InvalidMask: It is not of this volume.
        """
        self.events.append(event)
        self._told = self._clock()
        if isinstance(event, SliceStarted):
            self.pictures.check(event.slice)
        moment = self.story.take(event)
        if moment is not None:
            self.display.add(moment, self.story, follow)
        elif follow:
            self.display.show_elsewhere(self.story)
        if follow and (moment is not None or isinstance(event, SliceStarted)):
            self.look_at(self.story.index)
        return moment

    def show(self, number: int) -> None:
        """Go to a moment and its slice."""
        if 0 <= number < len(self.story.moments):
            self.display.show(number, self.story)
            self.look_at(self.story.moments[number].index)

    def moment_selected(self) -> None:
        """The browser went to a moment: show its slice, and the others as they stood then."""
        number = self.display.timeline.selected
        if 0 <= number < len(self.story.moments):
            self.display.show_elsewhere(self.story, number)
            self.look_at(self.story.moments[number].index)

    def look_at(self, index: int | None) -> None:
        """Move the plane's view to a slice."""
        node = views.view_of(self.pictures.plane)
        if node is not None and index is not None:
            views.go_to(node, tuple(map(float, self.pictures.of(index).centre)))

    def last_step(self) -> Moment | None:
        """The last step that stands, of whichever slice; None: there is none."""
        gone = self.story.taken_back()
        steps = (m for m in reversed(self.story.moments) if m.kind not in (UNDONE, SETTLED))
        return next((moment for moment in steps if moment.number not in gone), None)

    def keep(self, parameters: Parameters) -> None:
        """Have the scene remember the run when it is saved."""
        parameters.run, parameters.runVolume = self.id, self.volume
        parameters.browser = self.display.timeline.browser
        parameters.record = run_record.write(parameters.record, self.events)

    def remove(self, parameters: Parameters) -> None:
        """Take all of it out of the scene."""
        self.display.remove()
        if parameters.record is not None:
            slicer.mrmlScene.RemoveNode(parameters.record)
        parameters.run, parameters.runVolume = "", None
        parameters.record = parameters.browser = None


def restored(parameters: Parameters) -> Run | None:
    """The run that a loaded scene holds; None where it holds none that can be shown."""
    volume, browser = parameters.runVolume, parameters.browser
    events = run_record.read(parameters.record)
    if not events or volume is None or not is_timeline(browser):
        return None
    try:
        run = Run(volume, world_grid(volume), parameters.plane.value, Timeline(browser))
        run.id, run.events = parameters.run, list(events)
        for event in events:
            if isinstance(event, SliceStarted):
                run.pictures.check(event.slice)
            run.story.take(event)
        if run.story.moments:
            run.display.show(len(run.story.moments) - 1, run.story)
    except ClientError:
        logger.warning("the scene's run cannot be shown", exc_info=True)
        return None
    return run
