from __future__ import annotations

from ibisagent.evaluation_cases import CaseSettings, plan_cases
from ibisagent.manifest import load_manifest
from ibistrain.catalogue import load_catalogue
from ibistrain.corpus import load_corpus
from ibistrain.position_prior import hit, position_prior, prior_hits


def test_the_prior_hits_where_things_always_are(pictures):
    """The square is always in the right half, so its best constant click is there too."""
    prior = position_prior(pictures)
    assert prior["square left"].x > 0.5 > prior["disc"].x
    assert any(hit(prior["disc"], picture.truth("disc")) for picture in pictures)


def test_a_label_that_is_nowhere_has_no_prior(pictures):
    assert "star" not in position_prior(pictures)


def test_hits_are_counted_on_the_questions_of_an_evaluation(data_dir):
    sets = ["ct_spleen_msd", "us_fetal_head"]
    prior = position_prior(load_corpus(data_dir, load_catalogue(), sets=sets))
    cases = plan_cases([load_manifest(data_dir / name) for name in sets], CaseSettings())
    hits = prior_hits(cases, prior)
    present = [case for case in cases if case.present]
    assert sum(map(len, hits.values())) == len(present)
    assert sum(hits["us_fetal_head", "fetal head"]) > 0
