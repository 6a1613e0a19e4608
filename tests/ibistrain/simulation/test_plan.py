"""Who is asked for what."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from ibisagent.errors import InvalidManifest
from ibisagent.slices import Plane
from ibistrain.catalogue import Catalogue, SetEntry
from ibistrain.simulation.plan import Task, plan_tasks
from ibistrain.simulation.scenes import OpenItem, Sources
from ibistrain.simulation.settings import Shares, SimulationSettings

ONLY_PLAIN = Shares(self_correction=0, user_inconsistency=0, absent=0, question=0)


def plan(root, settings: SimulationSettings, catalogue=None) -> list[Task]:
    return plan_tasks(
        Sources(root, settings.sets, catalogue or Catalogue(sets={}, synonyms={})), settings
    )


def test_every_target_on_every_slice_is_asked_for_once(root, settings):
    plain = settings.model_copy(update={"shares": ONLY_PLAIN})
    tasks = plan(root, plain) + plan(root, plain.model_copy(update={"held_back": True}))
    asked = Counter((task.image, task.index, task.target) for task in tasks)
    discs = {(f"discs/{n}.png", 0, "disc") for n in range(8)}
    slices = {("stack/0.nii.gz", n, "disc") for n in range(5)}
    blocks = {("discs/0.png", 0, "block"), ("stack/0.nii.gz", 0, "block")}
    assert asked == dict.fromkeys(discs | slices | blocks, 1)
    assert all(task.present and task.kind == "plain" for task in tasks)


def test_sides_share_no_subject(root, settings):
    sides = [
        {task.image for task in plan(root, settings.model_copy(update={"held_back": side}))}
        for side in (False, True)
    ]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_equal_seeds_give_equal_plans(root, settings):
    other = settings.model_copy(update={"seed": 1})
    assert plan(root, settings) == plan(root, settings) != plan(root, other)


def test_tasks_are_numbered_in_the_order_of_images(root, settings):
    tasks = plan(root, settings)
    assert [task.number for task in tasks] == list(range(len(tasks)))
    assert [task.image for task in tasks] == sorted(task.image for task in tasks)


def test_kinds_come_in_their_shares(root, settings):
    shares = Shares(self_correction=0.2, user_inconsistency=0.2, absent=0.2, question=0.2)
    many = settings.model_copy(update={"shares": shares, "repeats": 30})
    tasks = plan(root, many)
    kinds = Counter(task.kind for task in tasks)
    assert kinds["self_correction"] / len(tasks) == pytest.approx(0.2, abs=0.08)
    assert kinds["question"] / len(tasks) == pytest.approx(0.2, abs=0.08)
    assert all(not task.present for task in tasks if task.kind == "absent")
    assert any(not task.present for task in tasks)
    assert all(task.present for task in tasks if task.kind in ("plain", "self_correction"))
    wrong = [t for t in tasks if t.kind == "user_inconsistency" and not t.present]
    assert all(task.wrong for task in wrong)


def test_a_label_is_capped(root, settings):
    capped = settings.model_copy(update={"per_label": 3})
    asked = Counter((t.image.split("/")[0], t.target) for t in plan(root, capped) if t.present)
    assert max(asked.values()) == 3


def test_the_number_of_episodes_is_capped_without_favour(root, settings):
    """Two sets, one of them of one volume: each has half."""
    whole = Sources(root, (), Catalogue(sets={}, synonyms={}))
    few = settings.model_copy(update={"episodes": 4, "shares": ONLY_PLAIN})
    sides = {source.item.is_held_back() for source in whole if source.image.startswith("stack")}
    tasks = plan(root, few.model_copy(update={"held_back": sides == {True}}))
    assert Counter(task.image.split("/")[0] for task in tasks) == {"discs": 2, "stack": 2}


def test_a_picture_that_is_there_twice_is_asked_for_once(root, settings, tmp_path):
    """Two files, one subject, one content: the second one teaches nothing."""
    shutil.copytree(root / "discs", tmp_path / "discs")
    manifest = tmp_path / "discs" / "manifest.json"
    text = manifest.read_text()
    for number in range(8):
        text = text.replace(f'"{number}.png", "label"', f'"{number}.png", "subject": "x", "label"')
    for number in (1, 2):
        shutil.copy(tmp_path / "discs" / "0.png", tmp_path / "discs" / f"{number}.png")
        shutil.copy(tmp_path / "discs/0_labels.png", tmp_path / f"discs/{number}_labels.png")
    manifest.write_text(text)
    plain = settings.model_copy(update={"shares": ONLY_PLAIN})
    both = [plain, plain.model_copy(update={"held_back": True})]
    tasks = [task for one in both for task in plan(tmp_path, one)]
    assert len({task.image for task in tasks if task.present}) == 6


def test_unions_of_the_catalogue_are_targets(root, settings):
    entry = SetEntry(only=(), derived={"thing": ("*",)})
    catalogue = Catalogue(sets={"discs": entry}, synonyms={})
    sources = Sources(root, ("discs",), catalogue)
    tasks = plan_tasks(sources, settings)
    assert {task.target for task in tasks} == {"thing"}
    first = OpenItem(sources.find("discs/0.png"), "auto")
    both = first.truth("thing", Plane.PICTURE, 0)
    assert both[-4, -4]
    assert both[8, 10]


@pytest.fixture
def strangers() -> Catalogue:
    """Two sets of which one never shows what the other has a name for."""
    entries = {
        "discs": SetEntry(only=("disc",), never=("cube",)),
        "stack": SetEntry(only=(), derived={"cube": ("block",), "disc": ("disc",)}),
    }
    return Catalogue(sets=entries, synonyms={})


def test_images_are_asked_for_what_they_never_show(root, settings, strangers):
    shares = Shares(self_correction=0, user_inconsistency=0, absent=1, question=0, strange=1)
    absent = settings.model_copy(update={"shares": shares})
    asked = [t for t in plan(root, absent, strangers) if t.image.startswith("discs")]
    assert {(task.target, task.present, task.kind) for task in asked} >= {("cube", False, "absent")}
    assert len({task.image for task in asked if task.target == "cube"}) == len(asked) > 1
    first = OpenItem(Sources(root, (), strangers).find(asked[0].image), "auto")
    assert not first.truth("cube", Plane.PICTURE, 0).any()


@pytest.mark.parametrize("strange", [0.0, 0.5, 1.0])
def test_strange_targets_come_in_their_share(root, settings, strangers, strange):
    """On slices that have absent targets of their own, too."""
    entry = strangers.sets["stack"].model_copy(update={"never": ("ball",)})
    balls = SetEntry(only=(), derived={"ball": ("disc",)})
    both = strangers.model_copy(update={"sets": {"stack": entry, "discs": balls}})
    shares = Shares(self_correction=0, user_inconsistency=0, absent=1, question=0, strange=strange)
    update = {"shares": shares, "episodes": 8, "repeats": 4}
    sides = [settings.model_copy(update={**update, "held_back": side}) for side in (False, True)]
    tasks = [task for side in sides for task in plan(root, side, both)]
    asked = Counter(t.target for t in tasks if t.image.startswith("stack") and not t.present)
    assert asked["cube"] + asked["ball"] == 4
    if strange != 0.5:
        assert asked["ball"] == 4 * strange


def test_what_an_image_shows_after_all_is_not_strange(root, settings):
    entry = SetEntry(never=("*",))
    catalogue = Catalogue(sets={"discs": entry}, synonyms={})
    assert all(source.never == () for source in Sources(root, ("discs",), catalogue))


def test_one_set_may_be_the_root(root, settings):
    assert {task.image[-4:] for task in plan(root / "discs", settings)} == {".png"}


def test_a_root_without_sets_is_refused(tmp_path, settings):
    with pytest.raises(InvalidManifest, match="no labelled set"):
        plan(tmp_path, settings)


def test_planes_of_volumes_can_be_chosen(root, settings):
    chosen = settings.model_copy(update={"planes": {Plane.CORONAL: 2}, "sets": ("stack",)})
    sides = [chosen, chosen.model_copy(update={"held_back": True})]
    tasks = [task for side in sides for task in plan(root, side)]
    assert {task.plane for task in tasks} == {Plane.CORONAL}
    assert all(task.index % 2 == 0 for task in tasks)
