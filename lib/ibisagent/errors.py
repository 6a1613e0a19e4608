"""Every failure a user can cause or meet, as a type with a stable code and a fix in words.

The library raises these; the command line prints them on one line, and the server turns them
into JSON ``{code, message, fix}``. A traceback is for our mistakes, never for the user's input.
"""

from __future__ import annotations

from typing import ClassVar


class IBISAgentError(Exception):
    """A failure with a sentence that says what happened and one that says what to do.

    Attributes:
        code: Stable machine-readable name of the failure.
        message: What happened, one sentence.
        fix: What the user can do about it, one sentence.
    """

    code: ClassVar[str] = "ibisagent_error"

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message, fix)  # both, so that it can be pickled
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}"


class UnreadableImage(IBISAgentError):
    """The file is missing, empty, truncated, or in no format that SimpleITK reads."""

    code = "unreadable_image"


class UnsupportedImage(IBISAgentError):
    """The image was read, but has a shape we do not segment (4D, vector volume, no extent)."""

    code = "unsupported_image"


class NonFiniteImage(IBISAgentError):
    """The image holds NaN or infinite intensities."""

    code = "non_finite_image"


class OversizeImage(IBISAgentError):
    """The image has more voxels, or a longer side, than the stated limits."""

    code = "oversize_image"


class SliceOutOfRange(IBISAgentError):
    """The slice asked for does not exist in the plane asked for."""

    code = "slice_out_of_range"


class InvalidRequest(IBISAgentError):
    """A request field is missing, of the wrong type, unknown, or outside its range."""

    code = "invalid_request"


class InvalidClick(IBISAgentError):
    """A click lies outside the image."""

    code = "invalid_click"


class UnknownPrompt(IBISAgentError):
    """The prompt names nothing the model has learnt (only models that state a vocabulary)."""

    code = "unknown_prompt"


class ModelNotFound(IBISAgentError):
    """Weights or a model folder named in the configuration do not exist or are incomplete."""

    code = "model_not_found"


class MissingPackage(IBISAgentError):
    """A backend needs an optional package that is not installed."""

    code = "missing_package"


class DeviceUnavailable(IBISAgentError):
    """The device asked for (for example ``cuda``) is not there."""

    code = "device_unavailable"


class ToolOutOfMemory(IBISAgentError):
    """The segmentation tool ran out of memory."""

    code = "tool_out_of_memory"


class PolicyFailed(IBISAgentError):
    """The policy raised while it was asked for a reply."""

    code = "policy_failed"


class PolicyUnavailable(IBISAgentError):
    """The server that runs the policy cannot be reached, is overloaded, or answers wrongly."""

    code = "policy_unavailable"


class EpisodeEnded(IBISAgentError):
    """An action was applied to an episode that has already ended."""

    code = "episode_ended"


class InvalidProfile(IBISAgentError):
    """A prompt profile (YAML) misses a field or a placeholder."""

    code = "invalid_profile"


class InvalidTrajectory(IBISAgentError):
    """A trajectory file is not JSON, or does not fit the published schema."""

    code = "invalid_trajectory"


class InvalidManifest(IBISAgentError):
    """A data set manifest is not JSON, misses a field, or names a missing file."""

    code = "invalid_manifest"


class OutputNotWritable(IBISAgentError):
    """A result could not be written: disk full, no permission, or the folder is a file."""

    code = "output_not_writable"


class DetachedData(IBISAgentError):
    """A header names files that hold the voxels, and may not: elsewhere, or of a server."""

    code = "detached_data"


class UnknownRun(IBISAgentError):
    """There is no run of this identifier, or it was deleted."""

    code = "unknown_run"


class TooManyRuns(IBISAgentError):
    """As many runs as the server allows are at work and waiting."""

    code = "too_many_runs"


class RunGoingOn(IBISAgentError):
    """What was asked for needs a run that rests."""

    code = "run_going_on"


class NothingToUndo(IBISAgentError):
    """No step stands on the slice."""

    code = "nothing_to_undo"


class ServerClosing(IBISAgentError):
    """The server is being shut down and takes no more work."""

    code = "server_closing"


class RunCancelled(IBISAgentError):
    """A run whose result somebody waited for was cancelled."""

    code = "run_cancelled"
