"""Short runs of the real trainer, broken off and continued, and their results in use."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from harness.following_tools import FollowingDiscs
from harness.simulated_episode import episode
from safetensors.torch import load_file
from torch import Tensor

from ibisagent.errors import InvalidProfile, InvalidRequest, ModelNotFound
from ibisagent.policies.local import LocalPolicy
from ibisagent.prompts import PROFILE_FILE, load_profile
from ibistrain import embedded, pace
from ibistrain.batches.imagined import ImaginedMarks
from ibistrain.batches.marks import KeptMarks, ToolMarks
from ibistrain.catalogue import Catalogue
from ibistrain.embedded import train_embedded
from ibistrain.embedded_config import EmbeddedConfig
from ibistrain.embedded_trainer import EmbeddedTrainer
from ibistrain.labelled_picture import LabelledPicture
from ibistrain.read_outs import READ_OUTS_FILE, load_read_outs
from ibistrain.state import State
from ibistrain.states import states_of

BRIEF = EmbeddedConfig(steps=4, batch=2, save_every=2, learning_rate=3e-3)


@pytest.fixture(scope="module")
def states(pictures: list[LabelledPicture]) -> list[State]:
    played = []
    for seed, picture in enumerate(pictures):
        trajectory = episode(picture, seed).trajectory
        where = trajectory.slice.model_copy(update={"image": picture.name})
        played.append(trajectory.model_copy(update={"slice": where}))
    return states_of(played, {picture.name: picture for picture in pictures})


class Runs:
    """Runs on the synthetic corpus."""

    def __init__(self, pictures: list[LabelledPicture], catalogue: Catalogue) -> None:
        self._pictures, self._synonyms = pictures, catalogue.synonyms

    def __call__(self, start: Path, out: Path, config: EmbeddedConfig = BRIEF, **more) -> Path:
        """The run's folder."""
        weights = {"blobs": 1.0}
        train_embedded(start, out, self._pictures, weights, self._synonyms, config, **more)
        return out


@pytest.fixture(scope="module")
def train(pictures: list[LabelledPicture], catalogue: Catalogue) -> Runs:
    return Runs(pictures, catalogue)


