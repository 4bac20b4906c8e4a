"""What Taobao and Tmall can do, in numbers that the platform documents."""

from libs.channels.capabilities import Capabilities

WINDOW_LIMIT_S = 1800  # a day is allowed; half an hour is what the platform asks for
PAGE_LIMIT_ORDERS = 50  # 100 are allowed; 40 to 50 are advised

CAPABILITIES = Capabilities(
    channel="taobao",
    pushes_orders=False,  # nothing is pushed over HTTP: its messages wait in a queue
    pushes_cancellations=False,
    supplies_buyer_token=True,
    pulls_orders=True,
    pulls_refunds=True,
    refunds_lines=True,
    has_queue=True,
    pull_window_limit_s=WINDOW_LIMIT_S,
    pull_lag_s=5,
    pull_overlap_s=300,
    page_limit_orders=PAGE_LIMIT_ORDERS,
    counts_orders=True,
    takes_shipment_upload=True,
    splits_parcels=True,
    takes_stock_push=True,
    stock_push="set",
    reads_stock=True,
    signs_in=True,
    token_lives_s=None,  # every answer says it; it depends on the application's kind
    recipient="masked",
)
