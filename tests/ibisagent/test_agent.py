"""Loading an agent by configuration strings."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.fake_tool import DiscTool
from harness.list_policy import ListPolicy
from harness.tiny_checkpoint import write_checkpoint

from ibisagent.agent import Agent, load_agent
from ibisagent.errors import DeviceUnavailable, InvalidProfile, InvalidRequest, ModelNotFound
from ibisagent.policies.sampling import TEMPERATURE
from ibisagent.prompts import PROFILE_FILE, load_profile

OWN = 'name: {name}\nfirst: "{{prompt}}?"\nrefine: "{{prompt}}!"\n'


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("agent") / "tiny")


def test_without_a_profile_of_its_own_a_checkpoint_gets_the_default(checkpoint: Path) -> None:
    agent = load_agent(policy=str(checkpoint), device="cpu")
    assert agent.policy.name == "local:tiny"
    assert agent.profile.name == "default"
    assert agent.tool.name


def test_whose_profile_counts(checkpoint: Path, tmp_path: Path) -> None:
    own = checkpoint / PROFILE_FILE
    own.write_text(OWN.format(name="brought"), encoding="utf-8")
    chosen = tmp_path / "chosen.yaml"
    chosen.write_text(OWN.format(name="chosen"), encoding="utf-8")
    try:
        assert load_agent(str(checkpoint), device="cpu").profile.name == "brought"
        agent = load_agent(str(checkpoint), device="cpu", prompts=str(chosen))
        assert agent.profile.name == "chosen"
        agent = load_agent(str(checkpoint), device="cpu", prompts="default")
        assert agent.profile.name == "default"
    finally:
        own.unlink()


def test_each_part_is_checked(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        load_agent(policy=str(tmp_path / "none"), device="cpu")
    with pytest.raises(InvalidRequest, match="no segmentation tool 'scissors'"):
        load_agent(policy=str(checkpoint), tool="scissors", device="cpu")
    with pytest.raises(DeviceUnavailable):
        load_agent(policy=str(checkpoint), device="cuda:99")
    with pytest.raises(InvalidProfile):
        load_agent(policy=str(checkpoint), device="cpu", prompts="nonsense")


def test_what_is_cheap_to_check_is_checked_before_the_policy_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*_: object) -> None:
        pytest.fail("the policy was loaded")

    monkeypatch.setattr("ibisagent.agent.load_policy", load)
    with pytest.raises(InvalidRequest):
        load_agent(tool="scissors")
    with pytest.raises(ModelNotFound):
        load_agent(tool="sam:vit_b:nowhere.pth")
    with pytest.raises(InvalidProfile):
        load_agent(prompts="nonsense")
    with pytest.raises(DeviceUnavailable):
        load_agent(device="cuda:99")


def test_seed_draws_words_and_zero_does_not(checkpoint: Path) -> None:
    agent = load_agent(policy=str(checkpoint), device="cpu")
    assert agent.with_seed(0) is agent
    drawn = agent.with_seed(3)
    assert (drawn.policy._seed, drawn.policy._temperature) == (3, TEMPERATURE)
    assert drawn.tool is agent.tool


def test_policy_that_cannot_draw_is_told() -> None:
    agent = Agent(ListPolicy(), DiscTool(), load_profile())
    with pytest.raises(InvalidRequest, match="list-policy does not choose its words at random"):
        agent.with_seed(1)
