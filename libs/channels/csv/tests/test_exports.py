"""The platforms' own exports: recognised or named, their headings and amounts, and what spreadsheets did to them."""

import io

import pytest

from libs.channels.csv.exports import EXPORTS, recognised
from libs.channels.csv.exports.export import normal
from libs.channels.csv.inbound import LeftOut, ReadOrder, RowRefused, read_orders
from libs.channels.csv.layout import BY_NAME
from libs.channels.refusals import OrderRefused

TAOBAO = {
    "主订单编号": "\t2231958349000123457",
    "子订单编号": "2231958349000123458",
    "标题": "杯子",
    "价格": "30.00",
    "购买数量": "2",
    "外部系统编号": "OUT-1",
    "商家编码": "CUP-1",
    "订单状态": "买家已付款，等待卖家发货",
    "买家应付货款": "55.00",
    "买家应付邮费": "6.00",
    "收货人姓名": "张三",
    "联系手机": "'13800138000",
    "收货地址": "浙江省 杭州市 余杭区 五常街道 文一西路969号",
    "订单创建时间": "2026-11-11 00:00:03",
    "订单付款时间": "2026-11-11 00:01:00",
}
DOUYIN = {
    "主订单编号": "\t4781320682406083641",
    "子订单编号": "\t4781320682406083641",
    "选购商品": "杯子",
    "商品数量": "1",
    "商品ID": "3500",
    "商家编码": "CUP-1",
    "商品单价": "100.00",
    "订单应付金额": "84.00",
    "运费": "0.00",
    "平台优惠": "5.00",
    "商家优惠": "6.00",
    "达人优惠": "1.00",
    "商家改价": "2.00",
    "支付优惠": "2.00",
    "红包抵扣": "-",
    "收件人": "张*",
    "收件人手机号": "138****8000",
    "省": "浙江省",
    "市": "杭州市",
    "区": "余杭区",
    "详细地址": "文一西路***",
    "订单提交时间": "2026-11-11 00:00:03",
    "支付完成时间": "2026-11-11 00:01:00",
    "承诺发货时间": "2026-11-13 00:00:00",
    "订单状态": "待发货",
}
PINDUODUO = {
    "商品": "杯子",
    "订单号": "261111-123456789012345",
    "订单状态": "待发货",
    "商品总价(元)": "20.00",
    "邮费(元)": "3.00",
    "店铺优惠折扣(元)": "1.00",
    "平台优惠折扣(元)": "2.00",
    "多多支付立减金额(元)": "0.50",
    "用户实付金额(元)": "19.50",
    "商家实收金额(元)": "22.00",
    "商品数量(件)": "3",
    "支付时间": "2026-11-11 00:01:00",
    "样式ID": "99",
    "商家编码-规格维度": "",
    "商家编码-商品维度": "CUP",
    "收货人": "张三",
    "手机": "13800138000",
    "省": "浙江省",
    "市": "杭州市",
    "区": "余杭区",
    "详细地址": "文一西路969号",
    "订单成交时间": "2026-11-11 00:01:00",
}
JD = {
    "订单号": "290000000123",
    "商品ID": "100012",
    "商品名称": "杯子",
    "订购数量": "2",
    "下单时间": "2026-11-11 00:00:03",
    "京东价": "50.00",
    "订单金额": "100.00",
    "结算金额": "95.00",
    "应付金额": "101.00",
    "运费金额": "6.00",
    "订单状态": "等待出库",
    "下单帐号": "jd_x",
    "客户姓名": "张三",
    "客户地址": "浙江杭州市余杭区文一西路969号",
    "联系电话": "13800138000",
    "付款确认时间": "2026-11-11 00:01:00",
    "货号": "CUP-1",
}
MEITUAN = {
    "订单编号": "2700130123456789012",
    "门店名称": "一店",
    "下单时间": "2026-11-11 00:00:03",
    "SKU码": "CUP-1",
    "商品数量": "1",
    "商品单价(元)": "10.00",
    "配送费(元)": "3.00",
    "包装费(元)": "1.00",
    "用户实付(元)": "12.00",
    "收货人": "张(先生)",
    "收货人电话": "13800138000_12",
    "收货地址": "望京路1号",
    "订单状态": "已接单",
}
WECHAT = {
    "订单号": "3705115058471208928",
    "订单下单时间": "2026-11-11 00:00:03",
    "支付时间": "2026-11-11 00:01:00",
    "订单状态": "待发货",
    "商品编码(平台)": "10000",
    "商品编码(自定义)": "SPU",
    "SKU编码(自定义)": "CUP-1",
    "商品数量": "2",
    "商品价格(单件)": "10.00",
    "商品实际价格(总共)": "18.00",
    "订单运费": "5.00",
    "订单实际支付金额": "22.00",
    "收件人姓名": "张三",
    "收件人手机": "13800138000",
    "省": "浙江省",
    "市": "杭州市",
    "区": "余杭区",
    "收件人地址": "文一西路969号",
    "买家备注": "快",
}
FILES = {
    "taobao": TAOBAO,
    "douyin": DOUYIN,
    "pinduoduo": PINDUODUO,
    "jd": JD,
    "meituan": MEITUAN,
    "wechat": WECHAT,
}


