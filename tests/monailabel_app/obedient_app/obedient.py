"""An agent that does as its prompt says.

Prompts are scripts: ``click 0.25 0.5`` clicks there and is then content, ``write nonsense``
writes nonsense, ``out of memory`` makes the tool run out of it, ``fail`` raises, ``wait 2``
takes two seconds, ``wander`` clicks and clicks, twenty times a second, ``repeat`` clicks on the
same place for ever, anything else sees nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ibisagent.actions import Click
from ibisagent.agent import Agent
from ibisagent.policies.base import Cancelled, Observation, never
from ibisagent.prompts import load_profile
from ibisagent.tools.base import RGB, Segmentation
from ibisagent.tools.out_of_memory import out_of_memory_named

OUT_OF_MEMORY = Click(0.123, 0.321)


class ObedientPolicy:
    name = "obedient"

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        return [self._reply(seen, cancelled) for seen in observations]

    def _reply(self, seen: Observation, cancelled: Cancelled) -> str:
        text = seen.messages[-1]["content"][-1]["text"]
        if "fail" in text:
            raise RuntimeError("the policy was told to fail")
        if "write nonsense" in text:
            return "Lorem ipsum"
        if wait := re.search(r"wait (\d)", text):
            _wait(float(wait[1]), cancelled)
        if "wander" in text:
            _wait(0.05, cancelled)
            return _action(Click(0.3 + 0.005 * (seen.step % 100), 0.5))
        if "repeat" in text:
            return _action(Click(0.75, 0.5))
        if "out of memory" in text:
            return _action(OUT_OF_MEMORY)
        click = re.search(r"click (\d\.\d+) (\d\.\d+)", text)
        if seen.step or not click:
            answer = "I see nothing of the kind." if not seen.step else "It is marked."
            return f"<think>Done.</think><action>Terminate</action><answer>{answer}</answer>"
        return _action(Click(float(click[1]), float(click[2])))


def _wait(seconds: float, cancelled: Cancelled) -> None:
    """As a model that generates does: it looks up between two words."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not cancelled():
        time.sleep(0.01)


def _action(click: Click) -> str:
    place = f"({click.x:.4f}, {click.y:.4f})"
    return f"<think>There.</think><action>Positive Point {place}</action>"


@dataclass(frozen=True, eq=False)
class EqualBrightness:
    """Marks whatever is as bright as the clicked pixel; runs out of memory where told."""

    rgb: RGB

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        if clicks[-1] == OUT_OF_MEMORY:
            with out_of_memory_named("brightness"):
                torch.empty(2**50)
        grey = self.rgb[..., 0].astype(int)
        row, column = clicks[-1].to_pixel(*grey.shape)
        return Segmentation(np.abs(grey - grey[row, column]) < 20, 0.9)


class BrightnessTool:
    name = "brightness"

    def set_image(self, rgb: RGB) -> EqualBrightness:
        return EqualBrightness(rgb)


def obedient_agent(policy: str, tool: str, device: str, prompts: str) -> Agent:
    return Agent(ObedientPolicy(), BrightnessTool(), load_profile())
