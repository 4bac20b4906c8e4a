"""Pushes and queues: proven or refused, hints only, answered in the platform's words; unconfirmed ones come again."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import cast

import pytest

from libs.channels.channel import About, Message, PushRefused, PushRequest
from libs.channels.tests.conformance import stand as stand_module
from libs.channels.tests.conformance.check import check
from libs.channels.tests.conformance.entries import Entry
from libs.channels.tests.conformance.stand import Caught, Stand
from libs.testkit.waiting import until

REDELIVERED_AFTER_S = 700.0
GARBAGE = (b"", b"{", b"[]", b"[[[[", b"null", b"\xff\xfe\x00", b"a=%zz&a=1", b"[" * 50_000, b"x" * 3_000_000)
FLIPS_LIMIT = 60


def _pushed_to(entry: Entry) -> bool:
    return entry.channel.receive is not None


def _queues(entry: Entry) -> bool:
    return entry.channel.capabilities.has_queue


# ---- Over HTTP


@check(_pushed_to)
async def a_push_hints_at_its_order_and_is_answered(stand: Stand) -> None:
    """The platform takes the answer for its own words, so it does not come again."""
    order_id = (await stand.order())["order_id"]
    await stand.until(lambda: (About.ORDER, order_id) in stand.hints(), "the order was not hinted at")
    await stand.until(lambda: all(each.pushed for each in stand.caught), "a genuine push was refused")
    assert await _outcomes(stand, order_id) == {"accepted"}


@check(_pushed_to)
async def pushes_that_are_doubled_thin_or_late_say_the_same(stand: Stand) -> None:
    """A hint names what to ask for, and nothing depends on which push came first, how often, or how much it held."""
    await stand.dial(pushes_doubled_percent=100, pushes_thin=True, pushes_reordered_percent=50, push_reorder_s=0.3)
    order_id = (await stand.order())["order_id"]
    await stand.act(order_id, "cancel")
    await stand.until(
        lambda: stand.hints().count((About.ORDER, order_id)) >= 4, "thin and doubled pushes did not hint at the order"
    )
    assert {subject for about, subject in stand.hints() if about is About.ORDER} == {order_id}
    assert all(each.pushed for each in stand.caught), [each.refused for each in stand.caught]
    said = await stand.heard(order_id)
    assert len(said) == 2, said


@check(_pushed_to)
async def a_forged_push_is_refused(stand: Stand) -> None:
    """A byte of the body, of the query, of a header: what is signed cannot change, what is not signed says nothing."""
    genuine = await _genuine(stand)
    known = _hints(stand, genuine.request)
    assert known
    refused = 0
    for forged in _flipped(genuine.request):
        found = _hints(stand, forged)
        assert found in (None, known), "a forged push was taken for genuine"
        refused += found is None
    assert refused, "nothing of the push is signed"
    other = replace(stand.access, app_secret="another", secrets=dict.fromkeys(stand.access.secrets, "0" * 43))
    assert stand.channel.receive is not None
    with pytest.raises(PushRefused):
        stand.channel.receive(genuine.request, other, stand.doubles.now())


@check(_pushed_to)
async def what_is_signed_must_not_be_there_twice(stand: Stand) -> None:
    """Whoever reads the first of two headers and checks the second is deceived: two are refused."""
    genuine = (await _genuine(stand)).request
    taken = [where for where, twice in _doubled(stand, genuine) if _hints(stand, twice) is not None]
    assert not taken, f"there twice and taken: {taken}"


@check(_pushed_to)
async def garbage_is_refused_and_breaks_nothing(stand: Stand) -> None:
    """A push endpoint is open to everybody: PushRefused, or an answer without a hint, and no other exception."""
    genuine = (await _genuine(stand)).request
    known = _hints(stand, genuine)
    for body in (*GARBAGE, genuine.body[:-7], genuine.body + b"&", genuine.body * 2):
        for query in (genuine.query, b"", b"%ff=\xff", b"a=1&a=2", genuine.query + b"&x=%"):
            for headers in (genuine.headers, ()):
                found = _hints(stand, replace(genuine, body=body, query=query, headers=headers))
                assert not found or found == known, f"{body[:20]!r} was taken for a genuine push"
    assert not _hints(stand, replace(genuine, method="GET", body=b""))


@check(lambda entry: _pushed_to(entry) and not entry.channel.capabilities.pulls_refunds)
async def a_refund_is_pushed(stand: Stand) -> None:
    """Where refunds cannot be listed the push is the only word."""
    order_id = (await stand.order())["order_id"]
    await stand.act(order_id, "refund", amount_fen=100)
    await stand.until(lambda: any(about is About.REFUND for about, _ in stand.hints()), "no refund was hinted at")


async def _outcomes(stand: Stand, order_id: str) -> set[str]:
    """Return what became of an order's pushes in the platform's eyes, as soon as it has read an answer."""
    path = f"/sent?platform={stand.entry.name}&shop_id={stand.access.shop_id}"

    async def outcomes() -> set[str]:
        rows = (await stand.doubles.control("GET", path))["sent"]
        return {row["outcome"] for row in rows if row["subject"] == order_id}

    found: set[str] = await until(outcomes, stand_module.WAIT_LIMIT_S, stand_module.POLL_S)
    return found


async def _genuine(stand: Stand) -> Caught:
    """Return a push about a paid order, as the platform sent it."""
    order_id = (await stand.order())["order_id"]

    def found() -> list[Caught]:
        return [c for c in stand.caught if c.pushed and any(hint.subject_id == order_id for hint in c.pushed.hints)]

    await stand.until(lambda: bool(found()), "no push of the order was taken")
    return found()[-1]


def _hints(stand: Stand, request: PushRequest) -> set[tuple[About, str]] | None:
    """Return what a push hints at; None when it is refused."""
    assert stand.channel.receive is not None
    try:
        pushed = stand.channel.receive(request, stand.access, stand.doubles.now())
    except PushRefused:
        return None
    return {(hint.about, hint.subject_id) for hint in pushed.hints}


def _flips(raw: bytes) -> Iterator[bytes]:
    """Yield the bytes with one letter or digit changed, at places all over."""
    places = [place for place, each in enumerate(raw) if chr(each).isalnum()]
    for place in places[:: max(len(places) // FLIPS_LIMIT, 1)]:
        other = b"7" if raw[place : place + 1] != b"7" else b"3"
        yield raw[:place] + other + raw[place + 1 :]


def _flipped(request: PushRequest) -> Iterator[PushRequest]:
    for body in _flips(request.body):
        yield replace(request, body=body)
    for query in _flips(request.query):
        yield replace(request, query=query)
    for place, (name, value) in enumerate(request.headers):
        rest = request.headers[:place], request.headers[place + 1 :]
        yield replace(request, headers=rest[0] + rest[1])
        for other in list(_flips(value))[:3]:
            yield replace(request, headers=(*rest[0], (name, other), *rest[1]))


def _doubled(stand: Stand, request: PushRequest) -> Iterator[tuple[str, PushRequest]]:
    """Yield the push with each thing twice that is part of its proof: whose change or loss makes it refused."""
    for place, (name, value) in enumerate(request.headers):
        without = (*request.headers[:place], *request.headers[place + 1 :])
        if _hints(stand, replace(request, headers=without)) is None:
            for other in (value, b"0" * len(value)):
                yield name.decode(), replace(request, headers=((name, other), *request.headers))
                yield name.decode(), replace(request, headers=(*request.headers, (name, other)))
    with_part: dict[str, Callable[[bytes], PushRequest]] = {
        "query": lambda raw: replace(request, query=raw),
        "body": lambda raw: replace(request, body=raw),
    }
    for part, changed in with_part.items():
        raw: bytes = getattr(request, part)
        if raw[:1] in (b"{", b"[") or b"=" not in raw:
            continue
        fields = raw.split(b"&")
        for place, each in enumerate(fields):
            without_field = b"&".join(fields[:place] + fields[place + 1 :])
            if _hints(stand, changed(without_field)) is None:
                forged = each.partition(b"=")[0] + b"=0"
                for twice in (each, forged):
                    yield each.decode(), changed(raw + b"&" + twice)
                    yield each.decode(), changed(twice + b"&" + raw)


@check(lambda entry: not _pushed_to(entry) and not _queues(entry))
async def who_pushes_nothing_declares_nothing(stand: Stand) -> None:
    """A channel without pushes and without a queue is polled, and must be able to be."""
    declared = stand.channel.capabilities
    assert not declared.pushes_orders
    assert not declared.pushes_cancellations
    assert declared.pulls_orders


@check(lambda entry: not _queues(entry))
async def there_is_no_queue(stand: Stand) -> None:
    """Nothing is asked, nothing comes, and nothing can be confirmed that was never there."""
    await stand.order()
    assert [message async for message in stand.client.messages()] == []
    await stand.client.confirm([])


# ---- Queues and sockets


@check(_queues)
async def unconfirmed_messages_come_again_and_confirmed_ones_do_not(stand: Stand) -> None:
    """Hints are durable before they are confirmed; who dies in between hears them again."""
    first = (await stand.order())["order_id"]
    message = await _message(stand, lambda found: _about(found, first), confirm=False)
    assert {hint.subject_id for hint in message.hints} == {first}
    assert message.receipt
    named = message.hints[0].message_id
    await stand.doubles.advance(REDELIVERED_AFTER_S)
    await _message(stand, lambda found: _name(found) == named, confirm=True)
    await stand.doubles.advance(REDELIVERED_AFTER_S)
    # The second order's message comes, so the queue was read; the first one's must not have come before it.
    second = (await stand.order())["order_id"]
    await _message(stand, lambda found: _about(found, second), confirm=True, never=named)


@check(_queues)
async def messages_that_are_doubled_or_thin_say_the_same(stand: Stand) -> None:
    """Every message of an order hints at it, whatever else it holds."""
    await stand.dial(pushes_doubled_percent=100, pushes_thin=True)
    order_id = (await stand.order())["order_id"]
    message = await _message(stand, lambda found: _about(found, order_id), confirm=True)
    assert {hint.subject_id for hint in message.hints} == {order_id}


def _about(message: Message, order_id: str) -> bool:
    return any(hint.subject_id == order_id for hint in message.hints)


def _name(message: Message) -> str:
    return message.hints[0].message_id if message.hints else ""


async def _message(stand: Stand, wanted: Callable[[Message], bool], *, confirm: bool, never: str = "") -> Message:
    """Return the message that is wanted; those before it are confirmed, so that they do not come again."""
    client = stand.client
    try:
        async with (
            asyncio.timeout(stand_module.WAIT_LIMIT_S),
            aclosing(cast(AsyncGenerator[Message, None], client.messages())) as delivered,
        ):
            async for message in delivered:
                assert not never or _name(message) != never, "a confirmed message came again"
                if not wanted(message) or confirm:
                    await client.confirm([message.receipt])
                if wanted(message):
                    return message
    except TimeoutError:
        raise AssertionError(f"the message did not come within {stand_module.WAIT_LIMIT_S} s") from None
    raise AssertionError("the queue ended before the message came")
