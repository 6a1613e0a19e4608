"""A teacher over real HTTP: it may choose words, and nothing else."""

from __future__ import annotations

import pytest
from harness.chat_server import ChatServer, Handler, chat_server, drop, say, send_json
from harness.fake_tool import DiscTool

from ibisagent.actions import Click, Reply, Terminate, format_reply, parse
from ibisagent.errors import InvalidRequest, ModelNotFound
from ibisagent.policies import endpoint_client
from ibistrain.episode_record import EpisodeRecord, read_episodes
from ibistrain.simulation import teacher as module
from ibistrain.simulation.run import simulate
from ibistrain.simulation.settings import Shares
from ibistrain.simulation.teacher import Teacher, reworded

CLICK = Reply("The mask misses a part of the disc, in the upper left. I add it.", Click(0.2, 0.3))
STOP = Reply("The mask fits the disc.", Terminate(), "Yes. The disc is in the upper left.")


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(endpoint_client, "BACK_OFF", 0.001)


@pytest.fixture
def server():
    with chat_server() as running:
        yield running


@pytest.fixture
def episode(root, tmp_path, settings, catalogue) -> EpisodeRecord:
    """With a wrong click among its steps."""
    shares = Shares(self_correction=1.0, user_inconsistency=0, absent=0, question=0)
    settings = settings.model_copy(update={"shares": shares})
    simulate(root, tmp_path / "episodes", settings, DiscTool(radius=4), catalogue)
    return next(e for e in read_episodes(tmp_path / "episodes") if e.kind == "self_correction")


def teacher(server: ChatServer) -> Teacher:
    return Teacher(f"{server.url}#tutor", seed=5)


def with_thought(thought: str):
    """Answer with the draft's action and answer, and this thought."""

    def behave(handler: Handler, body) -> None:
        note = body["messages"][-1]["content"].split("\n\n", 1)[1]
        draft = parse(note)
        say(format_reply(Reply(thought, draft.action, draft.answer)))(handler, body)

    return behave


def test_thoughts_are_reworded_and_actions_kept(server, episode):
    server.otherwise = with_thought("I look closely and act.")
    tutor = teacher(server)
    new = tutor.reword(episode)
    for old, step, learn in zip(
        episode.trajectory.steps, new.trajectory.steps, episode.learn, strict=True
    ):
        assert parse(step.raw).action == parse(old.raw).action
        assert (step.mask, step.action) == (old.mask, old.action)
        assert step.thought == parse(step.raw).thought
        assert step.thought == ("I look closely and act." if learn else old.thought)
    assert tutor.reworded == len(server.bodies) == sum(episode.learn)
    assert EpisodeRecord.model_validate_json(new.model_dump_json()) == new


def test_it_is_told_facts_and_sees_no_picture(server, episode):
    teacher(server).reword(episode)
    for body in server.bodies:
        assert (body["model"], body["seed"]) == ("tutor", 5)
        system, user = body["messages"]
        assert isinstance(system["content"], str)
        assert episode.trajectory.prompt in user["content"]
        assert "<action>" in user["content"]


@pytest.mark.parametrize(
    "behaviour",
    [
        say("What a nice picture."),
        say(""),
        say("<think>Here.</think><action>Positive Point (0.9000, 0.9000)</action>"),
        send_json(400, {"error": {"message": "no"}}),
        send_json(500, {"error": {"message": "no"}}),
    ],
)
def test_where_it_fails_or_changes_the_action_the_template_stands(server, episode, behaviour):
    server.otherwise = behaviour
    tutor = teacher(server)
    assert tutor.reword(episode) == episode
    assert tutor.reworded == 0
    assert tutor.refused == sum(episode.learn)


def test_a_server_that_is_gone_is_not_asked_for_ever(server, episode, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 2)
    server.otherwise = drop
    tutor = teacher(server)
    for _ in range(2):
        assert tutor.reword(episode) == episode
    asked = len(server.bodies)
    assert asked > 0
    assert tutor.reword(episode) == episode
    assert len(server.bodies) == asked


def test_a_model_that_the_server_does_not_have_is_told(server, episode):
    server.otherwise = send_json(404, {"detail": "unknown model"})
    with pytest.raises(ModelNotFound, match="tutor"):
        teacher(server).reword(episode)


def test_an_address_without_a_model_is_told():
    with pytest.raises(InvalidRequest):
        Teacher("http://127.0.0.1:1/v1")


def test_whole_simulations_are_reworded(server, root, tmp_path, settings, catalogue):
    server.otherwise = with_thought("I act.")
    taught = settings.model_copy(update={"teacher": f"{server.url}#tutor", "episodes": 4})
    simulate(root, tmp_path, taught, DiscTool(), catalogue)
    for episode in read_episodes(tmp_path):
        for step, learn in zip(episode.trajectory.steps, episode.learn, strict=True):
            assert (step.thought == "I act.") == learn


@pytest.mark.parametrize(
    ("draft", "thought", "answer"),
    [
        (CLICK, "Some of the disc is still bare, up in the left. I point there.", ""),
        (STOP, "It all agrees.", "Yes, the disc can be seen in the upper left."),
        (STOP, "It all agrees.", "Yes: there it is."),
    ],
)
def test_other_words_are_accepted(draft, thought, answer):
    text = format_reply(Reply(thought, draft.action, answer))
    assert reworded(draft, text) == Reply(thought, draft.action, answer)


@pytest.mark.parametrize(
    ("draft", "thought", "answer"),
    [
        (CLICK, "Some of the disc is bare in the lower left.", ""),  # another place
        (CLICK, "The IoU is too low.", ""),  # a measure
        (CLICK, "The ground truth says so.", ""),
        (CLICK, "", ""),
        (CLICK, "a" * 601, ""),
        (STOP, "It all agrees.", "No, there is no disc."),  # another verdict
        (STOP, "It all agrees.", "The disc is in the upper left."),
        (STOP, "It all agrees.", ""),
    ],
)
def test_other_facts_are_not(draft, thought, answer):
    assert reworded(draft, format_reply(Reply(thought, draft.action, answer))) is None


def test_another_action_is_not_accepted():
    for action in (Click(0.2, 0.3, False), Click(0.2001, 0.3), Terminate()):
        assert reworded(CLICK, format_reply(Reply("Here.", action, "Done."))) is None
