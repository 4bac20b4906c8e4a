"""What Meituan can do: it pushes, it counts each day's orders, and it cancels what is not accepted in 15 minutes."""

from libs.channels.capabilities import Capabilities

CAPABILITIES = Capabilities(
    channel="meituan",
    pushes_orders=True,
    pushes_cancellations=True,
    supplies_buyer_token=False,
    numbers_days=True,
    accept_limit_s=15 * 60,
    takes_shipment_upload=True,
    parcels_limit=1,
    takes_stock_push=True,
    stock_push="set",
    reads_stock=True,
    recipient="masked",
)
