"""Simulated episodes: the scripted annotator plays in the real environment.

The same episode, tool and overlay as at inference; only the policy is scripted. Some episodes
begin with a wrong click or with a mask that belongs to something else, so that a model sees
states it will bring about itself and learns to put them right (the two kinds of reflection of
arXiv 2601.03054, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
from rich.progress import track

from ibisagent.actions import Click
from ibisagent.episode import Episode, Limits, run
from ibisagent.policies.scripted import ScriptedAnnotator, next_click
from ibisagent.prompts import PromptProfile, load_profile
from ibisagent.tools.base import Mask, Segmentation, SegmentationTool
from ibisagent.trajectory import SliceRecord, Trajectory, record
from ibistrain.corpus import LabelledPicture, by_set_and_subject

MAX_CLICKS = 5
"""Clicks of an annotator who is not satisfied."""
STOP_IOU = 0.85
WRONG_CLICK = 0.15
"""Share of episodes that begin with a click beside the target."""
WRONG_MASK = 0.10
"""Share of episodes that begin with the mask of something else."""


def simulate_episodes(
    pictures: Sequence[LabelledPicture],
    tool: SegmentationTool,
    file: Path,
    episodes: int,
    seed: int = 0,
) -> None:
    """Play episodes and append them to a JSON-lines file, one trajectory a line.

    The episode with number n depends on the seed and n only, and the file is continued where it
    ends; so a run that was broken off gives the same file as one that was not.

    Args:
        pictures: The corpus; sets are drawn equally often, then subjects, then pictures.
        tool: The segmentation tool.
        file: Where; made if missing.
        episodes: How many trajectories the file shall hold.
        seed: Of all draws.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    done = _drop_broken_line(file)
    groups = [list(subjects.values()) for subjects in by_set_and_subject(pictures).values()]
    with file.open("a", encoding="utf-8") as lines:
        for number in track(range(done, episodes), description="Simulating"):
            rng = Random(f"{seed}/{number}")
            picture = rng.choice(rng.choice(rng.choice(groups)))
            trajectory = simulate(picture, rng.choice(picture.present), tool, rng)
            lines.write(trajectory.model_dump_json() + "\n")
            lines.flush()


def simulate(
    picture: LabelledPicture, target: str, tool: SegmentationTool, rng: Random
) -> Trajectory:
    """Play one episode.

    Args:
        picture: The labelled picture.
        target: What to segment; present in the picture.
        tool: The segmentation tool.
        rng: Draws clicks, words and mistakes.

    Returns:
        The trajectory; its prompt is the target's name, its image the picture's name. A click
        made wrong on purpose has a human author, since it is not to be imitated.
    """
    truth = picture.truth(target)
    profile = load_profile()
    episode = _start(picture, target, truth, tool, profile, rng)
    annotator = ScriptedAnnotator(truth, target, STOP_IOU, rng)
    if episode.start is None and rng.random() < WRONG_CLICK:
        episode.click(_beside(truth, rng))
    run([episode], annotator)
    height, width = truth.shape
    where = SliceRecord(image=picture.name, plane="picture", index=0, height=height, width=width)
    return record(episode, where, annotator.name)


def _start(
    picture: LabelledPicture,
    target: str,
    truth: Mask,
    tool: SegmentationTool,
    profile: PromptProfile,
    rng: Random,
) -> Episode:
    others = [name for name in picture.present if name != target]
    start = None
    if others and rng.random() < WRONG_MASK:
        start = Segmentation(picture.truth(rng.choice(others)), 0.0)
    limits = Limits(max_steps=MAX_CLICKS, max_repeats=MAX_CLICKS + 1)
    return Episode(picture.rgb, target, tool, profile, limits, start)


def _beside(truth: Mask, rng: Random) -> Click:
    """A positive click on what is not the target."""
    background = ~truth if not truth.all() else truth
    click, _ = next_click(background, np.zeros_like(truth), rng)
    return click


def _drop_broken_line(file: Path) -> int:
    """Cut off a last line that a kill left unfinished; returns the number of whole lines."""
    if not file.is_file():
        return 0
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        file.write_bytes(whole)
    return whole.count(b"\n")
