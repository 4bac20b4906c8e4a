"""A shop's webhook under attack: forged signatures and monstrous bodies get a clear answer that repeats nothing."""

import gzip
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from copy import deepcopy
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.channels.own.inbound import BODY_LIMIT_BYTES
from libs.channels.own.signing import key_of_secret, sign
from libs.testkit.client import Merchant, order_body
from libs.testkit.waiting import until
from services.ingestion.api.documents import CANCELLATION_EXAMPLE, ORDER_EXAMPLE
from services.tests.hostile.town import SHOP_SECRET, Town

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]
KEY = key_of_secret(SHOP_SECRET)
OTHER_KEY = b"the key of somebody else, who is not the shop"
MARK = "kanarienvogel"
WAIT_LIMIT_S = 20.0
EXAMPLES = 60


class Sender:
    """Signs what no honest client would send."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self.http, self.url, self.count = http, url, 0

    def headers(self, body: bytes, *, at: int | None = None, key: bytes = KEY, message: str = "") -> dict[str, str]:
        """Return the headers of a genuine message, unless told otherwise."""
        self.count += 1
        message = message or f"hostile_{time.time_ns()}_{self.count}"
        at = int(time.time()) if at is None else at
        return {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": sign(key, message, at, body)}

    async def post(self, body: bytes, headers: Any = None, **how: Any) -> httpx.Response:
        """Post a body; `how` goes to `headers`."""
        return await self.http.post(self.url, content=body, headers=headers or self.headers(body, **how))

    async def json(self, value: Any) -> httpx.Response:
        """Post a value as JSON, half characters and all."""
        return await self.post(json.dumps(value).encode())


@pytest.fixture
async def sender(town: Town, visitor: Merchant) -> AsyncIterator[Sender]:
    """Somebody who knows the shop's secret; nothing marked may be repeated in the logs by the end."""
    yield Sender(visitor.http, town.url("ingestion", "/webhooks/own/demo"))
    assert MARK not in town.logs()
    assert (await visitor.http.get(town.url("ingestion", "/readyz"))).status_code == 200


