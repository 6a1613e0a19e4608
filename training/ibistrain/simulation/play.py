"""One episode of a task, played in the real environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from ibisagent.actions import Click, Reply, format_reply
from ibisagent.episode import Episode, Limits, run
from ibisagent.metrics import iou
from ibisagent.policies.base import Policy
from ibisagent.policies.wording import WORDINGS
from ibisagent.prompts import PromptProfile
from ibisagent.rle import Rle
from ibisagent.tools.base import Mask, Segmentation, SegmentationTool
from ibisagent.trajectory import SliceRecord, Trajectory, record
from ibistrain.episode_record import EpisodeRecord, Kind
from ibistrain.questions import names, request, whether
from ibistrain.simulation.annotator import SETTLED, SimulatedAnnotator
from ibistrain.simulation.plan import Task
from ibistrain.simulation.scenes import OpenItem
from ibistrain.simulation.settings import SimulationSettings

ANNOTATOR = "simulated-annotator"
NO_TIME = "1970-01-01T00:00:00+00:00"
"""Time of writing of every simulated episode, since equal seeds must give equal bytes."""
ERR_TRIES = 4
"""Wrong clicks that are tried until one spoils something."""
OTHER_IOU = 0.3
"""IoU below which another mask is wrong for the target."""


@dataclass(frozen=True)
class Player:
    """Plays tasks.

    Attributes:
        tool: The segmentation tool.
        profile: Prompts and overlay.
        settings: Of the simulation.
        synonyms: Other words for targets.
        policy: Plays in the annotator's stead; None for the annotator.
    """

    tool: SegmentationTool
    profile: PromptProfile
    settings: SimulationSettings
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    policy: Policy | None = None

    def play(self, task: Task, item: OpenItem) -> EpisodeRecord | None:
        """Play a task; equal tasks and settings give equal records.

        Returns:
            The record, or None where clicks did not make the mask good enough to learn from.
        """
        rng = Random(f"{self.settings.seed}/{task.number}")
        truth = item.truth(task.target, task.plane, task.index)
        if not task.present:
            truth = np.zeros_like(truth)
        name = rng.choice(names(task.target, self.synonyms))
        question = task.kind == "question"
        prompt = whether(name, rng) if question else request(name, rng)
        limit = self.settings.max_clicks
        start, kind = None, task.kind
        if kind == "user_inconsistency":
            start = _start(task, item, truth, rng)
            kind = kind if start else "plain" if task.present else "absent"
        episode = Episode(
            item.view(task.plane).rgb(task.index),
            prompt,
            self.tool,
            self.profile,
            Limits(max_steps=limit + 2, max_repeats=limit + 2),
            start,
        )
        if self.policy is not None:
            return self._watched(self.policy, episode, task, item, truth, kind)
        wording = WORDINGS[self.profile.wording]
        annotator = SimulatedAnnotator(truth, name, question, self.settings.stop_iou, rng, wording)
        game = _Game(episode, annotator, truth, limit, kind, rng)
        game.run()
        if task.present and game.scores[-1] < self.settings.keep_iou:
            return None
        if not task.present and episode.segmentation.mask.any():
            return None
        return self._record(task, item, truth, episode, ANNOTATOR, game.kind, game.learn)

    def _watched(
        self,
        policy: Policy,
        episode: Episode,
        task: Task,
        item: OpenItem,
        truth: Mask,
        kind: Kind,
    ) -> EpisodeRecord | None:
        """Let a policy play; its states are what it must learn to go on from.

        What it should have done is asked of the annotator when an example is made of a state
        (Ross et al., arXiv 1011.0686).

        Returns:
            The record, or None where nothing was ever marked.
        """
        run([episode], policy)
        if not any(step.segmentation.mask.any() for step in episode.steps):
            return None
        learn = [False] * len(episode.steps)
        return self._record(task, item, truth, episode, policy.name, kind, learn)

    def _record(
        self,
        task: Task,
        item: OpenItem,
        truth: Mask,
        episode: Episode,
        player: str,
        kind: Kind,
        learn: list[bool],
    ) -> EpisodeRecord:
        trajectory = _timeless(record(episode, self._where(task, item, truth.shape), player))
        masks = [trajectory.start, *(step.mask for step in trajectory.steps)]
        return EpisodeRecord(
            set_name=item.source.item.set_name,
            subject=item.source.item.subject,
            image=task.image,
            target=task.target,
            labels=list(item.source.targets[task.target]),
            kind=kind,
            truth=Rle.encode(truth),
            learn=learn,
            iou=[round(iou(mask.decode(), truth), 6) for mask in masks],
            trajectory=trajectory,
        )

    def _where(self, task: Task, item: OpenItem, shape: tuple[int, ...]) -> SliceRecord:
        return SliceRecord(
            image=task.image,
            plane=task.plane.value,
            index=task.index,
            height=shape[0],
            width=shape[1],
            pixel_mm=item.view(task.plane).spacing,
            window=self.settings.window,
        )


@dataclass
class _Game:
    """An episode in play.

    Attributes:
        kind: Becomes plain where no mistake could be made.
        learn: One a step.
        scores: IoU before the first step and after each.
    """

    episode: Episode
    annotator: SimulatedAnnotator
    truth: Mask
    max_clicks: int
    kind: Kind
    rng: Random
    learn: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scores = [iou(self.episode.segmentation.mask, self.truth)]

    def run(self) -> None:
        """Play to the end."""
        # A mistake may come first, in between, or when the mask is good already.
        err_at = self.rng.randrange(3) if self.kind == "self_correction" else None
        while self.episode.stop is None:
            mask = self.episode.segmentation.mask
            done = self._is_done(mask)
            if err_at is not None and (done or len(self.learn) >= err_at):
                err_at = None
                if self._err():
                    continue
                self.kind = "plain"
            if done:
                self._take_back_vain_clicks()
                self._step(self.annotator.stop(self.episode.segmentation.mask))
            elif self.kind == "user_inconsistency" and not self.learn:
                self._step(self.annotator.discard(mask))
            else:
                self._step(self.annotator.correct(mask))

    def _is_done(self, mask: Mask) -> bool:
        clicks = len(self.learn)
        settled = self.annotator.has_settled(self.scores)
        return self.annotator.is_satisfied(mask) or clicks >= self.max_clicks or settled

    def _step(self, reply: Reply, learn: bool = True) -> None:
        self.episode.apply(format_reply(reply))
        self.learn.append(learn)
        self.scores.append(iou(self.episode.segmentation.mask, self.truth))

    def _err(self) -> bool:
        """Make a mistake and put it right; whether one could be made."""
        before = self.episode.segmentation.mask
        if len(self.learn) + 2 > self.max_clicks:
            return False
        for _ in range(ERR_TRIES):
            wrong = self.annotator.err(before)
            if wrong is None or not isinstance(wrong.action, Click):
                continue
            self._step(wrong, learn=False)
            after = self.episode.segmentation.mask
            remedy = self.annotator.put_right(wrong.action, before, after)
            if remedy is not None:
                self._step(remedy)
                return True
            self._take_back()
        return False

    def _take_back_vain_clicks(self) -> None:
        """Go back to the first mask that no later one beats; others teach to click for nothing."""
        enough = max(self.scores) - SETTLED
        kept = next(number for number, score in enumerate(self.scores) if score >= enough)
        while len(self.learn) > max(kept, 1) and all(self.learn[-2:]):  # a remedy stays
            self._take_back()

    def _take_back(self) -> None:
        """Undo a step as if it had never been."""
        self.episode.undo()
        self.episode.undone.clear()
        self.learn.pop()
        self.scores.pop()


def _start(task: Task, item: OpenItem, truth: Mask, rng: Random) -> Segmentation | None:
    """A starting mask that is wrong: of something else, or misplaced."""
    if task.wrong:
        mask = item.truth(task.wrong, task.plane, task.index)
        if iou(mask, truth) < OTHER_IOU:
            return Segmentation(mask, 0.0)
    height, width = truth.shape
    shift = (rng.randrange(height // 4, 3 * height // 4), rng.randrange(width // 4, 3 * width // 4))
    mask = np.roll(truth, shift, axis=(0, 1))
    return Segmentation(mask, 0.0) if mask.any() and iou(mask, truth) < OTHER_IOU else None


def _timeless(trajectory: Trajectory) -> Trajectory:
    """Without clock times, which no two runs share."""
    no_seconds = {"policy_seconds": 0.0, "tool_seconds": 0.0}
    steps = [step.model_copy(update=no_seconds) for step in trajectory.steps]
    return trajectory.model_copy(update={"written": NO_TIME, "steps": steps})
