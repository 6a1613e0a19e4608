"""Single episodes: who errs, who notices, what is said, and what is learnt."""

from __future__ import annotations

import numpy as np
import pytest
from harness.fake_tool import DiscTool
from harness.labelled_set import write_set

from ibisagent.actions import Click, Reply, Terminate, format_reply, parse
from ibisagent.episode import Author, StopReason
from ibisagent.metrics import iou
from ibisagent.policies.base import never
from ibisagent.prompts import load_profile
from ibisagent.slices import Plane
from ibistrain.catalogue import Catalogue
from ibistrain.episode_record import EpisodeRecord
from ibistrain.simulation.plan import Task
from ibistrain.simulation.play import Player
from ibistrain.simulation.scenes import OpenItem, Sources
from ibistrain.simulation.settings import SimulationSettings

SEEDS = 12
SETTINGS = SimulationSettings(keep_iou=0.3)


@pytest.fixture(scope="module")
def item(tmp_path_factory) -> OpenItem:
    """A picture with a disc in its upper left and a block in its lower right; no star."""
    folder = tmp_path_factory.mktemp("sets")
    manifest = write_set(folder, "discs", [(14, 16)])
    manifest.write_text(manifest.read_text().replace('"2": "block"', '"2": "block", "3": "star"'))
    sources = Sources(folder, (), Catalogue(sets={}, synonyms={}))
    return OpenItem(next(iter(sources)), "auto")


def play(
    item, kind: str, seed: int, target: str = "disc", tool=None, policy=None, **fields
) -> EpisodeRecord:
    profile = load_profile().model_copy(update={"wording": fields.pop("wording", "varied")})
    settings = SETTINGS.model_copy(update={"seed": seed, **fields.pop("settings", {})})
    task = Task(
        number=3,
        image=item.source.image,
        plane=Plane.PICTURE,
        index=0,
        target=target,
        present=target != "star",
        kind=kind,
        **fields,
    )
    words = {"disc": ("circle",)}
    player = Player(tool or DiscTool(radius=4), profile, settings, words, policy)
    return player.play(task, item)


def all_of(item, kind: str, **fields) -> list[EpisodeRecord]:
    episodes = [play(item, kind, seed, **fields) for seed in range(SEEDS)]
    return [episode for episode in episodes if episode is not None]


def replies(episode: EpisodeRecord) -> list[Reply]:
    parsed = [parse(step.raw) for step in episode.trajectory.steps]
    assert all(isinstance(reply, Reply) for reply in parsed)
    return parsed


def test_a_plain_episode_gets_better_and_stops_by_itself(item):
    for episode in all_of(item, "plain"):
        assert episode.kind == "plain"
        assert all(episode.learn)
        assert episode.iou[0] == 0
        assert episode.iou[-1] > 0.3
        assert episode.trajectory.stop is StopReason.TERMINATED
        assert episode.trajectory.answer
        assert all(step.author is Author.AGENT for step in episode.trajectory.steps)


def test_records_tell_the_truth(item):
    for episode in all_of(item, "self_correction"):
        truth = episode.truth.decode()
        assert np.array_equal(truth, item.truth("disc", Plane.PICTURE, 0))
        masks = [episode.trajectory.start, *(s.mask for s in episode.trajectory.steps)]
        assert episode.iou == [pytest.approx(iou(m.decode(), truth), abs=1e-6) for m in masks]
        assert (episode.set_name, episode.target, episode.labels) == ("discs", "disc", ["disc"])
        assert episode.image == episode.trajectory.slice.image == "discs/0.png"


def test_a_wrong_click_is_noticed_and_put_right_by_the_other_sign(item):
    episodes = [e for e in all_of(item, "self_correction") if e.kind == "self_correction"]
    assert len(episodes) > SEEDS // 2
    signs = set()
    for episode in episodes:
        assert episode.learn.count(False) == 1
        at = episode.learn.index(False)
        wrong, remedy = episode.trajectory.steps[at : at + 2]
        truth = episode.truth.decode()
        positive = wrong.action.kind == "positive"
        assert truth[wrong.pixel] != positive
        assert {wrong.action.kind, remedy.action.kind} == {"positive", "negative"}
        assert episode.iou[at + 1] <= episode.iou[at] + 0.05
        assert truth[remedy.pixel] != positive
        assert any(w in remedy.thought for w in ("last point", "mistake", "was wrong"))
        assert episode.trajectory.undone == []
        signs.add(positive)
    assert signs == {True, False}


def test_where_a_wrong_click_spoils_nothing_the_episode_is_plain(item):
    """A tool of tiny discs: no wrong click marks enough to be noticed."""
    tool = DiscTool(radius=1)
    settings = {"keep_iou": 0.0}
    for episode in all_of(item, "self_correction", tool=tool, settings=settings):
        assert episode.kind == "plain"
        assert all(episode.learn)


@pytest.mark.parametrize("wrong", ["block", ""])
def test_a_users_wrong_mask_is_discarded_in_words(item, wrong):
    episodes = all_of(item, "user_inconsistency", wrong=wrong)
    assert episodes
    for episode in episodes:
        assert episode.kind == "user_inconsistency"
        start = episode.trajectory.start.decode()
        assert start.any()
        assert episode.iou[0] < 0.3
        thought = episode.trajectory.steps[0].thought
        assert any(words in thought for words in ("given", "starting mask"))
        assert all(episode.learn)


