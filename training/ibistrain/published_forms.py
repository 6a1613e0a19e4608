"""Simulated episodes in the two forms that the reference's own tools read.

The published code (arXiv 2601.03054) turns a JSON of trajectories into a parquet of single turns
for verl. Its files lack what its reward asks for, and its generator does not write what its
converter reads. Here both are written, complete: field names and meanings are the reference's
where it has any, and what it lacks is added beside. ::

    train.json           trajectories, as its converter reads them
    train/NAME.png       pictures
    masks/MASK.png       truths, 255 where the target is
    train_rl.parquet     one row a turn, as verl reads it

Added are the sign of each click, the IoU before and after, the number of the turn, the turn that
ends an episode, the system prompt, the refinement's prompt, and which turns carry no loss.
Pixels are (x, y), and sizes of pictures (width, height), as there; sizes of masks (height, width).
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ibisagent.actions import Terminate, format_action, parse
from ibisagent.errors import InvalidTrajectory
from ibisagent.output import make_folder, write_whole
from ibisagent.overlay import overlay
from ibisagent.prompts import PromptProfile
from ibisagent.rle import Rle
from ibisagent.tools.base import RGB, Mask
from ibisagent.trajectory import StepRecord
from ibistrain.episode_pictures import EpisodePictures
from ibistrain.episode_record import EpisodeRecord

IMAGE = "<image>"
"""Where verl puts the picture."""
OPTIMAL_STEP = 5
"""Turns that the published reward counts as short."""


class PublishedMask(BaseModel):
    """COCO run lengths, packed."""

    model_config = ConfigDict(frozen=True)

    counts: str = Field(description="base64 of zlib of COCO's compressed run lengths.")
    size: tuple[int, int] = Field(description="Height and width.")

    @classmethod
    def of(cls, mask: Rle) -> PublishedMask:
        """Pack a mask."""
        packed = zlib.compress(mask.counts.encode("ascii"), 9)
        return cls(counts=base64.b64encode(packed).decode("ascii"), size=mask.size)

    def rle(self) -> Rle:
        """Unpack.

        Raises:
            InvalidTrajectory: These are no packed run lengths.
        """
        try:
            counts = zlib.decompress(base64.b64decode(self.counts, validate=True))
            return Rle(size=self.size, counts=counts.decode("ascii"))
        except (ValueError, zlib.error) as error:
            raise InvalidTrajectory(
                "A mask is not base64 of zlib of run lengths.", "Write the file again."
            ) from error


class PublishedTurn(BaseModel):
    """What clicks and the end of an episode have in common; all of it is added by us."""

    model_config = ConfigDict(frozen=True)

    step: int = Field(description="Number of the turn, from 1.")
    previous_iou: float = Field(description="IoU of mask and truth before the turn.")
    learn: bool = Field(description="False for an action made wrong on purpose.")
    reply: str = Field(description="What the agent writes: thought, action, answer.")


class PublishedClick(PublishedTurn):
    """A click."""

    is_positive: bool
    coor: tuple[int, int] = Field(description="Pixel, x and y.")
    coor_norm: tuple[float, float] = Field(description="x and y in [0, 1], four decimals.")
    mask: PublishedMask = Field(description="The mask after the click.")
    iou: float = Field(description="IoU after the click; added.")


class PublishedTrajectory(BaseModel):
    """One episode."""

    model_config = ConfigDict(frozen=True)

    image_name: str = Field(description="File name of the picture without extension.")
    mask_name: str = Field(description="File name of the truth without extension.")
    caption: str = Field(description="The user's side of a first turn.")
    clicks_list: list[PublishedClick]
    refine_caption: str = Field(description="The user's side of a later turn; added.")
    system_prompt: str = Field(description="Added.")
    start: PublishedMask = Field(description="The user's mask, mostly empty; added.")
    terminal: PublishedTurn | None = Field(description="The turn that ends it; added.")
    kind: str = Field(description="Kind of episode; added.")
    dataset: str = Field(description="Data set; added.")
    subject: str = Field(description="Whom the picture shows; added.")
    target: str = Field(description="The target's name; added.")


VERL_COLUMNS = {
    "data_source": "always med-seg; chooses the reward.",
    "prompt": "the chat: system prompt if there is one, then the user's turn with one <image>.",
    "images": "one PNG: the picture with the mask of the moment overlaid.",
    "ability": "always reasoning.",
    "reward_model": "style rule; ground_truth is the annotator's action.",
    "extra_info.split": "train or another name.",
    "extra_info.index": "number of the row.",
    "extra_info.answer": "the annotator's whole reply.",
    "extra_info.question": "the user's turn.",
    "extra_info.dataset": "data set.",
    "extra_info.original_image_name": "plain picture, relative to the parquet.",
    "extra_info.gt_mask_name": "truth, relative to the parquet.",
    "extra_info.clicklist": "clicks so far, pixels (x, y).",
    "extra_info.labels": "their signs, 1 or 0.",
    "extra_info.current_gt_mask": "packed mask after the annotator's action.",
    "extra_info.image_size": "width and height.",
    "extra_info.pre_iou": "IoU before the turn; the published data lack it.",
    "extra_info.current_step": "number of the turn, from 1; the published data lack it.",
    "extra_info.optimal_step": "turns that count as short.",
    "extra_info.previous_mask": "packed mask before the turn, the tool's prior; added.",
    "extra_info.terminal": "whether the annotator stops here; added.",
    "extra_info.learn": "false for an action made wrong on purpose; added.",
    "extra_info.kind": "kind of episode; added.",
    "extra_info.subject": "whom the picture shows; added.",
}
"""Columns of the parquet, structs by their fields."""


def write_published(
    episodes: Iterable[EpisodeRecord],
    root: Path,
    out: Path,
    profile: PromptProfile,
    split: str = "train",
) -> int:
    """Write both forms.

    Args:
        episodes: What to write.
        root: Folder that their image paths are relative to.
        out: Folder; made if missing.
        profile: Prompts and overlay; `published` for the published weights.
        split: Name of the files.

    Returns:
        Number of rows of the parquet.

    Raises:
        OutputNotWritable: The folder is closed or the disk full.
        UnreadableImage: An image of an episode is gone.
    """
    import pyarrow as pa  # loads slowly
    import pyarrow.parquet as pq

    for folder in (split, "masks"):
        make_folder(out / folder)
    pictures = EpisodePictures(root)
    trajectories: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for episode in episodes:
        rgb = pictures.rgb(episode)
        trajectory = published_trajectory(episode, profile)
        write_whole(out / split / f"{trajectory.image_name}.png", _png(rgb))
        truth = episode.truth.decode().astype(np.uint8) * 255
        write_whole(out / "masks" / f"{trajectory.mask_name}.png", _png(truth))
        trajectories.append(trajectory.model_dump(mode="json"))
        rows.extend(_verl_rows(trajectory, episode, rgb, profile, split, len(rows)))
    text = json.dumps({"data": trajectories}, ensure_ascii=False, indent=1)
    write_whole(out / f"{split}.json", text.encode("utf-8"))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=verl_schema()), sink)
    write_whole(out / f"{split}_rl.parquet", sink.getvalue().to_pybytes())
    return len(rows)


def read_published(file: Path) -> list[PublishedTrajectory]:
    """Read a JSON of trajectories that `write_published` wrote.

    Raises:
        InvalidTrajectory: The file is missing or does not fit.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return [PublishedTrajectory.model_validate(fields) for fields in content["data"]]
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise InvalidTrajectory(
            f"{file.name} is not a readable file of published trajectories.",
            "The reference's own files lack the added fields; write it with this software.",
        ) from error


