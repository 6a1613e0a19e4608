"""Whole volumes: the agent works on key slices, the tool carries masks between them.

::

    key_slices       which slices the agent is asked on next
    derived_clicks   what a mask says to the tool on the neighbouring slice
    carry            masks from slice to slice, in one direction
    agreement        whether a carried mask may be trusted
    bridge           both directions between two key slices, joined or doubted
    progress         how much is left, and for how long
    clean            switchable steps on the finished mask
    propagate        the run
"""

from ibisagent.propagation.propagate import propagate
from ibisagent.propagation.settings import PropagationSettings

__all__ = ["PropagationSettings", "propagate"]
