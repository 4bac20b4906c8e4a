"""What Douyin can do; where each number comes from stands in README.md."""

from libs.channels.capabilities import Capabilities

DAY_S = 86_400

CAPABILITIES = Capabilities(
    channel="douyin",
    pushes_orders=True,
    pushes_cancellations=True,
    supplies_buyer_token=True,
    pulls_orders=True,
    pulls_refunds=True,
    refunds_lines=True,
    pull_window_limit_s=None,
    # The platform states no lag; its lists are an index behind the orders, so the newest seconds are left to the push.
    pull_lag_s=10,
    page_limit_orders=100,
    counts_orders=True,
    takes_shipment_upload=True,
    splits_parcels=True,
    takes_stock_push=True,
    stock_push="delta",
    reads_stock=True,
    calls_per_second=100,  # stated for an application
    signs_in=True,
    token_lives_s=7 * DAY_S,
    recipient="masked",
)
"""A Douyin shop."""
