"""Proves a push of WeChat (the address check by GET, plain, or AES), and tells what it hints at."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from libs.channels.channel import About, Access, Answer, Hint, Pushed, PushRefused, PushRequest
from libs.channels.wechat.signing import EnvelopeRefused, fits, unseal
from libs.channels.wire import decode

BODY_LIMIT_BYTES = 1024 * 1024
ECHO_LIMIT_CHARACTERS = 512
ID_LIMIT_CHARACTERS = 32
FIELDS_LIMIT = 20
PUSH_AGE_LIMIT_S = 6 * 3600  # WeChat repeats a push for about 3.6 hours
PUSH_AHEAD_LIMIT_S = 600
SUCCESS = Answer(body=b"success", content_type="text/plain")

EVENTS: Mapping[str, tuple[About, tuple[str, str]]] = {
    "channels_ec_order_new": (About.ORDER, ("order_info", "order_id")),
    "channels_ec_order_pay": (About.ORDER, ("order_info", "order_id")),
    "channels_ec_order_cancel": (About.ORDER, ("order_info", "order_id")),
    "channels_ec_order_wait_shipping": (About.ORDER, ("order_info", "order_id")),
    "channels_ec_order_deliver": (About.ORDER, ("order_info", "order_id")),
    "channels_ec_order_confirm": (About.ORDER, ("order_info", "order_id")),
    "channels_ec_order_settle": (About.ORDER, ("order_info", "order_id")),
    "channels_ec_order_ext_info_update": (About.ORDER, ("order_info", "order_id")),
    "channels_ec_aftersale_update": (
        About.REFUND,
        ("finder_shop_aftersale_status_update", "after_sale_order_id"),
    ),
}
"""Which event hints at what; others (a mini-program's reminders among them) are answered and say nothing."""


def receive(request: PushRequest, access: Access, now: datetime) -> Pushed:
    """Verify one push and return its hints; a GET is the check of the address and gets its echo back."""
    query = _query(request)
    if request.method == "GET":
        _check_plain(query, access, now)
        echo = query.get("echostr", "")
        if not echo or len(echo) > ECHO_LIMIT_CHARACTERS:
            raise PushRefused("echostr is missing or too long")
        return Pushed(Answer(body=echo.encode(), content_type="text/plain"))
    return Pushed(SUCCESS, hints=_hints(_message(request, query, access, now)))


def _message(request: PushRequest, query: Mapping[str, str], access: Access, now: datetime) -> dict[str, Any]:
    if len(request.body) > BODY_LIMIT_BYTES:
        raise PushRefused(f"the push is larger than {BODY_LIMIT_BYTES} bytes")
    aes_key = access.secrets.get("aes_key", "")
    envelope = _object(request.body).get("Encrypt")
    if not aes_key:
        # The plain signature covers no byte of the body: it proves only that somebody once saw WeChat call us.
        if envelope is not None:
            raise PushRefused("the push is encrypted and the shop has no aes_key")
        _check_plain(query, access, now)
        return _object(request.body)
    if not isinstance(envelope, str):
        raise PushRefused("the shop has an aes_key and the push is not encrypted")
    _check_age(query, now)
    token = _token(access)
    if not fits(query.get("msg_signature", ""), token, query["timestamp"], query.get("nonce", ""), envelope):
        raise PushRefused("msg_signature does not fit")
    try:
        return _object(unseal(aes_key, envelope, access.app_key))
    except EnvelopeRefused as refused:
        raise PushRefused(str(refused)) from None


def _hints(message: Mapping[str, Any]) -> tuple[Hint, ...]:
    known = EVENTS.get(str(message.get("Event", "")))
    if known is None:
        return ()
    about, (group, name) = known
    inner = message.get(group)
    # An id comes as a number or as a text; as a number it exceeds what a float could hold.
    subject = inner.get(name) if isinstance(inner, dict) else None
    text = str(subject) if isinstance(subject, int | str) and not isinstance(subject, bool) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= ID_LIMIT_CHARACTERS):
        raise PushRefused(f"{group}.{name} is not an id")
    created = message.get("CreateTime")
    moment = datetime.fromtimestamp(created, UTC) if isinstance(created, int) and 0 < created < 10**10 else None
    return (Hint(about, text, occurred_at=moment),)


def _check_plain(query: Mapping[str, str], access: Access, now: datetime) -> None:
    _check_age(query, now)
    if not fits(query.get("signature", ""), _token(access), query["timestamp"], query.get("nonce", "")):
        raise PushRefused("signature does not fit")


def _check_age(query: Mapping[str, str], now: datetime) -> None:
    text = query.get("timestamp", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise PushRefused("timestamp must be whole seconds since 1970")
    if not -PUSH_AHEAD_LIMIT_S <= now.timestamp() - int(text) <= PUSH_AGE_LIMIT_S:
        raise PushRefused("timestamp is too far away from now")


def _token(access: Access) -> str:
    token = access.secrets.get("token", "")
    if not token:
        raise PushRefused("the shop has no token for pushes")
    return token


def _query(request: PushRequest) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            request.query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_LIMIT
        )
    except ValueError:
        raise PushRefused("the query is not readable") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise PushRefused("a parameter is there twice")
    return fields


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise PushRefused("the push is not a JSON object: choose JSON as the data format in WeChat's console")
    return found
