from __future__ import annotations

import numpy as np
from training_studies import accept, accepted, disc_info

from ibisagent_app.training.accepted_names import accepted_names


def test_the_most_frequent_name_comes_first(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=0, more=4)
    label = np.ones((56, 56), np.uint8)
    for number, name in enumerate(["Liver", "the spleen", "spleen"]):
        accept(store, tmp_path, f"study{number}", label, disc_info(name))
    accept(store, tmp_path, "study3", label, {})

    assert accepted_names(store) == ["spleen", "liver"]


def test_before_anything_was_accepted_there_is_no_name(tmp_path):
    assert accepted_names(accepted(tmp_path / "studies", tmp_path, count=0, more=1)) == []
