"""Order files as people export them: encodings, spreadsheets' damage, missing columns, bad rows among good ones."""

import io

import pytest

from libs.channels.csv.inbound import ReadOrder, RowRefused, encoding_of, read_orders
from libs.channels.csv.mapping import COLUMNS
from libs.channels.refusals import OrderRefused

HEADING = "platform_order_id,placed_at,name,phone,province,city,district,address,sku,quantity,unit_price"
ROW = "1001,2026-11-11 08:00:03,张三,13800138000,湖北省,武汉市,洪山区,珞喻路1号,85123A,6,25.50"


def read(*rows, heading=HEADING, encoding="utf-8"):
    return list(read_orders(io.BytesIO("\r\n".join([heading, *rows]).encode(encoding))))


def orders(found):
    return [each.order for each in found if isinstance(each, ReadOrder)]


def refused(found):
    return [(each.line, each.field) for each in found if isinstance(each, RowRefused)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_every_usual_encoding(encoding):
    found = orders(read(ROW, encoding=encoding))
    assert found[0].recipient.name == "张三"
    assert found[0].total == 15300
    assert found[0].placed_at.isoformat() == "2026-11-11T08:00:03+08:00"
    assert found[0].currency == "CNY"


def test_chinese_headings():
    found = orders(read(ROW, heading="订单号,下单时间,收货人,手机号,省,市,区,详细地址,商品编码,数量,单价"))
    assert found[0].lines[0].sku == "85123A"


def test_utf16_and_noise_are_refused_with_advice():
    with pytest.raises(OrderRefused, match="UTF-16"):
        read(ROW, encoding="utf-16")
    with pytest.raises(OrderRefused, match="neither"):
        encoding_of(io.BytesIO(b"a,b\n\xff\xff\xff"))
    with pytest.raises(OrderRefused, match="empty"):
        list(read_orders(io.BytesIO(b"")))


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        (HEADING.replace(",sku", ""), "sku"),
        (HEADING.replace("phone", "fax"), "fax"),
        (HEADING.replace("city", "province"), "province"),
        (HEADING + ",", "column 12"),
    ],
)
def test_a_wrong_heading_names_the_column(heading, field):
    with pytest.raises(OrderRefused) as caught:
        read(ROW, heading=heading)
    assert caught.value.field == field


@pytest.mark.parametrize("number", ["5.36365E+17", "5e+17", "1.38E+10"])
@pytest.mark.parametrize("column", ["platform_order_id", "phone", "sku"])
def test_numbers_a_spreadsheet_destroyed_are_refused(number, column):
    cells = dict(zip(HEADING.split(","), ROW.split(","), strict=True))
    cells[column] = number
    found = read(",".join(cells.values()))
    assert refused(found) == [(2, column)]
    assert "scientific notation" in found[0].reason
    assert number not in found[0].reason or number == "5.36365E+17"


def test_what_exports_put_around_a_number_is_taken_off():
    found = orders(read('"=""1001""",' + ROW.partition(",")[2].replace("13800138000", "\t13800138000")))
    assert found[0].platform_order_id == "1001"
    assert found[0].recipient.phone == "13800138000"


def test_a_bad_row_among_good_ones_keeps_only_its_own_order_out():
    bad = ROW.replace("1001", "1002").replace(",6,", ",six,")
    found = read(ROW, bad, bad.replace("six", "1"), ROW.replace("1001", "1003"))
    assert [order.platform_order_id for order in orders(found)] == ["1001", "1003"]
    assert refused(found) == [(3, "quantity")]
    assert found[1].platform_order_id == "1002"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (",6,", ",0,", "quantity"),
        (",6,", ",1.5,", "quantity"),
        (",6,", ",,", "quantity"),
        ("25.50", "25.505", "unit_price"),
        ("25.50", "-1", "unit_price"),
        ("25.50", '"1,000.00"', "unit_price"),
        ("25.50", "99999999999", "unit_price"),
        ("2026-11-11 08:00:03", "11/11/2026", "placed_at"),
        ("2026-11-11 08:00:03", "2026-02-30 08:00:03", "placed_at"),
        ("2026-11-11 08:00:03", "2026-11-11 08:00:03+99:99", "placed_at"),
        ("2026-11-11 08:00:03", "", "placed_at"),
        ("13800138000", "", "phone"),
        ("1001,", "10/01,", "platform_order_id"),
        ("1001,", ",", "platform_order_id"),
        ("85123A", "85\x07A", "sku"),
        ("25.50", "25.50,extra", ""),
        (",25.50", "", ""),
    ],
)
def test_each_refusal_names_line_and_column(old, new, field):
    assert refused(read(ROW.replace(old, new))) == [(2, field)]


@pytest.mark.parametrize(
    "time", ["2026/11/11 8:00:03", "2026-11-11T00:00:03Z", "2026-11-11T08:00:03+08:00", "2026年11月11日 08:00:03"]
)
def test_times_in_their_customary_forms(time):
    assert orders(read(ROW.replace("2026-11-11 08:00:03", time)))[0].placed_at.timestamp() == 1794355203


@pytest.mark.parametrize(
    ("money", "amount"), [("25", 2500), ("25.5", 2550), ("25.5000", 2550), ("¥25.50", 2550), ("0", 0)]
)
def test_money_is_yuan(money, amount):
    assert orders(read(ROW.replace("25.50", money)))[0].lines[0].unit_price == amount


