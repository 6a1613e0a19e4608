"""The local policy on a tiny checkpoint of the published models' architecture."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from harness.fake_tool import DiscTool
from harness.tiny_checkpoint import write_checkpoint
from safetensors.torch import load_file, save_file

from ibisagent.actions import Click
from ibisagent.episode import Episode, Limits, StopReason, run
from ibisagent.errors import DeviceUnavailable, InvalidProfile, ModelNotFound, PolicyFailed
from ibisagent.policies import embedded_checkpoint, load_policy
from ibisagent.policies.local import LocalPolicy
from ibisagent.prompts import PROFILE_FILE, PromptProfile, load_profile

TOKENS = 16
PROFILE = load_profile()
HISTORY = PROFILE.model_copy(update={"history": True})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("policy") / "tiny", TOKENS)


@pytest.fixture(scope="module")
def policy(checkpoint: Path) -> LocalPolicy:
    return LocalPolicy(checkpoint, "cpu", max_new_tokens=TOKENS)


def episode(
    height: int, width: int, prompt: str = "kidney", profile: PromptProfile = PROFILE
) -> Episode:
    rng = np.random.default_rng(height * width)
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Episode(picture, prompt, DiscTool(), profile, Limits(max_steps=2))


def test_a_reply_is_text(policy: LocalPolicy) -> None:
    (reply,) = policy.replies([episode(60, 80).observe()])
    assert isinstance(reply, str)
    assert reply
    assert "<|" not in reply  # chat tokens are no part of a reply


def test_batched_replies_equal_those_one_by_one(policy: LocalPolicy) -> None:
    episodes = [
        episode(60, 80),
        episode(120, 64, "the left lung, upper lobe, in this picture"),
        episode(200, 210, "x"),
        episode(33, 400, "is there a liver?"),
        episode(64, 64, "heart", HISTORY),
    ]
    episodes[1].click(Click(0.5, 0.5))
    episodes[4].apply("<think>a</think><action>Positive Point (0.5, 0.5)</action>")
    seen = [episode.observe() for episode in episodes]
    assert len(seen[4].pictures) == 2
    together = policy.replies(seen)
    assert together == [policy.replies([one])[0] for one in seen]
    assert len(set(together)) > 2  # noise, but noise that depends on the question


def test_the_picture_matters(policy: LocalPolicy) -> None:
    shades = [np.full((64, 64, 3), shade, dtype=np.uint8) for shade in (0, 90, 255)]
    seen = [Episode(s, "kidney", DiscTool(), PROFILE).observe() for s in shades]
    assert len(set(policy.replies(seen))) > 1


def test_greedy_replies_repeat_and_sampled_ones_follow_their_seed(policy: LocalPolicy) -> None:
    seen = [episode(60, 80).observe()]
    assert policy.replies(seen) == policy.replies(seen)
    state = torch.get_rng_state()
    replies = [policy.sampling(2.0, seed).replies(seen) for seed in (1, 2, 1)]
    assert replies[0] == replies[2] != replies[1]
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's random numbers


def test_a_checkpoint_that_asks_for_the_likeliest_word_is_sampled_all_the_same(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "strict"))
    path = folder / "generation_config.json"
    strict = {"do_sample": True, "temperature": 1e-6, "top_k": 1, "top_p": 0.001}
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | strict))
    policy = LocalPolicy(folder, "cpu", max_new_tokens=TOKENS)
    seen = [episode(60, 80).observe()]
    assert policy.replies(seen) == LocalPolicy(checkpoint, "cpu", TOKENS).replies(seen)
    assert len({policy.sampling(2.0, seed).replies(seen)[0] for seed in range(3)}) > 1


def test_no_observations_no_replies(policy: LocalPolicy) -> None:
    assert policy.replies([]) == []


def test_cancelling_cuts_a_reply_short(policy: LocalPolicy) -> None:
    seen = [episode(60, 80).observe()]
    (short,) = policy.replies(seen, cancelled=lambda: True)
    assert len(short) < len(policy.replies(seen)[0])


@pytest.mark.filterwarnings("ignore:Unfeasible length")  # the checkpoint asks for more tokens
def test_max_new_tokens_is_a_limit(checkpoint: Path) -> None:
    policy = LocalPolicy(checkpoint, "cpu", max_new_tokens=3)
    (reply,) = policy.replies([episode(60, 80).observe()])
    assert len(policy._processor.tokenizer(reply).input_ids) <= 3


def test_it_plays_an_episode_to_its_end(policy: LocalPolicy) -> None:
    episodes = [episode(60, 80), episode(90, 50)]
    run(episodes, policy)
    assert {e.stop for e in episodes} <= {StopReason.MALFORMED, StopReason.STEP_LIMIT}
    assert all(len(e.steps) == 2 for e in episodes)


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (1000, 10)])
def test_odd_pictures(policy: LocalPolicy, shape: tuple[int, int]) -> None:
    assert policy.replies([episode(*shape).observe()])[0]


def test_what_the_processor_refuses_is_a_named_failure(policy: LocalPolicy) -> None:
    with pytest.raises(PolicyFailed, match="aspect ratio"):
        run([episode(500, 2)], policy)
    with pytest.raises(PolicyFailed, match="image_pad"):
        run([episode(50, 50, "kidney <|image_pad|>")], policy)


def test_name_tells_the_checkpoint_but_not_the_folders_above(
    policy: LocalPolicy, checkpoint: Path
) -> None:
    assert policy.name == "local:tiny"
    assert str(checkpoint.parent) not in policy.name


def test_a_checkpoint_may_bring_its_profile(checkpoint: Path, tmp_path: Path) -> None:
    assert LocalPolicy(checkpoint, "cpu").profile is None
    folder = Path(shutil.copytree(checkpoint, tmp_path / "own"))
    text = 'name: own\nfirst: "{prompt}?"\nrefine: "{prompt}!"\ntargets: [kidney]\n'
    (folder / PROFILE_FILE).write_text(text, encoding="utf-8")
    own = load_policy(str(folder), "cpu").profile
    assert own is not None
    assert (own.name, own.targets) == ("own", ("kidney",))
    (folder / PROFILE_FILE).write_text("name: own\n", encoding="utf-8")
    with pytest.raises(InvalidProfile):
        load_policy(str(folder), "cpu")


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def cut(name: str, keep: int) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


def reconfigure(**fields: object) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        path = folder / "config.json"
        settings = json.loads(path.read_text(encoding="utf-8"))
        for key, value in fields.items():
            settings[key] = settings[key] | value if isinstance(value, dict) else value
        path.write_text(json.dumps(settings), encoding="utf-8")

    return apply


def forget_a_weight(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights.pop(next(name for name in weights if "gate_proj" in name))
    save_file(weights, path, metadata={"format": "pt"})


def only_pickled_weights(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(remove("config.json"), id="no config"),
        pytest.param(cut("config.json", 400), id="half a config"),
        pytest.param(reconfigure(model_type="nonsense"), id="unknown architecture"),
        pytest.param(reconfigure(model_type="bert"), id="no vision-language model"),
        pytest.param(reconfigure(text_config={"num_hidden_layers": 3}), id="contradictory config"),
        pytest.param(reconfigure(text_config={"intermediate_size": 200}), id="another width"),
        pytest.param(remove("model.safetensors"), id="no weights"),
        pytest.param(cut("model.safetensors", 0), id="empty weights"),
        pytest.param(cut("model.safetensors", 100_000), id="half the weights"),
        pytest.param(forget_a_weight, id="a weight missing"),
        pytest.param(only_pickled_weights, id="pickled weights"),
        pytest.param(remove("tokenizer.json"), id="no tokenizer"),
        pytest.param(cut("tokenizer.json", 999), id="half a tokenizer"),
        pytest.param(remove("processor_config.json"), id="no processor"),
        pytest.param(remove("chat_template.jinja"), id="no chat template"),
    ],
)
def test_an_incomplete_checkpoint_is_refused(
    checkpoint: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "broken"))
    damage(folder)
    with pytest.raises(ModelNotFound, match="broken") as caught:
        LocalPolicy(folder, "cpu")
    assert "\n" not in caught.value.message


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="none"):
        load_policy(str(tmp_path / "none"), "cpu")
    with pytest.raises(ModelNotFound):
        load_policy("", "cpu")


def test_an_absent_device_is_refused(checkpoint: Path) -> None:
    with pytest.raises(DeviceUnavailable):
        LocalPolicy(checkpoint, "cuda:99")


def test_the_embedded_checkpoint_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ibisagent.policies.EMBEDDED", "nowhere")
    with pytest.raises(ModelNotFound, match="not in this installation") as caught:
        embedded_checkpoint()
    assert "Reinstall" in caught.value.fix
