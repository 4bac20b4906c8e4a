"""Pinduoduo: merchants' back office, orders, export, a row an order of one item."""

from libs.channels.csv.exports.export import Export, signs

PINDUODUO = Export(
    platform="pinduoduo",
    signs=signs(("订单号", "商家实收金额(元)"), ("订单号", "商品总价(元)"), ("订单号", "商品数量(件)", "样式ID")),
    headings={
        "platform_order_id": ("订单号",),
        "placed_at": ("订单成交时间", "拼单成功时间", "支付时间"),
        "paid_at": ("支付时间", "订单成交时间", "拼单成功时间"),
        "name": ("收货人", "收货人姓名"),
        "phone": ("手机", "收货人手机", "联系电话"),
        "province": ("省", "省份"),
        "city": ("市", "城市"),
        "district": ("区", "区县"),
        "address": ("详细地址", "收货地址", "街道"),
        "sku": ("商家编码-规格维度", "商家编码-商品维度", "商家编码", "样式ID", "商品id"),
        "quantity": ("商品数量(件)", "商品数量"),
        "goods_total": ("商品总价(元)", "商品总价"),
        "row_freight": ("邮费(元)", "邮费"),
        "row_total": ("用户实付金额(元)",),
        "ship_by": ("承诺发货时间",),
        "note": ("买家留言", "商家备注"),
        "status": ("订单状态",),
    },
    sums={
        "discount_merchant": ("店铺优惠折扣(元)",),
        "discount_platform": ("平台优惠折扣(元)", "多多支付立减金额(元)"),
    },
    left_out=("待付款", "待支付", "未支付", "已取消", "退款成功"),
    shipped=("已发货", "已签收"),
    advice="in 拼多多商家后台 (订单查询 > 批量导出) tick the receiver's columns (收货人, 手机, 省, 市, 区, 详细地址)",
)
