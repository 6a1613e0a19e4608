"""The decision process: why it ends, what a person may do, and what the policy sees."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from harness.fake_tool import DiscTool, disc
from harness.list_policy import TERMINATE, ListPolicy, click

from ibisagent.actions import Click, Malformed, Reply, Terminate
from ibisagent.episode import Author, Episode, Limits, Step, StopReason, run
from ibisagent.errors import EpisodeEnded, InvalidRequest, PolicyFailed, ToolOutOfMemory
from ibisagent.overlay import overlay
from ibisagent.policies.base import Cancelled, never
from ibisagent.prompts import PromptProfile, load_profile
from ibisagent.tools.base import Segmentation

SHAPE = (40, 50)
NONSENSE = "I do not know."
PROFILE = PromptProfile(name="test", system="S", first="First {prompt}", refine="Refine {prompt}")
HISTORY = PROFILE.model_copy(update={"history": True})


def new_episode(
    limits: Limits | None = None,
    start: np.ndarray | None = None,
    profile: PromptProfile = PROFILE,
    shade: int = 100,
) -> Episode:
    return Episode(
        np.full((*SHAPE, 3), shade, dtype=np.uint8),
        "the kidney",
        DiscTool(),
        profile,
        limits or Limits(),
        None if start is None else Segmentation(start, 1.0),
    )


def text_of(episode: Episode) -> str:
    return str(episode.observe().messages[-1]["content"][-1]["text"])


def discs(*clicks: tuple[float, float]) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    for x, y in clicks:
        mask |= disc(SHAPE, *Click(x, y).to_pixel(*SHAPE), DiscTool.radius)
    return mask


class TestStopping:
    def test_terminated(self) -> None:
        episode = new_episode()
        run([episode], ListPolicy([click(0.5, 0.5), TERMINATE]))
        assert episode.stop is StopReason.TERMINATED
        assert episode.answer == "Done."
        assert [step.click is not None for step in episode.steps] == [True, False]
        assert np.array_equal(episode.segmentation.mask, discs((0.5, 0.5)))

    def test_not_present(self) -> None:
        episode = new_episode()
        run([episode], ListPolicy([TERMINATE]))
        assert episode.stop is StopReason.NOT_PRESENT
        assert not episode.segmentation.mask.any()
        assert episode.tool.asked == []

    def test_terminated_and_not_absent_after_clicks_that_emptied_the_mask(self) -> None:
        episode = new_episode()
        run([episode], ListPolicy([click(0.5, 0.5), click(0.5, 0.5, positive=False)]))
        assert not episode.segmentation.mask.any()
        assert episode.stop is StopReason.TERMINATED

    def test_terminated_at_once_with_a_starting_mask(self) -> None:
        episode = new_episode(start=discs((0.2, 0.2)))
        run([episode], ListPolicy([TERMINATE]))
        assert episode.stop is StopReason.TERMINATED
        assert np.array_equal(episode.segmentation.mask, discs((0.2, 0.2)))

    def test_step_limit(self) -> None:
        episode = new_episode(Limits(max_steps=3))
        policy = ListPolicy([click(0.1 * n, 0.5) for n in range(1, 9)])
        run([episode], policy)
        assert episode.stop is StopReason.STEP_LIMIT
        assert len(episode.steps) == len(episode.clicks) == 3

    def test_stopping_at_the_last_step_is_stopping(self) -> None:
        episode = new_episode(Limits(max_steps=2))
        run([episode], ListPolicy([click(0.5, 0.5), TERMINATE]))
        assert episode.stop is StopReason.TERMINATED

    def test_malformed_replies_count_as_steps(self) -> None:
        episode = new_episode(Limits(max_steps=2, max_malformed=9))
        run([episode], ListPolicy([NONSENSE, NONSENSE, NONSENSE]))
        assert episode.stop is StopReason.STEP_LIMIT
        assert len(episode.steps) == 2

    def test_repeated_action_is_not_carried_out_again(self) -> None:
        episode = new_episode(Limits(max_repeats=3))
        run([episode], ListPolicy([click(0.5, 0.5)] * 9))
        assert episode.stop is StopReason.REPEATED_ACTION
        assert [step.click is not None for step in episode.steps] == [True, True, False]
        assert len(episode.tool.asked) == 2

    @pytest.mark.parametrize(
        "script",
        [
            [click(0.5, 0.5), click(0.5, 0.5), click(0.5, 0.6), click(0.5, 0.5)],
            [click(0.5, 0.5), click(0.5, 0.5), NONSENSE, click(0.5, 0.5)],
            [click(0.5, 0.5), click(0.5, 0.5), click(0.5, 0.5, positive=False)],
        ],
    )
    def test_only_equal_actions_in_a_row_are_repetition(self, script: list[str]) -> None:
        episode = new_episode()
        run([episode], ListPolicy(script))
        assert episode.stop is StopReason.TERMINATED

    def test_one_malformed_reply_is_forgiven(self) -> None:
        episode = new_episode()
        run([episode], ListPolicy([NONSENSE, click(0.5, 0.5), NONSENSE, TERMINATE]))
        assert episode.stop is StopReason.TERMINATED
        assert isinstance(episode.steps[0].reply, Malformed)
        assert episode.steps[0].click is None

    def test_malformed(self) -> None:
        episode = new_episode()
        run([episode], ListPolicy([click(0.5, 0.5), NONSENSE, NONSENSE]))
        assert episode.stop is StopReason.MALFORMED
        assert np.array_equal(episode.segmentation.mask, discs((0.5, 0.5)))

    def test_limits_of_one_stop_at_the_first(self) -> None:
        nonsense = new_episode(Limits(max_malformed=1))
        run([nonsense], ListPolicy([NONSENSE]))
        assert nonsense.stop is StopReason.MALFORMED
        repeat = new_episode(Limits(max_repeats=2))
        run([repeat], ListPolicy([click(0.5, 0.5)] * 2))
        assert repeat.stop is StopReason.REPEATED_ACTION

    def test_an_ended_episode_takes_no_reply(self) -> None:
        episode = new_episode()
        episode.apply(TERMINATE)
        with pytest.raises(EpisodeEnded, match="not_present") as caught:
            episode.apply(click(0.5, 0.5))
        assert "undo" in caught.value.fix
        assert len(episode.steps) == 1

    def test_cancel_does_not_overwrite_the_reason(self) -> None:
        episode = new_episode()
        episode.apply(TERMINATE)
        episode.cancel()
        assert episode.stop is StopReason.NOT_PRESENT


class TestState:
    def test_the_tool_gets_all_clicks_and_the_last_segmentation(self) -> None:
        episode = new_episode()
        first = episode.apply(click(0.2, 0.2))
        second = episode.apply(click(0.8, 0.8))
        assert episode.clicks == (Click(0.2, 0.2), Click(0.8, 0.8))
        assert episode.tool.asked == [
            ((Click(0.2, 0.2),), None),
            ((Click(0.2, 0.2), Click(0.8, 0.8)), first.segmentation),
        ]
        assert episode.segmentation is second.segmentation

    def test_a_starting_mask_is_the_first_prior(self) -> None:
        start = discs((0.2, 0.2))
        episode = new_episode(start=start)
        episode.apply(click(0.8, 0.8))
        assert episode.tool.asked[0][1] is episode.start
        assert np.array_equal(episode.segmentation.mask, start | discs((0.8, 0.8)))

    def test_an_empty_starting_mask_is_no_prior(self) -> None:
        episode = new_episode(start=np.zeros(SHAPE, dtype=bool))
        assert text_of(episode) == "First the kidney"
        episode.apply(click(0.8, 0.8))
        assert episode.tool.asked[0][1] is None

    def test_seconds_are_told(self) -> None:
        step = new_episode().apply(click(0.5, 0.5), policy_seconds=1.5)
        assert step.policy_seconds == 1.5
        assert step.tool_seconds > 0
        assert new_episode().apply(TERMINATE).tool_seconds == 0

    def test_a_failing_tool_leaves_the_episode_as_it_was(self) -> None:
        episode = new_episode()
        episode.apply(click(0.2, 0.2))
        episode.tool.failure = ToolOutOfMemory("No room.", "Buy more.")
        with pytest.raises(ToolOutOfMemory):
            episode.apply(click(0.8, 0.8))
        with pytest.raises(ToolOutOfMemory):
            episode.click(Click(0.8, 0.8))
        assert len(episode.steps) == 1
        assert episode.stop is None
        episode.tool.failure = None
        episode.apply(click(0.8, 0.8))
        assert len(episode.clicks) == 2

    def test_the_picture_itself_is_never_painted_on(self) -> None:
        episode = new_episode()
        run([episode], ListPolicy([click(0.2, 0.2), click(0.8, 0.8), TERMINATE]))
        assert (episode.image == 100).all()


class TestHuman:
    def test_a_click_continues_with_clicks_and_prior(self) -> None:
        episode = new_episode()
        before = episode.apply(click(0.2, 0.2))
        step = episode.click(Click(0.8, 0.8))
        assert step.author is Author.HUMAN
        assert step.raw == ""
        assert step.reply == Reply("", Click(0.8, 0.8))
        assert episode.tool.asked[-1] == (
            (Click(0.2, 0.2), Click(0.8, 0.8)),
            before.segmentation,
        )
        assert np.array_equal(episode.observe().mask, discs((0.2, 0.2), (0.8, 0.8)))
        assert episode.observe().clicks == episode.clicks

    @pytest.mark.parametrize(
        "script", [[TERMINATE], [click(0.5, 0.5)] * 3, [NONSENSE] * 2, [click(0.1, 0.1)]]
    )
    def test_a_click_reopens(self, script: list[str]) -> None:
        episode = new_episode(Limits(max_steps=len(script)))
        run([episode], ListPolicy(script))
        assert episode.stop is not None
        episode.click(Click(0.8, 0.8))
        assert episode.stop is None
        assert episode.answer == ""
        run([episode], ListPolicy([TERMINATE]))
        assert episode.stop is StopReason.TERMINATED
        assert episode.steps[-2].author is Author.HUMAN

    def test_a_click_breaks_a_row_of_equal_actions_and_of_nonsense(self) -> None:
        episode = new_episode()
        for _ in range(2):
            episode.apply(click(0.5, 0.5))
        episode.click(Click(0.8, 0.8))
        assert episode.apply(click(0.5, 0.5)).click is not None
        episode.apply(NONSENSE)
        episode.click(Click(0.8, 0.9))
        episode.apply(NONSENSE)
        assert episode.stop is None

    def test_a_persons_clicks_are_not_the_agents_steps(self) -> None:
        episode = new_episode(Limits(max_steps=2))
        for _ in range(5):
            episode.click(Click(0.8, 0.8))
        episode.apply(click(0.2, 0.2))
        assert episode.stop is None
        episode.apply(click(0.3, 0.3))
        assert episode.stop is StopReason.STEP_LIMIT

    def test_undo_steps_back_through_agent_and_human_alike(self) -> None:
        episode = new_episode()
        first = episode.apply(click(0.2, 0.2))
        second = episode.click(Click(0.8, 0.8))
        third = episode.apply(TERMINATE)
        assert episode.undo() is third
        assert episode.stop is None
        assert episode.undo() is second
        assert episode.segmentation is first.segmentation
        assert episode.clicks == (Click(0.2, 0.2),)
        assert episode.undo() is first
        assert not episode.segmentation.mask.any()
        assert episode.undo() is None
        assert episode.undone == [third, second, first]
        assert text_of(episode) == "First the kidney"

    def test_undo_ends_at_the_starting_mask(self) -> None:
        episode = new_episode(start=discs((0.2, 0.2)))
        episode.apply(click(0.8, 0.8))
        episode.undo()
        assert episode.segmentation is episode.start

    def test_what_was_undone_does_not_count(self) -> None:
        episode = new_episode(Limits(max_steps=2, max_repeats=2))
        episode.apply(click(0.5, 0.5))
        episode.undo()
        episode.apply(click(0.5, 0.5))
        assert episode.stop is None
        assert episode.tool.asked[-1] == ((Click(0.5, 0.5),), None)


class TestObservation:
    def test_first_turn(self) -> None:
        seen = new_episode().observe()
        assert seen.step == 0
        assert seen.clicks == ()
        assert [m["role"] for m in seen.messages] == ["system", "user"]
        assert seen.messages[1]["content"] == [
            {"type": "image"},
            {"type": "text", "text": "First the kidney"},
        ]
        assert len(seen.pictures) == 1
        assert (seen.pictures[0] == 100).all()

    def test_later_turns_are_refinements_of_the_overlaid_picture(self) -> None:
        episode = new_episode()
        episode.apply(click(0.5, 0.5))
        seen = episode.observe()
        assert text_of(episode) == "Refine the kidney"
        expected = overlay(episode.image, seen.mask, PROFILE.overlay_colour, PROFILE.overlay_alpha)
        assert len(seen.pictures) == 1
        assert np.array_equal(seen.pictures[0], expected)
        assert seen.step == 1

    def test_a_starting_mask_makes_the_first_turn_a_refinement(self) -> None:
        episode = new_episode(start=discs((0.2, 0.2)))
        assert text_of(episode) == "Refine the kidney"
        assert (episode.observe().pictures[0] != 100).any()

    def test_after_nonsense_the_first_question_is_asked_again(self) -> None:
        episode = new_episode()
        episode.apply(NONSENSE)
        assert text_of(episode) == "First the kidney"

    def test_history_shows_the_agents_turns_as_they_were(self) -> None:
        episode = new_episode(profile=HISTORY)
        replies = [click(0.2, 0.2), click(0.5, 0.5)]
        episode.apply(replies[0])
        episode.click(Click(0.8, 0.8))
        episode.apply(replies[1])
        seen = episode.observe()
        roles = [message["role"] for message in seen.messages]
        assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
        texts = [message["content"][-1]["text"] for message in seen.messages]
        assert texts[1::2] == ["First the kidney", "Refine the kidney", "Refine the kidney"]
        assert texts[2::2] == replies
        masks = [
            discs(),
            discs((0.2, 0.2), (0.8, 0.8)),  # the agent saw the person's click as well
            discs((0.2, 0.2), (0.8, 0.8), (0.5, 0.5)),
        ]
        tinted = [(picture != 100).any(axis=2) for picture in seen.pictures]
        assert all(np.array_equal(*pair) for pair in zip(tinted, masks, strict=True))

    def test_history_forgets_what_was_undone(self) -> None:
        episode = new_episode(profile=HISTORY)
        episode.apply(click(0.2, 0.2))
        episode.apply(click(0.5, 0.5))
        episode.undo()
        assert len(episode.observe().pictures) == 2


SCRIPTS = [
    [click(0.2, 0.2), click(0.6, 0.6), TERMINATE],
    [TERMINATE],
    [NONSENSE, NONSENSE],
    [click(0.3, 0.3)] * 3,
    [click(0.4, 0.4), NONSENSE, click(0.4, 0.4, positive=False), TERMINATE],
]


class ScriptByShade:
    """Replies from one script an episode, told apart by the picture's corner."""

    name = "by-shade"

    def __init__(self) -> None:
        self._scripts: dict[int, Iterator[str]] = {n: iter(s) for n, s in enumerate(SCRIPTS)}

    def replies(self, observations: list, cancelled: Cancelled = never) -> list[str]:
        return [next(self._scripts[int(seen.pictures[0][0, 0, 0])]) for seen in observations]


