"""What a channel can do, as data: asked by whoever would otherwise have to name a platform."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Capabilities:
    """What comes in by itself, what a file or call brings, and what the channel takes back from us.

    Times and counts are the platform's documented limits; None means that it states none.
    """

    channel: str
    pushes_orders: bool
    pushes_cancellations: bool
    supplies_buyer_token: bool
    # In
    pulls_orders: bool = False
    pulls_refunds: bool = False
    refunds_lines: bool = False  # a refund names its lines, and before shipping they leave the order's own document
    has_queue: bool = False  # messages that are fetched or come over a socket, and are confirmed
    pull_window_limit_s: int | None = None
    pull_lag_s: int = 0  # a window must end so long ago
    lists_newest: bool = False  # has another list, of newly paid orders up to now (`ListsNewest`)
    pull_overlap_s: int = 300
    page_limit_orders: int | None = None
    counts_orders: bool = False
    numbers_days: bool = False
    accept_limit_s: int | None = None  # the platform cancels what is not accepted in this time
    # Back
    takes_shipment_upload: bool = False
    splits_parcels: bool = False
    parcels_limit: int | None = None
    reships_limit: int | None = None  # how often a waybill may be corrected; None: no limit stated
    takes_stock_push: bool = False
    stock_push: Literal["set", "delta"] = "set"
    reads_stock: bool = False
    # Where a platform states no limit this is our own pace: enough for 30 orders a second and their changes, and a
    # platform that finds it too fast says so in its own words, which are waited out.
    calls_per_second: int = 160
    # Access and persons
    signs_in: bool = False  # an operator authorises the shop in a browser
    token_lives_s: int | None = None
    recipient: Literal["clear", "masked", "encrypted"] = "clear"
