"""Whole volumes: the agent works on key slices, the tool carries masks between them.

::

    key_slices   which slices the agent is asked on next
    between      the mask to expect between two slices
    carry        bringing the tool to it
    agreement    whether the tool's mask may be trusted
    attempt      one slice between two key slices
    carry_anew   after a person has changed a slice
    ledger       what is settled
    progress     how much is left, and for how long
    propagate    the run
    clean        switchable steps on the finished mask
    settings     the thresholds
"""

from ibisagent.propagation.propagate import Propagated, propagate
from ibisagent.propagation.settings import PropagationSettings

__all__ = ["Propagated", "PropagationSettings", "propagate"]
