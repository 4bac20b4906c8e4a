"""Proves that a push or an SPI call comes from Douyin, reads what it hints at, and answers in the platform's words."""

import hmac
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from libs.channels.channel import About, Access, Answer, Hint, Pushed, PushRefused, PushRequest
from libs.channels.douyin.signing import canonical, canonical_for_markup, sign_push, sign_spi
from libs.channels.wire import decode

BODY_LIMIT_BYTES = 1024 * 1024
QUERY_LIMIT_BYTES = 64 * 1024
QUERY_LIMIT_FIELDS = 32
MESSAGES_LIMIT = 1_000
MESSAGE_ID_LIMIT_CHARACTERS = 128
SPI_TOLERANCE_S = 600
CHINA = timezone(timedelta(hours=8))
MOMENT_FIRST_S, MOMENT_LAST_S = 946_684_800, 4_102_444_800

PUSH_ANSWER = Answer(b'{"code":0,"msg":"success"}')
SPI_ANSWER = Answer(b'{"code":0,"message":"success","data":{}}')

PROBE = "0"
CREATED = "100"
UNPAID = 1
ORDER_TAGS = frozenset(str(tag) for tag in range(100, 111))
REFUND_TAGS = frozenset(str(tag) for tag in range(200, 209))
# When money has gone back the order itself may be closed, so both are asked for.
REFUND_DONE = "206"
_MOMENTS = (
    "update_time", "pay_time", "cancel_time", "modify_time", "complete_time", "apply_time", "success_time",
    "agree_time", "close_time", "refuse_time", "create_time",
)  # fmt: skip

_ID = re.compile(r"[0-9A-Za-z]{1,32}")  # digits; shops of old still have orders that end in A
_SECONDS = re.compile(r"[0-9]{10}")
_WALL_CLOCK = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


def receive(request: PushRequest, access: Access, now: datetime) -> Pushed:
    """Take a push, or an SPI call, which is told by its signed query; PushRefused says why it is not genuine."""
    if len(request.body) > BODY_LIMIT_BYTES or len(request.query) > QUERY_LIMIT_BYTES:
        raise PushRefused("the message is too large")
    if not access.app_key or not access.app_secret:
        raise PushRefused("the shop has no app_key or no secret")
    fields = _query(request.query)
    if "sign" in fields or "sign_v2" in fields:
        return _spi(request, fields, access, now)
    return _push(request, access)


def _push(request: PushRequest, access: Access) -> Pushed:
    offered = _header(request.headers, b"event-sign")
    if offered is None:
        raise PushRefused("the header event-sign is missing")
    app_id = _header(request.headers, b"app-id")
    if app_id is not None and app_id != access.app_key.encode():
        raise PushRefused("the header app-id names another app")
    expected = sign_push(access.app_key, request.body, access.app_secret).encode()
    if not hmac.compare_digest(expected, offered):
        raise PushRefused("event-sign does not fit the body")
    value = _json(request.body, "the body")
    # Documents and clients disagree on whether it is always an array: both are taken.
    messages = value if isinstance(value, list) else [value]
    if len(messages) > MESSAGES_LIMIT:
        raise PushRefused(f"the body holds more than {MESSAGES_LIMIT} messages")
    hints: list[Hint] = []
    unreadable: PushRefused | None = None
    for message in messages:
        try:
            hints += _hints(message, access.seller_id)
        except PushRefused as refusal:
            unreadable = refusal
    # One message that nobody can read must not hold back those beside it; what it was about, a pull finds.
    if unreadable is not None and not hints:
        raise unreadable
    return Pushed(answer=PUSH_ANSWER, hints=tuple(hints))