@pytest.fixture(scope="module")
def brief(train: Runs, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps."""
    return train(start, tmp_path_factory.mktemp("brief"))


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """What runs log, at every step."""
    entries: list[dict[str, float]] = []
    arguments, log = embedded._arguments, EmbeddedTrainer.log

    def every_step(*given):
        made = arguments(*given)
        made.logging_steps = 1
        return made

    def logging(self, logs, *args, **kwargs):
        log(self, logs, *args, **kwargs)
        entries.append(self.state.log_history[-1])

    monkeypatch.setattr(embedded, "_arguments", every_step)
    monkeypatch.setattr(EmbeddedTrainer, "log", logging)
    return entries


def weights_of(run: Path) -> dict[str, Tensor]:
    return {
        **load_file(run / "model" / "model.safetensors"),
        **load_file(run / "model" / READ_OUTS_FILE),
    }


def history(run: Path, step: int) -> list[dict[str, float]]:
    text = (run / f"checkpoint-{step}" / "trainer_state.json").read_text(encoding="utf-8")
    return json.loads(text)["log_history"]


def test_a_run_learns(train: Runs, start: Path, tmp_path: Path) -> None:
    config = EmbeddedConfig(steps=50, batch=2, learning_rate=3e-3, save_every=50)
    seen = history(train(start, tmp_path, config), 50)
    first, last = (entry for entry in seen if "loss" in entry)
    assert last["loss"] < 0.75 * first["loss"]
    for part in ("reply", "cover", "place", "again_reply", "spoken"):
        assert last[part] < first[part], part
    assert last["learning_rate"] < 1e-4 < first["learning_rate"]


def test_the_result_loads_as_a_policy(brief: Path, start: Path) -> None:
    assert (brief / "model" / READ_OUTS_FILE).is_file()
    assert not any("grounding" in name for name in load_file(brief / "model" / "model.safetensors"))
    assert LocalPolicy(brief / "model", device="cpu").profile == load_profile(start)
    written = (brief / "config.json").read_text(encoding="utf-8")
    assert EmbeddedConfig.model_validate_json(written) == BRIEF


def test_a_run_is_continued_to_the_same_weights(
    brief: Path, train: Runs, start: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(brief, broken)
    shutil.rmtree(broken / "checkpoint-4")
    shutil.rmtree(broken / "model")
    expected, found = weights_of(brief), weights_of(train(start, broken))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.allclose(value, found[name], atol=1e-6), name


def test_continuing_starts_from_the_weights_that_were_saved(
    brief: Path, train: Runs, start: Path, tmp_path: Path
) -> None:
    """A run of no further steps must export what the broken one had learnt."""
    again = tmp_path / "again"
    shutil.copytree(brief, again)
    shutil.rmtree(again / "model")
    found, expected = weights_of(train(start, again)), weights_of(brief)
    untrained = load_file(start / "model.safetensors")
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert not any(torch.equal(value, found[name]) for name, value in untrained.items())


def test_a_run_begins_with_the_result_of_another(brief: Path, train: Runs, tmp_path: Path) -> None:
    """Its read-outs, too."""
    config = BRIEF.model_copy(update={"steps": 1, "learning_rate": 1e-12})
    second = weights_of(train(brief / "model", tmp_path, config))
    for name, value in weights_of(brief).items():
        assert torch.allclose(value, second[name], atol=1e-6), name


def test_without_questions_only_the_vision_tower_learns(
    train: Runs, start: Path, tmp_path: Path
) -> None:
    config = BRIEF.model_copy(update={"questions": 0})
    before, after = (
        load_file(start / "model.safetensors"),
        weights_of(train(start, tmp_path, config)),
    )
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed
    assert all("visual." in name for name in changed)


def test_batches_add_up_to_a_step(
    train: Runs, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, compute = [], EmbeddedTrainer.compute_loss

    def counting(self, model, inputs, *args, **kwargs):
        numbers.append(int(inputs["number"]))
        return compute(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(EmbeddedTrainer, "compute_loss", counting)
    config = BRIEF.model_copy(update={"steps": 3, "batches": 2, "refinement": 0})
    train(start, tmp_path, config)
    assert sorted(numbers) == list(range(6))


def test_a_tool_marks_and_explains_pictures(
    train: Runs, start: Path, tmp_path: Path, logged: list[dict[str, float]]
) -> None:
    tool = FollowingDiscs()
    train(start, tmp_path, BRIEF, tool=tool)
    assert len(tool.asked) >= 2 * BRIEF.steps
    assert {"taught", "again_reply", "again_cover"} < logged[0].keys()
    assert all(value == value for value in logged[0].values())


def test_masks_of_episodes_are_corrected(
    train: Runs,
    start: Path,
    states: list[State],
    tmp_path: Path,
    logged: list[dict[str, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marked, mark = [], KeptMarks.mark

    def marking(*given):
        marked.append(mark(*given))
        return marked[-1]

    monkeypatch.setattr(KeptMarks, "mark", marking)
    train(start, tmp_path, BRIEF, states=states)
    assert len(states) > 6
    assert [len(one.rows) for one in marked] == [BRIEF.batch] * BRIEF.steps
    assert "again_reply" in logged[0]
    assert "taught" not in logged[0]


@pytest.mark.parametrize(
    ("tool", "kept", "kind"),
    [(True, True, ToolMarks), (False, True, KeptMarks), (False, False, ImaginedMarks)],
)
def test_a_tool_marks_rather_than_episodes_and_those_rather_than_nothing(
    train: Runs,
    start: Path,
    states: list[State],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tool: bool,
    kept: bool,
    kind: type,
) -> None:
    lessons = []
    monkeypatch.setattr(EmbeddedTrainer, "train", lambda self, **_: lessons.append(self._lesson))
    more = {"tool": FollowingDiscs() if tool else None, "states": states if kept else []}
    train(start, tmp_path, **more)
    assert type(lessons[0].marker) is kind
    assert lessons[0].teacher is (lessons[0].marker if tool else None)


def test_a_run_ends_with_its_time(
    train: Runs,
    start: Path,
    tmp_path: Path,
    logged: list[dict[str, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Steps take ten seconds by this clock, and the run has a minute."""
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: 10.0 * len(logged)))
    config = BRIEF.model_copy(update={"steps": 1000, "minutes": 1.0, "warmup": 2, "refinement": 0})
    train(start, tmp_path, config)
    rates = [entry["learning_rate"] for entry in logged if "learning_rate" in entry]
    assert 5 <= len(rates) <= 8
    assert max(rates) > 0.5 * config.learning_rate
    assert rates[-1] < 0.1 * config.learning_rate
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_training_goes_on_with_other_targets(
    brief: Path, pictures: list[LabelledPicture], catalogue: Catalogue, tmp_path: Path
) -> None:
    others = [replace(one, targets={"disc": (1,), "other": (2,)}) for one in pictures]
    Runs(others, catalogue)(brief / "model", tmp_path, BRIEF.model_copy(update={"steps": 1}))
    heads = load_read_outs(tmp_path / "model")
    assert heads is not None
    assert heads.targets == ("disc", "other")


def test_damaged_read_outs_are_refused(train: Runs, brief: Path, tmp_path: Path) -> None:
    other = shutil.copytree(brief / "model", tmp_path / "start")
    (other / READ_OUTS_FILE).write_bytes(b"no safetensors")
    with pytest.raises(ModelNotFound, match="read-outs"):
        train(other, tmp_path / "run")


def test_a_tokenizer_without_numbers_is_refused(train: Runs, start: Path, tmp_path: Path) -> None:
    other = shutil.copytree(start, tmp_path / "start")
    text = (other / "tokenizer.json").read_text(encoding="utf-8")
    (other / "tokenizer.json").write_text(text.replace('"42"', '"4242"'), encoding="utf-8")
    with pytest.raises(InvalidRequest, match="'42'"):
        train(other, tmp_path / "run")


def test_a_folder_without_a_model_is_refused(train: Runs, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ModelNotFound):
        train(tmp_path / "nothing", tmp_path / "run")


def test_a_checkpoint_without_prompts_is_refused_before_it_is_trained(
    train: Runs, start: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(start, tmp_path / "start")
    (other / PROFILE_FILE).unlink()
    with pytest.raises(InvalidProfile):
        train(other, tmp_path / "run")
    assert not list((tmp_path / "run").glob("checkpoint-*"))
