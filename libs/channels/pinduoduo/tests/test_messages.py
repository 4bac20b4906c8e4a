"""The message socket against a real local server: opening, heartbeats, acknowledgements, ends of every kind."""

import asyncio
import base64
import hashlib
import json
from datetime import UTC, datetime
from urllib.parse import unquote

import httpx
import pytest
from websockets.asyncio.server import serve

from libs.channels.channel import Access, Cure, PlatformRefused
from libs.channels.pinduoduo.client import PinduoduoClient
from libs.channels.pinduoduo.messages import MessageSocket

NOW = datetime(2021, 8, 22, 7, 4, 33, tzinfo=UTC)
WAIT_S = 5


def common(number, mall=1):
    content = json.dumps({"mall_id": mall, "tid": f"210822-{number}"})
    message = {"type": "pdd_trade_TradeConfirmed", "mallID": mall, "content": content}
    return json.dumps({"id": number, "commandType": "Common", "time": 5, "sendTime": 6, "message": message})


class Platform:
    """A message server: sends what it is given, keeps what it gets, then does `ends`."""

    def __init__(self, frames=(), ends=None, status=None):
        self.frames, self.ends, self.status = frames, ends, status
        self.got = []
        self.paths = []
        self.arrived = asyncio.Event()

    def check(self, connection, request):
        self.paths.append(request.path)
        return connection.respond(self.status, "no") if self.status else None

    async def talk(self, socket):
        for frame in self.frames:
            await socket.send(frame)
        if self.ends:
            await self.ends(socket)
            return
        async for frame in socket:
            self.got.append(json.loads(frame))
            self.arrived.set()

    async def until(self, condition):
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self.arrived.clear()
                await self.arrived.wait()

    def __await__(self):
        return self._start().__await__()

    async def _start(self):
        self.server = await serve(self.talk, "127.0.0.1", 0, process_request=self.check)
        port = self.server.sockets[0].getsockname()[1]
        self.access = Access(
            "s1",
            app_key="app",
            app_secret="secret",
            access_token="token",
            seller_id="1",
            gateway=f"http://127.0.0.1:{port}/pinduoduo",
        )
        return self

    async def stop(self):
        self.server.close()
        await self.server.wait_closed()


async def read_all(socket):
    async with asyncio.timeout(WAIT_S):
        return [message async for message in socket.messages()]


@pytest.fixture
async def platform():
    started = []

    async def start(**how):
        server = await Platform(**how)
        started.append(server)
        return server

    yield start
    for server in started:
        await server.stop()


async def test_messages_come_and_are_acknowledged(platform):
    server = await platform(frames=[common(1), '{"id":1,"commandType":"HeartBeat","time":5}', common(2)])
    socket = MessageSocket(server.access, lambda: NOW)
    async with asyncio.timeout(WAIT_S):
        messages = socket.messages()
        first, second = await anext(messages), await anext(messages)
        assert [hint.subject_id for each in (first, second) for hint in each.hints] == ["210822-1", "210822-2"]
        await socket.confirm([first.receipt, "", second.receipt])
        await server.until(lambda: len(server.got) == 2)
        await messages.aclose()
    assert [(frame["commandType"], frame["id"], frame["mallID"]) for frame in server.got] == [
        ("Ack", 1, 1),
        ("Ack", 2, 1),
    ]


async def test_the_path_proves_who_opens_it(platform):
    server = await platform(ends=lambda socket: socket.close())
    assert await read_all(MessageSocket(server.access, lambda: NOW)) == []
    timestamp = str(int(NOW.timestamp() * 1000))
    _, prefix, word, client_id, told, digest = server.paths[0].split("/")
    assert (prefix, word, client_id, told) == ("pinduoduo", "message", "app", timestamp)
    expected = hashlib.md5(f"app{timestamp}secret".encode()).hexdigest()
    assert base64.b64decode(unquote(digest)).decode() == expected


async def test_heartbeats_go_out(platform):
    server = await platform()
    socket = MessageSocket(server.access, lambda: NOW, heartbeat_s=0.02)
    reading = asyncio.create_task(anext(socket.messages()))
    await server.until(lambda: len(server.got) >= 3)
    assert [frame["commandType"] for frame in server.got[:3]] == ["HeartBeat"] * 3
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_another_shops_message_is_left_for_its_own_listener(platform):
    server = await platform(frames=[common(1, mall=2), common(2)])
    messages = MessageSocket(server.access, lambda: NOW).messages()
    async with asyncio.timeout(WAIT_S):
        assert (await anext(messages)).hints[0].subject_id == "210822-2"
        await messages.aclose()


async def test_an_unreadable_frame_does_not_end_the_socket(platform):
    server = await platform(frames=["{", b"\xff", common(3)])
    messages = MessageSocket(server.access, lambda: NOW).messages()
    async with asyncio.timeout(WAIT_S):
        found = [await anext(messages) for _ in range(3)]
        await messages.aclose()
    assert [len(message.hints) for message in found] == [0, 0, 1]


async def _aborted(socket):
    socket.transport.abort()


@pytest.mark.parametrize("ends", [lambda s: s.close(1011, "broken"), _aborted])
async def test_a_lost_socket_is_told(platform, ends):
    server = await platform(frames=[common(1)], ends=ends)
    socket = MessageSocket(server.access, lambda: NOW)
    with pytest.raises(PlatformRefused) as refused:
        await read_all(socket)
    assert refused.value.cure is Cure.RETRY
    with pytest.raises(PlatformRefused):
        await socket.confirm(['{"id":1}'])


async def test_a_frame_without_end_is_not_swallowed(platform):
    server = await platform(frames=["x" * (1024 * 1024 + 1)])
    with pytest.raises(PlatformRefused):
        await read_all(MessageSocket(server.access, lambda: NOW))


@pytest.mark.parametrize(("status", "cure"), [(401, Cure.ASK), (403, Cure.ASK), (503, Cure.RETRY), (429, Cure.RETRY)])
async def test_a_refused_handshake(platform, status, cure):
    server = await platform(status=status)
    with pytest.raises(PlatformRefused) as refused:
        await anext(MessageSocket(server.access, lambda: NOW).messages())
    assert refused.value.cure is cure


async def test_nobody_there():
    access = Access("s1", app_key="app", app_secret="secret", gateway="http://127.0.0.1:1")
    with pytest.raises(PlatformRefused) as refused:
        await anext(MessageSocket(access, lambda: NOW).messages())
    assert refused.value.cure is Cure.RETRY
    assert "message" not in str(refused.value)


async def test_a_shop_subscribes_before_it_listens(platform):
    server = await platform(frames=[common(1)])
    asked = []

    def gateway(request):
        asked.append(dict(httpx.QueryParams(request.content.decode())))
        return httpx.Response(200, json={"pmc_user_permit_response": {"is_success": True}})

    http = httpx.AsyncClient(transport=httpx.MockTransport(gateway))
    client = PinduoduoClient(server.access, http, lambda: NOW)
    messages = client.messages()
    async with asyncio.timeout(WAIT_S):
        message = await anext(messages)
        await client.confirm([message.receipt])
        await server.until(lambda: server.got)
        await messages.aclose()
    assert asked[0]["type"] == "pdd.pmc.user.permit"
    assert "pdd_trade_TradeConfirmed" in asked[0]["topics"].split(",")
    with pytest.raises(PlatformRefused):
        await client.confirm([message.receipt])
