"""Keeps slow and idle connections from crowding out the others: a head in time, a body at a pace, the oldest go first.

A connection waits while no request is under way on it: it is new, its head comes slowly, or it is idle between two
requests. At most `WAITING_LIMIT_CONNECTIONS` of a process wait; one more closes the one that has waited longest. So any
number of slow or silent clients leaves room for those that send a whole head at once, which is every honest one.
`services/tests/hostile` holds orders against 1,500 connections that send a byte a second, and against floods of more.
"""

import asyncio
import resource
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from libs.runtime.http import problem_response

HEAD_TIMEOUT_S = 10.0
HEAD_LIMIT_BYTES = 64 * 1024
BODY_CHECK_S = 10.0
BODY_LEAST_BYTES_PER_CHECK = 10 * 1024
WRITE_TIMEOUT_S = 30.0
WAITING_LIMIT_CONNECTIONS = 1_000
OPEN_FILES_WANTED = 8_192


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds: 10 seconds and 64 KiB for a head, at least 1 KiB a second for a body."""

    waiting: ClassVar[dict["GuardedProtocol", None]] = {}
    _timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _body_bytes = 0
    _receiving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self._set_timer(HEAD_TIMEOUT_S)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.waiting.pop(self, None)
        self._clear_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Set a time for what is still to come."""
        if self in self.waiting:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._timer is None and self._receiving:
            self._set_timer(BODY_CHECK_S)
        elif self in self.waiting and self._head_bytes:
            if self._head_bytes > HEAD_LIMIT_BYTES:
                self._refuse(431, "the head of the request is too large", f"at most {HEAD_LIMIT_BYTES} bytes")
            elif self._timer is None:
                self._set_timer(HEAD_TIMEOUT_S)

    def on_headers_complete(self) -> None:
        """The head is there: a request is under way."""
        self.waiting.pop(self, None)
        self._clear_timer()
        self._head_bytes = self._body_bytes = 0
        self._receiving = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the body's bytes."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request is there: the client has done its part."""
        self._receiving = False
        self._clear_timer()
        super().on_message_complete()
        if self.cycle.response_complete:
            self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next head; a body that was answered before its end gets a little time to end."""
        super().on_response_complete()
        if self.transport.is_closing() or not self.cycle.response_complete:
            return
        if self._receiving:
            self._set_timer(BODY_CHECK_S)
        else:
            self._wait()

    def pause_writing(self) -> None:
        """The client does not read its answer: it has a while to begin."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(WRITE_TIMEOUT_S, self._abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().resume_writing()

    def _wait(self) -> None:
        self.waiting[self] = None
        if len(self.waiting) > WAITING_LIMIT_CONNECTIONS:
            oldest = next(iter(self.waiting))
            del self.waiting[oldest]
            oldest._abort()

    def _set_timer(self, delay_s: float) -> None:
        self._clear_timer()
        self._timer = self.loop.call_later(delay_s, self._late)

    def _clear_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self in self.waiting and self._head_bytes:
            self._refuse(408, "the head of the request did not come in time", f"it may take {HEAD_TIMEOUT_S:.0f} s")
        elif self._keeps_pace():
            self._body_bytes = 0
            self._set_timer(BODY_CHECK_S)
        else:
            self._abort()

    def _keeps_pace(self) -> bool:
        # Where reading is paused it is our turn, not the client's.
        ours = self.flow.read_paused or self._body_bytes >= BODY_LEAST_BYTES_PER_CHECK
        return self._receiving and ours and not self.cycle.response_complete

    def _refuse(self, status: int, title: str, detail: str) -> None:
        self.waiting.pop(self, None)
        self._clear_timer()
        if self.transport.is_closing():
            return
        response = problem_response(status, title, detail)
        lines = b"".join(b"%b: %b\r\n" % pair for pair in response.raw_headers)
        body = bytes(response.body)
        self.transport.write(b"HTTP/1.1 %d \r\nconnection: close\r\n%b\r\n%b" % (status, lines, body))
        self.transport.close()

    def _abort(self) -> None:
        self._clear_timer()
        self.transport.abort()


def allow_open_files() -> int:
    """Raise the limit of open files as far as we need and may, and return it: every connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES_WANTED:
        soft = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(OPEN_FILES_WANTED, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
