"""Douyin 抖店: orders, export, a row a sub-order."""

from libs.channels.csv.exports.export import Export, signs

DOUYIN = Export(
    platform="douyin",
    signs=signs(("主订单编号", "子订单编号", "订单提交时间"), ("主订单编号", "选购商品")),
    headings={
        "platform_order_id": ("主订单编号",),
        "line_id": ("子订单编号",),
        "placed_at": ("订单提交时间",),
        "paid_at": ("支付完成时间", "支付时间"),
        "name": ("收件人", "收件人姓名"),
        "phone": ("收件人手机号", "收件人手机"),
        "province": ("省",),
        "city": ("市",),
        "district": ("区",),
        "address": ("详细地址", "收货地址"),
        "sku": ("商家编码", "商品编码", "SKUID", "商品ID"),
        "quantity": ("商品数量",),
        "unit_price": ("商品单价",),
        "goods_total": ("商品金额",),
        "row_freight": ("运费",),
        "row_total": ("订单应付金额",),
        "ship_by": ("承诺发货时间",),
        "note": ("买家留言", "备注"),
        "status": ("订单状态",),
    },
    sums={
        "discount_merchant": ("商家优惠", "商家改价"),
        "discount_platform": ("平台优惠", "支付优惠", "红包抵扣"),
        "discount_influencer": ("达人优惠",),
    },
    left_out=("待支付", "未支付", "已关闭", "已取消"),
    shipped=("已发货", "部分发货", "已完成"),
    advice="in 抖店 (订单 > 订单管理 > 导出) export sub-orders with price, discounts and the receiver's columns",
)
