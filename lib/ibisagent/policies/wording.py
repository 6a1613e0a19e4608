"""The words of annotators: templates, and nothing else. `narration` fills them with facts."""

from __future__ import annotations

from dataclasses import dataclass

Texts = tuple[tuple[str, ...], ...]
"""Parts of a text, each in several versions; a text is one version of each part, in order."""


@dataclass(frozen=True)
class Wording:
    """A choice of words for each thing that an annotator may have to say.

    ``{target}``, ``{place}``, ``{size}`` and ``{amount}`` are replaced by facts.

    Attributes:
        first: Nothing is marked, and the target was found.
        missed: The mask misses a part.
        spilled: It covers too much.
        elsewhere: It does not touch the target at all.
        done: It is good enough.
        absent: The target is not there.
        enough: The mask is not perfect, but points do not make it better.
        hasty: Before a positive point that is wrong; no place is known.
        hasty_cut: Before a negative one.
        outside: The last point was such a positive one, and is taken back.
        inside: It was such a negative one.
        given_wrong: The user's starting mask is not the target, on which a point follows.
        given_wrong_cut: Likewise, but a point follows that takes the mask away.
        given_absent: There is a starting mask, but no target.
        yes: Answer to whether the target is there, which it is.
        no: Which it is not.
    """

    first: Texts
    missed: Texts
    spilled: Texts
    elsewhere: Texts
    done: Texts
    absent: Texts
    enough: Texts
    hasty: Texts
    hasty_cut: Texts
    outside: Texts
    inside: Texts
    given_wrong: Texts
    given_wrong_cut: Texts
    given_absent: Texts
    yes: Texts
    no: Texts


ANSWER_DONE = "The {target} is in the {place} of the image, {size}."
ANSWER_ABSENT = "There is no {target} in this image."

_SHORT_MISSED: Texts = (("I see part of the {target} not covered in the {place}. I add it.",),)
_SHORT_SPILLED: Texts = (("I see more than the {target} covered in the {place}. I remove it.",),)
_SHORT_DONE: Texts = (
    ("The mask fits the {target}. I stop.", "The {target} is covered well. I stop."),
)
_SHORT_ELSEWHERE = "I see the {target} in the {place}, and the mask is not on it."

SHORT = Wording(
    first=(("I see the {target} in the {place}, {size}. I click inside it.",),),
    missed=_SHORT_MISSED,
    spilled=_SHORT_SPILLED,
    elsewhere=((f"{_SHORT_ELSEWHERE} I click on it.",),),
    done=_SHORT_DONE,
    absent=(("I see no {target} in this image. I stop.",),),
    enough=_SHORT_DONE,
    hasty=(("I see the {target}. I click inside it.",),),
    hasty_cut=(("I see more than the {target} covered. I remove it.",),),
    outside=_SHORT_SPILLED,
    inside=_SHORT_MISSED,
    given_wrong=((f"{_SHORT_ELSEWHERE} I click on it.",),),
    given_wrong_cut=((f"{_SHORT_ELSEWHERE} I remove it.",),),
    given_absent=_SHORT_SPILLED,
    yes=((ANSWER_DONE,),),
    no=((ANSWER_ABSENT,),),
)
"""Few words, for models with a small vocabulary; the embedded one has learnt these.

A reply is the likeliest word after word. So one word decides whether to stop, and one whether the
target is there: were all clicks not to begin alike, each kind of click would have to be likelier
by itself than the stop is.
"""

_ADD = (
    "I add it.",
    "I place a positive point there.",
    "A positive point in its middle should take it in.",
    "I point at the missing part.",
)
_REMOVE = (
    "I remove it.",
    "I place a negative point there.",
    "A negative point in the surplus should push the mask back.",
    "I point at what does not belong.",
)
_STOP = ("I stop.", "No further point is needed.", "Nothing is left to correct.")

_NOT_THE_GIVEN = (
    "The mask that I was given is not the {target}; that lies in the {place}.",
    "The starting mask marks something else than the {target}, which is in the {place}.",
    "I do not keep the given mask: it does not show the {target}. I see that in the {place}.",
)

