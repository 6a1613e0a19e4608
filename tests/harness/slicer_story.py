"""Short stories of runs, told by events as the server tells them."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ibisagent.rle import Rle as ServerRle
from IBISAgentLib.geometry import SlicePicture
from IBISAgentLib.protocol import (
    ActionRecord,
    Event,
    Finished,
    Progressed,
    Rle,
    SliceDone,
    SliceRecord,
    SliceStarted,
    Started,
    Stepped,
    StepRecord,
)
from IBISAgentLib.upload import world_grid


def rle(mask: np.ndarray) -> Rle:
    encoded = ServerRle.encode(mask)
    return Rle(encoded.size, encoded.counts)


def disc(shape: tuple[int, int], row: float, column: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    return np.hypot(rows - row, columns - column) < radius


class Teller:
    """Makes events of one plane of one volume, numbered as they are made."""

    def __init__(self, volume: object, plane: str = "axial") -> None:
        self.grid, self.plane = world_grid(volume), plane
        self.seq = 0
        self.standing: dict[int, list[StepRecord]] = {}

    def picture(self, index: int) -> SlicePicture:
        return SlicePicture(self.grid, self.plane, index)

    def shape(self, index: int = 0) -> tuple[int, int]:
        return self.picture(index).shape

    def _next(self) -> int:
        self.seq += 1
        return self.seq

    def started(self, prompt: str = "the ball", run: str = "r1", scope: str = "slice") -> Started:
        form = "ibisagent-events/1"
        return Started(
            self._next(), "", form, run, "image", prompt, scope, self.plane, "policy", "tool"
        )

    def slice(self, index: int, mask: np.ndarray | None = None) -> SliceStarted:
        height, width = self.shape(index)
        record = SliceRecord("image", self.plane, index, height, width, 1.0)
        start = np.zeros((height, width), bool) if mask is None else mask
        self.standing.setdefault(index, [])
        return SliceStarted(self._next(), "", record, rle(start))

    def step(
        self,
        index: int,
        kind: str,
        mask: np.ndarray,
        pixel: tuple[int, int] | None = None,
        thought: str = "",
        author: str = "agent",
    ) -> Stepped:
        height, width = self.shape(index)
        x, y = (None, None) if pixel is None else (pixel[1] / width, pixel[0] / height)
        action = ActionRecord(kind, x, y)
        clicked = kind in ("positive", "negative")
        step = StepRecord(author, thought, action, rle(mask), 0.8, pixel=pixel, carried_out=clicked)
        self.standing.setdefault(index, []).append(step)
        ijk = self.picture(index).voxel_at(*pixel) if pixel else None
        number = len(self.standing[index])
        return Stepped(self._next(), "", self.plane, index, number, step, rle(mask), ijk=ijk)

    def undo(self, index: int, mask: np.ndarray) -> Stepped:
        step = self.standing[index].pop()
        number = len(self.standing[index])
        return Stepped(self._next(), "", self.plane, index, number, step, rle(mask), undone=True)

    def done(self, index: int, mask: np.ndarray, carried: bool = False) -> SliceDone:
        stop = None if carried else "terminated"
        return SliceDone(self._next(), "", self.plane, index, rle(mask), stop, carried)

    def progress(self, done: int, left: int, seconds: float | None = None) -> Progressed:
        return Progressed(self._next(), "", done, left, seconds)

    def finished(self, answer: str = "It is marked.", found: bool = True) -> Finished:
        return Finished(self._next(), "", answer, found, 2.0)


def three_steps(teller: Teller, index: int) -> list[Event]:
    """Too large, put right by a negative click, done."""
    shape = teller.shape(index)
    row, column = shape[0] // 2, shape[1] // 2
    large = disc(shape, row, column, 12)
    right = disc(shape, row - 3, column, 8)
    return [
        teller.started(),
        teller.slice(index),
        teller.step(index, "positive", large, (row - 3, column), "Something bright lies here."),
        teller.step(index, "negative", right, (row + 8, column), "This is beyond its rim."),
        teller.step(index, "terminate", right, thought="The mask fits."),
        teller.done(index, right),
        teller.finished(),
    ]


def volume_node(slicer: object, image: sitk.Image, name: str = "volume") -> object:
    """A SimpleITK image as a volume node, geometry and all."""
    to_ras, matrix = np.diag([-1.0, -1.0, 1.0]), np.eye(4)
    axes = np.reshape(image.GetDirection(), (3, 3)) @ np.diag(image.GetSpacing())
    matrix[:3, :3], matrix[:3, 3] = to_ras @ axes, to_ras @ np.array(image.GetOrigin())
    node = slicer.util.addVolumeFromArray(sitk.GetArrayFromImage(image), matrix, name)
    node.CreateDefaultDisplayNodes()
    return node


def phantom(
    size: tuple[int, int, int] = (64, 60, 14),
    spacing: tuple[float, float, float] = (1.5, 1.5, 4.0),
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
    flip: tuple[int, int, int] = (1, 1, 1),
) -> sitk.Image:
    """A grey body with a bright ball in it; oblique, flipped and anisotropic as asked."""
    k, j, i = np.mgrid[0 : size[2], 0 : size[1], 0 : size[0]]
    body = np.hypot((i - size[0] / 2) / size[0], (j - size[1] / 2) / size[1]) < 0.45
    ball = np.hypot(np.hypot(i - 30, j - 26), 2 * (k - 7)) < 9
    image = sitk.GetImageFromArray((100 * body + 150 * ball).astype(np.int16))
    image.SetSpacing(spacing)
    rotation = np.reshape(sitk.Euler3DTransform((0, 0, 0), *turn).GetMatrix(), (3, 3))
    image.SetDirection((rotation @ np.diag(flip)).ravel().astype(float))
    image.SetOrigin((-40.0, 25.0, 100.0))
    return image
