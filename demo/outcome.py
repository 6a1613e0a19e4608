"""What a run gave, as files and figures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from demo.request import Answer
from demo.study import Study
from ibisagent import __version__
from ibisagent.film import film_strip
from ibisagent.metrics import dice
from ibisagent.output import write_whole
from ibisagent.prompts import PromptProfile
from ibisagent.result_folder import png
from ibisagent.slices import SliceView
from ibisagent.tools.base import Mask


@dataclass(frozen=True, eq=False)
class Outcome:
    """An answer and what it took.

    Attributes:
        answer: Of the server.
        start_seconds: From launching the server until it answered.
        run_seconds: From the request to the answer, the loading of the models included.
    """

    answer: Answer
    start_seconds: float
    run_seconds: float


def summarise(study: Study, outcome: Outcome) -> dict[str, Any]:
    """Figures for ``summary.json``; ``dice`` is None where no reference is known."""
    trajectory, result = outcome.answer.trajectory, outcome.answer.result
    seconds = [step.policy_seconds + step.tool_seconds for step in trajectory.steps]
    truth = _truth(study, outcome)
    return {
        "version": __version__,
        "study": study.title,
        "image": trajectory.slice.image,
        "prompt": trajectory.prompt,
        "plane": trajectory.slice.plane,
        "slice": trajectory.slice.index,
        "dice": None if truth is None else round(dice(trajectory.mask.decode(), truth), 4),
        "turns": len(seconds),
        "seconds_per_turn": round(float(np.mean(seconds)), 2) if seconds else 0.0,
        "seconds_server_start": round(outcome.start_seconds, 1),
        "seconds_request": round(outcome.run_seconds, 1),
        "stop": trajectory.stop.value if trajectory.stop else None,
        "answer": result["answer"],
        "policy": result["policy"],
        "tool": result["tool"],
        "profile": result["profile"],
    }


def write(
    out: Path, study: Study, outcome: Outcome, summary: dict[str, Any], profile: PromptProfile
) -> None:
    """Write mask, trajectory, film strip and figures.

    Args:
        out: An existing folder.
        study: What was segmented.
        outcome: What came out.
        summary: Of `summarise`.
        profile: The agent's, whose overlay the film strip draws.

    Raises:
        OutputNotWritable: The disk is full, or the folder was closed.
    """
    trajectory = outcome.answer.trajectory
    view = SliceView(study.image, trajectory.slice.plane, trajectory.slice.window)
    picture = view.rgb(trajectory.slice.index)
    film = film_strip(trajectory, picture, profile, _truth(study, outcome))
    write_whole(out / "mask.nii.gz", outcome.answer.mask.read_bytes())
    trajectory.save(out / "trajectory.json")
    write_whole(out / "film.png", png(film))
    write_whole(out / "summary.json", json.dumps(summary, indent=1).encode("utf-8"))


def _truth(study: Study, outcome: Outcome) -> Mask | None:
    """The reference on the slice that was segmented."""
    where = outcome.answer.trajectory.slice
    if study.reference is None:
        return None
    return SliceView(study.image, where.plane).from_volume(study.reference, where.index)
