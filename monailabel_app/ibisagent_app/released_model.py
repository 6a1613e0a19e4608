"""Which model training has released last, where training is installed."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ibisagent.errors import IBISAgentError

if TYPE_CHECKING:
    from ibistrain.release import Releases

logger = logging.getLogger(__name__)


class ReleasedModel:
    """Looks where `ibistrain.release` puts its models; each look costs one `stat`.

    Args:
        folder: Of the releases; None for none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._releases = _releases(folder) if folder is not None else None
        self._told = ""

    def current(self) -> Path | None:
        """Folder of the model to use; None for the configured one."""
        if self._releases is None:
            return None
        try:
            return self._releases.current()
        except IBISAgentError as error:
            if str(error) != self._told:
                logger.error("the configured model is used: %s", error)
                self._told = str(error)
            return None


def _releases(folder: Path) -> Releases | None:
    if find_spec("ibistrain") is None:
        return None
    from ibistrain.release import Releases

    return Releases(folder)