def written(*rows, encoding="utf-8-sig"):
    lines = [",".join(rows[0])]
    lines += [",".join('"' + value.replace('"', '""') + '"' for value in row.values()) for row in rows]
    return io.BytesIO("\r\n".join(lines).encode(encoding))


def read(*rows, platform="", encoding="utf-8-sig", left_out=None):
    return list(read_orders(written(*rows, encoding=encoding), platform, left_out))


def one(*rows, **how):
    (found,) = read(*rows, **how)
    assert isinstance(found, ReadOrder), found
    return found.order


def refusal(*rows, **how):
    (found,) = read(*rows, **how)
    assert isinstance(found, RowRefused), found
    return found


@pytest.mark.parametrize("platform", FILES)
def test_each_export_is_recognised_by_its_heading(platform):
    assert recognised(FILES[platform]).platform == platform


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("platform", FILES)
def test_each_export_is_read_whole(platform, encoding):
    order = one(FILES[platform], encoding=encoding)
    assert order.lines[0].sku in ("CUP", "CUP-1")
    assert order.recipient.name.startswith("张")
    assert order.placed_at.isoformat().startswith("2026-11-11T00:0")
    assert one(FILES[platform], platform=platform) == order


@pytest.mark.parametrize("export", EXPORTS, ids=[each.platform for each in EXPORTS])
def test_every_mapped_column_exists_and_its_headings_do_not_repeat(export):
    for mapped in (export.headings, export.sums):
        assert mapped.keys() <= BY_NAME.keys()
        for headings in mapped.values():
            assert len({normal(each) for each in headings}) == len(headings)
    assert export.advice
    known = {normal(each) for mapped in (export.headings, export.sums) for names in mapped.values() for each in names}
    assert all(normal("选购商品") in sign or sign & known for sign in export.signs)


@pytest.mark.parametrize(
    ("platform", "total", "freight", "price", "discounts"),
    [
        ("taobao", 6100, 600, 3000, {"merchant": 500}),
        ("douyin", 8400, 0, 10000, {"merchant": 800, "platform": 700, "influencer": 100}),
        ("pinduoduo", 1950, 300, 667, {"merchant": 101, "platform": 250}),
        ("jd", 10100, 600, 5000, {"merchant": 500}),
        ("meituan", 1200, 400, 1000, {"merchant": 200}),
        ("wechat", 2200, 500, 1000, {"merchant": 300}),
    ],
)
def test_amounts(platform, total, freight, price, discounts):
    row = dict(FILES[platform])
    if platform == "taobao":
        row["订单状态"] = "等待卖家发货"
    order = one(row)
    line = order.lines[0]
    assert (order.shipping_fee, line.unit_price) == (freight, price)
    assert {each.funder: each.amount for each in line.discounts} == discounts
    assert order.total == total


