"""What a person may ask of a run: to begin, a click, a step back, to go on, to keep."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ibisagent.actions import Click
from ibisagent.errors import InvalidRequest
from ibisagent.runs.saved_run import SavedRun
from ibisagent.segment import Scope, SegmentRequest
from ibisagent.slice_player import check_slice
from ibisagent.slices import SliceView

_M = TypeVar("_M", bound="_Order")


class Then(str, Enum):
    """What follows a click on a slice that the agent is not at work on."""

    WAIT = "wait"
    AGENT = "agent"


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @classmethod
    def parse(cls: type[_M], fields: dict[str, object]) -> _M:
        """Check fields that came from outside.

        Raises:
            InvalidRequest: With the first field that does not fit, and what would.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]) or "body"
            known = ", ".join(cls.model_fields)
            raise InvalidRequest(
                f"The field {name!r}: {first['msg'].removeprefix('Value error, ')}.",
                f"Known fields: {known}.",
            ) from error


class PersonsClick(_Order):
    """A place on a slice's picture, in fractions of its size, or a voxel of the image."""

    index: int | None = Field(default=None, ge=0, description="Slice.")
    x: float | None = Field(default=None, ge=0, le=1, description="Fraction of the width.")
    y: float | None = Field(default=None, ge=0, le=1, description="Fraction of the height.")
    ijk: tuple[int, int, int] | None = Field(default=None, description="Voxel (i, j, k).")
    positive: bool = Field(default=True, description="Whether it belongs to the target.")

    @model_validator(mode="after")
    def _one_place(self) -> PersonsClick:
        by_fractions = [value is not None for value in (self.index, self.x, self.y)]
        if any(by_fractions) if self.ijk is not None else not all(by_fractions):
            raise ValueError("a click has either index, x and y, or ijk")
        return self

    def on(self, view: SliceView) -> tuple[int, Click]:
        """Slice and click.

        Raises:
            SliceOutOfRange: There is no such slice.
            InvalidClick: The voxel is outside the image.
        """
        if self.ijk is not None:
            row, column, index = view.index_to_pixel(*self.ijk)
            return index, Click.from_pixel(row, column, *view.shape, self.positive)
        index = self.index or 0  # the fields are there, see above
        check_slice(view, index)
        return index, Click(self.x or 0.0, self.y or 0.0, self.positive)


class ClickOrder(PersonsClick):
    """``POST …/click``."""

    then: Then = Field(default=Then.WAIT, description="wait, or agent: the agent goes on.")


class SliceOrder(_Order):
    """``POST …/undo`` and ``POST …/continue``."""

    index: int = Field(ge=0, description="Slice.")


class AcceptOrder(_Order):
    """``POST …/accept``."""

    tag: str = Field(default="final", min_length=1, description="Under which to keep the mask.")
    label: str = Field(default="", max_length=200, description="Its name; the prompt if empty.")


class RunRequest(SegmentRequest):
    """``POST /ibisagent/runs``: a `SegmentRequest`, on an image, with what a person brings."""

    image: str = Field(min_length=1, description="Identifier of the image.")
    seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        description="0: the agent chooses its likeliest words. Any other number is another "
        "attempt, with words drawn at random; the same number gives the same run.",
    )
    clicks: list[PersonsClick] = Field(
        default=[], max_length=100, description="Clicks before the agent's first look."
    )
    start_label: str = Field(
        default="", description="Tag of a label of this image whose mask the agent starts from."
    )
    resume: str = Field(default="", description="A run of this image that is taken up.")
    saved: SavedRun | None = Field(
        default=None, description="A run of this image as it was downloaded, which is taken up."
    )
    wait_for_human: bool = Field(
        default=False, description="Do not ask the agent before a person says 'continue'."
    )

    def placed(self, view: SliceView) -> RunRequest:
        """The request with its slice filled in, where the clicks tell it.

        Raises:
            InvalidRequest: A click lies on a slice that is not worked on.
            SliceOutOfRange: A click is on a slice that is not there.
            InvalidClick: A click is outside the image.
        """
        if self.scope is Scope.VOLUME:
            return self
        indices = {click.on(view)[0] for click in self.clicks}
        if self.scope is Scope.SLICE:
            chosen = indices.pop() if self.slice is None and len(indices) == 1 else self.slice
            index = view.middle if chosen is None else chosen
            placed, span = self.model_copy(update={"slice": index}), range(index, index + 1)
        else:
            last = view.count - 1 if self.last is None else self.last
            placed, span = self, range(self.first or 0, last + 1)
        outside = sorted(indices - set(span))
        if outside:
            raise InvalidRequest(
                f"A click is on slice {outside[0]}, which is not worked on.",
                "Click on the slices of the run, or ask for more of them.",
            )
        return placed
