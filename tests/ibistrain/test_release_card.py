"""The card of a released version."""

from __future__ import annotations

import json

import pytest
from harness.simulated_episode import episode

from ibistrain.bootstrap import Interval
from ibistrain.comparison import Comparison
from ibistrain.release_card import NOT_STATED, DataNote, data_notes, release_card


def comparison(gain: float) -> Comparison:
    def change(before: float, after: float) -> dict[str, object]:
        values = {"before": before, "after": after, "difference": after - before}
        return {"n": 9, **{k: Interval(mean=v, low=v, high=v) for k, v in values.items()}}

    parts = {name: change(0.5, 0.5 + gain) for name in ("dice", "hit", "turns")}
    return Comparison.model_validate({"n": 9, "subjects": 4, "seed": 0, "absent": None, **parts})


NOTE = DataNote("ct", "CT | abdomen", "CC BY 4.0", 3, 5, 7, ("liver", "spleen"))


def test_the_card_is_filled_in():
    card = release_card("Spleens", "embedded", [NOTE], comparison(0.1), {"seed": 3, "steps": 40})
    assert "{{" not in card
    assert card.count("# Spleens") == 1
    assert "from: embedded" in card
    assert "Yes. The rule" in card
    assert "| ct | CT / abdomen | CC BY 4.0 | 3 | 5 | 7 | liver, spleen |" in card
    assert "- seed: 3\n- steps: 40" in card
    assert "| Dice | 9 | 0.500" in card
    assert "Not for clinical use" in card


def test_what_is_not_better_is_not_called_better():
    card = release_card("x", "embedded", [NOTE], comparison(-0.1), {})
    assert "No. Mean Dice changed by -0.100" in card


def test_data_are_counted_and_licences_read(pictures, tmp_path):
    episodes = [episode(picture, seed) for seed, picture in enumerate(pictures)]
    (tmp_path / "blobs").mkdir()
    about = {"name": "blobs", "licence": "CC0", "items": []}
    (tmp_path / "blobs" / "manifest.json").write_text(json.dumps(about))
    (note,) = data_notes(episodes + episodes[:2], tmp_path)
    assert note == DataNote("blobs", NOT_STATED, "CC0", 3, 6, 8, ("disc",))


@pytest.mark.parametrize("text", [None, "no json", "[]"])
def test_an_unreadable_manifest_states_nothing(pictures, tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    (note,) = data_notes([episode(pictures[0], 0)], tmp_path)
    assert note.licence == NOT_STATED
