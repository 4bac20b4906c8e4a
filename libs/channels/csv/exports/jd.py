"""JD 京东: 京麦, orders, export, a row an item; amounts of the order stand on each row."""

from libs.channels.csv.exports.export import Export, signs

JD = Export(
    platform="jd",
    signs=signs(("订单号", "京东价"), ("订单编号", "京东价"), ("订单号", "订购数量", "结算金额")),
    headings={
        "platform_order_id": ("订单号", "订单编号"),
        "placed_at": ("下单时间",),
        "paid_at": ("付款确认时间", "付款时间"),
        "buyer_identity": ("下单帐号", "下单账号"),
        "name": ("客户姓名", "收货人姓名", "收货人"),
        "phone": ("联系电话", "收货人手机", "手机"),
        "province": ("省",),
        "city": ("市",),
        "district": ("区", "区县"),
        "address": ("客户地址", "收货地址", "详细地址"),
        "sku": ("商家SKUID", "商家SKU编码", "货号", "商品ID", "SKU编号"),
        "quantity": ("订购数量", "商品数量"),
        "unit_price": ("京东价",),
        "row_freight": ("运费金额", "运费"),
        "total": ("应付金额",),
        "note": ("订单备注", "商家备注"),
        "status": ("订单状态",),
    },
    left_out=("等待付款", "待付款", "取消", "删除", "锁定"),
    shipped=("已出库", "确认收货", "完成"),
    advice="in 京麦 (订单管理 > 订单查询与跟踪 > 导出) export with items and the receiver's columns",
)