def refused(answer: httpx.Response, status: int, field: str | None = None) -> dict[str, Any]:
    """Check that the answer is a problem of this status about this field, and repeats nothing that was sent."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert MARK not in answer.text
    body: dict[str, Any] = answer.json()
    assert body["title"]
    if field is not None:
        assert body["field"] == field, answer.text
    return body


def order(**more: Any) -> dict[str, Any]:
    """Return a good order whose texts are marked."""
    found = deepcopy(ORDER_EXAMPLE) | {"platform_order_id": f"H{time.time_ns()}", "note": MARK}
    found["recipient"] |= {"name": MARK, "address": f"{MARK} 1"}
    return found | more


def with_line(**more: Any) -> dict[str, Any]:
    return order(lines=[ORDER_EXAMPLE["lines"][0] | more])


def raw(**more: Any) -> bytes:
    return json.dumps(order(**more)).encode()


# -- signatures ------------------------------------------------------------------------------------------------------


async def test_a_signature_must_fit_to_the_byte(sender: Sender) -> None:
    body = raw()
    good = sender.headers(body)
    signature = good["webhook-signature"]
    wrong = {
        "another key": sender.headers(body, key=OTHER_KEY),
        "truncated": {**good, "webhook-signature": signature[:-1]},
        "longer": {**good, "webhook-signature": signature + "A"},
        "without a version": {**good, "webhook-signature": signature.removeprefix("v1,")},
        "an asymmetric version": {**good, "webhook-signature": signature.replace("v1,", "v1a,")},
        "empty": {**good, "webhook-signature": ""},
        "only its version": {**good, "webhook-signature": "v1,"},
        "many": {**good, "webhook-signature": " ".join(["v1,AAAA"] * 17)},
        "another id": {**good, "webhook-id": good["webhook-id"] + "x"},
        "another time": {**good, "webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)},
        "a time with a sign": {**good, "webhook-timestamp": "+" + good["webhook-timestamp"]},
        "a time that is none": {**good, "webhook-timestamp": "now"},
        "an endless time": {**good, "webhook-timestamp": "9" * 400},
        "stale": sender.headers(body, at=int(time.time()) - 301),
        "future": sender.headers(body, at=int(time.time()) + 310),
        "no id": {name: value for name, value in good.items() if name != "webhook-id"},
        "an id too long": sender.headers(body, message="x" * 129),
        "an id with blanks": sender.headers(body, message="a b"),
        "none at all": {"x": "y"},
    }
    for headers in wrong.values():
        refused(await sender.post(body, headers), 401)
    for place in (0, len(body) // 2, len(body) - 1):
        changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        refused(await sender.post(changed, good), 401)
    refused(await sender.post(body + b" ", good), 401)
    assert (await sender.post(body, good)).status_code == 202


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_a_header_that_is_there_twice_is_refused(sender: Sender, name: str) -> None:
    body = raw()
    good = sender.headers(body)
    for second in (good[name], good[name] + "x"):
        for pairs in ([*good.items(), (name, second)], [(name.title(), second), *good.items()]):
            assert "twice" in refused(await sender.post(body, pairs), 401)["detail"]


async def test_a_replay_changes_nothing_and_under_another_body_is_refused(sender: Sender) -> None:
    number = f"R{time.time_ns()}"
    body, other = raw(platform_order_id=number), raw(platform_order_id=number, note="")
    message = f"replay_{number}"
    first = await sender.post(body, message=message)
    assert (first.status_code, first.json()["status"]) == (202, "accepted")
    again = await sender.post(body, message=message)
    assert (again.status_code, again.json()) == (202, first.json())
    refused(await sender.post(other, message=message), 422, "webhook-id")


# -- bodies that are no message --------------------------------------------------------------------------------------


def monsters() -> Iterator[tuple[str, bytes, set[str]]]:
    """Yield bodies that cannot be a message, and the fields that may be named."""
    good = raw()
    whole = {"body"}
    yield "empty", b"", whole
    yield "blank", b" \n\t ", whole
    yield "no JSON", MARK.encode(), whole
    yield "cut off", good[: len(good) // 2], whole
    yield "two of them", good + good, whole
    yield "with a byte order mark", b"\xef\xbb\xbf" + good, whole
    yield "UTF-16", good.decode().encode("utf-16"), whole
    yield "invalid UTF-8", good.replace(MARK.encode(), b"\xff\xfe\xc0\x80", 1), whole
    yield "gzip", gzip.compress(good), whole
    yield "binary", bytes(range(256)) * 100, whole
    yield "a bare NUL", good.replace(MARK.encode(), b"\x00", 1), whole
    yield "100,000 brackets", b"[" * 100_000, whole
    yield "100,000 closed brackets", b"[" * 100_000 + b"]" * 100_000, whole
    yield "100,000 objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, whole
    yield "deep inside", good[:-1] + b', "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", {"body", "deep"}
    yield "deep note", good.replace(f'"{MARK}"'.encode(), b"[" * 50_000 + b"]" * 50_000, 1), {"body", "recipient.name"}
    yield "not a number", good.replace(b"15100", b"NaN"), whole
    yield "infinity", good.replace(b"15100", b"Infinity"), whole
    yield "hexadecimal", good.replace(b"15100", b"0x3afc"), whole
    yield "leading zero", good.replace(b"15100", b"015100"), whole
    for value in (b"null", b"true", b"1", b'"x"', b"[]", b"[{}]", b"-1e999"):
        yield f"only {value!r}", value, whole
    yield "an empty object", b"{}", {"platform_order_id"}
    yield "100,000 members", b"{" + b",".join(b'"k%d":1' % n for n in range(60_000)) + b"}", {"k0", "platform_order_id"}


async def test_a_body_that_is_no_message_is_refused(sender: Sender) -> None:
    for name, body, fields in monsters():
        answer = await sender.post(body)
        assert refused(answer, 422)["field"] in fields, (name, answer.text)
    assert (await sender.post(raw())).status_code == 202


async def test_ten_megabytes_are_refused_before_they_are_held(sender: Sender) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b" " * 65_536

    refused(await sender.http.post(sender.url, content=b" " * 10 * 1024 * 1024, headers=sender.headers(b"")), 413)
    refused(await sender.http.post(sender.url, content=endless(), headers=sender.headers(b"")), 413)
    assert (await sender.post(raw().ljust(BODY_LIMIT_BYTES))).status_code == 202
    refused(await sender.post(raw().ljust(BODY_LIMIT_BYTES + 1)), 413)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", "", "x" * 1000])
async def test_the_content_type_does_not_matter_because_the_signature_covers_the_bytes(
    sender: Sender, kind: str
) -> None:
    body = raw()
    assert (await sender.post(body, {**sender.headers(body), "Content-Type": kind})).status_code == 202


# -- values that cannot be -------------------------------------------------------------------------------------------

WRONG_NUMBERS = (-1, -(2**63), 2**53 + 1, 2**63, 2**64, 10**400, 1.5, 1e308, -0.5, "6", "", None, True, [], {})
NUMBERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "lines[0].quantity": lambda value: with_line(quantity=value),
    "lines[0].unit_price": lambda value: with_line(unit_price=value),
    "lines[0].discounts[0].amount": lambda value: with_line(discounts=[{"funder": "platform", "amount": value}]),
    "shipping_fee": lambda value: order(shipping_fee=value),
    "total": lambda value: order(total=value),
}


@pytest.mark.parametrize("field", NUMBERS)
async def test_a_wrong_number_is_named(sender: Sender, field: str) -> None:
    for value in WRONG_NUMBERS:
        answer = await sender.json(NUMBERS[field](value))
        # A number that can be, but does not add up, is found in the total.
        assert refused(answer, 422)["field"] in (field, "total"), (value, answer.text)
    # Written with a fraction of zero or an exponent, it is the same whole number or it is refused by name.
    for text in (b"1.0", b"1e0", b"10E-1", b"1e400", b"-0", b"0.1e1"):
        body = json.dumps(NUMBERS[field](123_454_321)).encode().replace(b"123454321", text)
        answer = await sender.post(body)
        assert answer.status_code == 202 or refused(answer, 422)["field"] in (field, "total", "body"), text


TEXTS = (
    "'; DROP TABLE orders; --",
    '" OR 1=1 --',
    "{{7*7}}${7*7}<%= 7*7 %>#{7*7}",
    "${jndi:ldap://127.0.0.1/a}",
    "../../../../etc/passwd",
    "<script>alert(1)</script>",
    "$(touch /nowhere)`id`",
    "%s%s%n%x",
    "=cmd|' /C calc'!A0",
    "\u202e\u2066\ufeff\u200b",
    "\U0001f69a" * 8,
)
TEXT_FIELDS: dict[str, Callable[[str], dict[str, Any]]] = {
    "platform_order_id": lambda text: order(platform_order_id=text),
    "placed_at": lambda text: order(placed_at=text),
    "currency": lambda text: order(currency=text),
    "kind": lambda text: order(kind=text),
    "type": lambda text: order(type=text),
    "note": lambda text: order(note=text),
    "buyer.id": lambda text: order(buyer={"id": text}),
    "buyer.identity": lambda text: order(buyer={"identity": text}),
    "lines[0].sku": lambda text: with_line(sku=text),
    "lines[0].line_id": lambda text: with_line(line_id=text),
    "lines[0].discounts[0].funder": lambda text: with_line(discounts=[{"funder": text, "amount": 200}]),
    **{
        f"recipient.{name}": lambda text, name=name: order(recipient=ORDER_EXAMPLE["recipient"] | {name: text})  # type: ignore[misc]
        for name in ("name", "phone", "province", "city", "district", "address", "postcode")
    },
}


@pytest.mark.parametrize("field", TEXT_FIELDS)
async def test_a_text_that_attacks_is_only_a_text(sender: Sender, field: str) -> None:
    for text in TEXTS:
        answer = await sender.json(TEXT_FIELDS[field](text))
        if answer.status_code != 202:
            refused(answer, 422, field)
            assert text not in answer.text
    for text in ("a\x00b", "\ud800", "a\udfffb", "\x1b[2J", "a\u0085b", MARK * 1000):
        refused(await sender.json(TEXT_FIELDS[field](text)), 422, field)


async def test_a_cancellation_is_held_to_the_same(sender: Sender) -> None:
    for text in ("a\x00b", "\ud800", MARK * 100):
        refused(await sender.json(CANCELLATION_EXAMPLE | {"reason": text}), 422, "reason")
        refused(await sender.json(CANCELLATION_EXAMPLE | {"platform_order_id": text}), 422, "platform_order_id")
    refused(await sender.json(CANCELLATION_EXAMPLE | {"cancelled_at": MARK}), 422, "cancelled_at")
    refused(await sender.json(CANCELLATION_EXAMPLE | {"lines": []}), 422, "lines")


async def test_an_unknown_field_is_named_but_never_at_length(sender: Sender) -> None:
    refused(await sender.json(order(colour=MARK)), 422, "colour")
    found = refused(await sender.json(order(**{"x" * 5000: 1})), 422)
    assert len(found["field"]) <= 64
    refused(await sender.json(order(**{"\x00\ud800": 1})), 422)


async def test_of_a_doubled_key_the_last_counts(sender: Sender) -> None:
    body = raw()
    answer = await sender.post(b'{"total": -5, "lines": [], ' + body[1:])
    assert answer.status_code in (202, 422)
    refused(await sender.post(body[:-1] + b', "total": -5}'), 422, "total")


async def test_long_orders_are_taken_up_to_their_limit(sender: Sender) -> None:
    def lines(count: int, sku: str = "LONG") -> dict[str, Any]:
        found = [{"line_id": str(n), "sku": f"{sku}-{n % 50}", "quantity": 1, "unit_price": 100} for n in range(count)]
        return order(lines=found, total=100 * count)

    assert (await sender.json(lines(1_114))).status_code == 202
    assert (await sender.json(lines(2_000))).status_code == 202
    refused(await sender.json(lines(2_001)), 422, "lines")
    refused(await sender.json(lines(0)), 422, "lines")
    refused(await sender.json(lines(1, sku="S" * 300)), 422, "lines[0].sku")
    twice = [ORDER_EXAMPLE["lines"][0], ORDER_EXAMPLE["lines"][0]]
    refused(await sender.json(order(lines=twice)), 422, "lines[1].line_id")


# -- anything --------------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a message."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from places(inner, (*path, name))


def put(message: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return the message with another value at a path."""
    if not path:
        return value
    copied = deepcopy(message)
    inner = copied
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return copied


