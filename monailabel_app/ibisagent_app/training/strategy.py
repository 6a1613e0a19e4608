"""Which study to label next: the one that the agent is least sure of."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.tasks.activelearning.random import Random as RandomStrategy

from ibisagent.agent import Agent
from ibisagent.errors import IBISAgentError, InvalidRequest
from ibisagent.runs.turns import Interrupted
from ibisagent.uncertainty import Sampling, uncertainty
from ibisagent.volume import read_image
from ibisagent_app.shared_agent import SharedAgent
from ibisagent_app.training.accepted_names import accepted_names

logger = logging.getLogger(__name__)

UNCERTAINTY = "ibisagent_uncertainty"
"""Name of the strategy, and of what is kept of it with an image."""

SECONDS = (20.0, 300.0)
"""How long to look at images, by default and at most."""
IMAGES = (6.0, 100.0)
"""How many images to look at in one request, by default and at most."""

OPTIONS = frozenset({"prompt", "seconds", "images", "seed", "label_tag", "labels"})
"""What a request may hold, beside what MONAI Label's clients send to any task."""

_SAMPLING = Sampling(samples=3, slices=2, max_steps=4)
"""Less than for a study of uncertainty: somebody waits for the answer."""
_JUST_GIVEN = 600
"""Seconds for which an image that was given to somebody is not given to the next one."""


class UncertaintyStrategy(Strategy):
    """Asks the agent for what people label here, on images without a label.

    An image's uncertainty is kept with it until the model changes, so that each request goes on
    where the last one ended. Where there is nothing to go by, the choice is random.

    Args:
        agent: The one that answers requests.
    """

    def __init__(self, agent: SharedAgent) -> None:
        super().__init__("The study of which the agent is least sure")
        self._agent = agent

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Choose an image.

        Args:
            request: May hold ``prompt`` (what is labelled; else the most frequent name in
                accepted labels), ``seconds`` and ``images`` (limits of this request), and
                ``seed``.
            datastore: The studies.

        Returns:
            ``id`` of the image, its ``weight`` (the uncertainty, 0 to 1) and the ``reason``; None
            where all images are labelled.

        Raises:
            InvalidRequest: A limit is no number or out of its range.
        """
        seconds = _limit(request, "seconds", SECONDS)
        images = int(_limit(request, "images", IMAGES))
        unlabelled = sorted(datastore.get_unlabeled_images())
        if not unlabelled:
            return None
        try:
            prompt = _prompt(request, datastore)
            order = Random(f"{request.get('seed', 0)}").sample(unlabelled, len(unlabelled))
            known = self._look(order, prompt, datastore, seconds, images)
        except IBISAgentError as error:
            return _at_random(request, datastore, str(error))
        if not known:
            return _at_random(request, datastore, "No image could be looked at in time.")
        fresh = {name: value for name, value in known.items() if not _just_given(datastore, name)}
        name, value = max((fresh or known).items(), key=lambda item: item[1])
        reason = f"Of {len(known)} images, the agent is least sure of this one for {prompt!r}."
        logger.info("%s: %s (%.3f); %s", UNCERTAINTY, name, value, reason)
        return {"id": name, "weight": round(value, 4), "reason": reason}

    def _look(
        self, names: list[str], prompt: str, datastore: Datastore, seconds: float, images: int
    ) -> dict[str, float]:
        """Uncertainties by image: those that are kept, and new ones within the limits."""
        until = time.monotonic() + seconds
        with self._agent.use() as agent:
            model = f"{agent.policy.name} + {agent.tool.name}"
        kept = {name: datastore.get_image_info(name).get(UNCERTAINTY) or {} for name in names}
        known = {
            name: float(note["value"])
            for name, note in kept.items()
            if (note.get("model"), note.get("prompt")) == (model, prompt)
        }
        for name in [name for name in names if name not in known][:images]:
            if time.monotonic() >= until:
                break
            with self._agent.use(lambda: time.monotonic() >= until) as agent:
                value = _assess(name, prompt, datastore, agent, until)
            if value is not None:
                known[name] = value
                note = {"model": model, "prompt": prompt, "value": round(value, 4)}
                datastore.update_image_info(name, {UNCERTAINTY: note})
        return known


def _assess(
    name: str, prompt: str, datastore: Datastore, agent: Agent, until: float
) -> float | None:
    """The uncertainty of an image; None where it cannot be looked at, or the time is over."""
    if not agent.profile.understands(prompt):
        raise InvalidRequest(
            f"The model has not learnt to find {prompt!r}, so nothing can be said of it.",
            "Train on labels of it first.",
        )

    def late() -> bool:
        return time.monotonic() >= until

    try:
        image = read_image(Path(datastore.get_image_uri(name)))
        value = uncertainty(image, prompt, agent, sampling=_SAMPLING, cancelled=late)
    except Interrupted:
        return None
    except IBISAgentError as error:
        logger.warning("%s: %s is left out: %s", UNCERTAINTY, name, error)
        return None
    return None if late() else value


def _prompt(request: Mapping[str, Any], datastore: Datastore) -> str:
    given = str(request.get("prompt") or "").strip()
    names = [given] if given else accepted_names(datastore)
    if not names:
        raise InvalidRequest(
            "Nothing was accepted yet, so it is not known what people label here.",
            "Accept a study first, or name what is labelled in the field 'prompt'.",
        )
    return names[0]


def _at_random(request: Mapping[str, Any], datastore: Datastore, why: str) -> dict[str, Any] | None:
    logger.info("%s: the choice is random. %s", UNCERTAINTY, why)
    chosen: dict[str, Any] | None = RandomStrategy()({**request, "strategy": "random"}, datastore)
    return chosen and {**chosen, "reason": f"At random: {why}"}


def _just_given(datastore: Datastore, name: str) -> bool:
    """Whether somebody was given the image a moment ago and may be at work on it."""
    given = (datastore.get_image_info(name).get("strategy") or {}).get(UNCERTAINTY) or {}
    return time.time() - float(given.get("ts") or 0) < _JUST_GIVEN


def _limit(request: Mapping[str, Any], name: str, bounds: tuple[float, float]) -> float:
    default, most = bounds
    given = request.get(name)
    try:
        value = default if given in (None, "") else float(str(given))
    except ValueError:
        value = -1.0
    if not 0 < value <= most:
        raise InvalidRequest(
            f"The field {name!r} is {given!r}.", f"Give a number above 0, at most {most:g}."
        )
    return value
