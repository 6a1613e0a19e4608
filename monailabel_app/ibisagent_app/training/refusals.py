"""Why the server does not begin to train."""

from __future__ import annotations

from ibisagent.errors import IBISAgentError


class TrainingRunning(IBISAgentError):
    """A training is going on already."""

    code = "training_running"


class TooFewStudies(IBISAgentError):
    """There are fewer accepted studies than training and a fair judgement need."""

    code = "too_few_studies"


class OneSubjectOnly(IBISAgentError):
    """All accepted studies show one subject, so that none can be held back."""

    code = "one_subject_only"


class UnnamedLabel(IBISAgentError):
    """A label marks something whose name is not known, or not known for certain."""

    code = "unnamed_label"


class LabelMisfit(IBISAgentError):
    """A label does not lie on the grid of its image."""

    code = "label_misfit"


class NotTrainable(IBISAgentError):
    """The policy of this server cannot be trained here."""

    code = "not_trainable"


class DeviceBusy(IBISAgentError):
    """The device has too little free memory for training beside what it holds."""

    code = "device_busy"


class NotEnoughDisk(IBISAgentError):
    """Checkpoints and data of a training would not fit on the disk."""

    code = "not_enough_disk"


class NothingToRollBack(IBISAgentError):
    """No earlier model is kept."""

    code = "nothing_to_roll_back"


class NoTrainingRuns(IBISAgentError):
    """There is no training to stop."""

    code = "no_training_runs"
