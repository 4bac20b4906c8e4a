"""A message queue of an application: delivers again until confirmed, forgets only after the platform's own time."""

import asyncio
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Message:
    """One message, and how often it was handed out."""

    message_id: int
    topic: str
    shop_id: str
    content: dict[str, Any]
    at_s: float
    delivered_at_s: float = 0.0
    deliveries: int = 0


@dataclass
class MessageQueue:
    """At least once, in no promised order. `woken` is set when something may be taken."""

    waiting: dict[int, Message] = field(default_factory=dict)
    confirmed: int = 0
    expired: int = 0
    redelivered: int = 0
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, message: Message) -> None:
        """Take a message in. The same id again (a doubled push) makes it deliverable again."""
        self.waiting[message.message_id] = message
        self.woken.set()

    def take(self, now_s: float, limit: int, redelivery_s: float, keep_s: float) -> list[Message]:
        """Return up to `limit` messages never handed out, or not confirmed for `redelivery_s`."""
        self._forget(now_s - keep_s)
        taken: list[Message] = []
        for message in self.waiting.values():
            if len(taken) >= limit:
                break
            if message.deliveries == 0 or now_s - message.delivered_at_s >= redelivery_s:
                self.redelivered += message.deliveries > 0
                message.deliveries += 1
                message.delivered_at_s = now_s
                taken.append(message)
        return taken

    def confirm(self, message_id: int) -> bool:
        """End a message's redelivery; False: unknown, or confirmed before."""
        known = self.waiting.pop(message_id, None) is not None
        self.confirmed += known
        return known

    def release(self) -> None:
        """Make all that is not confirmed deliverable at once: a consumer went away."""
        for message in self.waiting.values():
            message.delivered_at_s = 0.0
        self.woken.set()

    def _forget(self, before_s: float) -> None:
        old = [key for key, message in self.waiting.items() if message.at_s < before_s]
        self.expired += len(old)
        for key in old:
            del self.waiting[key]
