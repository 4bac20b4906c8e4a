"""What a JD POP shop can do, in numbers that the platform documents."""

from libs.channels.capabilities import Capabilities

# Orders: a month; after-sales by time of application: a week, of which rounding outwards to whole seconds takes one.
WINDOW_LIMIT_S = 7 * 86_400 - 1
PAGE_LIMIT_ORDERS = 100
PAGE_LIMIT_SERVICES = 50

CAPABILITIES = Capabilities(
    channel="jd",
    pushes_orders=False,
    pushes_cancellations=False,
    supplies_buyer_token=True,
    pulls_orders=True,
    pulls_refunds=True,
    pull_window_limit_s=WINDOW_LIMIT_S,
    pull_lag_s=5,
    pull_overlap_s=300,
    page_limit_orders=PAGE_LIMIT_ORDERS,
    counts_orders=True,
    takes_shipment_upload=True,
    splits_parcels=False,  # the first upload ships the whole order
    reships_limit=0,  # no call that corrects a waybill is known
    takes_stock_push=True,
    stock_push="set",
    reads_stock=True,
    signs_in=True,
    token_lives_s=None,  # every answer says it
    recipient="masked",
)
