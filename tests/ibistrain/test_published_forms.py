"""The reference's forms: its converter and its reward find what they look for, and more."""

from __future__ import annotations

import base64
import json
import zlib
from io import BytesIO

import numpy as np
import pyarrow.parquet as pq
import pytest
from harness.fake_tool import DiscTool
from harness.labelled_set import write_set
from PIL import Image
from pycocotools import mask as coco

from ibisagent.actions import Click, Terminate, parse
from ibisagent.errors import InvalidTrajectory
from ibisagent.metrics import iou
from ibisagent.overlay import overlay
from ibisagent.prompts import load_profile
from ibistrain.catalogue import Catalogue
from ibistrain.episode_pictures import EpisodePictures
from ibistrain.episode_record import EpisodeRecord, read_episodes
from ibistrain.published_forms import (
    VERL_COLUMNS,
    PublishedMask,
    read_published,
    verl_schema,
    write_published,
)
from ibistrain.simulation.run import simulate
from ibistrain.simulation.settings import Shares, SimulationSettings

PLACES = [(8 + 3 * n, 10 + 4 * n) for n in range(8)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    write_set(folder, "discs", PLACES)
    write_set(folder, "stack", PLACES, volume=True)
    return folder


@pytest.fixture(scope="module")
def episodes(root, tmp_path_factory) -> list[EpisodeRecord]:
    shares = Shares(self_correction=0.3, user_inconsistency=0.3, absent=0.1, question=0.2)
    settings = SimulationSettings(shares=shares, repeats=2, keep_iou=0.3, planes={"axial": 1})
    out = tmp_path_factory.mktemp("episodes")
    simulate(root, out, settings, DiscTool(radius=5), Catalogue(sets={}, synonyms={}))
    found = list(read_episodes(out))
    assert {"self_correction", "user_inconsistency", "absent"} <= {e.kind for e in found}
    return found


@pytest.fixture(scope="module")
def written(root, episodes, tmp_path_factory):
    out = tmp_path_factory.mktemp("published")
    rows = write_published(episodes, root, out, load_profile("published"))
    assert rows == sum(len(episode.trajectory.steps) for episode in episodes)
    return out


def test_trajectories_come_back(written, episodes):
    read = read_published(written / "train.json")
    assert len(read) == len(episodes)
    for there, here in zip(read, episodes, strict=True):
        steps = here.trajectory.steps
        clicks = [step for step in steps if step.action.x is not None]
        assert [c.is_positive for c in there.clicks_list] == [
            s.action.kind == "positive" for s in clicks
        ]
        assert [c.coor_norm for c in there.clicks_list] == [
            (s.action.x, s.action.y) for s in clicks
        ]
        assert [c.coor[::-1] for c in there.clicks_list] == [s.pixel for s in clicks]
        assert [c.mask.rle() for c in there.clicks_list] == [s.mask for s in clicks]
        assert there.start.rle() == here.trajectory.start
        turns = [*there.clicks_list, there.terminal]
        assert [t.reply for t in turns] == [s.raw for s in steps]
        assert [t.learn for t in turns] == here.learn
        assert [t.step for t in turns] == list(range(1, len(steps) + 1))
        assert [t.previous_iou for t in turns] == here.iou[:-1]
        assert there.system_prompt == load_profile("published").system
        assert (there.kind, there.subject, there.target) == (here.kind, here.subject, here.target)


def test_the_references_converter_could_read_it(written):
    """Its steps restated: a picture by name, masks by base64, zlib and COCO, of its size."""
    for sample in json.loads((written / "train.json").read_text())["data"]:
        picture = Image.open(written / "train" / f"{sample['image_name']}.png")
        assert sample["caption"].count("<image>") == 1
        for click in sample["clicks_list"]:
            counts = zlib.decompress(base64.b64decode(click["mask"]["counts"]))
            mask = coco.decode({"counts": counts, "size": click["mask"]["size"]})
            assert mask.shape == picture.size[::-1]
            x, y = click["coor"]
            assert bool(mask[y, x]) == click["is_positive"]
            assert (int(click["coor_norm"][0] * picture.width), y) == (x, y)


def test_rows_have_the_documented_columns(written):
    schema = pq.read_schema(written / "train_rl.parquet")
    assert schema.equals(verl_schema())
    names = [name for name in schema.names if name != "extra_info"]
    names += [f"extra_info.{field.name}" for field in schema.field("extra_info").type]
    assert sorted(names) == sorted(VERL_COLUMNS)


def test_rows_are_the_turns_and_the_reward_finds_its_facts(written, root, episodes):
    rows = pq.read_table(written / "train_rl.parquet").to_pylist()
    pictures = EpisodePictures(root)
    profile = load_profile("published")
    left = iter(rows)
    for episode in episodes:
        mask, clicks, signs = episode.trajectory.start.decode(), [], []
        for number, step in enumerate(episode.trajectory.steps):
            row = next(left)
            facts = row["extra_info"]
            size = facts["image_size"]
            assert facts["current_step"] == number + 1
            assert (facts["clicklist"], facts["labels"]) == (clicks, signs)
            truth = np.array(Image.open(written / facts["gt_mask_name"]).convert("L")) > 127
            assert truth.shape == (size[1], size[0])
            assert facts["pre_iou"] == pytest.approx(iou(mask, truth), abs=1e-6)
            shown = np.array(Image.open(BytesIO(row["images"][0]["bytes"])))
            wanted = overlay(pictures.rgb(episode), mask, profile.overlay_colour, 0.4)
            assert np.array_equal(shown, wanted)
            action = parse(facts["answer"]).action
            assert parse(f"<action>{row['reward_model']['ground_truth']}</action>").action == action
            assert facts["terminal"] == isinstance(action, Terminate)
            assert facts["learn"] == episode.learn[number]
            system, user = row["prompt"]
            assert (system["role"], system["content"]) == ("system", profile.system)
            assert user["content"].count("<image>") == len(row["images"]) == 1
            before = PublishedMask(counts=facts["previous_mask"], size=truth.shape).rle()
            assert np.array_equal(before.decode(), mask)
            mask = step.mask.decode()
            if isinstance(action, Click):
                row_, column = action.to_pixel(*truth.shape)
                clicks = [*clicks, [column, row_]]
                signs = [*signs, int(action.positive)]
    assert next(left, None) is None
    assert [row["extra_info"]["index"] for row in rows] == list(range(len(rows)))


def test_later_turns_have_the_refinement_prompt(written):
    rows = pq.read_table(written / "train_rl.parquet").to_pylist()
    profile = load_profile("published")
    mark = profile.refine.split("{prompt}")[0].replace("<image>", "").strip()
    for row in rows:
        facts = row["extra_info"]
        marked = PublishedMask(counts=facts["previous_mask"], size=tuple(facts["image_size"][::-1]))
        assert (mark in facts["question"]) == bool(marked.rle().decode().any())


def test_equal_episodes_are_equal_bytes(written, root, episodes, tmp_path):
    write_published(episodes, root, tmp_path, load_profile("published"))
    for name in ("train.json", "train_rl.parquet"):
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()


def test_names_are_one_a_picture_and_one_a_target(written, episodes):
    slices = {(e.image, e.trajectory.slice.index) for e in episodes}
    assert len(list((written / "train").iterdir())) == len(slices)
    targets = {(e.image, e.trajectory.slice.index, e.target) for e in episodes}
    assert len(list((written / "masks").iterdir())) == len(targets)


@pytest.mark.parametrize("text", ["", "{}", '{"data": [{"image_name": "a", "mask_name": "a"}]}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(InvalidTrajectory, match="not a readable file of published"):
        read_published(tmp_path / "train.json")


def test_a_spoilt_mask_is_refused():
    with pytest.raises(InvalidTrajectory, match="base64"):
        PublishedMask(counts="not packed", size=(3, 3)).rle()
