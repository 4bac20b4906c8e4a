"""DingTalk's robot: the published signature, every answer it gives, and our own pace."""

import json
from collections.abc import Callable

import httpx
import pytest

from libs.decide import Send
from libs.senders.dingtalk import DingTalkSender, signature
from libs.stream.egress import Refused, Retry

URL = "https://oapi.dingtalk.test/robot/send?access_token=T"
# The vector published with DingTalk's robot security settings.
SECRET = "SEC0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
TIMESTAMP_MS = 1234567890987
SIGNATURE = "DS4ksAxenBH2OvTFmGArI+u0ba8l5x9WZOdj6LHZzUo="


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def message(n: int = 1) -> Send:
    return Send(
        destination="dingtalk", send_id=f"digest:dingtalk:{n}", key="dingtalk", body={"title": "提醒", "text": "- a"}
    )


def robot(
    answer: Callable[[httpx.Request], httpx.Response], clock: Clock, *, secret: str = SECRET, limit: int = 18
) -> DingTalkSender:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return DingTalkSender(URL, secret, client, messages_per_minute_limit=limit, clock=clock)


def says(**body: object) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(200, json=body)


def test_the_published_vector_reproduces() -> None:
    assert signature(TIMESTAMP_MS, SECRET) == SIGNATURE


async def test_a_message_is_signed_and_reads_as_markdown() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"errcode": 0, "errmsg": "ok"})

    assert await robot(answer, Clock(TIMESTAMP_MS / 1000)).send(message(), 1) == "ok"
    [request] = seen
    assert dict(request.url.params) == {"access_token": "T", "timestamp": str(TIMESTAMP_MS), "sign": SIGNATURE}
    assert b"%2Bu0ba8l5x9WZOdj6LHZzUo%3D" in request.url.query
    assert json.loads(request.content) == {
        "msgtype": "markdown",
        "markdown": {"title": "提醒", "text": "- a"},
        "at": {"isAtAll": False},
    }


async def test_a_robot_without_secret_is_not_signed() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"errcode": 0})

    await robot(answer, Clock(0.0), secret="").send(message(), 1)
    assert dict(seen[0].url.params) == {"access_token": "T"}


async def test_words_that_dingtalk_does_not_want_are_refused_for_good() -> None:
    with pytest.raises(Refused, match="430102"):
        await robot(says(errcode=430102, errmsg="improper text"), Clock(0.0)).send(message(), 1)


@pytest.mark.parametrize(
    ("answer", "wait_s"),
    [
        (says(errcode=130101, errmsg="send too fast, exceed 20 times per minute"), 600.0),
        (says(errcode=-1, errmsg="system busy"), 60.0),
        (says(errcode=310000, errmsg="sign not match"), 600.0),
        (says(errcode=310000, errmsg="keywords not in content"), 600.0),
        (says(errcode=400102, errmsg="robot is stopped"), 600.0),
        (lambda request: httpx.Response(404, text="<html>"), 600.0),
        (lambda request: httpx.Response(503), 60.0),
        (lambda request: httpx.Response(429), 60.0),
    ],
)
async def test_a_robot_that_cannot_speak_now_is_asked_later(
    answer: Callable[[httpx.Request], httpx.Response], wait_s: float
) -> None:
    with pytest.raises(Retry) as asked:
        await robot(answer, Clock(0.0)).send(message(), 1)
    assert asked.value.after_seconds == wait_s


async def test_a_muted_robot_is_left_alone() -> None:
    calls = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        return httpx.Response(200, json={"errcode": 130101 if calls == 1 else 0})

    clock = Clock(1000.0)
    sender = robot(answer, clock)
    for later in (1000.0, 1001.0, 1599.0):
        clock.now = later
        with pytest.raises(Retry):
            await sender.send(message(), 1)
    assert calls == 1
    clock.now = 1600.0
    assert await sender.send(message(), 2) == "ok"


async def test_no_minute_holds_more_messages_than_the_limit() -> None:
    clock = Clock(0.0)
    spoken: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        spoken.append(clock.now)
        return httpx.Response(200, json={"errcode": 0})

    sender = robot(answer, clock, limit=3)
    waits: list[float] = []
    for tick in range(1200):
        clock.now = tick / 4
        try:
            await sender.send(message(tick), 1)
        except Retry as asked:
            waits.append(asked.after_seconds)
    assert 0 < min(waits) <= max(waits) <= 60
    assert len(spoken) == 15
    assert all(later - earlier >= 60 for earlier, later in zip(spoken, spoken[3:], strict=False))
