"""How a channel says no to a message: which field is at fault and why, never the value that was sent."""

from typing import Any


class OrderRefused(ValueError):
    """The message is genuine but cannot be taken. `field` is its path in the message ("" for the whole of it).

    `reason` and `more` go back to the sender and into reports, so neither may repeat personal data.
    """

    def __init__(self, field: str, reason: str, **more: Any) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason
        self.more = more
