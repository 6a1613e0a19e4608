"""Policies that can choose their words at random, and what they then are."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ibisagent.policies.base import Policy

TEMPERATURE = 0.7
"""Where nobody says otherwise: other words than the likeliest, and seldom nonsense."""


@runtime_checkable
class SamplingPolicy(Policy, Protocol):
    """A policy that chooses its likeliest words unless it is told to draw them."""

    def sampling(self, temperature: float, seed: int) -> Policy:
        """The same policy, drawing its words.

        Args:
            temperature: Above 0; the higher, the less likely words are drawn.
            seed: The same seed and observations give the same replies.
        """
        ...
