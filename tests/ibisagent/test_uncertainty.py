"""Uncertainty: sure agents score low, unsure ones high, and always in [0, 1]."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
import pytest
import SimpleITK as sitk
from harness.fake_tool import DiscTool
from harness.labelled_set import DiscFinder, picture_and_labels
from harness.list_policy import TERMINATE, ListPolicy, click
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ibisagent.actions import parse
from ibisagent.agent import Agent
from ibisagent.errors import UnknownPrompt
from ibisagent.policies.base import Observation
from ibisagent.prompts import load_profile
from ibisagent.uncertainty import (
    DISAGREEMENT,
    TOOL,
    TURNS,
    Doubt,
    JitteredPolicy,
    Sampling,
    assess,
    disagreement,
    uncertainty,
)

unhurried = settings(deadline=None, max_examples=25)  # wall time says more of the machine

MASKS = st.lists(arrays(np.bool_, (5, 6)), min_size=1, max_size=5)


@dataclass
class Drawn:
    """A policy that can sample: clicks once, at a place that depends on its seed.

    Attributes:
        spread: How far from the centre it may click.
        seed: Of the place; None until it samples.
        asked: Temperatures and seeds it was given, shared by all samples.
    """

    spread: float
    seed: int | None = None
    asked: list[tuple[float, int]] = field(default_factory=list)

    name = "drawn"

    def sampling(self, temperature: float, seed: int) -> Drawn:
        self.asked.append((temperature, seed))
        other = copy.copy(self)
        other.seed = seed
        return other

    def replies(self, observations: Sequence[Observation], cancelled=None) -> list[str]:
        assert self.seed is not None, "a policy that can sample must be asked to"
        rng = Random(self.seed)
        x, y = (0.5 + rng.uniform(-self.spread, self.spread) for _ in range(2))
        return [TERMINATE if seen.clicks else click(x, y) for seen in observations]


def image() -> sitk.Image:
    return sitk.GetImageFromArray(picture_and_labels(20, 25)[0])


def agent(policy) -> Agent:
    return Agent(policy, DiscTool(), load_profile())


def test_an_agent_that_repeats_itself_leaves_tool_and_turns():
    doubt = assess(image(), "the disc", agent(Drawn(0.0)), seed=1)
    assert doubt == Doubt(disagreement=0.0, tool=0.5, turns=pytest.approx(2 / 6))
    assert doubt.value == pytest.approx(TOOL * 0.5 + TURNS / 3)


def test_an_agent_that_wavers_is_less_sure():
    sure, unsure = (uncertainty(image(), "the disc", agent(Drawn(s))) for s in (0.01, 0.4))
    assert 0 <= sure < unsure <= 1


def test_samples_have_seeds_of_their_own_and_can_be_repeated():
    policies = [Drawn(0.3) for _ in range(3)]
    values = [
        uncertainty(image(), "disc", agent(p), seed=s)
        for p, s in zip(policies, (5, 5, 6), strict=True)
    ]
    assert values[0] == values[1] != values[2]
    assert policies[0].asked == policies[1].asked
    seeds = {seed for _, seed in policies[0].asked + policies[2].asked}
    assert len(seeds) == 2 * Sampling().samples
    assert {temperature for temperature, _ in policies[0].asked} == {Sampling().temperature}


def test_a_policy_that_cannot_sample_has_its_clicks_shifted():
    doubts = [assess(image(), "the disc", agent(DiscFinder()), seed=3) for _ in range(2)]
    assert doubts[0] == doubts[1]
    assert 0 < doubts[0].disagreement < 1


def test_a_target_that_nobody_finds_is_no_disagreement():
    doubt = assess(image(), "the block", agent(DiscFinder()))
    assert doubt == Doubt(0.0, 0.0, pytest.approx(1 / 6))


def test_volumes_are_looked_at_on_a_few_slices():
    slices = [picture_and_labels(15 + n, 20 + n)[0] for n in range(9)]
    volume = sitk.GetImageFromArray(np.stack(slices))
    policy = DiscFinder()
    assess(volume, "the disc", agent(policy), sampling=Sampling(samples=2, slices=4))
    assert policy.batches == [4, 4, 4, 4]  # two turns of two samples


def test_a_model_that_does_not_know_the_target_says_so():
    profile = load_profile().model_copy(update={"targets": ("liver",)})
    with pytest.raises(UnknownPrompt):
        uncertainty(image(), "the disc", Agent(DiscFinder(), DiscTool(), profile))


@unhurried
@given(MASKS)
def test_disagreement_is_a_share_and_blind_to_order(masks):
    value = disagreement(masks)
    assert 0 <= value <= 1
    assert value == pytest.approx(disagreement(masks[::-1]))
    assert disagreement([masks[0]] * 3) == 0


def test_disagreement_by_hand():
    half = np.array([[True, True, False, False]])
    other = np.array([[False, True, True, False]])
    assert disagreement([half, other]) == pytest.approx(0.5)
    assert disagreement([half, half, ~half]) == pytest.approx(2 / 3)


def test_the_weights_are_of_one_whole():
    assert pytest.approx(1.0) == DISAGREEMENT + TOOL + TURNS
    assert Doubt(1.0, 1.0, 1.0).value == pytest.approx(1.0)


@unhurried
@given(st.floats(0, 1), st.floats(0, 1), st.booleans(), st.integers(0, 99))
def test_a_shifted_click_stays_on_the_image_with_thought_and_sign(x, y, positive, seed):
    text = click(x, y, positive)
    (shifted,) = JitteredPolicy(ListPolicy([text]), 0.5, seed).replies([_seen()])
    before, after = parse(text), parse(shifted)
    assert (after.thought, after.action.positive) == (before.thought, positive)


@pytest.mark.parametrize("text", [TERMINATE, "nonsense", "<action>Positive Point (7, 7)</action>"])
def test_other_replies_are_left_as_they_are(text):
    assert JitteredPolicy(ListPolicy([text]), 0.5, 0).replies([_seen()]) == [text]


def _seen() -> Observation:
    return Observation([], (), np.zeros((4, 4), bool))
