from __future__ import annotations

from ibisagent_app.training.workplace import Workplace


def test_the_name_of_the_set_is_remembered(tmp_path):
    place = Workplace(tmp_path / "model")
    assert place.set_name == ""

    place.keep_set_name("studies-2")

    assert Workplace(tmp_path / "model").set_name == "studies-2"


def test_a_wish_to_stop_is_seen_until_it_is_forgotten(tmp_path):
    place = Workplace(tmp_path / "model")
    place.root.mkdir(parents=True)
    assert not place.stop_wanted

    place.want_stop()
    assert place.stop_wanted
    place.forget_stop()
    assert not place.stop_wanted


def test_of_a_finished_run_only_the_evaluations_are_kept(tmp_path):
    place = Workplace(tmp_path / "model")
    for name in ("before", "after", "sft"):
        (place.run / name).mkdir(parents=True)
        (place.run / name / "results.json").write_text(name)
        (place.run / name / "rows.jsonl").write_text("")

    place.keep_results()

    kept = sorted(path.relative_to(place.root).as_posix() for path in place.root.rglob("*.json*"))
    assert kept == ["results/after/results.json", "results/before/results.json"]
    assert not place.run.exists()
