"""What WeChat can do: pushes for 3.6 hours, lists of 7 days, 15 parcels, one correction of a waybill."""

from libs.channels.capabilities import Capabilities

CAPABILITIES = Capabilities(
    channel="wechat",
    pushes_orders=True,
    pushes_cancellations=True,
    supplies_buyer_token=True,
    pulls_orders=True,
    pulls_refunds=True,
    refunds_lines=True,
    pull_window_limit_s=7 * 24 * 3600,
    page_limit_orders=100,
    takes_shipment_upload=True,
    splits_parcels=True,
    parcels_limit=15,
    reships_limit=1,
    takes_stock_push=True,
    stock_push="delta",
    reads_stock=True,
    token_lives_s=7200,
    recipient="masked",
)
