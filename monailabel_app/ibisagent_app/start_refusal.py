"""How the server refuses to start: one line, and no traceback."""

from __future__ import annotations

import logging
from typing import NoReturn

from ibisagent.errors import IBISAgentError

_SERVER_LOG = "uvicorn.error"


def refuse_to_start(error: IBISAgentError) -> NoReturn:
    """End the start of the server for a mistake in its configuration.

    The web server logs whatever ends a start with its traceback; here the traceback says
    nothing, so that record is replaced by the error's two sentences.

    Raises:
        SystemExit: With the sentences as message.
    """
    line = f"The server does not start: {error}"
    logging.getLogger(_SERVER_LOG).addFilter(_OneLine(line))
    raise SystemExit(line) from None


class _OneLine(logging.Filter):
    """Replaces a logged traceback by a line."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self._line = line

    def filter(self, record: logging.LogRecord) -> bool:
        if str(record.msg).startswith("Traceback"):
            record.msg = self._line
        return True
