from __future__ import annotations

import numpy as np
import pytest
from harness.fake_tool import disc
from harness.phantom import GREY, image_of, tube

from ibisagent.propagation.ledger import Ledger
from ibisagent.slices import SliceView

TRUTH = tube(first=6, last=12)
SHAPE = (40, 44)


@pytest.fixture
def view() -> SliceView:
    return SliceView(image_of(TRUTH), "axial", GREY)


def test_nothing_is_known_at_first(view: SliceView) -> None:
    ledger = Ledger(view)
    assert ledger.found == {}
    assert not ledger.anything
    assert not ledger.volume.any()


def test_an_empty_mask_says_that_the_target_is_not_there(view: SliceView) -> None:
    ledger = Ledger(view)
    ledger.settle_key(3, np.zeros(SHAPE, bool), 0.5)
    assert ledger.found == {3: False}
    assert not ledger.anything


def test_key_slices_are_sources_and_carried_ones_are_not(view: SliceView) -> None:
    ledger, mask = Ledger(view), disc(SHAPE, 20, 20, 6)
    ledger.settle_key(4, mask, 0.7)
    ledger.settle_key(12, mask, 0.9)
    ledger.settle_carried(5, mask)
    ledger.settle_key(9, np.zeros(SHAPE, bool), None)  # absent: no source
    assert ledger.keys_around(6) == (4, 12)
    key = ledger.key(4)
    assert (key.score, key.area) == (0.7, int(mask.sum()))
    assert np.array_equal(ledger.mask(5), mask)
    assert ledger.found == {4: True, 12: True, 5: True, 9: False}


def test_slices_of_a_given_mask_are_key_slices_without_a_score(view: SliceView) -> None:
    given = TRUTH.astype(np.uint8) * 7
    ledger = Ledger(view, given)
    assert sorted(ledger.found) == list(range(6, 13))
    assert np.array_equal(ledger.volume, TRUTH)
    key = ledger.key(8)
    assert np.array_equal(key.mask, TRUTH[8])
    assert (key.score, key.area) == (None, int(TRUTH[8].sum()))


def test_a_later_mask_of_the_agent_replaces_the_given_one(view: SliceView) -> None:
    ledger = Ledger(view, TRUTH)
    ledger.settle_key(8, disc(SHAPE, 10, 10, 3), 0.6)
    assert ledger.key(8).score == 0.6
    ledger.settle_key(8, np.zeros(SHAPE, bool), None)
    assert ledger.keys_around(8) == (7, 9)
    assert not ledger.volume[8].any()
