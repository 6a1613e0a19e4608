"""Writes simulated episodes as the rows that verl trains on: their beginnings and truths."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ibisagent.overlay import overlay
from ibisagent.prompts import PromptProfile, load_profile
from ibisagent.subjects import is_held_back
from ibisagent.tools.base import RGB
from ibistrain.episode_pictures import EpisodePictures
from ibistrain.episode_record import EpisodeRecord, read_episodes

AGENT = "ibis_agent"
"""Name of the loop in agent_loops.yaml."""


def row(number: int, record: EpisodeRecord, rgb: RGB, profile: PromptProfile) -> dict[str, Any]:
    """One row: the first turn as chat and picture, and all that the loop needs to play on.

    Args:
        number: Of the row.
        record: The episode; its steps are not used.
        rgb: Its plain picture, axes (row, column, channel), uint8.
        profile: Words and overlay.
    """
    start = record.trajectory.start.decode()
    text = profile.turn_text(record.trajectory.prompt, first=not start.any())
    seen = overlay(rgb, start, profile.overlay_colour, profile.overlay_alpha)
    system = [{"role": "system", "content": profile.system}] if profile.system else []
    return {
        "data_source": "ibisagent",
        "agent_name": AGENT,
        "prompt": [*system, {"role": "user", "content": f"<image>{text}"}],
        "images": [{"bytes": _png(seen)}],
        "ability": "segmentation",
        "reward_model": {"style": "rule", "ground_truth": record.truth.model_dump_json()},
        "extra_info": {
            "index": number,
            "request": record.trajectory.prompt,
            "picture": _png(rgb),
            "start": record.trajectory.start.model_dump_json(),
            "truth": record.truth.model_dump_json(),
        },
    }


def rows(episodes: Path, root: Path, profile: PromptProfile) -> Iterator[dict[str, Any]]:
    """Rows of all episodes of the training side."""
    pictures = EpisodePictures(root)
    for number, record in enumerate(read_episodes(episodes)):
        if not is_held_back(record.set_name, record.subject):
            yield row(number, record, pictures.rgb(record), profile)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("episodes", type=Path, help="folder of shards")
    parser.add_argument("root", type=Path, help="folder that the image paths are relative to")
    parser.add_argument("out", type=Path, help="parquet file to write")
    parser.add_argument("--prompts", default="default", help="prompt profile by name or file")
    given = parser.parse_args()
    table = pa.Table.from_pylist(
        list(rows(given.episodes, given.root, load_profile(given.prompts)))
    )
    pq.write_table(table, given.out)


def _png(picture: RGB) -> bytes:
    file = BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    main()