VARIED = Wording(
    first=(
        (
            "Nothing is marked yet.",
            "There is no mask yet, so I look for the {target}.",
            "I begin with the {target}.",
            "First I have to find the {target}.",
        ),
        (
            "The {target} is {size} and lies in the {place} of the image.",
            "In the {place} I see the {target}; it is {size} here.",
            "The {target} can be made out in the {place}, {size} in this view.",
            "On this picture the {target} takes up a {size} area in the {place}.",
        ),
        (
            "I click inside it.",
            "I place a positive point well inside it.",
            "A positive point near its middle should outline it.",
            "I point at its middle, away from the border.",
        ),
    ),
    missed=(
        (
            "The mask misses {amount} of the {target}, in the {place}.",
            "In the {place} {amount} of the {target} is still without colour.",
            "{Amount} of the {target} is not covered yet; it lies in the {place}.",
            "The mask ends too early: in the {place} {amount} of the {target} is left out.",
        ),
        _ADD,
    ),
    spilled=(
        (
            "In the {place} the mask goes {amount} beyond the {target}.",
            "The mask runs {amount} over the border of the {target} in the {place}.",
            "What is coloured in the {place} is {amount} more than the {target}.",
            "The mask spills {amount} out of the {target}, in the {place}.",
        ),
        _REMOVE,
    ),
    elsewhere=(
        (
            "The mask is not on the {target} at all; that lies in the {place}.",
            "What is coloured is not the {target}. I see it in the {place}.",
            "The {target} is in the {place}, and the mask is somewhere else.",
        ),
        ("I click on it.", "I place a positive point there.", "I point at its middle."),
    ),
    done=(
        (
            "The mask fits the {target}.",
            "The {target} is covered well, and little else is.",
            "The border of the mask follows that of the {target}.",
            "The coloured area in the {place} agrees with the {target}.",
        ),
        _STOP,
    ),
    absent=(
        (
            "I see no {target} in this image.",
            "The {target} is not in this image.",
            "I look through the picture and find no {target}.",
            "Nothing here looks like the {target}.",
        ),
        ("I stop.", "I mark nothing.", "I stop without a point."),
    ),
    enough=(
        (
            "The mask covers the {target} as well as points can make it.",
            "Further points hardly change the mask of the {target} any more.",
        ),
        ("I stop.", "I leave it at that."),
    ),
    hasty=(
        (
            "The {target} seems to be here.",
            "This looks like the {target}.",
            "Here is the {target}.",
        ),
        ("I click on it.", "I place a positive point."),
    ),
    hasty_cut=(
        (
            "This part does not look like the {target}.",
            "The mask seems to go beyond the {target} here.",
        ),
        ("I remove it.", "I place a negative point."),
    ),
    outside=(
        (
            "My last point was not on the {target}: the mask now spills in the {place}.",
            "That point was a mistake; what it added in the {place} is not the {target}.",
            "I was wrong there. In the {place} the mask has taken in what is not the {target}.",
        ),
        (
            "I take it back with a negative point.",
            "A negative point there puts it right.",
            "I remove what it added.",
        ),
    ),
    inside=(
        (
            "My last point was on the {target} itself: the mask now lacks {amount} in the {place}.",
            "That point was a mistake; it took away a part in the {place} that belongs to the "
            "{target}.",
            "I was wrong there. In the {place} the mask has lost what belongs to the {target}.",
        ),
        (
            "I take it back with a positive point.",
            "A positive point there puts it right.",
            "I add what it removed.",
        ),
    ),
    given_wrong=(_NOT_THE_GIVEN, ("I click on it.", "I begin there.")),
    given_wrong_cut=(_NOT_THE_GIVEN, ("I take the mask away first.",)),
    given_absent=(
        (
            "The given mask marks something in the {place}, but I see no {target} in this image.",
            "There is no {target} here; what is coloured in the {place} is something else.",
        ),
        ("I remove it.", "I take the mask away with a negative point."),
    ),
    yes=(
        (
            "Yes. The {target} is in the {place} of the image, {size}.",
            "Yes, the {target} can be seen in the {place}; it is {size}.",
        ),
    ),
    no=(
        (
            "No. There is no {target} in this image.",
            "No, I see no {target} in this image.",
            "No, the {target} is not visible here.",
        ),
    ),
)
"""Many words, for the cold start of large models."""

WORDINGS = {"short": SHORT, "varied": VARIED}
"""By the name that a prompt profile has for them."""
