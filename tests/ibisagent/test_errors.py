"""What every failure tells: a stable code, a sentence, and a fix."""

from __future__ import annotations

import pickle
import re

import pytest

from ibisagent import errors
from ibisagent.errors import IBISAgentError

TYPES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, IBISAgentError)
]


@pytest.mark.parametrize("error", TYPES)
def test_code_is_the_name_in_small_letters(error: type[IBISAgentError]) -> None:
    words = re.findall(r"IBIS|[A-Z][a-z]+", error.__name__)
    assert error.code.replace("_", "") == "".join(words).lower()
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert error.__doc__


def test_codes_are_unique() -> None:
    codes = [error.code for error in TYPES]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", TYPES)
def test_message_and_fix(error: type[IBISAgentError]) -> None:
    raised = error("It broke.", "Mend it.")
    assert (raised.message, raised.fix) == ("It broke.", "Mend it.")
    assert str(raised) == "It broke. Mend it."


@pytest.mark.parametrize("error", TYPES)
def test_it_crosses_process_borders(error: type[IBISAgentError]) -> None:
    returned = pickle.loads(pickle.dumps(error("It broke.", "Mend it.")))
    assert type(returned) is error
    assert str(returned) == "It broke. Mend it."
