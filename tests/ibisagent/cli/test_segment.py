"""``ibisagent segment``: what it leaves behind, and every kind of bad input."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from harness.fake_tool import DiscTool, disc
from harness.list_policy import TERMINATE, click
from harness.tiny_checkpoint import write_checkpoint
from PIL import Image

from ibisagent.trajectory import Trajectory

FOLDERS = ("trajectories", "carried")
SIZE = (20, 30, 24)
"""Of the volume, (k, j, i)."""


def write(path: Path, array: np.ndarray, vector: bool = False) -> Path:
    image = sitk.GetImageFromArray(array, isVector=vector)
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def volume(tmp_path) -> Path:
    """A volume, not along the world's axes, in anisotropic voxels."""
    noise = np.random.default_rng(0).integers(-200, 200, SIZE).astype(np.int16)
    image = sitk.GetImageFromArray(noise)
    image.SetSpacing((1.0, 1.0, 3.0))
    image.SetOrigin((-10.0, 20.0, 5.5))
    image.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / "study.nii.gz"))
    return tmp_path / "study.nii.gz"


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


def segment_arguments(image, out, *more):
    return ["segment", image, "--prompt", "the kidney", "--out", out, *more]


class TestResult:
    def test_slice(self, ibisagent, scripted, volume, out):
        scripted(click(0.5, 0.5), TERMINATE)

        done = ibisagent(*segment_arguments(volume, out, "--slice", 7))

        assert done.code == 0
        assert done.out.splitlines()[0] == "Done."
        names = {"mask.nii.gz", "trajectory.json", "film.png", "summary.json"}
        assert {file.name for file in out.iterdir()} == names
        image, mask = sitk.ReadImage(str(volume)), sitk.ReadImage(str(out / "mask.nii.gz"))
        for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(mask, name)() == pytest.approx(getattr(image, name)())
        voxels = sitk.GetArrayFromImage(mask)
        assert np.flatnonzero(voxels.any(axis=(1, 2))).tolist() == [7]
        assert voxels.max() == 1
        trajectory = Trajectory.load(out / "trajectory.json")
        assert trajectory.slice.image == "study.nii.gz"
        assert voxels.sum() == trajectory.mask.decode().sum()
        summary = json.loads((out / "summary.json").read_text())
        assert summary["voxels"] == voxels.sum()
        assert (summary["turns"], summary["slices"], summary["plane"]) == (2, [7], "axial")
        assert (summary["policy"], summary["tool"]) == ("list-policy", "disc-tool")
        assert str(out.parent) not in json.dumps(summary)
        with Image.open(out / "film.png") as film:
            assert film.width > 1000

    def test_steps_are_told_while_they_happen(self, ibisagent, scripted, volume, out):
        scripted(click(0.5, 0.25), "nonsense", TERMINATE)

        told = ibisagent(*segment_arguments(volume, out)).err

        assert "axial 10: Positive Point (0.5000, 0.2500) Here." in told
        assert "axial 10: The reply has no <action> tag." in told
        assert "axial 10: Terminate It fits." in told

    def test_volume(self, ibisagent, scripted, volume, out):
        scripted(TERMINATE, click(0.5, 0.5), *[TERMINATE] * 30)
        options = ["--scope", "volume", "--method", "every_slice", "--plane", "sagittal"]

        done = ibisagent(*segment_arguments(volume, out, *options))

        assert done.code == 0
        assert "The target was found on 1 of 24 sagittal slices" in done.out
        files = sorted(file.name for file in (out / "trajectories").iterdir())
        assert files == [f"slice_{index:04d}.json" for index in range(24)]
        mask = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "mask.nii.gz")))
        assert np.flatnonzero(mask.any(axis=(0, 1))).tolist() == [1]

    def test_volume_with_masks_carried_by_the_tool(self, ibisagent, scripted, volume, out):
        scripted(*[click(0.5, 0.5), TERMINATE] * 20)

        done = ibisagent(*segment_arguments(volume, out, "--scope", "volume", "--slice", 9))

        assert done.code == 0
        summary = json.loads((out / "summary.json").read_text())
        asked, carried = ({file.stem for file in (out / name).iterdir()} for name in FOLDERS)
        assert asked == {f"slice_{index:04d}" for index in summary["slices"]}
        assert carried == {f"slice_{index:04d}" for index in summary["carried"]}
        assert carried
        assert not asked & carried

    def test_picture(self, ibisagent, scripted, tmp_path, out):
        image = write(tmp_path / "cell.png", np.zeros((40, 50, 3), np.uint8), vector=True)
        scripted(click(0.5, 0.5), TERMINATE)

        assert ibisagent(*segment_arguments(image, out)).code == 0

        with Image.open(out / "mask.png") as mask:
            expected = disc((40, 50), 20, 25, DiscTool.radius)
            np.testing.assert_array_equal(np.asarray(mask), 255 * expected)

    @pytest.mark.parametrize("name", ["nrrd", ".mha", "NII.GZ"])
    def test_format(self, ibisagent, scripted, volume, out, name):
        scripted(TERMINATE)

        assert ibisagent(*segment_arguments(volume, out, "--format", name)).code == 0
        assert (out / f"mask.{name.lower().lstrip('.')}").is_file()

    @pytest.mark.slow
    def test_untrained_checkpoint_with_the_real_tool(self, ibisagent, volume, out, tmp_path):
        checkpoint = write_checkpoint(tmp_path / "tiny")

        done = ibisagent(*segment_arguments(volume, out, "--policy", checkpoint, "--device", "cpu"))

        assert done.code == 0, done.err
        summary = json.loads((out / "summary.json").read_text())
        assert summary["policy"] == "local:tiny"
        assert (summary["stop"], summary["voxels"]) == (["malformed"], 0)


