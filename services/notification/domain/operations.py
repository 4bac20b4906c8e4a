"""What operations are told: one digest at a time, never more often than its channel lets a robot speak."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from contracts.risk import OrderHeld
from contracts.routes import RouteBlocked
from contracts.shipments import AmendTooLate, CancelTooLate
from contracts.stock_levels import SafetyLineCrossed
from libs.decide import Delivered, Due, Output, Send, State, Wake
from services.notification.domain.rows import DINGTALK, OPERATIONS, Digest, Lines, Notice, Template, settled
from services.notification.domain.templates import (
    AMEND_TOO_LATE,
    CANCEL_TOO_LATE,
    DEFAULTS,
    ORDER_HELD,
    ROUTE_BLOCKED,
    SAFETY_LINE,
    clipped,
    render,
)

DIGEST = "digest"
BELOW_COST_RULE = "below_cost"
# The sections of a digest, most urgent first: a parcel with the wrong goods can be stopped for minutes only.
HEADINGS: dict[str, str] = {
    "too_late": "仓库来不及照办",
    "below_cost": "低于成本价，已挂起",
    "held": "订单挂起",
    "blocked": "等待调拨",
    "safety": "低于安全水位",
}
# What an amendment may ask of a warehouse, in words.
_CHANGED: dict[str, str] = {"lines": "商品", "destination": "收货地区", "recipient": "收件人", "sealed": "收件信息"}
# Text that came from platforms must not become links, headings or new lines in an operator's chat.
_HARMLESS = str.maketrans({"[": "［", "]": "］", "<": "＜", ">": "＞", "*": "＊", "`": "｀", "#": "＃"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class DigestLimits:
    """How often operations are told, and how much at once."""

    interval_ms: int = 5_000
    refused_interval_ms: int = 600_000  # after a digest that was refused
    lines_limit: int = 15
    line_limit_bytes: int = 300
    text_limit_bytes: int = 18_000


def note_hold(event: OrderHeld, state: State, now: datetime, limits: DigestLimits) -> list[Output]:
    """Tell operations that an order is held, and by what."""
    rules = [reason.rule for reason in event.reasons]
    kind = "below_cost" if BELOW_COST_RULE in rules else "held"
    reasons = "；".join(reason.message_zh or reason.message_en or reason.rule for reason in event.reasons)
    return _note(kind, ORDER_HELD, {"order_id": event.order_id, "reasons": reasons}, state, limits)


def note_blocked(event: RouteBlocked, state: State, now: datetime, limits: DigestLimits) -> list[Output]:
    """Tell operations which transfer would let a blocked order go."""
    missing = "、".join(f"{item.sku}×{item.quantity}" for item in event.missing)
    moves = [f"{move.sku}×{move.quantity} {move.from_warehouse}→{move.to_warehouse}" for move in event.transfers]
    values = {
        "order_id": event.order_id,
        "warehouse": event.warehouse,
        "missing": missing,
        "transfers": "、".join(moves) or "无货可调",
    }
    return _note("blocked", ROUTE_BLOCKED, values, state, limits)


def note_safety_line(event: SafetyLineCrossed, state: State, now: datetime, limits: DigestLimits) -> list[Output]:
    """Tell operations that a SKU runs low, and what to buy."""
    values = {
        "sku": event.sku,
        "atp": str(event.atp),
        "safety_stock": str(event.safety_stock),
        "suggested_purchase": str(event.suggested_purchase),
    }
    return _note("safety", SAFETY_LINE, values, state, limits)


def note_amend_too_late(event: AmendTooLate, state: State, now: datetime, limits: DigestLimits) -> list[Output]:
    """Tell operations what a buyer changed (a line taken out among it) and the parcel will not follow."""
    changed = "、".join(_CHANGED.get(field, field) for field in event.changed)
    values = {"order_id": event.order_id, "version": str(event.version), "changed": changed}
    return _note("too_late", AMEND_TOO_LATE, values, state, limits)


def note_cancel_too_late(event: CancelTooLate, state: State, now: datetime, limits: DigestLimits) -> list[Output]:
    """Tell operations that an order was cancelled when all of it had left."""
    parcels = "、".join(event.shipped_parcels)
    values = {"order_id": event.order_id, "request_id": event.request_id, "parcels": parcels}
    return _note("too_late", CANCEL_TOO_LATE, values, state, limits)


def _note(kind: str, name: str, values: dict[str, str], state: State, limits: DigestLimits) -> list[Output]:
    """Add one line to the next digest; `flush` decides at the end of the batch whether it goes now."""
    digest = state.get(Digest, DINGTALK) or Digest(channel=DINGTALK)
    lines = digest.pending.setdefault(kind, Lines())
    lines.count += 1
    if len(lines.first) < limits.lines_limit:
        template = state.get(Template, name) or DEFAULTS[name]
        text = _CONTROL.sub(" ", render(template.text, values)).translate(_HARMLESS)
        lines.first.append(clipped(text, limits.line_limit_bytes))
    state.put(digest)
    return []


def wake_digest(message: Due, state: State, now: datetime) -> list[Output]:
    """The quiet time after the last digest is over."""
    digest = state.get(Digest, message.key)
    if digest is not None:
        digest.waking = False
        state.put(digest)
    return []


def operations_told(message: Delivered, state: State, now: datetime, limits: DigestLimits) -> list[Output]:
    """Record what became of a digest; the next one may go, with the lines of one that was refused."""
    digest = state.get(Digest, message.key)
    if digest is not None and digest.in_flight and message.send_id == digest_id(digest):
        digest.in_flight = False
        if not message.ok and "sections" in message.body:
            _take_back(digest, msgspec.convert(message.body["sections"], dict[str, Lines]), now, limits)
        state.put(digest)
    notice = state.get(Notice, OPERATIONS, message.send_id)
    if notice is None or notice.state != "sending":
        return []
    state.put(notice)
    return settled(notice, ok=message.ok, detail=message.detail, attempts=message.attempts)


def _take_back(digest: Digest, refused: dict[str, Lines], now: datetime, limits: DigestLimits) -> None:
    """Have what a refused digest said told by the next one, after a pause.

    Of a section that is refused a second time only the count is told: the words themselves may be what is refused,
    and would keep operations from hearing anything ever again.
    """
    for kind, lines in refused.items():
        newer = digest.pending.get(kind) or Lines()
        words = [] if lines.again else lines.first
        first = [*words, *newer.first][: limits.lines_limit]
        digest.pending[kind] = Lines(count=lines.count + newer.count, first=first, again=True)
    digest.last_at = now + timedelta(milliseconds=limits.refused_interval_ms - limits.interval_ms)


def flush(state: State, now: datetime, limits: DigestLimits) -> list[Output]:
    """At the end of a batch: send what is pending at once if it was quiet, else when the quiet time is over."""
    outputs: list[Output] = []
    for digest in state.changed(Digest):
        if not digest.pending or digest.in_flight:
            continue
        ready_at = now if digest.last_at is None else digest.last_at + timedelta(milliseconds=limits.interval_ms)
        if now < ready_at:
            if not digest.waking:
                digest.waking = True
                outputs.append(Wake(kind=DIGEST, key=digest.channel, at=ready_at))
            continue
        outputs.append(_sent_digest(digest, state, now, limits))
    return outputs


def _sent_digest(digest: Digest, state: State, now: datetime, limits: DigestLimits) -> Send:
    count = sum(lines.count for lines in digest.pending.values())
    text, sections = digest_text(digest.pending, limits.text_limit_bytes), msgspec.to_builtins(digest.pending)
    digest.number += 1
    digest.in_flight = True
    digest.last_at = now
    digest.pending = {}
    notice = Notice(
        order_id=OPERATIONS,
        notice_id=digest_id(digest),
        audience=OPERATIONS,
        medium=digest.channel,
        template=DIGEST,
        template_version=0,
        state="sending",
        at=now,
    )
    state.put(notice)
    body = {"title": f"Ordo 订单中枢：{count} 条提醒", "text": text, "count": count, "sections": sections}
    return Send(destination=digest.channel, send_id=notice.notice_id, key=digest.channel, body=body)


def digest_id(digest: Digest) -> str:
    """Return the notice's id of the newest digest."""
    return f"digest:{digest.channel}:{digest.number}"


def digest_text(pending: dict[str, Lines], limit_bytes: int) -> str:
    """Return the digest as markdown of at most `limit_bytes`: each section shows what fits and counts the rest."""
    kinds = [kind for kind in HEADINGS if kind in pending]
    share = limit_bytes // max(len(kinds), 1)
    return "\n\n".join(_section(HEADINGS[kind], pending[kind], share - 2) for kind in kinds)


def _section(heading: str, lines: Lines, limit_bytes: int) -> str:
    shown = [f"#### {heading}：{lines.count}"]
    left = limit_bytes - len(shown[0].encode()) - len(f"\n- 另有 {lines.count} 条".encode())
    for line in lines.first:
        left -= len(line.encode()) + 3
        if left < 0:
            break
        shown.append(f"- {line}")
    rest = lines.count - (len(shown) - 1)
    return "\n".join([*shown, f"- 另有 {rest} 条"] if rest else shown)