def test_a_mask_of_what_is_not_there_is_taken_away(item):
    episodes = all_of(item, "user_inconsistency", target="star", wrong="block")
    for episode in episodes:
        assert not episode.trajectory.mask.decode().any()
        assert all(s.action.kind != "positive" for s in episode.trajectory.steps)
        assert "no star" in " ".join(reply.thought + reply.answer for reply in replies(episode))
    assert episodes


def test_an_absent_target_is_denied_without_a_click(item):
    for episode in all_of(item, "absent", target="star"):
        (reply,) = replies(episode)
        assert episode.trajectory.stop is StopReason.NOT_PRESENT
        assert "star" in reply.answer
        assert episode.iou == [1.0, 1.0]
        assert not episode.present
        assert not episode.trajectory.prompt.endswith("?")


@pytest.mark.parametrize(("target", "word"), [("disc", "Yes"), ("star", "No")])
def test_questions_are_answered(item, target, word):
    for episode in all_of(item, "question", target=target):
        assert episode.trajectory.prompt.endswith("?")
        assert episode.trajectory.answer.startswith(word)
        assert episode.present == (target == "disc")


def test_episodes_that_end_badly_are_dropped(item):
    settings = {"max_clicks": 2}
    assert play(item, "plain", 0, tool=DiscTool(radius=1), settings=settings) is None


def test_a_lost_cause_is_given_up(item):
    """A tool whose clicks are too coarse: no more clicks than the limit, then a stop."""
    settings = {"max_clicks": 3, "keep_iou": 0.0, "stop_iou": 0.99}
    for episode in all_of(item, "plain", tool=DiscTool(radius=9), settings=settings):
        assert sum(s.carried_out for s in episode.trajectory.steps) <= 3
        assert episode.trajectory.stop is StopReason.TERMINATED
        thought = episode.trajectory.steps[-1].thought
        assert "can make it" in thought or "hardly change" in thought


def test_equal_seeds_give_equal_bytes(item):
    first, second, third = (play(item, "self_correction", seed) for seed in (4, 4, 5))
    assert first.model_dump_json() == second.model_dump_json() != third.model_dump_json()


def test_words_vary_and_tell_no_measures(item):
    episodes = all_of(item, "plain") + all_of(item, "self_correction")
    thoughts = [reply.thought for episode in episodes for reply in replies(episode)]
    assert len(set(thoughts)) > len(thoughts) / 2
    assert not any(word in t.lower() for t in thoughts for word in ("iou", "dice", "{", "%"))
    prompts = {episode.trajectory.prompt for episode in episodes}
    assert any("circle" in prompt for prompt in prompts)
    assert len(prompts) > 5


class StubbornTool(DiscTool):
    """Hears the first click only."""

    def set_image(self, rgb):
        prepared = super().set_image(rgb)
        first = prepared.segment
        prepared.segment = lambda clicks, prior=None: prior or first(clicks)
        return prepared


def test_clicks_in_vain_are_taken_back_and_not_learnt(item):
    settings = {"keep_iou": 0.1}
    episodes = all_of(item, "plain", tool=StubbornTool(radius=4), settings=settings)
    assert len(episodes) == SEEDS
    for episode in episodes:
        actions = [reply.action for reply in replies(episode)]
        assert [type(action) for action in actions] == [Click, Terminate]
        assert not episode.trajectory.undone


class Clicker:
    """A policy that clicks in three places, whatever it sees, or gives up at once."""

    name = "clicker"

    def __init__(self, *places: tuple[float, float]) -> None:
        self._places = places

    def replies(self, observations, cancelled=never) -> list[str]:
        done = observations[0].step
        if done >= len(self._places):
            return [format_reply(Reply("Enough.", Terminate(), "Done."))]
        return [format_reply(Reply("There.", Click(*self._places[done], True)))]


def test_a_policy_plays_and_nothing_of_it_is_imitated(item):
    episode = play(item, "plain", 0, policy=Clicker((0.9, 0.1), (0.8, 0.8)))
    assert episode.trajectory.policy == "clicker"
    assert [step.action.kind for step in episode.trajectory.steps] == [
        "positive",
        "positive",
        "terminate",
    ]
    assert episode.learn == [False] * 3
    assert max(episode.iou) < SETTINGS.keep_iou  # what the annotator could not have left behind


def test_a_policy_that_marks_nothing_leaves_no_state(item):
    assert play(item, "plain", 0, policy=Clicker()) is None


@pytest.mark.parametrize("kind", ["plain", "self_correction", "user_inconsistency", "question"])
def test_words_are_those_of_the_profile(item, kind):
    """A model with few words is taught in these alone, whatever happens."""
    for episode in all_of(item, kind, wording="short"):
        said = {reply.thought for reply in replies(episode)}
        assert all(thought.startswith(("I see", "The ")) for thought in said)
        assert not episode.trajectory.answer.startswith(("Yes", "No"))
