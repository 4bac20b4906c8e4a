"""Proves a form push by its signature, tells the event by its fields, and answers {"data":"ok"}."""

import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote_plus

from libs.channels.channel import About, Access, Answer, Hint, Pushed, PushRefused, PushRequest
from libs.channels.meituan.signing import SIGNATURE_FIELD, fits

BODY_LIMIT_BYTES = 1024 * 1024
FIELDS_LIMIT = 200
ID_LIMIT_CHARACTERS = 32
PUSH_AGE_LIMIT_S = 24 * 3600  # how often Meituan repeats a push is not documented: a day is kept, a replay is harmless
PUSH_AHEAD_LIMIT_S = 600
ANSWER = Answer(body=b'{"data":"ok"}')

ORDER_EVENTS: tuple[tuple[str, frozenset[str]], ...] = (
    ("whole order", frozenset({"order_id", "detail"})),  # it may hold logistics_status and more of the others' signs
    ("refund result", frozenset({"refund_id", "refund_status"})),
    ("refund", frozenset({"notify_type"})),
    ("refund with return", frozenset({"refund_id"})),
    ("cancelled", frozenset({"reason_code"})),
    ("courier moved", frozenset({"logistics_status"})),
    ("order", frozenset({"order_id"})),
)
"""Which fields tell an event, first match counts: Meituan has one address an event, the hub has one for all."""

REFUNDS = ("refund result", "refund", "refund with return")
SILENT = ("courier moved",)  # Meituan's own courier: nothing that the hub decides upon
REFUNDED = ("agree", "3", "13")  # notify_type, refund_status: the order itself may have changed with it

_ID = re.compile(r"[0-9]{1,32}")
_MOMENT = re.compile(r"[0-9]{1,10}")


def receive(request: PushRequest, access: Access, now: datetime) -> Pushed:
    """Verify one push and return its hints; a probe without an order is answered like an event."""
    signed = _fields(request)
    fields = {name: unquote_plus(value) for name, value in signed.items()}
    if SIGNATURE_FIELD not in fields:
        if "order_id" in fields:
            raise PushRefused("the push has no signature")
        return Pushed(ANSWER)
    # Values arrive encoded once more inside the form. Whether the signature covers them before or after that second
    # decoding is not documented; both need the secret, so both prove the sender.
    if not fits(request.url, signed, access.app_secret) and not fits(request.url, fields, access.app_secret):
        raise PushRefused("the signature does not fit")
    _check_sender(fields, access, now)
    if "order_id" not in fields:
        return Pushed(ANSWER)
    return Pushed(ANSWER, hints=_hints(fields))


def event_of(fields: dict[str, str]) -> str:
    """Return which event the fields tell; "" when they tell none."""
    return next((event for event, signs in ORDER_EVENTS if signs <= fields.keys()), "")


def _hints(fields: dict[str, str]) -> tuple[Hint, ...]:
    order_id = _id(fields, "order_id")
    moment = _moment(fields.get("utime") or fields.get("ctime") or fields.get("timestamp", ""))
    event = event_of(fields)
    if event in SILENT:
        return ()
    order = Hint(About.ORDER, order_id, occurred_at=moment)
    if event not in REFUNDS:
        return (order,)
    # A refund can be asked for by its order only, so the hint names both; without an id the newest is meant.
    refund_id = _id(fields, "refund_id") if fields.get("refund_id") else ""
    refund = Hint(About.REFUND, f"{order_id}:{refund_id}", occurred_at=moment)
    if fields.get("notify_type") in REFUNDED or fields.get("refund_status") in REFUNDED:
        return (refund, order)
    return (refund,)


def _check_sender(fields: dict[str, str], access: Access, now: datetime) -> None:
    if access.app_key and fields.get("app_id", access.app_key) != access.app_key:
        raise PushRefused("the push is for another application")
    if access.seller_id and fields.get("app_poi_code", access.seller_id) != access.seller_id:
        raise PushRefused("the push is for another shop")
    sent_at = _moment(fields.get("timestamp", ""))
    if sent_at is None:
        raise PushRefused("timestamp must be whole seconds since 1970")
    age_s = (now - sent_at).total_seconds()
    if not -PUSH_AHEAD_LIMIT_S <= age_s <= PUSH_AGE_LIMIT_S:
        raise PushRefused("timestamp is too far away from now")


def _fields(request: PushRequest) -> dict[str, str]:
    """Return the parameters as signed: of the query for GET, of the form for POST; a doubled name is refused."""
    raw = request.query if request.method == "GET" else request.body
    if len(raw) > BODY_LIMIT_BYTES:
        raise PushRefused(f"the push is larger than {BODY_LIMIT_BYTES} bytes")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_LIMIT)
    except ValueError:
        raise PushRefused("the push is not a form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise PushRefused("a field is there twice")
    return fields


def _id(fields: dict[str, str], name: str) -> str:
    value = fields.get(name, "")
    if not _ID.fullmatch(value):
        raise PushRefused(f"{name} must be a number of at most {ID_LIMIT_CHARACTERS} digits")
    return value


def _moment(text: str) -> datetime | None:
    return datetime.fromtimestamp(int(text), UTC) if _MOMENT.fullmatch(text) else None
