"""The whole simulation: plan, play, write shards; a run that was broken off goes on.

::

    config.yaml            the settings; a rerun must agree with them
    versions.json          what it ran on
    plan.jsonl             who is asked for what, one task a line
    episodes-00000.jsonl   shards (or .parquet), each whole
    part-00001.jsonl       the shard under way, one line a finished task
    report.json            what came of it

Equal data, settings and seed give equal shards, byte for byte, unless a teacher has a say.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ibisagent.errors import InvalidRequest, OutputNotWritable
from ibisagent.output import write_whole
from ibisagent.policies import load_policy
from ibisagent.policies.base import Cancelled, never
from ibisagent.prompts import load_profile
from ibisagent.tools import load_tool
from ibisagent.tools.base import SegmentationTool
from ibistrain.catalogue import Catalogue, load_catalogue
from ibistrain.episode_record import EpisodeRecord, read_episodes, shard_path, write_shard
from ibistrain.run_folder import RunFolder
from ibistrain.simulation.plan import Task, plan_tasks
from ibistrain.simulation.play import Player
from ibistrain.simulation.scenes import OpenItem, Sources
from ibistrain.simulation.settings import SimulationSettings
from ibistrain.simulation.teacher import Teacher

logger = logging.getLogger(__name__)

OnProgress = Callable[[int, int], None]
"""Called with the number of finished tasks and the number of all tasks."""

PLAN = "plan.jsonl"
REPORT = "report.json"


class Done(BaseModel):
    """One line of the shard under way."""

    model_config = ConfigDict(frozen=True)

    task: int
    episode: EpisodeRecord | None = Field(description="None where the episode was dropped.")


class SimulationReport(BaseModel):
    """What came of a simulation."""

    model_config = ConfigDict(frozen=True)

    tasks: int
    episodes: int
    dropped: int = Field(description="Tasks whose mask did not become good enough.")
    finished: bool = Field(description="Whether all tasks were played.")
    subjects: int
    kinds: dict[str, int]
    targets: dict[str, int] = Field(description="Set and target -> episodes.")
    clicks: float = Field(description="Mean number of clicks of episodes with a target.")
    iou: float = Field(description="Mean IoU at the end of episodes with a target.")


def simulate(
    data: Path,
    out: Path,
    settings: SimulationSettings | None = None,
    tool: SegmentationTool | None = None,
    catalogue: Catalogue | None = None,
    on_progress: OnProgress | None = None,
    should_stop: Cancelled = never,
) -> SimulationReport:
    """Simulate, or go on where an earlier run ended.

    Args:
        data: Root of the labelled sets; image paths in the episodes are relative to it.
        out: Folder for the shards; made if missing.
        settings: What is wanted.
        tool: The segmentation tool; that of the settings if not given.
        catalogue: Synonyms and unions of labels; the package's if not given.
        on_progress: Called at the start and after each task.
        should_stop: Read before each task; what is finished stays.

    Raises:
        InvalidRequest: There is nothing to ask for, or `out` holds another simulation.
        InvalidManifest: A set cannot be read, or does not name what the plan asks for.
        UnreadableImage: An image cannot be read.
        ModelNotFound: The policy's checkpoint is not there.
        OutputNotWritable: The folder is closed or the disk full.
    """
    settings = settings or SimulationSettings()
    policy = load_policy(settings.policy, settings.device) if settings.policy else None
    RunFolder(out).open(settings)
    catalogue = catalogue or load_catalogue()
    sources = Sources(data, settings.sets, catalogue)
    tasks = _plan(out, sources, settings)
    tool = tool or load_tool(settings.tool, settings.device)
    profile = (policy and policy.profile) or load_profile(settings.profile)
    player = Player(tool, profile, settings, catalogue.synonyms, policy)
    teacher = Teacher(settings.teacher, settings.seed) if settings.teacher else None
    work = _Work(out, sources, settings, player, teacher, should_stop)
    tell = on_progress or (lambda done, all_of_them: None)
    tell(0, len(tasks))
    finished = True
    for number in range(0, len(tasks), settings.shard_size):
        part = tasks[number : number + settings.shard_size]
        finished = work.shard(part, number // settings.shard_size, lambda n: tell(n, len(tasks)))
        if not finished:
            break
    return _report(out, tasks, finished)


class _Work:
    """Plays the tasks of one shard after the other."""

    def __init__(
        self,
        out: Path,
        sources: Sources,
        settings: SimulationSettings,
        player: Player,
        teacher: Teacher | None,
        should_stop: Cancelled,
    ) -> None:
        self._out = out
        self._sources = sources
        self._settings = settings
        self._player = player
        self._teacher = teacher
        self._should_stop = should_stop
        self._item: OpenItem | None = None

    def shard(self, tasks: Sequence[Task], number: int, tell: Callable[[int], None]) -> bool:
        """Play and write one shard; False if it was stopped."""
        form = self._settings.form
        if shard_path(self._out, number, form).is_file():
            tell(tasks[-1].number + 1)
            return True
        part = self._out / f"part-{number:05d}.jsonl"
        done = {line.task: line for line in _whole_lines(part)}
        for task in tasks:
            if task.number not in done:
                if self._should_stop():
                    return False
                done[task.number] = Done(task=task.number, episode=self._play(task))
                _append(part, done[task.number])
            tell(task.number + 1)
        episodes = [done[task.number].episode for task in tasks]
        write_shard([e for e in episodes if e is not None], self._out, number, form)
        part.unlink(missing_ok=True)
        return True

    def _play(self, task: Task) -> EpisodeRecord | None:
        if self._item is None or self._item.source.image != task.image:
            self._item = OpenItem(self._sources.find(task.image), self._settings.window)
        episode = self._player.play(task, self._item)
        return self._teacher.reword(episode) if self._teacher and episode else episode


_TASKS = TypeAdapter(list[Task])


def _plan(out: Path, sources: Sources, settings: SimulationSettings) -> list[Task]:
    """The plan of the folder; drawn at the first call."""
    file = out / PLAN
    if not file.is_file():
        tasks = plan_tasks(sources, settings)
        if not tasks:
            raise InvalidRequest(
                "These sets show nothing that may be asked for.",
                "Lower min_pixels, take more sets, or look at the other side of the split.",
            )
        lines = "".join(task.model_dump_json() + "\n" for task in tasks)
        write_whole(file, lines.encode("utf-8"))
        return tasks
    try:
        lines = file.read_text(encoding="utf-8")
        return _TASKS.validate_python([json.loads(line) for line in lines.splitlines()])
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"{PLAN} in {out} is damaged.", "Begin again in a new folder."
        ) from error


def _whole_lines(part: Path) -> Iterable[Done]:
    """What is finished; a last line that a kill left unfinished is cut off."""
    if not part.is_file():
        return []
    content = part.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    try:
        found = [Done.model_validate_json(line) for line in whole.splitlines()]
    except ValidationError:
        logger.warning("%s is damaged and is made again", part.name)
        found, whole = [], b""
    if len(whole) < len(content):
        write_whole(part, whole)
    return found


def _append(part: Path, line: Done) -> None:
    try:
        with part.open("a", encoding="utf-8") as file:
            file.write(line.model_dump_json() + "\n")
    except OSError as error:
        raise OutputNotWritable(
            f"{part} could not be written: {error.strerror}.",
            "Free some space and repeat the command; what is finished stays.",
        ) from error


def _report(out: Path, tasks: Sequence[Task], finished: bool) -> SimulationReport:
    found = any(out.glob("episodes-*"))
    facts = [_facts(episode) for episode in read_episodes(out)] if found else []
    present = [fact for fact in facts if fact.present]
    report = SimulationReport(
        tasks=len(tasks),
        episodes=len(facts),
        dropped=len(tasks) - len(facts) if finished else 0,
        finished=finished,
        subjects=len({fact.subject for fact in facts}),
        kinds=dict(sorted(Counter(fact.kind for fact in facts).items())),
        targets=dict(sorted(Counter(fact.target for fact in facts).items())),
        clicks=fmean(fact.clicks for fact in present) if present else 0.0,
        iou=fmean(fact.iou for fact in present) if present else 0.0,
    )
    write_whole(out / REPORT, (report.model_dump_json(indent=1) + "\n").encode("utf-8"))
    return report


class _Facts(BaseModel):
    """What the report needs of an episode."""

    subject: str
    kind: str
    target: str
    present: bool
    clicks: int
    iou: float


def _facts(episode: EpisodeRecord) -> _Facts:
    return _Facts(
        subject=f"{episode.set_name}/{episode.subject}",
        kind=episode.kind,
        target=f"{episode.set_name}/{episode.target}",
        present=episode.present,
        clicks=sum(step.carried_out for step in episode.trajectory.steps),
        iou=episode.iou[-1],
    )
