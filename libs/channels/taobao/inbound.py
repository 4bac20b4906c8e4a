"""Reads what TMC delivered: which order or refund each message hints at; a message that says nothing is confirmed."""

from datetime import datetime
from typing import Any

import msgspec

from libs.channels.channel import About, Hint, Message
from libs.channels.values import moment_or_none, number_or_none
from libs.channels.wire import decode

TRADE_TOPICS = "taobao_trade_"
REFUND_TOPICS = "taobao_refund_"
CONTENT_LIMIT_CHARACTERS = 64 * 1024


def message_of(row: dict[str, Any]) -> Message | None:
    """Return one delivered message; None when it has no id, so that it can be neither confirmed nor known again."""
    receipt = number_or_none(row.get("id"))
    if receipt is None:
        return None
    # A published message holds no fraction, so writing it again changes nothing but blanks.
    return Message(receipt=receipt, hints=hints_of(row, receipt), raw=msgspec.json.encode(row))


def hints_of(row: dict[str, Any], receipt: str) -> tuple[Hint, ...]:
    """Return what a message hints at; empty for topics and contents that name neither order nor refund."""
    topic, content = row.get("topic"), _content(row.get("content"))
    occurred_at: datetime | None = moment_or_none(row.get("pub_time"))
    if not isinstance(topic, str) or content is None:
        return ()
    order_id, refund_id = number_or_none(content.get("tid")), number_or_none(content.get("refund_id"))
    if topic.startswith(REFUND_TOPICS) and refund_id is not None:
        return (Hint(About.REFUND, refund_id, receipt, occurred_at),)
    if topic.startswith((TRADE_TOPICS, REFUND_TOPICS)) and order_id is not None:
        return (Hint(About.ORDER, order_id, receipt, occurred_at),)
    return ()


def _content(text: Any) -> dict[str, Any] | None:
    if not isinstance(text, str) or len(text) > CONTENT_LIMIT_CHARACTERS:
        return None
    try:
        content = decode(text.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        # XML is possible by the documents; it is told by pulling as well.
        return None
    return content if isinstance(content, dict) else None
