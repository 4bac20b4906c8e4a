"""Serves the doubles on a real port, in this process: `async with serving(create_app()) as url`."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

START_LIMIT_S = 10.0
STOP_LIMIT_S = 1
CUT_WORDS = "without completing response"  # what uvicorn says about each answer that an outage cuts off


class _NotCut(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return CUT_WORDS not in record.getMessage()


class _Quiet(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs this process."""
        yield


def config_of(app: Any, host: str, port: int) -> uvicorn.Config:
    """Return how the doubles are served: quiet, and without waiting long for open sockets when they stop."""
    logging.getLogger("uvicorn.error").addFilter(_NotCut())
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=STOP_LIMIT_S,
        ws="websockets-sansio",
    )


@asynccontextmanager
async def serving(app: Any, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve until the block ends; yields the base URL. Port 0 takes a free one."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        server = _Quiet(config_of(app, host, port))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(START_LIMIT_S):
                while not server.started:
                    if task.done():
                        await task
                        raise OSError("the server stopped before it had started")
                    await asyncio.sleep(0.01)
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
