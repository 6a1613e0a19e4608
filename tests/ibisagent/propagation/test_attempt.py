from __future__ import annotations

import numpy as np
from harness.fake_tool import DiscTool, disc
from harness.list_policy import ListPolicy
from harness.phantom import image_of

from ibisagent.agent import Agent
from ibisagent.metrics import iou
from ibisagent.prompts import load_profile
from ibisagent.propagation.attempt import attempt, carried_record
from ibisagent.propagation.ledger import Ledger
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.slice_player import SlicePlayer
from ibisagent.slices import SliceView

SHAPE = (40, 44)
SETTINGS = PropagationSettings()


def prepared(radius: float = 6.0, last_column: int = 20) -> tuple[SlicePlayer, Ledger]:
    view = SliceView(image_of(np.zeros((20, *SHAPE), bool)), "axial")
    agent = Agent(ListPolicy(), DiscTool(radius), load_profile())
    ledger = Ledger(view)
    ledger.settle_key(4, disc(SHAPE, 20, 20, 6), 0.5)
    ledger.settle_key(10, disc(SHAPE, 20, last_column, 6), None)
    return SlicePlayer(view, agent, "the tube", name="tube"), ledger


def test_the_slice_nearer_to_a_key_slice_comes_first() -> None:
    player, ledger = prepared()
    first = attempt(player, ledger, (4, 10), 3.0, SETTINGS)
    ledger.settle_carried(5, disc(SHAPE, 20, 20, 6))
    second = attempt(player, ledger, (5, 10), 3.0, SETTINGS)
    assert (first.index, second.index) == (5, 9)
    assert first.keys == second.keys == (4, 10)


def test_what_the_tool_may_be_trusted_with_is_recorded() -> None:
    player, ledger = prepared()
    tried = attempt(player, ledger, (4, 10), 3.0, SETTINGS)
    assert tried.doubt == ""
    record = carried_record(player, tried, tried.carried)
    assert (record.slice.index, record.slice.image, record.between) == (5, "tube", (4, 10))
    assert record.overlap == iou(record.mask.decode(), disc(SHAPE, 20, 20, 6))
    assert record.tool == "disc-tool"


def test_a_mask_that_is_not_as_expected_is_doubted() -> None:
    player, ledger = prepared(radius=2.0)
    tried = attempt(player, ledger, (4, 10), 3.0, SETTINGS)
    assert "IoU of tool and expected mask" in tried.doubt
    assert tried.carried.agreement < SETTINGS.min_agreement


def test_key_slices_that_do_not_overlap_let_expect_nothing() -> None:
    player, ledger = prepared(last_column=36)
    tried = attempt(player, ledger, (4, 10), 3.0, SETTINGS)
    assert tried.carried is None
    assert tried.doubt == "The masks of slices 4 and 10 do not overlap."
    assert player.agent.tool.asked == []


def test_cancelled() -> None:
    player, ledger = prepared()
    player.cancelled = lambda: True
    assert attempt(player, ledger, (4, 10), 3.0, SETTINGS) is None