class TestRun:
    def test_side_by_side_equals_one_by_one(self) -> None:
        together = [new_episode(shade=n) for n in range(len(SCRIPTS))]
        apart = [new_episode(shade=n) for n in range(len(SCRIPTS))]
        run(together, ScriptByShade())
        policy = ScriptByShade()
        for episode in apart:
            run([episode], policy)
        for left, right in zip(together, apart, strict=True):
            assert left.stop is right.stop
            assert left.clicks == right.clicks
            assert [s.raw for s in left.steps] == [s.raw for s in right.steps]
            assert np.array_equal(left.segmentation.mask, right.segmentation.mask)

    def test_only_open_episodes_are_asked(self) -> None:
        policy = ListPolicy([TERMINATE, click(0.5, 0.5), TERMINATE])
        run([new_episode(), new_episode()], policy)
        assert policy.calls == [2, 1]

    def test_nothing_to_play(self) -> None:
        policy = ListPolicy()
        run([], policy)
        ended = new_episode()
        ended.apply(TERMINATE)
        run([ended], policy)
        assert policy.calls == []

    def test_on_step_is_told_every_step_in_order(self) -> None:
        episodes = [new_episode(), new_episode()]
        told: list[tuple[Episode, Step]] = []

        def on_step(episode: Episode, step: Step) -> None:
            assert episode.steps[-1] is step
            told.append((episode, step))

        run(episodes, ListPolicy([click(0.2, 0.2), click(0.3, 0.3)]), on_step)
        assert [episodes.index(episode) for episode, _ in told] == [0, 1, 0, 1]
        assert [step for episode, step in told if episode is episodes[0]] == episodes[0].steps
        assert isinstance(told[-1][1].reply, Reply)
        assert told[-1][1].reply.action == Terminate()

    def test_the_policys_time_is_shared_out(self) -> None:
        episodes = [new_episode(), new_episode()]
        run(episodes, ListPolicy([TERMINATE, TERMINATE]))
        seconds = {episode.steps[0].policy_seconds for episode in episodes}
        assert len(seconds) == 1
        assert seconds.pop() > 0

    def test_cancelled_before_the_policy_is_asked(self) -> None:
        policy, episode = ListPolicy([click(0.5, 0.5)]), new_episode()
        run([episode], policy, cancelled=lambda: True)
        assert policy.calls == []
        assert episode.stop is StopReason.CANCELLED
        assert episode.steps == []

    def test_cancelled_before_the_tool_is_asked(self) -> None:
        policy, episode = ListPolicy([click(0.5, 0.5)]), new_episode()
        run([episode], policy, cancelled=lambda: bool(policy.calls))
        assert policy.calls == [1]
        assert episode.tool.asked == []
        assert episode.stop is StopReason.CANCELLED

    def test_cancelled_keeps_what_stands(self) -> None:
        episodes = [new_episode(), new_episode(), new_episode()]
        policy = ListPolicy([TERMINATE, *[click(0.1 * n, 0.5) for n in range(1, 9)]])
        run(episodes, policy, cancelled=lambda: len(episodes[1].steps) == 2)
        assert [episode.stop for episode in episodes] == [
            StopReason.NOT_PRESENT,
            StopReason.CANCELLED,
            StopReason.CANCELLED,
        ]
        assert [len(episode.steps) for episode in episodes] == [1, 2, 1]
        assert episodes[1].segmentation.mask.any()

    def test_a_failing_policy_keeps_the_steps_so_far(self) -> None:
        episode = new_episode()
        policy = ListPolicy([click(0.5, 0.5), RuntimeError("CUDA error")])
        with pytest.raises(PolicyFailed, match="list-policy failed: CUDA error") as caught:
            run([episode], policy)
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert len(episode.steps) == 1
        assert episode.stop is None
        run([episode], ListPolicy([TERMINATE]))
        assert episode.stop is StopReason.TERMINATED

    def test_named_failures_of_a_policy_pass_unchanged(self) -> None:
        failure = ToolOutOfMemory("No room.", "Buy more.")
        with pytest.raises(ToolOutOfMemory) as caught:
            run([new_episode()], ListPolicy([failure]))
        assert caught.value is failure


def test_a_starting_mask_of_another_size_is_refused():
    with pytest.raises(InvalidRequest, match="starting mask"):
        Episode(
            np.zeros((20, 30, 3), np.uint8),
            "the disc",
            DiscTool(),
            load_profile(),
            start=Segmentation.empty(30, 20),
        )
