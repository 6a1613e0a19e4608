"""Who is asked for what: the list of episodes to be played, drawn before the first is.

Of each picture every target is a candidate, and a few targets that are not there, or that no
picture of its set ever shows. A candidate whose subject has the same picture with the same
truth already is left out. Each set has its turn, round by round, within it each target, up to
the cap, and within that each subject; so neither a set of many labels, nor a common label, nor
a subject with many slices crowds out the others.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random

import numpy as np
import SimpleITK as sitk
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import track

from ibisagent.slices import Plane
from ibistrain.episode_record import Kind
from ibistrain.simulation.scenes import OpenItem, Source, Sources
from ibistrain.simulation.settings import Shares, SimulationSettings

ABSENT_PER_SLICE, STRANGE_PER_SLICE = 2, 1
"""Absent targets of a slice that are candidates, of its own set and of others; the list of a whole
atlas would bury the rest."""


class Task(BaseModel):
    """One episode to be played."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int = Field(description="Decides, with the seed, all that is drawn in the episode.")
    image: str = Field(description="Relative to the data's root.")
    plane: Plane
    index: int
    target: str
    present: bool
    kind: Kind
    wrong: str = Field(
        default="", description="Target whose mask is the user's; a misplaced own one if empty."
    )


@dataclass(frozen=True)
class Candidate:
    """A target on a slice, there or not.

    Attributes:
        label: Set and target.
        subject: Whom the image shows.
        image: Relative to the data's root.
        plane: The slice's plane.
        index: Its number.
        present: Whether the target is there.
        others: Targets on the slice that are not this one.
        strange: Whether images of the set never show the target.
    """

    label: tuple[str, str]
    subject: str
    image: str
    plane: Plane
    index: int
    present: bool
    others: tuple[str, ...]
    strange: bool


def plan_tasks(sources: Sources, settings: SimulationSettings) -> list[Task]:
    """Draw the episodes, sorted by image; equal data and settings give equal tasks.

    Raises:
        UnreadableImage: An image or a label image cannot be read.
        InvalidManifest: A label image does not fit its image.
    """
    found: list[Candidate] = []
    seen: set[bytes] = set()
    mine = [s for s in sources if s.item.is_held_back() == settings.held_back]
    for source in track(mine, description="Looking for targets", transient=True):
        found.extend(_candidates(source, settings, seen))
    rng = Random(f"{settings.seed}/plan")
    present = _in_turn([c for c in found if c.present], settings.per_label, rng)
    absent = _in_turn([c for c in found if not c.present], settings.per_label, rng)
    drawn = list(_kinds(present * settings.repeats, absent, settings, rng))
    drawn.sort(key=lambda one: (one[0].image, one[0].plane, one[0].index, one[0].label))
    return [_task(number, *one) for number, one in enumerate(drawn)]


def _candidates(
    source: Source, settings: SimulationSettings, seen: set[bytes]
) -> Iterator[Candidate]:
    item = OpenItem(source, settings.window)
    rng = Random(f"{settings.seed}/{source.image}")
    for plane, step in item.planes(settings.planes).items():
        for index in range(0, item.view(plane).count, step):
            for one in _of_slice(item, plane, index, settings.min_pixels, rng):
                digest = _digest(item, one)
                if digest not in seen:
                    seen.add(digest)
                    yield one


def _of_slice(item: OpenItem, plane: Plane, index: int, least: int, rng: Random) -> list[Candidate]:
    names = item.source.targets
    pixels = {name: int(item.truth(name, plane, index).sum()) for name in names}
    shown = [name for name, count in pixels.items() if count >= least]
    absent = [name for name, count in pixels.items() if count == 0]
    strange = item.source.never
    chosen = shown + rng.sample(absent, min(len(absent), ABSENT_PER_SLICE))
    chosen += rng.sample(strange, min(len(strange), STRANGE_PER_SLICE))
    return [
        Candidate(
            label=(item.source.item.set_name, name),
            subject=item.source.item.subject,
            image=item.source.image,
            plane=plane,
            index=index,
            present=bool(pixels.get(name)),
            others=tuple(other for other in shown if other != name),
            strange=name in strange,
        )
        for name in chosen
    ]


