"""Taobao and Tmall: 千牛, the report of items (宝贝报表) with receiver columns ticked."""

from libs.channels.csv.exports.export import Export, signs

TAOBAO = Export(
    platform="taobao",
    signs=signs(
        ("订单编号", "买家会员名"),
        ("主订单编号", "子订单编号", "外部系统编号"),
        ("主订单编号", "子订单编号", "商品属性"),
        ("主订单编号", "买家应付货款"),
    ),
    headings={
        "platform_order_id": ("主订单编号", "订单编号"),
        "line_id": ("子订单编号",),
        "placed_at": ("订单创建时间", "创建时间"),
        "paid_at": ("订单付款时间", "付款时间"),
        "buyer_identity": ("OAID", "买家会员名", "买家昵称"),
        "name": ("收货人姓名", "收货人"),
        "phone": ("联系手机", "收货人手机", "联系电话"),
        "province": ("省", "省份"),
        "city": ("市", "城市"),
        "district": ("区", "区县"),
        "address": ("修改后的收货地址", "收货地址", "详细地址"),
        "postcode": ("邮编",),
        "sku": ("商家编码", "外部系统编号", "SKU编码", "商品编码"),
        "quantity": ("购买数量", "宝贝数量", "商品数量"),
        "unit_price": ("价格", "商品价格", "单价"),
        "due": ("买家应付货款",),
        "row_freight": ("买家应付邮费",),
        "ship_by": ("应发货时间", "承诺发货时间"),
        "note": ("买家留言", "订单备注", "卖家备注"),
        "status": ("订单状态",),
    },
    left_out=("等待买家付款", "关闭", "退款成功"),
    shipped=("卖家已发货", "部分发货", "交易成功"),
    address_holds_divisions=True,
    advice="in 千牛 (交易 > 已卖出的宝贝 > 批量导出) take the report of items (宝贝报表) with the receiver's columns",
)
