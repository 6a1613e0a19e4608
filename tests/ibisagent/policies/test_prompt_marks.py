from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibisagent.policies.prompt_marks import PromptMarks, shared
from ibisagent.tools.base import RGB

PICTURE = 9


def batch(*rows: list[int]) -> dict[str, torch.Tensor]:
    """Padded on the left, as the processor does it."""
    longest = max(map(len, rows))
    return {
        "input_ids": torch.tensor([[0] * (longest - len(row)) + row for row in rows]),
        "attention_mask": torch.tensor(
            [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        ),
    }


def picture(value: int) -> RGB:
    return np.full((2, 2, 3), value, np.uint8)


def test_pictures_stand_where_their_tokens_are() -> None:
    read = PromptMarks.of(
        batch([1, 9, 9, 2, 9, 3], [4, 9]), [[picture(1), picture(2)], [picture(1)]], PICTURE
    )
    assert read is not None
    first, second = read
    assert (first.pictures, second.pictures) == ([(1, 3), (4, 5)], [(1, 2)])
    assert [first.marks[n] for n in (0, 3, 5)] == [1, 2, 3]
    assert first.marks[1] == first.marks[2] == second.marks[1] != first.marks[4]


def test_pictures_that_do_not_match_the_tokens_are_not_guessed_at() -> None:
    assert PromptMarks.of(batch([1, 2]), [[picture(1)]], PICTURE) is None
    assert PromptMarks.of(batch([1, 9, 2]), [[picture(1), picture(2)]], PICTURE) is None


def test_the_same_tokens_with_another_picture_are_shared_up_to_it() -> None:
    one, other = (PromptMarks.of(batch([1, 2, 9, 9, 3]), [[picture(n)]], PICTURE) for n in (1, 2))
    assert one is not None
    assert other is not None
    assert shared(one[0].marks, other[0].marks) == 2
    assert shared(one[0].marks, one[0].marks) == 5


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_what_is_shared_is_equal_and_what_follows_is_not(one: list[int], other: list[int]) -> None:
    length = shared(one, other)
    assert one[:length] == other[:length]
    assert one[length : length + 1] != other[length : length + 1] or one[length:] == []
