"""Reads the frames of Pinduoduo's message socket: what they hint at, and how they are acknowledged; pure."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from libs.channels.channel import About, Hint, Message
from libs.channels.wire import decode

FRAME_LIMIT_BYTES = 1024 * 1024
RECEIPT_LIMIT_CHARACTERS = 500
MOMENT_LAST_MS = 4_102_444_800_000

# Beginnings of message types. After money went back or a refund ended, the order itself has changed, too.
ORDER_TYPES = ("pdd_trade_",)
REFUND_TYPES = ("pdd_refund_",)
REFUND_ONLY_TYPES = frozenset({"pdd_refund_RefundBuyerReturnGoods", "pdd_refund_RefundBuyerModifyAgreement"})

_ORDER_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,39}")
_REFUND_ID = re.compile(r"[0-9A-Za-z]{1,32}")
_REFUND_SUBJECT = re.compile(r"([0-9A-Za-z][0-9A-Za-z-]{0,39}):([0-9A-Za-z]{1,32})")


def read_frame(raw: bytes, mall_id: str) -> Message | None:
    """Return a frame's message; None for heartbeats and for another shop's messages, which are not ours to confirm.

    What nobody can read comes as a message without hints: confirmed like any other, so that it does not come for ever.
    """
    frame = _object(raw)
    if frame is None:
        return Message(receipt="", hints=(), raw=raw)
    if frame.get("commandType") != "Common":
        return None
    message = frame.get("message")
    if not isinstance(message, dict):
        message = {}
    named_mall = str(message.get("mallID") or "")
    if mall_id and named_mall and named_mall != mall_id:
        return None
    kind = str(message.get("type") or "")
    receipt = {"id": frame.get("id"), "time": frame.get("time"), "type": kind, "mallID": message.get("mallID")}
    return Message(receipt=_receipt(receipt), hints=_hints(kind, message.get("content"), frame), raw=raw)


def acknowledgement(receipt: str, sent_at: datetime) -> str:
    """Return the frame that confirms a message."""
    frame = {**json.loads(receipt), "commandType": "Ack", "sendTime": _milliseconds(sent_at)}
    return json.dumps(frame, separators=(",", ":"), ensure_ascii=False)


def heartbeat(number: int, sent_at: datetime) -> str:
    """Return the frame that keeps the socket."""
    return json.dumps({"id": number, "commandType": "HeartBeat", "time": _milliseconds(sent_at)}, separators=(",", ":"))


def refund_subject(order_sn: str, refund_id: str) -> str:
    """Return the id a refund goes by: Pinduoduo finds a refund only together with its order."""
    return f"{order_sn}:{refund_id}"


def parts_of_refund(subject_id: str) -> tuple[str, str] | None:
    """Return a refund's order and own id; None when it is not such an id."""
    found = _REFUND_SUBJECT.fullmatch(subject_id)
    return (found[1], found[2]) if found else None


def _hints(kind: str, content: Any, frame: dict[str, Any]) -> tuple[Hint, ...]:
    if isinstance(content, str):
        content = _object(content.encode("utf-8", "surrogatepass"))
    if not isinstance(content, dict) or not kind.startswith(ORDER_TYPES + REFUND_TYPES):
        return ()
    order_sn, message_id = _id(content.get("tid"), _ORDER_ID), str(frame.get("id") or "")[:64]
    if order_sn is None:
        return ()
    moment = _moment(content.get("modified")) or _moment(frame.get("time"))
    order = Hint(About.ORDER, order_sn, message_id, moment)
    refund_id = _id(content.get("refund_id"), _REFUND_ID)
    if not kind.startswith(REFUND_TYPES) or refund_id is None:
        return (order,)
    refund = Hint(About.REFUND, refund_subject(order_sn, refund_id), message_id, moment)
    return (refund,) if kind in REFUND_ONLY_TYPES else (refund, order)


def _receipt(fields: dict[str, Any]) -> str:
    """Return what an acknowledgement needs; nothing when the frame names no usable number to acknowledge."""
    usable = all(value is None or isinstance(value, str | int) for value in fields.values())
    if fields["id"] is None or not usable:
        return ""
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    return text if len(text) <= RECEIPT_LIMIT_CHARACTERS else ""


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = decode(raw)
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _id(value: Any, form: re.Pattern[str]) -> str | None:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if form.fullmatch(text) else None


def _moment(value: Any) -> datetime | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOMENT_LAST_MS:
        return datetime.fromtimestamp(value / 1000, UTC)
    return None


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
