"""ordo.notices.v1: who was told what, once."""

from contracts.envelope import Event


class NoticeSent(Event, frozen=True, kw_only=True):
    """A message was accepted by its carrier. `audience`: buyer or operations; `medium`: sms, dingtalk ..."""

    order_id: str
    notice_id: str
    audience: str
    medium: str
    template: str


class NoticeFailed(Event, frozen=True, kw_only=True):
    """A message was given up after `attempts`; `reason` is the carrier's own word."""

    order_id: str
    notice_id: str
    audience: str
    medium: str
    template: str
    reason: str
    attempts: int
