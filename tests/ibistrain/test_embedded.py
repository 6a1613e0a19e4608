"""A short run of the real trainer, broken off and continued."""

from __future__ import annotations

import json

import pytest
from harness.simulated_episode import episode
from safetensors.torch import load_file

from ibisagent.policies.local import LocalPolicy
from ibisagent.prompts import load_profile
from ibistrain.embedded import HEADS_FILE, DrawnExamples, EmbeddedConfig, train_embedded
from ibistrain.examples import ExampleMaker
from ibistrain.states import states_of


@pytest.fixture(scope="module")
def states(pictures):
    played = []
    for seed, picture in enumerate(pictures):
        trajectory = episode(picture, seed).trajectory
        where = trajectory.slice.model_copy(update={"image": picture.name})
        played.append(trajectory.model_copy(update={"slice": where}))
    return states_of(played, {picture.name: picture for picture in pictures})


@pytest.fixture(scope="module")
def maker(start, catalogue):
    return ExampleMaker(load_profile(start), catalogue.synonyms)


def train(start, out, pictures, states, maker, steps):
    config = EmbeddedConfig(steps=steps, batch=2, save_every=2, learning_rate=3e-3)
    profile = load_profile(start)
    train_embedded(start, out, pictures, {"blobs": 1.0}, states, maker, profile, config)


def losses(out) -> list[float]:
    newest = max(out.glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))
    history = json.loads((newest / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


def test_a_run_learns_is_continued_and_loads_as_a_policy(start, pictures, states, maker, tmp_path):
    train(start, tmp_path, pictures, states, maker, steps=4)
    assert (tmp_path / "checkpoint-4").is_dir()
    train(start, tmp_path, pictures, states, maker, steps=50)
    seen = losses(tmp_path)
    assert seen[-1] < 0.8 * seen[0]
    assert len(seen) == 2  # logged every 25 steps: the first four were not done again
    assert (tmp_path / "model" / HEADS_FILE).is_file()
    assert not any("grounding" in n for n in load_file(tmp_path / "model" / "model.safetensors"))
    assert LocalPolicy(tmp_path / "model", device="cpu").profile is not None


def test_without_questions_only_the_vision_tower_learns(start, pictures, catalogue, tmp_path):
    config = EmbeddedConfig(steps=25, batch=2, refinement=0.3, questions=0, learning_rate=3e-3)
    profile = load_profile(start)
    looker = ExampleMaker(profile, catalogue.synonyms, questions=0)
    train_embedded(start, tmp_path, pictures, {"blobs": 1.0}, [], looker, profile, config)
    before = load_file(start / "model.safetensors")
    after = load_file(tmp_path / "model" / "model.safetensors")
    changed = {name for name, value in before.items() if not value.equal(after[name])}
    assert changed
    assert all("visual." in name for name in changed)


def test_continuing_starts_from_the_weights_that_were_saved(
    start, pictures, states, maker, tmp_path
):
    """A run of no further steps must export what the broken one had learnt."""
    train(start, tmp_path, pictures, states, maker, steps=4)
    first = load_file(tmp_path / "model" / "model.safetensors")
    heads = load_file(tmp_path / "model" / HEADS_FILE)
    train(start, tmp_path, pictures, states, maker, steps=4)
    again = load_file(tmp_path / "model" / "model.safetensors")
    untrained = load_file(start / "model.safetensors")
    assert all(first[name].equal(again[name]) for name in first)
    assert not all(first[name].equal(untrained[name]) for name in first)
    assert all(heads[n].equal(v) for n, v in load_file(tmp_path / "model" / HEADS_FILE).items())


def test_examples_depend_on_their_number_only(pictures, states, maker):
    config = EmbeddedConfig(steps=5, batch=4, refinement=0)
    first, second = (
        DrawnExamples(pictures, {"blobs": 1.0}, states, maker, config) for _ in range(2)
    )
    assert len(first) == 20
    assert [t.reply for t in first[7].turns] == [t.reply for t in second[7].turns]
    replies = {tuple(t.reply for t in first[i].turns) for i in range(20)}
    assert len(replies) > 10


def test_refinements_are_mixed_in_and_half_of_them_stop(pictures, states, maker):
    config = EmbeddedConfig(steps=100, batch=2, refinement=0.5)
    drawn = DrawnExamples(pictures, {"blobs": 1.0}, states, maker, config)
    refined = [example for example in (drawn[i] for i in range(200)) if example.mask.any()]
    stops = sum("Terminate" in example.turns[0].reply for example in refined)
    assert 60 < len(refined) < 140
    assert 0.25 < stops / len(refined) < 0.85