def _digest(item: OpenItem, one: Candidate) -> bytes:
    """Equal for two pictures of one subject with the same content and the same truth."""
    view = item.view(one.plane)
    array = sitk.GetArrayViewFromImage(item.image)
    if one.plane is Plane.PICTURE:
        picture = np.asarray(array)
    else:
        picture = view.from_volume(array, one.index)
    truth = item.truth(one.label[1], one.plane, one.index)
    name = f"{one.label}/{one.subject}/{picture.shape}".encode()
    return sha256(name + picture.tobytes() + np.packbits(truth).tobytes()).digest()


def _in_turn(candidates: Sequence[Candidate], cap: int, rng: Random) -> list[Candidate]:
    """Every set in turn, within it every target, at most `cap` times, within that every subject."""
    sets: list[list[Candidate]] = []
    for own in _grouped(candidates, lambda one: one.label[0], rng):
        targets = [
            _round_robin(_grouped(same, lambda one: one.subject, rng))[:cap]
            for same in _grouped(own, lambda one: one.label, rng)
        ]
        sets.append(_round_robin(targets))
    return _round_robin(sets)


def _grouped(
    candidates: Iterable[Candidate], key: Callable[[Candidate], Hashable], rng: Random
) -> list[list[Candidate]]:
    groups: dict[Hashable, list[Candidate]] = {}
    for one in candidates:
        groups.setdefault(key(one), []).append(one)
    shuffled = list(groups.values())
    rng.shuffle(shuffled)
    for group in shuffled:
        rng.shuffle(group)
    return shuffled


def _round_robin(queues: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    longest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


Drawn = tuple[Candidate, Kind, str]


def _kinds(
    present: Sequence[Candidate],
    absent: Sequence[Candidate],
    settings: SimulationSettings,
    rng: Random,
) -> Iterator[Drawn]:
    """Give each episode a kind; those of absent targets come beside the present ones."""
    missing: dict[tuple[str, bool], deque[Candidate]] = defaultdict(deque)
    for one in absent:
        missing[one.label[0], one.strange].append(one)
    wanted = settings.episodes or len(present)
    left = iter(present)
    for _ in range(wanted):
        candidate = next(left, None)
        if candidate is None:
            return
        kind, needs_absent = _kind(settings.shares, rng)
        other = None
        if needs_absent:
            other = _missing(missing, candidate.label[0], settings.shares.strange, rng)
        if needs_absent and other is None and kind == "absent":
            kind = "plain"
        chosen = other or candidate
        wrong = rng.choice(chosen.others) if kind == "user_inconsistency" and chosen.others else ""
        if kind == "user_inconsistency" and not chosen.present and not wrong:
            chosen = candidate  # of an absent target there is no own mask to misplace
        yield chosen, kind, wrong


def _missing(
    left: Mapping[tuple[str, bool], deque[Candidate]], name: str, share: float, rng: Random
) -> Candidate | None:
    """The next absent target of a set, strange or not as the lot falls, if there is one left."""
    strange = rng.random() < share
    queue = left[name, strange] or left[name, not strange]
    return queue.popleft() if queue else None


def _kind(shares: Shares, rng: Random) -> tuple[Kind, bool]:
    """A kind, and whether the target has to be absent."""
    names: tuple[Kind, ...] = ("self_correction", "user_inconsistency", "absent", "question")
    value = rng.random()
    for name in names:
        value -= getattr(shares, name)
        if value < 0:
            break
    else:
        return "plain", False
    odds = {"absent": 1.0, "question": shares.question_absent}
    odds["user_inconsistency"] = shares.mask_of_absent
    return name, rng.random() < odds.get(name, 0.0)


def _task(number: int, one: Candidate, kind: Kind, wrong: str) -> Task:
    return Task(
        number=number,
        image=one.image,
        plane=one.plane,
        index=one.index,
        target=one.label[1],
        present=one.present,
        kind=kind,
        wrong=wrong,
    )
