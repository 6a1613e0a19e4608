"""The trainers that MONAI Label knows: supervised, by reinforcement, or both."""

from __future__ import annotations

import logging
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from ibisagent_app.training.desk import TrainingDesk
from ibisagent_app.training.options import BOTH, RL, SFT, client_options
from ibisagent_app.training.pipeline import train

logger = logging.getLogger(__name__)

DESCRIPTIONS = {
    BOTH: "Learn from accepted studies: fine-tuning, then reinforcement learning",
    SFT: "Learn from accepted studies: fine-tuning on simulated episodes",
    RL: "Learn from accepted studies: reinforcement learning in the real environment",
}


class TrainerTask(TrainTask):
    """Trains the agent's policy on the accepted studies, in a process of its own.

    Args:
        desk: Shared by all trainers of the app.
        name: One of `ibisagent_app.training.options.STAGES`.
    """

    def __init__(self, desk: TrainingDesk, name: str) -> None:
        super().__init__(DESCRIPTIONS[name])
        self._desk = desk
        self._name = name

    def config(self) -> dict[str, Any]:
        """Options with their defaults; the stock client shows them as a table."""
        return client_options(self._name)

    def stats(self) -> dict[str, Any]:
        """Progress of whichever trainer runs: the stock client asks the first one only."""
        return self._desk.stats()

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train; MONAI Label calls this in the trainer's process.

        Returns:
            The final status, for MONAI Label's log.

        Raises:
            IBISAgentError: See `TrainingDesk.plan`, and whatever ends a training; the model in
                use stays as it was.
        """
        return train(self._desk, self._name, request, datastore)
