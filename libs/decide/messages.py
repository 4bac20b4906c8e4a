"""What a decision may be asked besides events, and what it may answer besides events."""

from datetime import datetime
from typing import Any

import msgspec


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request from outside (webhook, scan, verdict). It is recorded with its answer: no personal data in clear."""

    @property
    def key(self) -> str:
        """The key whose messages keep their order with this one: order_id, sku or similar."""
        raise NotImplementedError

    @property
    def sameness(self) -> bytes:
        """What makes a repeat under one idempotency key the same request; empty means: all of its bytes."""
        return b""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """Time that passed, as a message: the timer (`kind`, `key`) set by a `Wake` has come."""

    kind: str
    key: str
    at: datetime


class Wake(msgspec.Struct, frozen=True, kw_only=True):
    """Set the timer (`kind`, `key`) to `at`, moving it if it was set already."""

    kind: str
    key: str
    at: datetime


class Unwake(msgspec.Struct, frozen=True, kw_only=True):
    """Remove the timer (`kind`, `key`), if it is set."""

    kind: str
    key: str


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """A call to the outside, made after the commit by the sender named `destination`, at least once.

    `send_id` is its idempotency key: a second `Send` with the same id changes nothing. `body` must hold no clear
    personal data: put sealed text in, the sender opens it at the last moment. `not_before` delays it.
    """

    destination: str
    send_id: str
    key: str
    body: dict[str, Any]
    not_before: datetime | None = None


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a `Send`: `ok` once the other side accepted it, else given up with `detail` as its last word."""

    destination: str
    send_id: str
    key: str
    ok: bool
    detail: str = ""
    attempts: int = 1
    body: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a command: an HTTP status and a JSON body; statuses from 400 carry an RFC 9457 problem."""

    status: int = 200
    body: dict[str, Any] = {}


def problem(status: int, title: str, detail: str = "", **more: Any) -> Reply:
    """Return a refusal as an RFC 9457 problem; `more` may name the `field` at fault or what was expected."""
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, **more}
    if detail:
        body["detail"] = detail
    return Reply(status=status, body=body)
