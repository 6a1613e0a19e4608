from __future__ import annotations

import json

from ibistrain.catalogue import Catalogue, SetEntry
from ibistrain.model_card import write_card

MEANS = {
    "n": 4,
    "subjects": 2,
    "hit": 0.75,
    "first_dice": 0.5,
    "dice": 0.6,
    "iou": 0.45,
    "f1": 0.5,
    "turns": 2.5,
    "stopped": 1.0,
    "seconds": 0.3,
}
RESULTS = {
    "command": "ibisagent evaluate blobs",
    "machine": {"cores": 2},
    "mean": MEANS,
    "absent": {"n": 3, "recognised": 2 / 3},
    "sets": {"blobs": {"labels": {"disc": MEANS, "ring": MEANS}}},
}


def test_card_compares_with_the_prior_on_shared_labels(pictures, tmp_path):
    (tmp_path / "blobs").mkdir()
    about = {"original": "made up", "modality": "none", "licence": "CC0"}
    (tmp_path / "blobs" / "manifest.json").write_text(json.dumps(about))
    catalogue = Catalogue(sets={"blobs": SetEntry()}, synonyms={})
    prior = {("blobs", "disc"): [True, False, False, False]}
    card = write_card(tmp_path, catalogue, pictures, RESULTS, prior, ["star", "disc"])
    assert "{{" not in card
    assert "**75%**" in card
    assert "**25%**" in card
    assert "| blobs | disc | 4 | 2 | 0.75 | 0.25 | 0.50 | 0.60 | 0.45 | 2.50 | 1.00 |" in card
    assert "| blobs | ring | 4 | 2 | 0.75 | - |" in card
    assert "| blobs | made up | none | CC0 | 3 | 6 |" in card
    assert "67% were recognised" in card
    assert "not for clinical use" in card
    assert "prompts for others: disc, star.\n" in card