def test_taobao_ids_and_address():
    order = one(TAOBAO)
    assert order.platform_order_id == "2231958349000123457"
    assert order.lines[0].line_id == "2231958349000123458"
    assert order.recipient.phone == "13800138000"
    assert (order.recipient.province, order.recipient.city, order.recipient.district) == ("浙江省", "杭州市", "余杭区")
    assert order.recipient.address == "五常街道 文一西路969号"


def test_an_address_in_one_piece_stays_so():
    order = one({**TAOBAO, "收货地址": "文一西路969号 3 单元 201"})
    assert (order.recipient.province, order.recipient.address) == ("", "文一西路969号 3 单元 201")


def test_headings_in_other_widths_with_tabs_and_quotes():
    row = {f"\t{name.replace('(', '（').replace(')', '）')} ": value for name, value in PINDUODUO.items()}
    assert one(row).platform_order_id == PINDUODUO["订单号"]


def test_the_first_column_that_holds_something_counts():
    assert one({**PINDUODUO, "商家编码-规格维度": "CUP-XL"}).lines[0].sku == "CUP-XL"
    assert one({**PINDUODUO, "商家编码-商品维度": "-"}).lines[0].sku == "99"


def test_an_order_of_several_rows():
    second = {**DOUYIN, "子订单编号": "4781320682406083642", "承诺发货时间": "2026-11-12 00:00:00", "运费": "4.00"}
    order = one(DOUYIN, {**second, "订单应付金额": "88.00"})
    assert [line.line_id for line in order.lines] == ["4781320682406083641", "4781320682406083642"]
    assert (order.total, order.shipping_fee) == (17200, 400)
    assert order.promise.ship_by.day == 12


@pytest.mark.parametrize(
    ("platform", "status"),
    [
        ("taobao", "等待买家付款"),
        ("taobao", "交易关闭"),
        ("douyin", "已关闭"),
        ("pinduoduo", "未发货，退款成功"),
        ("jd", "(删除)等待付款"),
        ("meituan", "已取消"),
        ("wechat", "待付款"),
        ("taobao", "卖家已发货，等待买家确认"),
        ("taobao", "卖家部分发货"),
        ("taobao", "交易成功"),
        ("douyin", "已发货"),
        ("douyin", "部分发货"),
        ("douyin", "已完成"),
        ("pinduoduo", "已发货，待签收"),
        ("pinduoduo", "已签收"),
        ("jd", "等待确认收货"),
        ("jd", "已出库"),
        ("jd", "完成"),
        ("meituan", "配送中"),
        ("meituan", "已送达"),
        ("meituan", "已完成"),
        ("wechat", "部分发货"),
        ("wechat", "待收货"),
        ("wechat", "已完成"),
    ],
)
def test_rows_that_are_no_orders_say_nothing_and_are_counted(platform, status):
    left_out = LeftOut()
    assert read({**FILES[platform], "订单状态": status}, left_out=left_out) == []
    assert left_out.rows == 1


@pytest.mark.parametrize(
    ("platform", "status"),
    [
        ("taobao", "买家已付款，等待卖家发货"),
        ("douyin", "待发货"),
        ("douyin", "备货中"),
        ("pinduoduo", "待发货"),
        ("jd", "等待出库"),
        ("jd", "等待发货"),
        ("meituan", "待接单"),
        ("wechat", "待发货"),
    ],
)
def test_rows_that_wait_for_their_shipment_are_orders(platform, status):
    one({**FILES[platform], "订单状态": status})


def test_a_closed_row_does_not_keep_the_order_out():
    closed = {**DOUYIN, "子订单编号": "4781320682406083642", "订单状态": "已关闭", "商品单价": "?"}
    assert len(one(DOUYIN, closed).lines) == 1


