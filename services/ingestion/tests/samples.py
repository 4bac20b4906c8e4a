"""Orders and commands that the tests of ingestion share."""

import copy
import json
from datetime import UTC, datetime

from contracts.orders import Destination
from libs.channels.own import mapping
from libs.channels.own.inbound import parse
from services.ingestion.api.documents import ORDER_EXAMPLE
from services.ingestion.domain import CancelOrder, PlaceOrder

NOW = datetime(2026, 11, 11, 0, 1, tzinfo=UTC)
KEYS = mapping.derive_keys(b"a secret for tests only")
PERSON = {"name": "张三丰", "phone": "13987654321", "address": "珞喻路1037号", "postcode": "430074"}
PERSONAL = (*PERSON.values(), "buyer-17850", "请放门口")


def message(**more):
    order = copy.deepcopy(ORDER_EXAMPLE)
    order["recipient"].update(PERSON)
    order["buyer"] = {"id": "buyer-17850"}
    return order | more


def body(**more):
    return json.dumps(message(**more), ensure_ascii=False).encode()


def place(request_id="msg_1", **more):
    order = parse(body(**more))
    fact = mapping.placed("own", "demo", order, "b" * 32, Destination(resolved=True, region="华中"), "sealed")
    return PlaceOrder(
        order=fact, fingerprints=mapping.fingerprints(KEYS, order), request_id=request_id, raw_sealed="raw"
    )


def cancel(request_id="msg_c", number="536365", **more):
    return CancelOrder(order_id=f"own.demo.{number}", request_id=request_id, raw_sealed="raw", **more)
