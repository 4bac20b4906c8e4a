"""Channels, parcels, orders and answers that the tests of what goes back to platforms share."""

import sys
from datetime import timedelta

from contracts.shipments import ParcelShipped
from contracts.stock import StockLine
from contracts.stock_levels import StockLevelChanged
from libs.channels.capabilities import Capabilities
from libs.decide import Delivered, Send
from libs.testkit.bench import Bench
from services.ingestion.domain.connections import Connection
from services.ingestion.domain.listings import FIGURES, PutListing
from services.ingestion.domain.orders import PlaceOrder
from services.ingestion.domain.uploads import ShipBack
from services.ingestion.domain.watermark import Progress
from services.ingestion.handlers import handlers
from services.ingestion.handlers.outward import stock_channels
from services.ingestion.tests.samples import NOW, place


def later(seconds):
    return NOW + timedelta(seconds=seconds)


def shipped(channel="douyin", number=1, last=True, waybill="SF1", sku="A"):
    order_id = f"{channel}.s1.77"
    return ParcelShipped(
        order_id=order_id,
        task_id=f"{order_id}/{number}",
        warehouse="W",
        lines=[StockLine(line_id=str(number), sku=sku, quantity=2)],
        carrier="SF",
        waybill=waybill,
        last=last,
    )


def sends(outputs):
    return [each for each in outputs if isinstance(each, Send) and each.destination != FIGURES]


def ended(send, ok=True, detail="ok"):
    return Delivered(
        destination=send.destination, send_id=send.send_id, key=send.key, ok=ok, detail=detail, body=send.body
    )


def channel(name, **more):
    return Capabilities(
        channel=name,
        pushes_orders=True,
        pushes_cancellations=True,
        supplies_buyer_token=True,
        takes_shipment_upload=True,
        takes_stock_push=True,
        **more,
    )


def bench_of(monkeypatch):
    """The real handlers over four kinds of channel, whatever the connectors' own capabilities become."""
    found = [
        channel("douyin", splits_parcels=True, stock_push="delta", reads_stock=True),
        channel("wechat", splits_parcels=True, parcels_limit=15, reships_limit=1, stock_push="delta", reads_stock=True),
        channel("pinduoduo", parcels_limit=1, reads_stock=True),
        channel("meituan", parcels_limit=1),
    ]
    monkeypatch.setattr(sys.modules[stock_channels.__module__], "platforms", lambda: found)
    return Bench(handlers())


def reports(bench, channel="douyin"):
    return [(each.parcel_id[-1], each.state) for each in bench.row(ShipBack, f"{channel}.s1.77").reports]


def connect(bench, shop_id, channel, complete=None):
    bench.put(Connection(shop_id=shop_id, channel=channel, access_digest="", access_wrapped="", changed_at=NOW))
    bench.put(
        Progress(
            shop_id=shop_id,
            channel=channel,
            evidence=["pull"],
            since=NOW,
            covered_until=NOW,
            complete_until=complete or NOW,
        )
    )


def listing(shop_id="s1", mode="rest", amount=0, sku="A", **more):
    return PutListing(
        shop_id=shop_id, sku=sku, listing_id=f"L{shop_id}", listing_sku="S", mode=mode, amount=amount, **more
    )


def level(atp, sellable=None, sku="A"):
    return StockLevelChanged(
        sku=sku, on_hand=atp, reserved=0, inbound=0, atp=atp, sellable=atp if sellable is None else sellable
    )


def order_of(channel="douyin", shop_id="s1", quantity=3, number="88", sku="A", at=NOW):
    command = place()
    order = command.order
    changed = {
        "order_id": f"{channel}.{shop_id}.{number}",
        "channel": channel,
        "shop_id": shop_id,
        "platform_order_id": number,
        "placed_at": at,
        "lines": [type(order.lines[0])(line_id="1", sku=sku, quantity=quantity, unit_price=1)],
    }
    placed = type(order)(**{name: getattr(order, name) for name in order.__struct_fields__} | changed)
    return PlaceOrder(order=placed, fingerprints=command.fingerprints, request_id="r", raw_sealed="raw")


def known(bench, units, atp=10, channel="douyin"):
    """A listing whose platform was read and offers `units`."""
    connect(bench, "s1", channel, complete=later(10**6))
    bench.handle(level(atp), NOW)
    bench.handle(listing(), NOW)
    (read,) = sends(bench.handle(level(atp), NOW))
    assert read.body["kind"] == "read"
    bench.handle(ended(read, detail=f"read {units}"), NOW)
    return sends(bench.tick(later(10)))
