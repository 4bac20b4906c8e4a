"""Meituan 闪购: shops' back office, orders with their goods, export, a row an item."""

from libs.channels.csv.exports.export import Export, signs

MEITUAN = Export(
    platform="meituan",
    signs=signs(("美团订单号", "下单时间"), ("订单编号", "SKU码", "配送费(元)"), ("订单编号", "商品SKU码", "门店名称")),
    headings={
        "platform_order_id": ("美团订单号", "订单编号", "订单号"),
        "placed_at": ("下单时间",),
        "paid_at": ("支付时间",),
        "name": ("收货人", "收货人姓名", "顾客姓名"),
        "phone": ("收货人电话", "顾客电话", "联系电话"),
        "address": ("收货地址", "顾客地址"),
        "sku": ("商品SKU码", "SKU码", "店内码", "商家编码", "UPC码"),
        "quantity": ("商品数量", "购买数量", "数量"),
        "unit_price": ("商品单价(元)", "商品单价", "单价"),
        "goods_total": ("商品总价(元)", "商品金额(元)"),
        "total": ("用户实付(元)", "顾客实付(元)", "用户实付金额"),
        "note": ("备注", "顾客备注"),
        "status": ("订单状态",),
    },
    sums={"row_freight": ("配送费(元)", "包装费(元)", "打包袋(元)")},
    left_out=("待支付", "未支付", "已取消", "取消"),
    shipped=("配送中", "已送达", "已完成"),
    advice="in 美团商家端 (订单 > 历史订单 > 导出) export orders with their goods (商品明细) and the receiver",
)
