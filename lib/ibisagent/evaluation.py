"""How well an agent does on labelled data.

For each question (`ibisagent.evaluation_cases`) one episode is played and judged against the
label; the outcome is kept as a row (`ibisagent.evaluation_folder`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from pydantic import Field

from ibisagent import __version__
from ibisagent.agent import Agent
from ibisagent.episode import Author, Episode, Limits, run
from ibisagent.errors import InvalidRequest
from ibisagent.evaluation_cases import Case, CaseSettings, plan_cases
from ibisagent.evaluation_folder import EvaluationFolder, Row
from ibisagent.manifest import Item, Manifest, Truths
from ibisagent.metrics import dice, iou
from ibisagent.slice_player import BATCH
from ibisagent.slices import SliceView
from ibisagent.tools.base import Mask
from ibisagent.trajectory import SliceRecord, record
from ibisagent.volume import read_image

OnProgress = Callable[[int, int], None]
"""Called with the number of finished questions and the number of all questions."""


class EvaluationSettings(CaseSettings):
    """What decides the result, apart from agent and data."""

    max_steps: int = Field(default=10, ge=1, le=50, description="Most actions an episode.")


def evaluate(
    manifests: Sequence[Manifest],
    settings: EvaluationSettings,
    agent: Agent,
    out: Path,
    on_progress: OnProgress | None = None,
) -> tuple[EvaluationFolder, list[Row]]:
    """Play and judge all questions; those that stand in `out` already are not played again.

    A label that the agent's model says it has not learnt is not asked for; its row says so.

    Args:
        manifests: The labelled sets.
        settings: Which questions, and how long an episode may be.
        agent: Who is judged.
        out: Folder for the evaluation; made if missing.
        on_progress: Called at the start and after each batch.

    Returns:
        The folder, and one row a question in the order of the questions.

    Raises:
        InvalidRequest: There is nothing to ask, or `out` holds an evaluation with other settings.
        OutputNotWritable: `out` is a file, may not be written to, or the disk is full.
        UnreadableImage: An image or a label image cannot be read.
        InvalidManifest: A label image does not fit its image.
        PolicyFailed: The policy raised. What is finished stays in `out`.
    """
    cases = plan_cases(manifests, settings)
    if not cases:
        raise InvalidRequest(
            "These sets hold nothing to ask for.",
            "Take more sets, or all subjects (--all) instead of the held-back ones.",
        )
    folder = EvaluationFolder(out, _identity(manifests, settings, agent, cases))
    done = {row.key: row for row in folder.rows()}
    left = [case for case in cases if case.key not in done]
    pictures = _Pictures()
    tell = on_progress or (lambda finished, all_of_them: None)
    tell(len(done), len(cases))
    for first in range(0, len(left), BATCH):
        rows = _play(left[first : first + BATCH], settings, agent, pictures, folder.trajectories)
        folder.append(rows)
        done.update({row.key: row for row in rows})
        tell(len(done), len(cases))
    return folder, [done[case.key] for case in cases]


def _identity(
    manifests: Sequence[Manifest], settings: EvaluationSettings, agent: Agent, cases: list[Case]
) -> dict[str, object]:
    """Everything that must be equal for two runs to belong to one evaluation."""
    questions = "\n".join(case.key for case in cases)
    return {
        "version": __version__,
        "sets": [manifest.name for manifest in manifests],
        **settings.model_dump(mode="json"),
        "policy": agent.policy.name,
        "tool": agent.tool.name,
        "profile": agent.profile.name,
        "questions": sha256(questions.encode("utf-8")).hexdigest()[:16],
    }


class _Pictures:
    """Images as they are asked for; the last one is kept, since questions are sorted by image."""

    def __init__(self) -> None:
        self._item: Item | None = None

    def open(self, case: Case) -> tuple[SliceView, Mask]:
        """The image in the case's plane, and the truth on its slice."""
        if self._item is not case.item:
            self._item = case.item
            self._view = SliceView(read_image(case.item.image), case.plane)
            self._truths: Truths = case.item.read()
        truth = self._view.from_volume(self._truths[case.label], case.index)
        return self._view, truth


def _play(
    cases: Sequence[Case],
    settings: EvaluationSettings,
    agent: Agent,
    pictures: _Pictures,
    trajectories: Path,
) -> list[Row]:
    """Play cases side by side and save their trajectories."""
    limits = Limits(max_steps=settings.max_steps)
    rows, played = [], []
    for case in cases:
        if not agent.profile.understands(case.prompt):
            rows.append(_row(case).model_copy(update={"known": False}))
            continue
        view, truth = pictures.open(case)
        episode = Episode(view.rgb(case.index), case.prompt, agent.tool, agent.profile, limits)
        played.append((case, view, truth, episode))
    run([episode for *_, episode in played], agent.policy)
    for case, view, truth, episode in played:
        name = _file_name(case)
        record(episode, _where(case, view), agent.policy.name).save(trajectories / name)
        rows.append(judge(_row(case), episode, truth).model_copy(update={"trajectory": name}))
    return rows


def judge(row: Row, episode: Episode, truth: Mask) -> Row:
    """The row with the outcome of an episode.

    Args:
        row: The question.
        episode: Finished.
        truth: Axes (row, column), of the episode's picture.
    """
    mask = episode.segmentation.mask
    first = next((step for step in episode.steps if step.click is not None), None)
    click = first.click if first else None
    outcome = {
        "hit": bool(click and click.positive and truth[click.to_pixel(*truth.shape)]),
        "iou": round(iou(mask, truth), 4),
        "first_dice": round(dice(first.segmentation.mask, truth), 4) if first else 0.0,
        "dice": round(dice(mask, truth), 4),
        "marked": bool(mask.any()),
        "stop": episode.stop,
        "turns": sum(step.author is Author.AGENT for step in episode.steps),
        "seconds": round(sum(s.policy_seconds + s.tool_seconds for s in episode.steps), 3),
    }
    return row.model_copy(update=outcome)


def _row(case: Case) -> Row:
    return Row(
        key=case.key,
        set=case.item.set_name,
        item=case.item.name,
        subject=case.item.subject,
        label=case.label,
        plane=case.plane.value,
        slice=case.index,
        prompt=case.prompt,
        present=case.present,
    )


def _where(case: Case, view: SliceView) -> SliceRecord:
    height, width = view.shape
    return SliceRecord(
        image=case.item.image.name,
        plane=case.plane.value,
        index=case.index,
        height=height,
        width=width,
        pixel_mm=view.spacing,
    )


def _file_name(case: Case) -> str:
    """Readable, with nothing that a file system minds, and still unique."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", case.key)[:100]
    return f"{readable}-{sha256(case.key.encode('utf-8')).hexdigest()[:8]}.json"
