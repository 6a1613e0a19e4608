from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from ibisagent.errors import IBISAgentError, InvalidManifest
from ibisagent.manifest import load_manifest
from ibisagent.volume import read_image


def write(path, array):
    path.parent.mkdir(exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(np.asarray(array, dtype=np.uint8)), str(path))


@pytest.fixture
def folder(tmp_path):
    """A data set with a picture and its label image, to be described by a manifest."""
    write(tmp_path / "images" / "7_1.png", np.zeros((4, 5)))
    write(tmp_path / "labels" / "7_1.png", [[0, 1, 1, 3, 0]] * 4)
    return tmp_path


def describe(folder, items, **fields):
    path = folder / "manifest.json"
    path.write_text(json.dumps({"name": "a set", "items": items, **fields}))
    return path


PICTURE = {"image": "images/7_1.png", "label": "labels/7_1.png"}


def test_integer_labels_are_named_by_the_manifest(folder):
    path = describe(folder, [PICTURE], labels={"1": "liver", "2": "spleen", "3": "colon"})

    (item,) = load_manifest(path).items
    truths = item.read()

    assert (item.name, item.subject, item.set_name) == ("7_1", "7_1", "a set")
    assert item.labels == ("liver", "spleen", "colon")
    assert truths.present == ("liver", "colon")
    np.testing.assert_array_equal(truths["liver"], [[0, 1, 1, 0, 0]] * 4)
    assert truths["liver"].dtype == bool
    assert not truths["spleen"].any()


def test_labels_of_an_item_come_before_those_of_the_manifest(folder):
    path = describe(folder, [{**PICTURE, "labels": {"1": "aorta"}}], labels={"1": "liver"})

    assert load_manifest(path).labels == ("aorta",)


def test_an_item_may_name_its_subject(folder):
    path = describe(folder, [{**PICTURE, "subject": "ann"}], labels={"1": "liver"})

    assert load_manifest(path).items[0].subject == "ann"


def test_instances_are_one_target(folder):
    path = describe(folder, [PICTURE], labels={">0": "nucleus (instance id)"})

    (item,) = load_manifest(path).items

    assert item.labels == ("nucleus",)
    np.testing.assert_array_equal(item.read()["nucleus"], [[0, 1, 1, 1, 0]] * 4)


def test_masks_of_one_name_are_joined(folder):
    write(folder / "masks" / "a.png", [[255, 0, 0, 0, 0]] * 4)
    write(folder / "masks" / "b.png", [[0, 0, 0, 0, 255]] * 4)
    masks = {"hip": ["masks/a.png", "masks/b.png"], "head": "masks/a.png"}
    path = describe(folder, [{"image": PICTURE["image"], "masks": masks}])

    truths = load_manifest(path).items[0].read()

    np.testing.assert_array_equal(truths["hip"], [[1, 0, 0, 0, 1]] * 4)
    np.testing.assert_array_equal(truths["head"], [[1, 0, 0, 0, 0]] * 4)


def test_one_file_a_label_is_named_by_the_manifests_list(folder):
    item = {"image": PICTURE["image"], "labels": ["labels/7_1.png"]}
    path = describe(folder, [item], labels=["liver"])

    np.testing.assert_array_equal(
        load_manifest(path).items[0].read()["liver"], [[0, 1, 1, 1, 0]] * 4
    )


def test_targets_are_the_labels_present(folder):
    path = describe(folder, [PICTURE, PICTURE], labels={"1": "liver", "2": "spleen"})

    assert [label for _, label in load_manifest(path).targets()] == ["liver", "liver"]


def test_held_out_items_are_held_back_at_any_fraction(folder):
    path = describe(folder, [PICTURE, {**PICTURE, "split": "HELDOUT"}], labels={"1": "liver"})

    assert [item.is_held_back(0.0) for item in load_manifest(path).items] == [False, True]


def test_folder_stands_for_its_manifest(folder):
    describe(folder, [PICTURE], labels={"1": "liver"})

    assert load_manifest(folder).name == "a set"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("[]", "valid dictionary"),
        ('{"items": []}', "name"),
        ('{"name": "x", "items": [{}]}', r"items\.0\.image"),
    ],
)
def test_broken_manifest_is_refused_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "manifest.json"
    path.write_text(text)

    with pytest.raises(InvalidManifest, match=reason):
        load_manifest(path)


def test_missing_manifest_is_refused(tmp_path):
    with pytest.raises(InvalidManifest, match="No such file"):
        load_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize("gone", ["image", "label"])
def test_missing_file_is_named(folder, gone):
    path = describe(folder, [{**PICTURE, gone: "elsewhere/7_1.png"}], labels={"1": "liver"})

    with pytest.raises(InvalidManifest, match=r"elsewhere/7_1\.png"):
        load_manifest(path)


@pytest.mark.parametrize("key", ["0", "-1", "one", ""])
def test_impossible_label_id_is_refused(folder, key):
    path = describe(folder, [PICTURE], labels={key: "liver"})

    with pytest.raises(InvalidManifest, match="label id"):
        load_manifest(path)


@pytest.mark.parametrize(
    "item",
    [
        {"image": "images/7_1.png"},
        {"image": "images/7_1.png", "label": "labels/7_1.png", "labels": ["liver"]},
        {"image": "images/7_1.png", "labels": ["labels/7_1.png", "labels/7_1.png"]},
    ],
)
def test_item_without_readable_labels_is_refused(folder, item):
    path = describe(folder, [item], labels=["liver"])

    with pytest.raises(InvalidManifest, match="no labels"):
        load_manifest(path)


def test_damaged_label_image_is_an_error_when_read(folder):
    (folder / "labels" / "7_1.png").write_bytes(b"no picture")
    path = describe(folder, [PICTURE], labels={"1": "liver"})

    with pytest.raises(IBISAgentError, match=r"7_1\.png"):
        load_manifest(path).items[0].read()


def test_every_given_set_loads_and_its_labels_fit_its_images(data_dir):
    manifests = [load_manifest(path) for path in sorted(data_dir.glob("*/manifest.json"))]

    assert manifests
    for manifest in manifests:
        item = manifest.items[-1]
        truths = item.read()
        assert truths.present, item.name
        shape = tuple(reversed(read_image(item.image).GetSize()))
        assert all(truths[label].shape == shape for label in truths.present[:2]), item.name
