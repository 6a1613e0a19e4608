"""A larger model that says the annotator's thoughts in its own words.

It is given the facts, as the template's words have them, and the action, and may change neither:
a reply with another action, with a place or a measure that the facts do not hold, or with none
at all, is thrown away and the template stands. It sees no picture, so that none leaves this
machine. Equal seeds give equal episodes only as far as its server keeps its seed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ibisagent.actions import Reply, Terminate, format_reply, parse
from ibisagent.errors import PolicyFailed, PolicyUnavailable
from ibisagent.policies.endpoint import API_KEY
from ibisagent.policies.endpoint_address import EndpointAddress
from ibisagent.policies.endpoint_client import EndpointClient
from ibistrain.episode_record import EpisodeRecord

logger = logging.getLogger(__name__)

PATIENCE = 3
"""Episodes in a row that a silent server may spoil before it is asked no more."""
LONGEST = 600
"""Characters of a thought or an answer."""
NO_MEASURES = re.compile(
    r"\b(iou|dice|ground[ -]truth|annotat\w+|reference|template|draft)\b", re.I
)
PLACES = frozenset(("upper", "lower", "left", "right", "top", "bottom"))

_TASK = (
    "You reword the notes of someone who segments medical images by placing points. You are given "
    "a note in the form <think>...</think><action>...</action>, and <answer>...</answer> where the "
    "work ends. Write it again in the same form. Say the thought, and the answer if there is one, "
    "in other words, as someone who looks at the picture. Keep every fact, add none, and keep the "
    "action exactly as it is."
)


class Teacher:
    """Rewords replies.

    Args:
        address: ``ADDRESS#MODEL``, as of an endpoint policy without the word in front.
        seed: Of the samples.
        temperature: Of the samples.
        seconds: Longest time for one reply.

    Attributes:
        reworded: Replies that were accepted.
        refused: Replies that were not.

    Raises:
        InvalidRequest: The address is malformed or not safe to use.
    """

    def __init__(
        self, address: str, seed: int = 0, temperature: float = 0.7, seconds: float = 120.0
    ) -> None:
        self._address = EndpointAddress.parse(address)
        self._token = os.environ.get(API_KEY, "").strip()
        self._seed = seed
        self._temperature = temperature
        self._seconds = seconds
        self._silent = 0
        self.reworded = 0
        self.refused = 0

    def reword(self, episode: EpisodeRecord) -> EpisodeRecord:
        """The episode with its thoughts reworded; those of wrong actions are left.

        Raises:
            ModelNotFound: The server has no such model.
        """
        drafts = [parse(step.raw) for step in episode.trajectory.steps]
        wanted = [
            (number, draft)
            for number, (draft, learn) in enumerate(zip(drafts, episode.learn, strict=True))
            if learn and isinstance(draft, Reply)
        ]
        texts = self._ask([draft for _, draft in wanted], episode.trajectory.prompt)
        steps = list(episode.trajectory.steps)
        for (number, draft), text in zip(wanted, texts, strict=True):
            reply = reworded(draft, text)
            self.reworded += reply is not None
            self.refused += reply is None
            if reply is not None:
                new = {"raw": format_reply(reply), "thought": reply.thought}
                steps[number] = steps[number].model_copy(update=new)
        last = parse(steps[-1].raw) if steps else None
        answer = last.answer if isinstance(last, Reply) else episode.trajectory.answer
        trajectory = episode.trajectory.model_copy(update={"steps": steps, "answer": answer})
        return episode.model_copy(update={"trajectory": trajectory})

    def _ask(self, drafts: Sequence[Reply], prompt: str) -> list[str]:
        """One text a draft; empty where the server said nothing."""
        if not drafts or self._silent >= PATIENCE:
            return [""] * len(drafts)
        # In a thread of its own: the caller's may have an event loop already.
        with ThreadPoolExecutor(1, "teacher") as thread:
            texts = thread.submit(asyncio.run, self._ask_all(drafts, prompt)).result()
        self._silent = 0 if any(texts) else self._silent + 1
        if self._silent == PATIENCE:
            logger.warning("the teacher does not answer; from here on the templates stand")
        return texts

    async def _ask_all(self, drafts: Sequence[Reply], prompt: str) -> list[str]:
        async with EndpointClient(self._address, self._token, self._seconds) as client:
            return await asyncio.gather(*(self._one(client, draft, prompt) for draft in drafts))

    async def _one(self, client: EndpointClient, draft: Reply, prompt: str) -> str:
        try:
            return await client.complete(self._body(draft, prompt))
        except (PolicyUnavailable, PolicyFailed) as error:
            logger.info("the teacher failed: %s", error.message)
            return ""

    def _body(self, draft: Reply, prompt: str) -> dict[str, Any]:
        note = f"The user asked for: {prompt}\n\n{format_reply(draft)}"
        return {
            "model": self._address.model,
            "messages": [{"role": "system", "content": _TASK}, {"role": "user", "content": note}],
            "max_tokens": 2 * LONGEST,
            "temperature": self._temperature,
            "seed": self._seed,
        }


def reworded(draft: Reply, text: str) -> Reply | None:
    """What a teacher made of a draft, or None where it may not stand."""
    reply = parse(text)
    if not isinstance(reply, Reply) or reply.action != draft.action:
        return None
    parts = [(draft.thought, reply.thought)]
    if isinstance(draft.action, Terminate):
        parts.append((draft.answer, reply.answer))
    kept = all(_keeps_the_facts(before, after) for before, after in parts)
    return reply if kept and _verdict(draft.answer) == _verdict(reply.answer) else None


def _keeps_the_facts(before: str, after: str) -> bool:
    if not 0 < len(after) <= LONGEST or NO_MEASURES.search(after):
        return False
    return (_words(after) & PLACES) <= (_words(before) & PLACES)


def _verdict(answer: str) -> str:
    """The yes or no that an answer begins with."""
    first = re.match(r"\W*(yes|no)\b", answer, re.I)
    return first[1].lower() if first else ""


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", text.lower()))
