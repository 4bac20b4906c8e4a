"""A platform's own export over `POST /imports`: named or recognised, what is unpaid or closed is counted."""

import pytest

from services.ingestion.tests.stack import memory_stack

HEADING = (
    "订单号,订单状态,商品总价(元),邮费(元),用户实付金额(元),商家实收金额(元),商品数量(件),样式ID,"
    "商家编码-规格维度,支付时间,收货人,手机,省,市,区,详细地址"
)
ROW = "{},{},10.00,0.00,10.00,10.00,1,9,CUP-1,2026-01-05 10:00:00,张三,13800000000,浙江省,杭州市,西湖区,文三路1号"


@pytest.fixture
async def stack(monkeypatch):
    async with memory_stack(monkeypatch) as running:
        yield running


async def upload(stack, platform, *rows):
    text = "\n".join([HEADING, *rows])
    data = {"shop_id": "demo"} | ({"platform": platform} if platform is not None else {})
    return await stack.client.post(
        "/imports", files={"file": ("orders.csv", text.encode(), "text/csv")}, data=data, headers=stack.operator
    )


@pytest.mark.parametrize("platform", [None, "pinduoduo"])
async def test_an_export_is_taken_and_what_says_nothing_is_counted(stack, platform):
    rows = [
        ROW.format("260105-111111111111111", "待发货"),
        ROW.format("260105-222222222222222", "待支付"),
        ROW.format("260105-333333333333333", "未发货，退款成功"),
    ]
    answer = await upload(stack, platform, *rows)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert (report["accepted"], report["refused"], report["left_out_rows"]) == (1, 0, 2)


@pytest.mark.parametrize("platform", ["ebay", "own"])
async def test_an_unknown_platform_is_refused_by_the_fields_name(stack, platform):
    answer = await upload(stack, platform, ROW.format("260105-111111111111111", "待发货"))
    assert (answer.status_code, answer.json()["field"]) == (422, "platform")