class TestForce:
    def test_result_is_not_written_over(self, ibisagent, scripted, volume, out):
        scripted(TERMINATE)
        ibisagent(*segment_arguments(volume, out))
        before = (out / "trajectory.json").read_bytes()

        line = ibisagent(*segment_arguments(volume, out)).error()

        assert "--force" in line
        assert (out / "trajectory.json").read_bytes() == before

    def test_force_replaces_the_result_and_nothing_else(self, ibisagent, scripted, volume, out):
        scripted(TERMINATE)
        ibisagent(*segment_arguments(volume, out, "--scope", "volume", "--format", "nrrd"))
        (out / "notes.txt").write_text("mine")

        assert ibisagent(*segment_arguments(volume, out, "--force")).code == 0

        assert (out / "notes.txt").read_text() == "mine"
        assert not list((out / "trajectories").iterdir())
        assert not (out / "mask.nrrd").exists()
        assert (out / "mask.nii.gz").is_file()


class TestBadImage:
    """Each is found before a model is loaded, so none is needed here."""

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, "does not exist"),
            (b"", "could not be read"),
            (b"this is no image" * 50, "could not be read"),
        ],
        ids=["missing", "empty", "unreadable"],
    )
    def test_no_image(self, ibisagent, tmp_path, out, content, said):
        path = tmp_path / "study.nii.gz"
        if content is not None:
            path.write_bytes(content)

        line = ibisagent(*segment_arguments(path, out)).error()

        assert "study.nii.gz" in line
        assert said in line
        assert not out.exists()

    def test_unknown_format(self, ibisagent, tmp_path, out):
        (tmp_path / "study.xyz").write_text("what is this")

        assert (
            "no known format" in ibisagent(*segment_arguments(tmp_path / "study.xyz", out)).error()
        )

    def test_truncated(self, ibisagent, volume, out):
        volume.write_bytes(volume.read_bytes()[:-1000])

        assert "truncated" in ibisagent(*segment_arguments(volume, out)).error()

    def test_four_dimensions(self, ibisagent, volume, out):
        image = sitk.ReadImage(str(volume))
        sitk.WriteImage(sitk.JoinSeries([image, image]), str(volume))

        assert "4 dimensions" in ibisagent(*segment_arguments(volume, out)).error()

    def test_colour_volume(self, ibisagent, tmp_path, out):
        path = write(tmp_path / "colour.nrrd", np.zeros((*SIZE, 3), np.uint8), vector=True)

        assert "3 values a pixel" in ibisagent(*segment_arguments(path, out)).error()

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite(self, ibisagent, tmp_path, out, value):
        array = np.zeros(SIZE, np.float32)
        array[3, 3, 3] = value

        line = ibisagent(*segment_arguments(write(tmp_path / "a.nii.gz", array), out)).error()

        assert "NaN or infinite" in line

    def test_oversize_header(self, ibisagent, tmp_path, out):
        head = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 9000 9000 9000\nencoding: raw\n\n"
        (tmp_path / "huge.nrrd").write_text(head)

        line = ibisagent(*segment_arguments(tmp_path / "huge.nrrd", out)).error()

        assert "9000 x 9000 x 9000" in line

    def test_folder_without_dicom(self, ibisagent, tmp_path, out):
        (tmp_path / "series").mkdir()

        assert "no DICOM" in ibisagent(*segment_arguments(tmp_path / "series", out)).error()