def _hints(message: Any, seller_id: str) -> Iterator[Hint]:
    if not isinstance(message, dict) or not isinstance(message.get("tag"), str | int):
        raise PushRefused("a message has no tag")
    tag = str(message["tag"])
    if tag == PROBE or tag not in ORDER_TAGS | REFUND_TAGS:
        return
    data = message.get("data")
    if isinstance(data, str):
        data = _json(data.encode("utf-8", "surrogatepass"), "a message's data")
    if not isinstance(data, dict):
        raise PushRefused("a message's data is not an object")
    # An app has one address for all its shops; another shop's message would be asked for with the wrong token.
    if seller_id and str(data.get("shop_id") or seller_id) != seller_id:
        return
    if tag == CREATED and data.get("order_status") == UNPAID:
        return
    named = str(message.get("msg_id", ""))[:MESSAGE_ID_LIMIT_CHARACTERS]
    moment = next((found for name in _MOMENTS if (found := _moment(data.get(name))) is not None), None)
    if tag in REFUND_TAGS:
        yield Hint(About.REFUND, _id(data, "aftersale_id"), named, moment)
    if tag in ORDER_TAGS or tag == REFUND_DONE:
        yield Hint(About.ORDER, _id(data, "p_id"), named, moment)


def _spi(request: PushRequest, fields: Mapping[str, str], access: Access, now: datetime) -> Pushed:
    if fields.get("app_key") != access.app_key:
        raise PushRefused("app_key names another app")
    _check_fresh(fields.get("timestamp", ""), now)
    if "param_json" in fields:
        param_json = fields["param_json"]
    else:
        try:
            param_json = request.body.decode()
        except UnicodeDecodeError:
            raise PushRefused("the body is not UTF-8") from None
    params = _json(param_json.encode("utf-8", "surrogatepass"), "param_json")
    if not _spi_is_genuine(fields, param_json, access):
        raise PushRefused("the SPI signature does not fit")
    if not isinstance(params, dict):
        raise PushRefused("param_json is not an object")
    # Whatever the platform asks about an order, its detail tells what holds now: the address above all.
    order_id = next((name for name in ("order_id", "shop_order_id", "p_id") if params.get(name)), None)
    hints = (Hint(About.ORDER, _id(params, order_id)),) if order_id else ()
    return Pushed(answer=SPI_ANSWER, hints=hints)


def _spi_is_genuine(fields: Mapping[str, str], param_json: str, access: Access) -> bool:
    """The platform signs its own sorted writing of the parameters, which need not be the writing it sends."""
    writings = [param_json]
    try:
        value = json.loads(param_json)
        writings += [canonical(value), canonical_for_markup(value)]
    except (ValueError, RecursionError):
        # Only the writing that came can then be tried.
        writings = [param_json]
    offered = [fields[name].encode() for name in ("sign", "sign_v2") if fields.get(name)]
    genuine = False
    for writing in writings:
        try:
            expected = sign_spi(
                access.app_secret, access.app_key, writing, fields["timestamp"], fields.get("sign_method", "")
            ).encode()
        except UnicodeEncodeError:
            continue
        for each in offered:
            genuine |= hmac.compare_digest(expected, each)
    return genuine


def _check_fresh(timestamp: str, now: datetime) -> None:
    if _SECONDS.fullmatch(timestamp):
        sent = datetime.fromtimestamp(int(timestamp), UTC)
    elif _WALL_CLOCK.fullmatch(timestamp):
        try:
            sent = datetime.strptime(timestamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
        except ValueError:
            raise PushRefused("timestamp is not a time") from None
    else:
        raise PushRefused("timestamp is missing or not a time")
    if abs((now - sent).total_seconds()) > SPI_TOLERANCE_S:
        raise PushRefused(f"timestamp is more than {SPI_TOLERANCE_S} seconds away from now")


def _query(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_LIMIT_FIELDS
        )
    except ValueError:
        raise PushRefused("the query string is not readable") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise PushRefused("the query string names a field twice")
    return fields


def _header(headers: tuple[tuple[bytes, bytes], ...], name: bytes) -> bytes | None:
    found = [value.strip() for key, value in headers if key.lower() == name]
    if len(found) > 1:
        raise PushRefused(f"the header {name.decode()} is there twice")
    return found[0] if found else None


def _json(raw: bytes, what: str) -> Any:
    try:
        return decode(raw)
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        raise PushRefused(f"{what} is not valid JSON") from None


def _id(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not _ID.fullmatch(text):
        raise PushRefused(f"{name} is missing or not an id")
    return text


def _moment(value: Any) -> datetime | None:
    if isinstance(value, int) and not isinstance(value, bool) and MOMENT_FIRST_S <= value <= MOMENT_LAST_S:
        return datetime.fromtimestamp(value, UTC)
    return None
