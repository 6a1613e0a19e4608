"""How well the model in use agrees with accepted labels, kept with each image."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.scoring import ScoringMethod

from ibisagent.agent import Agent
from ibisagent.errors import InvalidRequest
from ibisagent.evaluation import EvaluationSettings, evaluate
from ibisagent.evaluation_folder import Row
from ibisagent.manifest import Item, load_manifest
from ibisagent.metrics import nsd
from ibisagent.slices import SliceView
from ibisagent.trajectory import Trajectory
from ibisagent.volume import read_image
from ibisagent_app.shared_agent import SharedAgent
from ibisagent_app.training.final_labels import Study, final_studies_that_fit
from ibisagent_app.training.studies import Sides, file_stem, write_set
from ibisagent_app.training.workplace import Workplace

logger = logging.getLogger(__name__)

SCORES = "ibisagent_dice"
"""Name of the method, and of what is kept of it with an image."""

TOLERANCE_MM = 2.0
"""Distance of surfaces that still counts as agreement."""

_SETTINGS = EvaluationSettings(held_back=False, slices=3, absent=0.0)


class DiceScoring(ScoringMethod):
    """Lets the agent answer for each accepted label, and compares.

    An image is not scored again while its label and the model stay the same. MONAI Label runs
    this in a process of its own.

    Args:
        agent: The one that answers requests.
        workplace: Tells who was held back when the model was trained.
    """

    def __init__(self, agent: SharedAgent, workplace: Workplace) -> None:
        super().__init__("Dice, NSD and clicks of the model in use on accepted labels")
        self._agent = agent
        self._workplace = workplace

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Score all accepted labels.

        Args:
            request: Nothing of it is read.
            datastore: The studies; each image's information gets ``dice``, as by MONAI Label's
                own method, and ``ibisagent_dice`` with all figures.

        Returns:
            Image -> figures, of all accepted labels.
        """
        studies = [study for study in final_studies_that_fit(datastore) if study.marked]
        if not studies:
            return {}
        with self._agent.use() as agent:
            model = f"{agent.policy.name} + {agent.tool.name}"
            stale = [one for one in studies if _kept(datastore, one).get("of") != _of(one, model)]
            scores = _score(stale, agent, self._workplace.set_name) if stale else {}
        datastore.refresh()  # it may have changed meanwhile, and is written as a whole
        for study in stale:
            if study.name in scores:
                score = {**scores[study.name], "of": _of(study, model)}
                datastore.update_image_info(study.name, {"dice": score["dice"], SCORES: score})
        return {study.name: _kept(datastore, study) for study in studies}


def _score(studies: Sequence[Study], agent: Agent, set_name: str) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="ibisagent-scores-") as name:
        folder = Path(name)
        sides = Sides(set_name or "studies", frozenset(), frozenset())
        manifest = load_manifest(write_set(studies, sides, folder / "set"))
        try:
            played, rows = evaluate([manifest], _SETTINGS, agent, folder / "played", _tell)
        except InvalidRequest as error:
            logger.warning("%s: nothing to score: %s", SCORES, error)
            return {}
        items = {item.name: item for item in manifest.items}
        scores = {}
        for study in studies:
            item = items[file_stem(study.name)]
            own = [row for row in rows if row.item == item.name and row.known]
            if own:
                scores[study.name] = _figures(item, own, played.trajectories)
        return scores


def _figures(item: Item, rows: Sequence[Row], trajectories: Path) -> dict[str, Any]:
    view, truths = SliceView(read_image(item.image), _SETTINGS.plane), item.read()
    surfaces, clicks = [], []
    for row in rows:
        trajectory = Trajectory.load(trajectories / row.trajectory)
        truth = view.from_volume(truths[row.label], row.slice)
        mask = trajectory.mask.decode()
        surfaces.append(nsd(mask, truth, TOLERANCE_MM, [view.spacing, view.spacing]))
        clicks.append(sum(step.pixel is not None for step in trajectory.steps))
    return {
        "dice": round(fmean(row.dice for row in rows), 4),
        "nsd": round(fmean(surfaces), 4),
        "clicks": round(fmean(clicks), 2),
        "questions": len(rows),
        "held_back": item.is_held_back(),
    }


def _of(study: Study, model: str) -> str:
    """What a score was made of."""
    return f"{model}, label of {study.label.stat().st_mtime_ns}"


def _kept(datastore: Datastore, study: Study) -> dict[str, Any]:
    return dict(datastore.get_image_info(study.name).get(SCORES) or {})


def _tell(done: int, total: int) -> None:
    logger.info("%s: %d of %d questions", SCORES, done, total)
