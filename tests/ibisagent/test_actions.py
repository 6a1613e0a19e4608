"""The grammar: round trips, every form published weights write, and hostile text."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ibisagent.actions import (
    Click,
    Malformed,
    Reply,
    Terminate,
    format_action,
    format_reply,
    parse,
)
from ibisagent.errors import InvalidClick

unhurried = settings(deadline=None)  # wall time says more of the machine than of the code

UNIT = st.floats(0.0, 1.0)
WRITTEN = st.integers(0, 10_000).map(lambda value: value / 10_000)
CLICKS = st.builds(Click, WRITTEN, WRITTEN, st.booleans())
TAG_PIECES = st.sampled_from(
    ["<think>", "</think>", "<action>", "</action>", "<answer>", "</answer>", "< / Think >", "<"]
)
WORDS = st.text(max_size=30)
ROUGH_TEXT = st.lists(TAG_PIECES | WORDS, max_size=8).map("".join)


@st.composite
def canonical_replies(draw: st.DrawFn) -> Reply:
    """Replies as the canonical form can hold them: one line of text, no tags."""
    line = st.text(st.characters(exclude_characters="<>", exclude_categories=["Cs"]), max_size=60)
    thought, answer = (" ".join(draw(line).split()) for _ in range(2))
    action = draw(CLICKS | st.just(Terminate()))
    return Reply(thought, action, answer if isinstance(action, Terminate) else "")


@unhurried
@given(canonical_replies())
def test_canonical_reply_is_read_back_unchanged(reply: Reply) -> None:
    assert parse(format_reply(reply)) == reply


@unhurried
@given(ROUGH_TEXT, CLICKS | st.just(Terminate()), ROUGH_TEXT)
@example("<<think>think>Positive Point (0.1, 0.2)", Click(0.5, 0.5), "")
@example("<think<think>>", Terminate(), "< <answer> answer>")
@example("a <", Terminate(), "b </")
def test_no_free_text_can_change_the_action(
    thought: str, action: Click | Terminate, answer: str
) -> None:
    parsed = parse(format_reply(Reply(thought, action, answer)))
    assert isinstance(parsed, Reply)
    assert parsed.action == action


@unhurried
@given(ROUGH_TEXT, st.builds(Click, UNIT, UNIT, st.booleans()) | st.just(Terminate()), ROUGH_TEXT)
def test_writing_what_was_read_changes_nothing(
    thought: str, action: Click | Terminate, answer: str
) -> None:
    once = format_reply(Reply(thought, action, answer))
    parsed = parse(once)
    assert isinstance(parsed, Reply)
    assert format_reply(parsed) == once


@unhurried
@given(ROUGH_TEXT | st.text())
def test_any_text_is_a_reply_or_malformed(text: str) -> None:
    parsed = parse(text)
    assert isinstance(parsed, Reply | Malformed)
    if isinstance(parsed, Malformed):
        assert parsed.reason.endswith(".")


def test_canonical_form() -> None:
    click = Reply("It is left.", Click(0.25, 1.0, positive=False))
    assert (
        format_reply(click)
        == "<think>It is left.</think><action>Negative Point (0.2500, 1.0000)</action>"
    )
    stop = Reply("It fits.", Terminate(), "Done.")
    assert (
        format_reply(stop)
        == "<think>It fits.</think><action>Terminate</action><answer>Done.</answer>"
    )


def test_a_click_has_no_answer_to_write() -> None:
    assert "<answer>" not in format_reply(Reply("a", Click(0.5, 0.5), "b"))


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("<action>Positive Point (0.4312, 0.5520)</action>", Click(0.4312, 0.5520)),
        ("<action>Negative Point (0.4312, 0.5520)</action>", Click(0.4312, 0.5520, False)),
        ("<action>\nPositive Point (0.4312, 0.5520)\n</action>", Click(0.4312, 0.5520)),
        ("<ACTION>positive point (0.1, 0.2)</ACTION>", Click(0.1, 0.2)),
        ("<action>POSITIVE POINT (0.1, 0.2)</action>", Click(0.1, 0.2)),
        ("<action>Positive\nPoint\n(0.1,\n0.2)</action>", Click(0.1, 0.2)),
        ("<action>Positive Point: (0.1, 0.2)</action>", Click(0.1, 0.2)),
        ("<action>positive point = [0.1, 0.2]</action>", Click(0.1, 0.2)),
        ("<action>Positive Point(0.1,0.2)</action>", Click(0.1, 0.2)),
        ("<action>Positive Point (1.0000, 0.0000)</action>", Click(1.0, 0.0)),
        ("<action>Positive Point (1, 0)</action>", Click(1.0, 0.0)),
        ("<action>Positive Point (1., .5)</action>", Click(1.0, 0.5)),
        ("<action>Positive Point (+0.1, 2e-1)</action>", Click(0.1, 0.2)),
        ("<action>Positive Point (1.5E-1, 0.2)</action>", Click(0.15, 0.2)),
        ("<action>I choose Positive Point (0.1, 0.2).</action>", Click(0.1, 0.2)),
        ("<action>Positive Point (0.1, 0.2)", Click(0.1, 0.2)),
        ("<action>Positive Point (0.1, 0.2)<answer>x</answer>", Click(0.1, 0.2)),
        ("well, < action >Positive Point (0.1, 0.2)< / action > done", Click(0.1, 0.2)),
        ("<think>no end<action>Positive Point (0.1, 0.2)</action>", Click(0.1, 0.2)),
        ("no start</think><action>Positive Point (0.1, 0.2)</action>", Click(0.1, 0.2)),
        (
            "<action>Positive Point (0.1, 0.2) Positive Point (0.10, 0.20)</action>",
            Click(0.1, 0.2),
        ),
        ("<action>Terminate</action>", Terminate()),
        ("<action>Termination</action>", Terminate()),
        ("<action>\nTerminate\n</action>", Terminate()),
        ("<action>TERMINATE.</action>", Terminate()),
        ("<action>Terminate", Terminate()),
        ("<action>Terminate</action><answer>It is there.</answer> bye", Terminate()),
    ],
)
def test_published_forms(text: str, action: Click | Terminate) -> None:
    parsed = parse(text)
    assert isinstance(parsed, Reply)
    assert parsed.action == action


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no <action>"),
        ("Positive Point (0.1, 0.2)", "no <action>"),
        ("<think>Positive Point (0.1, 0.2). Terminate.</think>", "no <action>"),
        ("<think>Terminate</think><answer>Terminate</answer>", "no <action>"),
        ("</action>Terminate", "no <action>"),
        ("<action></action>Terminate", "neither"),
        ("<action>Click (0.1, 0.2)</action>", "neither"),
        ("<action>Point (0.1, 0.2)</action>", "neither"),
        ("<action>Positive Point 0.1 0.2</action>", "neither"),
        ("<action>Positive Point (0.1)</action>", "neither"),
        ("<action>Positive Point (0.1, 0.2", "neither"),
        ("<action>Positive Point (0.1, 0.2, 0.3)</action>", "neither"),
        ("<action>Positive Point (nan, 0.2)</action>", "neither"),
        ("<action>Positive Point (inf, 0.2)</action>", "neither"),
        ("<action>Positive Point (0,1, 0,2)</action>", "neither"),
        ("<action>Indeterminate</action>", "neither"),
        ("<action>Exterminate</action>", "neither"),
        ("<action>Positive Point (-0.1, 0.2)</action>", "x is -0.1"),
        ("<action>Positive Point (0.1, 1.0001)</action>", "y is 1.0001"),
        ("<action>Positive Point (120, 80)</action>", "x is 120.0"),
        ("<action>Positive Point (1e999, 0.2)</action>", "x is inf"),
        ("<action>Positive Point (0.1, 0.2) Terminate</action>", "2 actions"),
        ("<action>Positive Point (0.1, 0.2) Negative Point (0.1, 0.2)</action>", "2 actions"),
        (
            "<action>Positive Point (0.1, 0.2), Positive Point (0.3, 0.4), "
            "Positive Point (0.5, 0.6)</action>",
            "3 actions",
        ),
    ],
)
def test_malformed_replies_say_why(text: str, reason: str) -> None:
    parsed = parse(text)
    assert isinstance(parsed, Malformed)
    assert reason in parsed.reason


def test_words_of_the_thought_do_nothing() -> None:
    text = (
        "<think>Positive Point (0.9, 0.9)? Terminate? No.</think>"
        "<action>Negative Point (0.1, 0.2)</action>"
    )
    assert parse(text) == Reply(
        "Positive Point (0.9, 0.9)? Terminate? No.", Click(0.1, 0.2, positive=False)
    )


def test_words_of_the_answer_do_nothing() -> None:
    text = "<action>Positive Point (0.1, 0.2)</action><answer>Terminate</answer>"
    assert parse(text) == Reply("", Click(0.1, 0.2))


def test_the_first_of_several_action_tags_counts() -> None:
    invented = "<action>Positive Point (0.1, 0.2)</action> then <action>Terminate</action>"
    assert parse(invented) == Reply("", Click(0.1, 0.2))


def test_a_malformed_reply_keeps_its_thought() -> None:
    assert parse("<think> It is\nhere. </think>I stop.").thought == "It is\nhere."
    assert parse("<think>Still thinking").thought == "Still thinking"


def test_an_unfinished_answer_is_read() -> None:
    parsed = parse("<think>Fits.</think>\n<action>\nTermination\n</action>\n<answer>It is th")
    assert parsed == Reply("Fits.", Terminate(), "It is th")


def test_letters_that_only_fold_to_ours_keep_the_polarity() -> None:
    # U+017F, the long s, matches "s" where case is ignored.
    parsed = parse("<action>Po\u017fitive Point (0.1, 0.2)</action>")
    assert parsed == Reply("", Click(0.1, 0.2, positive=True))


@pytest.mark.parametrize(
    "piece",
    [
        "<think>",
        "<<<",
        "< ",
        "</",
        " ",
        "<action>",
        "<action",
        "positive point (",
        "positive point",
        "positive point (0.5, ",
        "positive point (0.5, 0.5) ",
        "negative point (0.",
        "1",
        "1.",
        "1e",
        "terminat",
        "(",
        "\x00",
    ],
)
@pytest.mark.parametrize(
    "lead", ["", "<action>", "<", "<action>positive point", "<action>positive point ("]
)
def test_hostile_text_costs_linear_time(lead: str, piece: str) -> None:
    text = lead + piece * (100_000 // len(piece))
    began = time.process_time()
    parse(text)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("piece", ["<", "< ", "</ ", "<think>", "<think", " "])
def test_hostile_thoughts_are_written_in_linear_time(piece: str) -> None:
    reply = Reply(piece * (100_000 // len(piece)), Terminate())
    began = time.process_time()
    format_reply(reply)
    assert time.process_time() - began < 0.5


@unhurried
@given(st.builds(Click, UNIT, UNIT), st.integers(1, 5000), st.integers(1, 5000))
@example(Click(1.0, 1.0), 7, 9)
@example(Click(math.nextafter(1.0, 0.0), math.nextafter(1.0, 0.0)), 4096, 3)
def test_pixel_is_always_inside(click: Click, height: int, width: int) -> None:
    row, column = click.to_pixel(height, width)
    assert 0 <= row < height
    assert 0 <= column < width


def test_one_is_the_last_pixel_and_zero_the_first() -> None:
    assert Click(1.0, 1.0).to_pixel(30, 40) == (29, 39)
    assert Click(0.0, 0.0).to_pixel(30, 40) == (0, 0)
    assert Click(0.5, 0.25).to_pixel(30, 40) == (7, 20)


@settings(unhurried, max_examples=300)
@given(st.data())
def test_pixel_round_trip(data: st.DataObject) -> None:
    height, width = (data.draw(st.integers(1, 9999)) for _ in range(2))
    row, column = (data.draw(st.integers(0, size - 1)) for size in (height, width))
    click = Click.from_pixel(row, column, height, width, positive=False)
    assert click.to_pixel(height, width) == (row, column)
    written = parse(format_reply(Reply("", click)))
    assert isinstance(written, Reply)
    assert written.action == click


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 1023, 3333, 4096, 4999, 5001, 8192, 9999])
def test_every_pixel_of_a_side_survives_four_decimals(size: int) -> None:
    clicks = (Click.from_pixel(pixel, pixel, size, size) for pixel in range(size))
    assert [click.to_pixel(size, size)[0] for click in clicks] == list(range(size))


def test_four_decimals_are_too_few_from_ten_thousand_pixels_on() -> None:
    # Half a pixel is then no more than half of the last decimal. Images this large are refused
    # when they are read.
    lost = [
        pixel
        for pixel in range(10_000)
        if Click.from_pixel(0, pixel, 1, 10_000).to_pixel(1, 10_000) != (0, pixel)
    ]
    assert lost


@pytest.mark.parametrize("value", [-0.0001, 1.0001, math.nan, math.inf, -math.inf])
def test_clicks_outside_the_image_are_refused(value: float) -> None:
    with pytest.raises(InvalidClick, match=r"x is .* outside"):
        Click(value, 0.5)
    with pytest.raises(InvalidClick, match=r"y is .* outside"):
        Click(0.5, value)


@unhurried
@given(st.builds(Click, UNIT, UNIT, st.booleans()))
def test_four_decimals_are_written(click: Click) -> None:
    text = format_action(click)
    assert text.startswith("Positive Point (" if click.positive else "Negative Point (")
    assert all(len(number.split(".")[1]) == 4 for number in text[16:-1].split(", "))
