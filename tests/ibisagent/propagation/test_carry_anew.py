from __future__ import annotations

import numpy as np
import pytest
from harness.fake_tool import DiscTool, disc
from harness.list_policy import ListPolicy
from harness.phantom import image_of

from ibisagent.agent import Agent
from ibisagent.prompts import load_profile
from ibisagent.propagation.carry_anew import carry_anew
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.slice_player import SlicePlayer
from ibisagent.slices import SliceView

SHAPE = (40, 44)
PLANES = {"axial": (20, *SHAPE), "coronal": (40, 20, 44), "sagittal": (40, 44, 20)}


def player(plane: str = "axial", radius: float = 6.0, cancelled=lambda: False) -> SlicePlayer:
    view = SliceView(image_of(np.zeros(PLANES[plane], bool)), plane)
    agent = Agent(ListPolicy(), DiscTool(radius), load_profile())
    return SlicePlayer(view, agent, "the tube", cancelled=cancelled)


def standing(view: SliceView, **masks: np.ndarray) -> np.ndarray:
    """Slices 4 to 10 marked with a disc; other masks by slice."""
    volume = np.zeros(view.volume_shape, np.uint8)
    for index in range(4, 11):
        view.into_volume(masks.get(f"at{index}", disc(view.shape, 20, 20, 6)), volume, index)
    return volume


@pytest.mark.parametrize("plane", list(PLANES))
def test_slices_between_follow_their_ends_and_no_other_changes(plane: str) -> None:
    agent = player(plane)
    moved = disc(agent.view.shape, 20, 23, 6)
    volume = standing(agent.view, at10=moved)
    kept = volume.copy()
    records = {one.slice.index: one for one in carry_anew(agent, 3.0, volume, (4, 10))}
    np.testing.assert_array_equal(volume, kept)
    assert sorted(records) == [5, 6, 7, 8, 9]
    assert {one.between for one in records.values()} == {(4, 10)}
    columns = [np.argwhere(records[index].mask.decode())[:, 1].mean() for index in range(5, 10)]
    assert columns == sorted(columns)
    assert 20 <= columns[0] < columns[-1] <= 23


def test_both_ends_are_worked_from() -> None:
    agent = player()
    order = [one.slice.index for one in carry_anew(agent, 3.0, standing(agent.view), (4, 10))]
    assert order == [5, 9, 6, 8, 7]


def test_a_slice_that_is_doubted_stays_and_is_not_told() -> None:
    agent = player(radius=2.0)
    assert list(carry_anew(agent, 3.0, standing(agent.view), (4, 10))) == []
    lax = PropagationSettings(min_agreement=0.0)
    assert len(list(carry_anew(agent, 3.0, standing(agent.view), (4, 10), lax))) == 5


def test_ends_that_do_not_overlap_carry_nothing() -> None:
    agent = player()
    volume = standing(agent.view, at10=disc(SHAPE, 20, 36, 6))
    assert list(carry_anew(agent, 3.0, volume, (4, 10))) == []
    assert agent.agent.tool.asked == []


def test_neighbours_have_nothing_between_them() -> None:
    agent = player()
    assert list(carry_anew(agent, 3.0, standing(agent.view), (4, 5))) == []


def test_cancelled() -> None:
    agent = player(cancelled=lambda: True)
    assert list(carry_anew(agent, 3.0, standing(agent.view), (4, 10))) == []
    assert agent.agent.tool.asked == []
