"""What a channel can do, as data: asked by whoever would otherwise have to name a platform."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """What comes in by itself, what a file or call brings, and what the channel takes back from us."""

    channel: str
    pushes_orders: bool
    pushes_cancellations: bool
    supplies_buyer_token: bool
    pulls_orders: bool = False
    takes_shipment_upload: bool = False
    takes_stock_push: bool = False
