"""A platform's orders and the commands about them that the tests of connections share."""

from datetime import timedelta

import msgspec

from libs.decide import Delivered, Send
from libs.testkit.bench import Bench
from services.ingestion.domain import (
    PULL,
    CancelOrder,
    ClosePull,
    DocumentHeard,
    HearPage,
    Listed,
    PutConnection,
    TakeDocument,
    TokenKept,
)
from services.ingestion.handlers import handlers
from services.ingestion.tests.samples import NOW, place

SHOP, CHANNEL = "t1", "taobao"


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def connect(**more):
    asked = {
        "shop_id": SHOP,
        "channel": CHANNEL,
        "paused": False,
        "seller_id": "9",
        "access_digest": "d1",
        "access_wrapped": "wrapped",
        "token": TokenKept(wrapped="token"),
        "evidence": [PULL],
    }
    return PutConnection(**asked | more)


def connected(**more):
    bench = Bench(handlers())
    bench.handle(connect(**more), NOW)
    return bench


def order_id(number):
    return f"{CHANNEL}.{SHOP}.{number}"


def said(number, paid_at=None, **more):
    """An order as a document says it."""
    command = place(platform_order_id=number, **more)
    order = msgspec.structs.replace(
        command.order, order_id=order_id(number), channel=CHANNEL, shop_id=SHOP, paid_at=paid_at or NOW
    )
    return msgspec.structs.replace(command, order=order)


def closed(number):
    return CancelOrder(order_id=order_id(number), request_id="closed", raw_sealed="raw")


def document(number, *commands, about="order", modified_at=None, **more):
    return DocumentHeard(about=about, subject_id=number, modified_at=modified_at, said=list(commands), **more)


def take(number, fetch_no, *commands, read_at, about="order", modified_at=None, **more):
    heard = document(number, *commands, about=about, modified_at=modified_at, **more)
    return TakeDocument(shop_id=SHOP, channel=CHANNEL, fetch_no=fetch_no, document=heard, read_at=read_at)


def page(step, *rows, about="order", read_at=NOW, documents=(), bound=False):
    listed = [Listed(subject_id=number, modified_at=modified_at, bound=bound) for number, modified_at in rows]
    return HearPage(
        shop_id=SHOP,
        channel=CHANNEL,
        about=about,
        step=step,
        listed=listed,
        documents=list(documents),
        read_at=read_at,
    )


def close(number, since, until, ended=None, listed=0, counted=None):
    return ClosePull(
        shop_id=SHOP,
        number=number,
        since=since,
        until=until,
        ended=ended or until,
        listed=listed,
        counted=counted,
    )


def delivered(send, ok=True, detail="taken"):
    return Delivered(
        destination=send.destination, send_id=send.send_id, key=send.key, ok=ok, detail=detail, body=send.body
    )


def events(outputs):
    """The names of what is published of orders."""
    return [type(each).__name__ for each in outputs if type(each).__module__ == "contracts.orders"]


def sends(outputs):
    return [each for each in outputs if isinstance(each, Send)]