class TestBadRequest:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--slice", 20], "There is no axial slice 20. Give a slice from 0 to 19."),
            (["--slice", -1], "slice"),
            (["--plane", "diagonal"], "axial, coronal or sagittal"),
            (["--plane", "picture"], 'A volume has no plane "picture"'),
            (["--scope", "everything"], "scope"),
            (["--method", "magic"], "propagate (agent on key slices"),
            (["--clean", "largest,dust"], "clean"),
            (["--window", "bright"], "no window 'bright'"),
            (["--max-steps", 0], "max_steps"),
            (["--max-steps", 51], "max_steps"),
            (["--format", "png"], "cannot be written as 'png'"),
            (["--format", "../evil"], "cannot be written as"),
            (["--prompt", ""], "prompt"),
            (["--prompt", "  "], "prompt"),
            (["--prompt", "x" * 501], "prompt"),
        ],
    )
    def test_is_said_before_anything_is_loaded(self, ibisagent, volume, out, options, said):
        assert said in ibisagent(*segment_arguments(volume, out, *options)).error()
        assert not out.exists()

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--policy", "missing/folder/of/weights"], "checkpoint"),
            (["--device", "cuda:99"], "cuda:99"),
            (["--device", "abacus"], "abacus"),
        ],
    )
    def test_unusable_policy_or_device(self, ibisagent, volume, out, tmp_path, options, said):
        if "--policy" not in options:
            options = [*options, "--policy", write_checkpoint(tmp_path / "tiny")]

        assert said in ibisagent(*segment_arguments(volume, out, *options)).error()

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--tool", "hammer"], "no segmentation tool 'hammer'"),
            (["--tool", "sam:vit_b:missing.pth"], "missing.pth"),
            (["--prompts", "unheard-of"], "no prompt profile unheard-of"),
        ],
    )
    def test_unusable_tool_or_profile(self, ibisagent, volume, out, tmp_path, options, said):
        checkpoint = write_checkpoint(tmp_path / "tiny")

        line = ibisagent(*segment_arguments(volume, out, "--policy", checkpoint, *options)).error()

        assert said in line

    def test_prompt_outside_the_vocabulary(self, ibisagent, scripted, volume, out, monkeypatch):
        agent = scripted(TERMINATE)
        object.__setattr__(
            agent, "profile", agent.profile.model_copy(update={"targets": ("liver", "spleen")})
        )

        line = ibisagent(*segment_arguments(volume, out)).error()

        assert "liver, spleen" in line


class TestOutput:
    def test_file_in_place_of_the_folder(self, ibisagent, volume, out):
        out.write_text("precious")

        assert "a file stands" in ibisagent(*segment_arguments(volume, out)).error()
        assert out.read_text() == "precious"

    def test_file_on_the_way_to_the_folder(self, ibisagent, volume):
        line = ibisagent(*segment_arguments(volume, volume / "deep")).error()

        assert "a file stands" in line

    def test_full_disk(self, ibisagent, scripted, volume, out, monkeypatch):
        def fail(path, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        scripted(TERMINATE)
        monkeypatch.setattr(Path, "write_bytes", fail)

        assert "No space left" in ibisagent(*segment_arguments(volume, out)).err.splitlines()[-1]
