"""The world of the proofs: phantoms, a tool, a base checkpoint, and how a policy is judged in it.

Everything but the pictures and the tool is the product's own: simulation, training, episode,
prompts, metrics. Each part is kept in the work folder and not made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

from pydantic import BaseModel, ConfigDict

from benchmarks.growing_tool import GrowingTool
from benchmarks.phantoms import ORGANS, PLAIN, SIDE, Scanner, write_set
from ibisagent.episode import BY_ITSELF, Episode, Limits, run
from ibisagent.metrics import dice, entity_f1
from ibisagent.policies.base import Policy
from ibisagent.policies.local import LocalPolicy
from ibisagent.policies.scripted import ScriptedAnnotator
from ibisagent.prompts import PROFILE_FILE, PromptProfile
from ibisagent.tools.base import Segmentation
from ibistrain import tiny
from ibistrain.catalogue import Catalogue, SetEntry
from ibistrain.corpus import load_corpus
from ibistrain.embedded import train_embedded
from ibistrain.embedded_config import EmbeddedConfig
from ibistrain.labelled_picture import LabelledPicture
from ibistrain.play_tasks import draw_tasks, judge
from ibistrain.read_outs import READ_OUTS_FILE
from ibistrain.rewards import RewardWeights
from ibistrain.simulation.run import simulate
from ibistrain.simulation.settings import Shares, SimulationSettings
from ibistrain.starting_point import write_starting_point
from ibistrain.state import State
from ibistrain.tasks import PictureTasks, Task

GOOD = 0.75
"""IoU from which a mask is good: for the annotator, the rewards and the share of good stops."""
MAX_TURNS = 8
REPLY_TOKENS = 96
"""Longest reply; the longest of the annotator's has about 80 tokens here."""
ABSENT = 0.1
"""Share of questions for what is not there, in simulation, reinforcement learning and judging."""
TAUGHT_ABSENT = 0.35
"""Chance that imitation asks a picture for something that is not there."""
STRENGTH = 0.5
"""Of the augmentation; the subjects themselves differ much."""
QUESTIONS_SEED = 2026
"""Of the questions on held-back subjects: the same for every arm and seed."""
LARGEST = SIDE + 8
"""Side in pixels of the largest picture that the policy can see: the world's are seen as they are,
and training, which draws all sizes that can be seen, draws larger and smaller ones."""


