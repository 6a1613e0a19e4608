"""A run as a file: what a client downloads today and brings again tomorrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ibisagent.trajectory import CarriedSlice, Trajectory

RUN_FORMAT: Literal["ibisagent-run/1"] = "ibisagent-run/1"


class SavedRun(BaseModel):
    """The records of all slices of a run; see ``GET /ibisagent/runs/{run}/trajectory``."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["ibisagent-run/1"] = RUN_FORMAT
    trajectories: list[Trajectory] = Field(description="Of slices that agent or person worked on.")
    carried: list[CarriedSlice] = Field(default=[], description="Of slices that the tool marked.")

    def records(self) -> Iterator[Trajectory | CarriedSlice]:
        """All of them."""
        yield from self.carried
        yield from self.trajectories