def test_the_rows_of_an_order_may_stand_apart_and_agree():
    other = ROW.replace("1001", "1002")
    second = ROW.replace("85123A", "71053")
    found = orders(read(ROW, other, second))
    assert [order.platform_order_id for order in found] == ["1002", "1001"]
    assert [(line.line_id, line.sku) for line in found[1].lines] == [("1", "85123A"), ("2", "71053")]
    assert refused(read(ROW, second.replace("张三", "李四"))) == [(3, "name")]


def test_rows_too_far_apart_are_refused_and_nothing_is_placed_by_half(monkeypatch):
    monkeypatch.setattr("libs.channels.csv.inbound.WAITING_ROWS_LIMIT", 3)
    spread = [ROW.replace("1001", str(1001 + n)) for n in range(5)]
    found = read(*spread, *spread)
    assert [order.platform_order_id for order in orders(found)] == ["1001", "1002", "1003"]
    assert refused(found) == [(5, "platform_order_id"), (6, "platform_order_id")]


def test_all_columns_together():
    cells = {
        "platform_order_id": "1001",
        "placed_at": "2026-11-11 08:00:03",
        "paid_at": "2026-11-11 08:01:00",
        "currency": "CNY",
        "buyer_id": "17850",
        "buyer_identity": "token",
        "vip": "是",
        "name": "张三",
        "phone": "13800138000",
        "province": "湖北省",
        "city": "武汉市",
        "district": "洪山区",
        "address": '"珞喻路1号, 2单元"',
        "postcode": "430070",
        "line_id": "L1",
        "sku": "85123A",
        "quantity": "6",
        "unit_price": "25.50",
        "discount_merchant": "1.00",
        "discount_platform": "2",
        "discount_influencer": "0",
        "shipping_fee": "5",
        "total": "155",
        "kind": "presale",
        "available_from": "2026-12-01 00:00:00",
        "ship_by": "2026-12-02 00:00:00",
        "note": '"两行\n备注"',
    }
    assert list(cells) == [column.name for column in COLUMNS]
    order = orders(read(",".join(cells.values()), heading=",".join(cells)))[0]
    assert [(each.funder, each.amount) for each in order.lines[0].discounts] == [("merchant", 100), ("platform", 200)]
    assert (order.total, order.buyer.vip, order.kind, order.note) == (15500, True, "presale", "两行\n备注")
    wrong = read(",".join({**cells, "total": "156"}.values()), heading=",".join(cells))
    assert refused(wrong) == [(2, "total")]
    assert "difference is 100" in wrong[0].reason


OTHER = ROW.replace("1001", "1002")


def test_a_quote_that_never_ends_refuses_the_file_when_it_swallows_rows():
    with pytest.raises(OrderRefused, match="line 3 is not CSV") as caught:
        read(ROW, '1001,"2026-11-11 08:00:03,张三', OTHER, OTHER.replace("1002", "1003"))
    assert caught.value.field == "file"


def test_an_order_beside_a_row_that_cannot_be_read_may_lack_that_row():
    found = read(
        OTHER, ROW, '1001,"2026"-11-11 08:00:03,张三', OTHER.replace("1002", "1003"), OTHER.replace("1002", "4")
    )
    assert [each.platform_order_id for each in orders(found)] == ["1002", "4"]
    assert refused(found) == [(3, "platform_order_id"), (4, ""), (5, "platform_order_id")]
    assert "line 4" in found[1].reason


def test_a_line_without_its_number_keeps_the_order_above_out():
    merged = ",,,,,,,,85123B,1,2.50"
    found = read(ROW, merged, OTHER)
    assert [each.platform_order_id for each in orders(found)] == ["1002"]
    assert refused(found) == [(2, "platform_order_id"), (3, "platform_order_id")]
    assert "line 3" in found[0].reason


def test_a_row_of_sums_belongs_to_no_order():
    found = read(ROW, ",,,,,,,,,6,153.00")
    assert [each.platform_order_id for each in orders(found)] == ["1001"]
    assert refused(found) == [(3, "platform_order_id")]


def test_no_refusal_repeats_a_cell():
    for old in ROW.split(",")[1:]:
        for each in read(ROW.replace(old, "13912345678\x07")):
            assert "13912345678" not in f"{each}"


def test_blank_lines_are_skipped():
    assert len(orders(read("", ROW, ",,,,,,,,,,", ""))) == 1


def test_an_order_of_which_a_row_has_left_is_not_placed_with_the_others():
    heading = "主订单编号,子订单编号,外部系统编号,价格,购买数量,订单状态,收货人姓名,收货地址,联系手机,订单创建时间"
    rest = "张三,浙江省 杭州市 西湖区 路1号,138,2026-10-01 08:00:00"
    rows = [
        f"41592837465018273,4159283746501827{line},S{line},10.00,1,{status},{rest}"
        for line, status in ((1, "买家已付款，等待卖家发货"), (2, "卖家已发货，等待买家确认"))
    ]
    found = read(*rows, heading=heading)
    assert refused(found) == [(2, "platform_order_id")]
    assert "line 3 has left" in found[0].reason
    assert len(orders(read(rows[0], heading=heading))) == 1
