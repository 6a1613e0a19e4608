"""What keeping the earlier turns of an episode saves, where the prompts hold the history."""

from __future__ import annotations

from typing import Any

from harness.fake_tool import DiscTool

from benchmarks.pictures import picture
from benchmarks.timing import Times
from ibisagent.episode import Episode
from ibisagent.policies.local import LocalPolicy
from ibisagent.prompts import PromptProfile

TURNS = 5
WRITTEN = (
    "<think>The target is not yet covered as a whole, so I add a point.</think>"
    "<action>Positive Point (0.{}, 0.5)</action>"
)


def measure_history(
    reusing: LocalPolicy, anew: LocalPolicy, profile: PromptProfile, repeats: int, device: str
) -> dict[str, Any]:
    """Seconds of the last turn of an episode, in which all the earlier pictures are shown.

    Args:
        reusing: Keeps earlier turns.
        anew: The same checkpoint, computing every prompt as a whole.
        profile: Its words.
        repeats: Episodes.
        device: Of both.
    """
    profile = profile.model_copy(update={"history": True})
    kept, whole, same = Times(), Times(), True
    for repeat in range(-1, repeats):
        episode = Episode(picture(repeat + 300), "liver", DiscTool(), profile)
        for turn in range(TURNS - 1):
            reusing.replies([episode.observe()])
            episode.apply(WRITTEN.format(turn + 2))
        with whole.measure():
            expected = anew.replies([episode.observe()])
        with kept.measure():
            found = reusing.replies([episode.observe()])
        same = same and found == expected
        if repeat < 0:  # the first one pays for what is set up once
            kept, whole = Times(), Times()
    return {
        "turn": TURNS,
        "seconds_kept": kept.as_json(),
        "seconds_anew": whole.as_json(),
        "speedup": round(whole.pace(device) / kept.pace(device), 2),
        "same_replies": same,
    }
