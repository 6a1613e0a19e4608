from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from uvicorn import Config
from uvicorn.lifespan.on import LifespanOn

from ibisagent.errors import DeviceUnavailable
from ibisagent_app.start_refusal import refuse_to_start

ERROR = DeviceUnavailable("There is no device 'cuda'.", "Use 'cpu'.")


@pytest.fixture
def _no_filter_left() -> None:
    log = logging.getLogger("uvicorn.error")
    before = list(log.filters)
    yield
    log.filters[:] = before


@pytest.mark.usefixtures("_no_filter_left")
def test_server_ends_with_one_line_and_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def start(app: FastAPI) -> AsyncIterator[None]:
        refuse_to_start(ERROR)
        yield

    async def serve() -> bool:
        lifespan = LifespanOn(Config(FastAPI(lifespan=start), log_config=None))
        await lifespan.startup()
        return lifespan.should_exit

    with caplog.at_level(logging.ERROR, "uvicorn.error"):
        assert asyncio.run(serve())
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == "The server does not start: There is no device 'cuda'. Use 'cpu'."
    assert not any("Traceback" in message for message in messages)
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.usefixtures("_no_filter_left")
def test_without_a_server_the_process_ends_with_the_same_line() -> None:
    with pytest.raises(SystemExit, match="no device 'cuda'"):
        refuse_to_start(ERROR)


@pytest.mark.usefixtures("_no_filter_left")
def test_other_messages_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit):
        refuse_to_start(ERROR)
    with caplog.at_level(logging.INFO, "uvicorn.error"):
        logging.getLogger("uvicorn.error").info("Application startup failed.")
    assert caplog.messages == ["Application startup failed."]