def test_amounts_that_contradict_each_other_are_refused():
    found = refusal({**WECHAT, "订单实际支付金额": "99.00"})
    assert found.field == "订单实际支付金额"
    assert "difference" in found.reason


@pytest.mark.parametrize(
    ("platform", "heading", "value"),
    [
        ("taobao", "购买数量", "两件"),
        ("taobao", "购买数量", "0"),
        ("douyin", "平台优惠", "5.005"),
        ("douyin", "红包抵扣", "-1"),
        ("pinduoduo", "商品总价(元)", "1,000"),
        ("pinduoduo", "支付时间", "昨天"),
        ("jd", "联系电话", ""),
        ("wechat", "SKU编码(自定义)", "a\x07"),
    ],
)
def test_a_refusal_names_the_files_own_heading(platform, heading, value):
    found = refusal({**FILES[platform], heading: value})
    assert found.line == 2
    assert found.field == heading


@pytest.mark.parametrize("lacking", ["收货人", "详细地址", "商品数量(件)", "订单号"])
def test_a_lacking_column_is_named_with_advice(lacking):
    row = {name: value for name, value in PINDUODUO.items() if name != lacking}
    with pytest.raises(OrderRefused, match="拼多多商家后台") as caught:
        read(row, platform="pinduoduo")
    assert caught.value.field == lacking


def test_a_column_twice_and_an_unknown_platform():
    row = {**PINDUODUO, "订单号 ": "1"}
    with pytest.raises(OrderRefused, match="twice"):
        read(row)
    with pytest.raises(OrderRefused, match="must be one of"):
        read(PINDUODUO, platform="ebay")


def test_a_heading_of_two_platforms_wants_a_name():
    row = {**WECHAT, **JD}
    with pytest.raises(OrderRefused, match="several platforms"):
        read(row)
    assert one(row, platform="jd").lines[0].sku == "CUP-1"


@pytest.mark.parametrize("number", ["4.5E+17", "2.23196E+18", "4.5E17", "2231958349000123457.0"])
def test_numbers_in_scientific_notation_or_with_a_point_are_refused_by_row(number):
    found = refusal({**TAOBAO, "主订单编号": number})
    assert found.field == "主订单编号"
    assert "export again" in found.reason


@pytest.mark.parametrize(
    "numbers", [["223195834900012000"], ["2231958349000120", "2231958349000130", "1231958349000130"]]
)
def test_long_numbers_that_end_in_zeros_are_refused_for_the_file(numbers):
    with pytest.raises(OrderRefused, match="without opening it in a spreadsheet") as caught:
        read(*({**TAOBAO, "主订单编号": number} for number in numbers))
    assert caught.value.field == "主订单编号"


@pytest.mark.parametrize(
    "numbers",
    [
        ["2231958349000120"],
        ["2231958349000120000", "2231958349000123457"],
        ["100000000000000"],
        ["261111-123456789012000"],
    ],
)
def test_numbers_that_may_well_end_in_zeros_are_taken(numbers):
    rows = [{**TAOBAO, "主订单编号": number} for number in numbers]
    assert [each.order.platform_order_id for each in read(*rows)] == numbers


def test_a_spoiled_line_number_is_named_too():
    with pytest.raises(OrderRefused) as caught:
        read({**TAOBAO, "子订单编号": "2231958349000120000"})
    assert caught.value.field == "子订单编号"


def test_our_own_file_is_watched_as_well():
    heading = "订单号,下单时间,收货人,手机号,详细地址,商品编码,数量,单价"
    row = "2231958349000120000,2026-11-11 08:00:03,张三,13800138000,路1号,A,1,1"
    with pytest.raises(OrderRefused, match="zeros"):
        list(read_orders(io.BytesIO(f"{heading}\n{row}".encode())))


def test_no_refusal_repeats_a_cell():
    for name in WECHAT:
        for each in read({**WECHAT, name: "13912345678\x07"}):
            if isinstance(each, RowRefused):
                assert "13912345678" not in f"{each.field} {each.reason}"
