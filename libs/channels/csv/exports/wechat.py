"""WeChat 微信小店 (formerly 视频号小店): orders, export, a row an item; amounts of the order stand on each row."""

from libs.channels.csv.exports.export import Export, signs

WECHAT = Export(
    platform="wechat",
    signs=signs(
        ("订单号", "订单下单时间", "SKU编码(自定义)"),
        ("订单号", "订单下单时间", "商品编码(自定义)"),
        ("订单号", "订单下单时间", "商品编码(平台)"),
    ),
    headings={
        "platform_order_id": ("订单号",),
        "placed_at": ("订单下单时间",),
        "paid_at": ("支付时间", "订单支付时间"),
        "name": ("收件人姓名",),
        "phone": ("收件人手机", "收件人手机号"),
        "province": ("省",),
        "city": ("市",),
        "district": ("区",),
        "address": ("收件人地址",),
        "sku": ("SKU编码(自定义)", "商品编码(自定义)", "SKU编码(平台)", "商品编码(平台)"),
        "quantity": ("商品数量",),
        "unit_price": ("商品价格(单件)",),
        "due": ("商品实际价格(总共)",),
        "row_freight": ("订单运费",),
        "total": ("订单实际支付金额",),
        "note": ("买家备注", "商家备注"),
        "status": ("订单状态",),
    },
    left_out=("待付款", "待支付", "已取消"),
    shipped=("部分发货", "已发货", "待收货", "已完成"),
    advice="in 微信小店 (订单管理 > 导出订单) export with items and the receiver's columns",
)
