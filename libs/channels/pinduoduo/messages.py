"""Pinduoduo's message socket (PMC): messages as they come, heartbeats, acknowledgements. Who lost it reconnects."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from libs.channels.channel import Access, Cure, Message, PlatformRefused
from libs.channels.pinduoduo.inbound import FRAME_LIMIT_BYTES, acknowledgement, heartbeat, read_frame
from libs.channels.pinduoduo.signing import message_path
from libs.channels.wire import shown

SOCKET = "wss://message-api.pinduoduo.com"
HEARTBEAT_S = 5.0
OPEN_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 5.0
PING_S = 20.0
QUEUE_LIMIT_FRAMES = 64
_FORBIDDEN_STATUSES = frozenset({401, 403})


class MessageSocket:
    """One connection at a time. Messages that were not confirmed come again, so nothing is kept here."""

    def __init__(self, access: Access, clock: Callable[[], datetime], heartbeat_s: float = HEARTBEAT_S) -> None:
        self._access = access
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._socket: ClientConnection | None = None

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Yield messages until the socket ends: PlatformRefused says how. A normal end just ends."""
        socket = await self._open()
        self._socket = socket
        beating = asyncio.create_task(self._beat(socket))
        try:
            while True:
                frame = await socket.recv()
                raw = frame if isinstance(frame, bytes) else frame.encode()
                if (message := read_frame(raw, self._access.seller_id)) is not None:
                    yield message
        except ConnectionClosed as closed:
            if closed.rcvd is None or closed.rcvd.code not in (1000, 1001):
                raise PlatformRefused(Cure.RETRY, "socket", shown(f"was lost: {closed}")) from None
        finally:
            if self._socket is socket:
                self._socket = None
            beating.cancel()
            await asyncio.wait([beating])
            await socket.close()

    async def confirm(self, receipts: Sequence[str]) -> None:
        """Acknowledge messages on the open socket; what cannot be acknowledged comes again."""
        wanted = [receipt for receipt in receipts if receipt]
        if not wanted:
            return
        if self._socket is None:
            raise PlatformRefused(Cure.RETRY, "socket", "is not open: unconfirmed messages come again")
        for receipt in wanted:
            await self._send(self._socket, acknowledgement(receipt, self._clock()))

    async def _open(self) -> ClientConnection:
        access = self._access
        base = (access.gateway or SOCKET).rstrip("/")
        # A gateway given as http(s) has its socket below the same address.
        base = "ws" + base.removeprefix("http") if base.startswith("http") else base
        path = message_path(access.app_key, access.app_secret, int(self._clock().timestamp() * 1000))
        try:
            return await connect(
                base + path,
                open_timeout=OPEN_TIMEOUT_S,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                max_size=FRAME_LIMIT_BYTES,
                max_queue=QUEUE_LIMIT_FRAMES,
            )
        except InvalidStatus as refused:
            status = refused.response.status_code
            cure = Cure.ASK if status in _FORBIDDEN_STATUSES else Cure.RETRY
            raise PlatformRefused(cure, f"HTTP {status}", "the message socket was refused") from None
        except (InvalidHandshake, OSError, TimeoutError) as failure:
            # The address holds a digest, so only the kind of failure is told.
            raise PlatformRefused(Cure.RETRY, "socket", f"did not open: {type(failure).__name__}") from None

    async def _beat(self, socket: ClientConnection) -> None:
        for number in itertools.count(1):
            await asyncio.sleep(self._heartbeat_s)
            try:
                await self._send(socket, heartbeat(number, self._clock()))
            except PlatformRefused:
                # The reader of the same socket meets the same end and reports it.
                return

    async def _send(self, socket: ClientConnection, frame: str) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.send(frame)
        except (WebSocketException, TimeoutError) as failure:
            raise PlatformRefused(Cure.RETRY, "socket", f"did not take a frame: {type(failure).__name__}") from None