def published_trajectory(episode: EpisodeRecord, profile: PromptProfile) -> PublishedTrajectory:
    """One episode in the reference's terms."""
    trajectory = episode.trajectory
    where = trajectory.slice
    stem = PurePosixPath(episode.image).name.partition(".")[0]
    image = _file_name(f"{episode.set_name}-{stem}-{where.plane}-{where.index}", episode.image)
    steps = list(enumerate(trajectory.steps))
    clicks = [_click(episode, n, step) for n, step in steps if step.action.x is not None]
    ends = [_turn(episode, n) for n, step in steps if step.action.kind == "terminate"]
    return PublishedTrajectory(
        image_name=image,
        mask_name=_file_name(f"{image}-{episode.target}", episode.target),
        caption=_one_image(profile.turn_text(trajectory.prompt, first=True)),
        clicks_list=clicks,
        refine_caption=_one_image(profile.turn_text(trajectory.prompt, first=False)),
        system_prompt=profile.system,
        start=PublishedMask.of(trajectory.start),
        terminal=PublishedTurn.model_validate(ends[0]) if ends else None,
        kind=episode.kind,
        dataset=episode.set_name,
        subject=episode.subject,
        target=episode.target,
    )


def verl_schema() -> Any:
    """The `pyarrow.Schema` of the parquet; see `VERL_COLUMNS`."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    message = pa.struct([("role", text), ("content", text)])
    extra = [
        ("split", text),
        ("index", number),
        ("answer", text),
        ("question", text),
        ("dataset", text),
        ("original_image_name", text),
        ("gt_mask_name", text),
        ("clicklist", pa.list_(pa.list_(number))),
        ("labels", pa.list_(number)),
        ("current_gt_mask", text),
        ("image_size", pa.list_(number)),
        ("pre_iou", pa.float64()),
        ("current_step", number),
        ("optimal_step", number),
        ("previous_mask", text),
        ("terminal", pa.bool_()),
        ("learn", pa.bool_()),
        ("kind", text),
        ("subject", text),
    ]
    return pa.schema(
        [
            ("data_source", text),
            ("prompt", pa.list_(message)),
            ("images", pa.list_(pa.struct([("bytes", pa.binary())]))),
            ("ability", text),
            ("reward_model", pa.struct([("style", text), ("ground_truth", text)])),
            ("extra_info", pa.struct(extra)),
        ]
    )


def _verl_rows(
    trajectory: PublishedTrajectory,
    episode: EpisodeRecord,
    rgb: RGB,
    profile: PromptProfile,
    split: str,
    first: int,
) -> Iterator[dict[str, Any]]:
    """One row for every turn of the agent."""
    height, width = episode.truth.size
    before = episode.trajectory.start
    clicks: list[list[int]] = []
    signs: list[int] = []
    for number, step in enumerate(episode.trajectory.steps):
        mask = before.decode()
        caption = trajectory.refine_caption if mask.any() else trajectory.caption
        action = parse(step.raw)
        stop = isinstance(getattr(action, "action", None), Terminate)
        yield {
            "data_source": "med-seg",
            "prompt": _chat(trajectory.system_prompt, caption),
            "images": [{"bytes": _seen(rgb, mask, profile)}],
            "ability": "reasoning",
            "reward_model": {"style": "rule", "ground_truth": _action_text(step)},
            "extra_info": {
                "split": split,
                "index": first + number,
                "answer": step.raw,
                "question": caption,
                "dataset": episode.set_name,
                "original_image_name": f"{split}/{trajectory.image_name}.png",
                "gt_mask_name": f"masks/{trajectory.mask_name}.png",
                "clicklist": [list(click) for click in clicks],
                "labels": list(signs),
                "current_gt_mask": PublishedMask.of(step.mask).counts,
                "image_size": [width, height],
                "pre_iou": episode.iou[number],
                "current_step": number + 1,
                "optimal_step": OPTIMAL_STEP,
                "previous_mask": PublishedMask.of(before).counts,
                "terminal": stop,
                "learn": episode.learn[number],
                "kind": episode.kind,
                "subject": episode.subject,
            },
        }
        before = step.mask
        if step.pixel is not None:
            clicks.append([step.pixel[1], step.pixel[0]])
            signs.append(int(step.action.kind == "positive"))


def _click(episode: EpisodeRecord, number: int, step: StepRecord) -> PublishedClick:
    row, column = step.pixel or (0, 0)
    return PublishedClick.model_validate(
        {
            **_turn(episode, number),
            "is_positive": step.action.kind == "positive",
            "coor": (column, row),
            "coor_norm": (step.action.x, step.action.y),
            "mask": PublishedMask.of(step.mask),
            "iou": episode.iou[number + 1],
        }
    )


def _turn(episode: EpisodeRecord, number: int) -> dict[str, Any]:
    return {
        "step": number + 1,
        "previous_iou": episode.iou[number],
        "learn": episode.learn[number],
        "reply": episode.trajectory.steps[number].raw,
    }


def _action_text(step: StepRecord) -> str:
    reply = parse(step.raw)
    action = getattr(reply, "action", None)
    return "" if action is None else format_action(action)


def _chat(system: str, user: str) -> list[dict[str, str]]:
    first = [{"role": "system", "content": system}] if system else []
    return [*first, {"role": "user", "content": user}]


def _one_image(text: str) -> str:
    """Exactly one place for the picture, in front; some profiles write it themselves."""
    return IMAGE + text.replace(IMAGE, "")


def _seen(rgb: RGB, mask: Mask, profile: PromptProfile) -> bytes:
    return _png(overlay(rgb, mask, profile.overlay_colour, profile.overlay_alpha))


def _png(pixels: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _file_name(readable: str, unique: str) -> str:
    """Nothing that a file system minds, and still unique."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", readable)[:100]
    return f"{plain}-{sha256(f'{readable}/{unique}'.encode()).hexdigest()[:8]}"
