"""What Pinduoduo can do; where each number comes from stands in README.md."""

from libs.channels.capabilities import Capabilities

WINDOW_LIMIT_S = 30 * 60
LAG_S = 3 * 60

CAPABILITIES = Capabilities(
    channel="pinduoduo",
    pushes_orders=True,
    pushes_cancellations=False,
    supplies_buyer_token=False,
    pulls_orders=True,
    pulls_refunds=True,
    has_queue=True,
    pull_window_limit_s=WINDOW_LIMIT_S,
    pull_lag_s=LAG_S,
    lists_newest=True,
    page_limit_orders=100,
    counts_orders=True,
    takes_shipment_upload=True,
    splits_parcels=False,
    parcels_limit=1,
    takes_stock_push=True,
    # A delta has no key that would make a repeat harmless, so the whole value is told.
    stock_push="set",
    reads_stock=True,
    signs_in=True,
    recipient="encrypted",
)
"""A Pinduoduo shop."""