class Size(BaseModel):
    """How much is drawn, learnt and asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subjects: int = 400
    base_steps: int = 560
    base_batch: int = 8
    base_rate: float = 1.5e-3
    episodes: int = 300
    sft_steps: int = 200
    sft_batch: int = 8
    sft_rate: float = 6e-4
    sft_refinement: float = 1.0
    rl_steps: int = 60
    rl_states: int = 8
    rl_group: int = 8
    rl_rate: float = 6e-5
    rl_warmup: int = 5
    rl_fresh: float = 0.5
    rl_ahead: float = 0.3
    rl_beta: float = 0.02
    rl_temperature: float = 1.0
    tasks: int = 120
    model: tiny.TinySize = tiny.TinySize(
        picture=LARGEST,
        patch=12,
        merge=1,
        vision_width=128,
        vision_layers=4,
        vision_heads=4,
        text_width=160,
        text_layers=3,
        text_heads=4,
        text_kv_heads=2,
        vocabulary=700,
    )


FULL = Size()
QUICK = Size(
    subjects=12,
    base_steps=2,
    base_batch=2,
    episodes=6,
    sft_steps=2,
    sft_batch=2,
    rl_steps=1,
    rl_states=2,
    rl_group=2,
    tasks=4,
    model=FULL.model.model_copy(update={"vision_layers": 1, "vocabulary": 400}),
)


@dataclass(frozen=True)
class World:
    """Pictures, tool and base, made when first asked for.

    Args:
        folder: Work folder.
        size: How much of everything; a folder belongs to one size.
    """

    folder: Path
    size: Size

    @property
    def weights(self) -> RewardWeights:
        """All five rewards."""
        return RewardWeights(good=GOOD)

    @cached_property
    def tool(self) -> GrowingTool:
        """The segmentation tool of all arms."""
        return GrowingTool()

    @cached_property
    def catalogue(self) -> Catalogue:
        """The set of this world, without synonyms."""
        return Catalogue(sets={PLAIN.name: SetEntry()}, synonyms={})

    @cached_property
    def data(self) -> Path:
        """Root of the labelled sets."""
        self.add_set(PLAIN, self.size.subjects)
        return self.folder / "data"

    def add_set(self, scanner: Scanner, subjects: int) -> Path:
        """Draw a set beside the others, unless it is there; the root of all of them."""
        root = self.folder / "data"
        if not (root / scanner.name / "manifest.json").is_file():
            write_set(root, scanner, subjects)
        return root

    def pictures(self, held_back: bool, scanner: Scanner = PLAIN) -> list[LabelledPicture]:
        """One side of the split by subject."""
        catalogue = Catalogue(sets={scanner.name: SetEntry()}, synonyms={})
        return load_corpus(self.data, catalogue, held_back, [scanner.name])

    @cached_property
    def training_tasks(self) -> PictureTasks:
        """What reinforcement learning asks for."""
        return PictureTasks(self.pictures(held_back=False), {}, ABSENT)

    @cached_property
    def held_back(self) -> list[LabelledPicture]:
        """Pictures of the subjects that no training sees."""
        return self.pictures(held_back=True)

    @cached_property
    def questions(self) -> list[Task]:
        """What every arm is judged by: questions on held-back subjects."""
        source = PictureTasks(self.held_back, {}, ABSENT)
        return draw_tasks(source, self.size.tasks, QUESTIONS_SEED)

    def episodes(self, seed: int, reflection: bool) -> Path:
        """Simulated episodes on the training side, with reflection or without."""
        name = "reflection" if reflection else "plain"
        out = self.folder / "episodes" / f"{name}-{seed}"
        if not (out / "report.json").is_file():
            simulate(self.data, out, self._simulation(seed, reflection), self.tool, self.catalogue)
        return out

    def _simulation(self, seed: int, reflection: bool) -> SimulationSettings:
        shares = Shares(
            self_correction=0.2 if reflection else 0.0,
            user_inconsistency=0.15 if reflection else 0.0,
            absent=ABSENT,
            question=0.0,
        )
        return SimulationSettings(
            sets=(PLAIN.name,),
            per_label=self.size.subjects,
            episodes=self.size.episodes,
            shares=shares,
            stop_iou=GOOD,
            max_clicks=MAX_TURNS - 1,
            seed=seed,
        )

    @cached_property
    def base(self) -> Path:
        """A checkpoint that has learnt first clicks and nothing else, one for all seeds."""
        model = self.folder / "base" / "model"
        if not (model / READ_OUTS_FILE).is_file():
            pictures = self.pictures(held_back=False)
            self.teach(
                self._untrained(pictures),
                self.folder / "base",
                pictures,
                [],
                imitation(
                    steps=self.size.base_steps,
                    batch=self.size.base_batch,
                    learning_rate=self.size.base_rate,
                    refinement=0.0,
                    save_every=200,
                ),
            )
        return model

    def teach(
        self,
        start: Path,
        out: Path,
        pictures: Sequence[LabelledPicture],
        states: Sequence[State],
        config: EmbeddedConfig,
    ) -> Path:
        """Train by imitation of the annotator, with the auxiliary losses; the checkpoint.

        Masks to correct are those of the states; without any they are imagined.
        """
        weights = {picture.set_name: 1.0 for picture in pictures}
        train_embedded(start, out, pictures, weights, {}, config, states=states)
        return out / "model"

    def _untrained(self, pictures: Sequence[LabelledPicture]) -> Path:
        """Weights at random, and a tokenizer that knows the words of all kinds of replies."""
        start = self.folder / "start"
        if not (start / PROFILE_FILE).is_file():
            write_starting_point(start, pictures, self.catalogue, self.size.model)
        return start


def imitation(
    steps: int,
    batch: int,
    learning_rate: float,
    refinement: float,
    save_every: int | None = None,
    seed: int = 0,
) -> EmbeddedConfig:
    """Settings of imitation, with what all trainings in this world share.

    Args:
        steps: Optimiser steps.
        batch: Pictures a step.
        learning_rate: The highest.
        refinement: Share of steps that ask a second time about the pictures that have states,
            with a mask on them.
        save_every: Steps between checkpoints; only the last one if not given.
        seed: Of whatever is drawn.
    """
    return EmbeddedConfig(
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        questions=len(ORGANS),
        absent=TAUGHT_ABSENT,
        refinement=refinement,
        strength=STRENGTH,
        save_every=save_every or steps,
        seed=seed,
    )


class Outcome(BaseModel):
    """Means over the questions."""

    model_config = ConfigDict(frozen=True)

    iou: float
    dice: float
    f1: float
    turns: float
    good_stops: float
    stops: float
    right_clicks: float
    first_click_hits: float


def ask(policy: Policy, profile: PromptProfile, world: World, tasks: Sequence[Task]) -> Outcome:
    """Play all tasks to their ends, side by side, and judge."""
    episodes = [_episode(task, profile, world) for task in tasks]
    run(episodes, policy)
    return outcome(episodes, tasks, world.weights)


def ask_checkpoint(model: Path, world: World, tasks: Sequence[Task]) -> Outcome:
    """Likewise with a checkpoint, greedily."""
    policy = LocalPolicy(model, "cpu", max_new_tokens=REPLY_TOKENS)
    return ask(policy, policy.profile, world, tasks)


def annotator_outcome(world: World, tasks: Sequence[Task], profile: PromptProfile) -> Outcome:
    """What an annotator who knows the truth reaches with this tool: the upper bound."""
    episodes = [_episode(task, profile, world) for task in tasks]
    for episode, task in zip(episodes, tasks, strict=True):
        run([episode], ScriptedAnnotator(task.truth, task.prompt, GOOD))
    return outcome(episodes, tasks, world.weights)


def outcome(episodes: Sequence[Episode], tasks: Sequence[Task], weights: RewardWeights) -> Outcome:
    """Judge finished episodes, one a task."""
    judged = judge(episodes, tasks, weights)
    pairs = [(e.segmentation.mask, t.truth) for e, t in zip(episodes, tasks, strict=True)]
    present = [(e, t) for e, t in zip(episodes, tasks, strict=True) if t.truth.any()]
    return Outcome(
        iou=judged.iou,
        dice=fmean(dice(mask, truth) for mask, truth in pairs),
        f1=entity_f1(pairs),
        turns=judged.turns,
        good_stops=judged.good_stops,
        stops=fmean(episode.stop in BY_ITSELF for episode in episodes),
        right_clicks=judged.right_clicks,
        first_click_hits=fmean(_hits(episode, task) for episode, task in present),
    )


def _episode(task: Task, profile: PromptProfile, world: World) -> Episode:
    start = None if task.start is None else Segmentation(task.start, 0.0)
    limits = Limits(max_steps=MAX_TURNS)
    return Episode(task.rgb, task.prompt, world.tool, profile, limits, start)


def _hits(episode: Episode, task: Task) -> bool:
    """Whether the first action is a click into the target."""
    click = episode.steps[0].click
    if click is None or not click.positive:
        return False
    return bool(task.truth[click.to_pixel(*task.truth.shape)])