def test_any_value_anywhere_is_taken_or_refused_by_name(town: Town) -> None:
    everywhere = [(message, path) for message in (ORDER_EXAMPLE, CANCELLATION_EXAMPLE) for path in places(message)]
    with httpx.Client() as http:
        sender = Sender(http, town.url("ingestion", "/webhooks/own/demo"))  # type: ignore[arg-type]

        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(where=st.sampled_from(everywhere), value=VALUES)
        def run(where: tuple[Any, tuple[Any, ...]], value: Any) -> None:
            body = json.dumps(put(*where, value)).encode()
            answer = http.post(sender.url, content=body, headers=sender.headers(body))
            assert answer.status_code in (202, 409, 422), answer.text
            assert answer.status_code != 422 or answer.json()["field"]

        run()
    assert town.alive


async def test_after_all_that_an_order_still_goes_its_way(sender: Sender, visitor: Merchant) -> None:
    number = f"good-{time.time_ns()}"
    await visitor.define_stock(number, {"CD": 3}, weight_grams=100)
    assert (await visitor.webhook(f"msg_{number}", order_body(number, {number: 1}))).status_code == 202
    path = visitor.url("tower", f"/orders/own.demo.{number}")

    async def assigned() -> bool:
        found = await visitor.http.get(path, headers=visitor.bearer("operator"))
        return found.status_code == 200 and (found.json().get("order") or {}).get("stage") == "assigned"

    await until(assigned, WAIT_LIMIT_S, 0.05)
    for service in visitor.env:
        if service.startswith("ORDO_URL_"):
            headers = visitor.bearer("sre")
            parked = (await visitor.http.get(visitor.env[service] + "/parked", headers=headers)).json()
            assert parked["items"] == []
